//! Instants and durations from the texts and numbers in which events carry them.

use std::sync::LazyLock;

use dunlin_types::Timestamp as Millis;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use crate::value::{Evaluated, Number, Val, failed};

/// Longest text that is tried as a date.
const DATE_BYTES_MAX: usize = 128;

/// Forms of dates beside ISO 8601 and RFC 2822. Without a zone they are in UTC.
const DATE_FORMATS: [&str; 16] = [
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
    "%m/%d/%Y %H:%M:%S%.f",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y",
    "%b %d, %Y",
    "%b %d %Y",
    "%B %d, %Y",
    "%B %d %Y",
    "%d %b %Y",
    "%d %B %Y",
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %Y %H:%M:%S GMT%z",
    "%Y%m%d",
];

/// Zones come from the table compiled in, so that every machine answers the same.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The instant so many milliseconds after the epoch.
pub(crate) fn from_ms(ms: i64) -> Evaluated<Timestamp> {
    Timestamp::from_millisecond(ms).or_else(|_| failed("the time is out of range"))
}

/// `date(any)`: an instant from any usual text or number.
pub(crate) fn date(value: &Val<'_>) -> Evaluated<Timestamp> {
    let at = match value {
        Val::Moment(at) => Some(*at),
        Val::Number(n) => from_unix(*n),
        Val::Text(text) => from_text(text.as_str().trim()),
        _ => None,
    };
    at.map_or_else(
        || failed(format!("this {} is no date", value.type_name())),
        Ok,
    )
}

/// `timestamp(any)`: CEL's own conversion, where numbers are seconds.
pub(crate) fn timestamp(value: &Val<'_>) -> Evaluated<Timestamp> {
    let at = match value {
        Val::Moment(at) => Some(*at),
        Val::Number(n) => from_seconds(*n, 1.0),
        Val::Text(text) => text.as_str().parse().ok(),
        _ => None,
    };
    at.map_or_else(
        || failed(format!("this {} is no timestamp", value.type_name())),
        Ok,
    )
}

/// `duration(any)`.
pub(crate) fn duration(value: &Val<'_>) -> Evaluated<SignedDuration> {
    let span = match value {
        Val::Span(span) => Some(*span),
        Val::Text(text) => parse_span(text.as_str()),
        _ => None,
    };
    span.map_or_else(
        || failed(format!("this {} is no duration", value.type_name())),
        Ok,
    )
}

/// Now, moved by a duration into the future or the past.
pub(crate) fn shifted(now: Millis, by: &Val<'_>, direction: i32) -> Evaluated<Timestamp> {
    let by = duration(by)?;
    by.checked_mul(direction)
        .and_then(|by| {
            Timestamp::from_millisecond(now.ms())
                .ok()?
                .checked_add(by)
                .ok()
        })
        .map_or_else(|| failed("the time is out of range"), Ok)
}

/// The zone of that name or offset; UTC when none is given.
pub(crate) fn zone(name: Option<&str>) -> Evaluated<TimeZone> {
    let Some(name) = name else {
        return Ok(TimeZone::UTC);
    };
    let found = offset(name)
        .map(TimeZone::fixed)
        .or_else(|| ZONES.get(name).ok());
    found.map_or_else(|| failed("there is no time zone of that name"), Ok)
}

/// `+02:00`, `-05:30`, `02:00`.
fn offset(text: &str) -> Option<Offset> {
    let (hours, minutes) = text.split_once(':')?;
    let sign = if hours.starts_with('-') { -1 } else { 1 };
    let hours: i32 = hours.trim_start_matches(['+', '-']).parse().ok()?;
    let minutes: i32 = minutes.parse().ok()?;
    let seconds = hours
        .checked_mul(3600)?
        .checked_add(minutes.checked_mul(60)?)?;
    Offset::from_seconds(sign * seconds).ok()
}

/// Seconds, milliseconds, microseconds or nanoseconds, told apart by their size.
fn from_unix(number: Number) -> Option<Timestamp> {
    match number.double().abs() {
        n if n < 1e11 => from_seconds(number, 1.0),
        n if n < 1e14 => from_seconds(number, 1e3),
        n if n < 1e17 => from_seconds(number, 1e6),
        _ => from_seconds(number, 1e9),
    }
}

fn from_seconds(number: Number, per_second: f64) -> Option<Timestamp> {
    let nanoseconds = match number.exact() {
        Some(n) => n.checked_mul((1e9 / per_second) as i128)?,
        // The cast saturates, and what is out of range is refused below.
        None => (number.double() * (1e9 / per_second)) as i128,
    };
    Timestamp::from_nanosecond(nanoseconds).ok()
}

fn from_text(text: &str) -> Option<Timestamp> {
    if text.is_empty() || text.len() > DATE_BYTES_MAX {
        return None;
    }
    if text.len() != 8
        && let Ok(number) = text.parse::<f64>()
    {
        let number = text.parse().map_or(Number::Double(number), Number::Int);
        return from_unix(number);
    }
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    if let Ok(at) = text.parse::<DateTime>() {
        return in_utc(at);
    }
    if let Ok(at) = rfc2822::parse(text) {
        return Some(at.timestamp());
    }
    // What JavaScript and Go append after the offset: `(Central European Time)`, ` UTC`.
    let text = text.split(" (").next().unwrap_or(text);
    let text = text.trim_end_matches(" UTC");
    DATE_FORMATS
        .iter()
        .find_map(|format| from_format(format, text))
}

fn from_format(format: &str, text: &str) -> Option<Timestamp> {
    let parsed = strtime::parse(format, text).ok()?;
    if parsed.offset().is_some() {
        return parsed.to_timestamp().ok();
    }
    in_utc(parsed.to_datetime().ok()?)
}

fn in_utc(at: DateTime) -> Option<Timestamp> {
    at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
}

/// `1h30m`, `-90s`, `1.5d`, `0`: numbers with units, added up.
fn parse_span(text: &str) -> Option<SignedDuration> {
    let negative = text.starts_with('-');
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanoseconds = 0_i128;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(digits);
        let unit = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        nanoseconds = nanoseconds.checked_add(scaled(number, unit_nanoseconds(unit)?)?)?;
        rest = after;
    }
    let nanoseconds = if negative { -nanoseconds } else { nanoseconds };
    SignedDuration::try_from_nanos_i128(nanoseconds)
}

fn unit_nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60 * 1_000_000_000,
        "h" => 3600 * 1_000_000_000,
        "d" => 24 * 3600 * 1_000_000_000,
        "w" => 7 * 24 * 3600 * 1_000_000_000,
        _ => return None,
    })
}

fn scaled(number: &str, unit: i128) -> Option<i128> {
    if let Ok(whole) = number.parse::<i128>() {
        return whole.checked_mul(unit);
    }
    let number: f64 = number.parse().ok()?;
    Some((number * unit as f64) as i128)
}

/// A duration in seconds, such as `5400s` or `0.25s`.
pub(crate) fn span_text(span: SignedDuration) -> String {
    let sign = if span.is_negative() { "-" } else { "" };
    let span = span.unsigned_abs();
    let fraction = format!("{:09}", span.subsec_nanos());
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction}s", span.as_secs())
}
