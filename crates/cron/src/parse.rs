//! From text to a calendar and a zone, or to what is wrong with the text.

use std::sync::LazyLock;

use dunlin_types::limits::CRON_TEXT_CHARS_MAX;
use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::calendar::Calendar;
use crate::field::{DAY, Field, HOUR, MINUTE, MONTH, WEEKDAY};

/// Zones come from the table compiled in, so that every machine answers the same.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A day after which each date of the calendar comes within the bound of a search.
const ANY_DAY: civil::DateTime = civil::date(2001, 1, 1).at(0, 0, 0, 0);

/// The short names of common schedules.
const DESCRIPTORS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

pub(crate) fn parse(text: &str) -> Result<(Calendar, TimeZone), String> {
    if text.chars().count() > CRON_TEXT_CHARS_MAX {
        return Err(format!("longer than {CRON_TEXT_CHARS_MAX} characters"));
    }
    let (zone, fields) = split_zone(text.trim())?;
    let calendar = calendar(fields)?;
    if calendar.first_from(ANY_DAY).is_none() {
        return Err(format!("no date ever fits `{fields}`"));
    }
    Ok((calendar, zone))
}

/// The zone that a prefix names, UTC without one, and the text behind it.
fn split_zone(text: &str) -> Result<(TimeZone, &str), String> {
    let prefixed = text
        .strip_prefix("TZ=")
        .or_else(|| text.strip_prefix("CRON_TZ="));
    let Some(prefixed) = prefixed else {
        return Ok((TimeZone::UTC, text));
    };
    let (name, fields) = prefixed
        .split_once(char::is_whitespace)
        .unwrap_or((prefixed, ""));
    match ZONES.get(name) {
        Ok(zone) => Ok((zone, fields.trim_start())),
        Err(_) => Err(format!("there is no time zone `{name}`")),
    }
}

fn calendar(text: &str) -> Result<Calendar, String> {
    let text = if text.starts_with('@') {
        described(text)?
    } else {
        text
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else {
        return Err(wrong_count(fields.len()));
    };
    Ok(Calendar {
        minute: Field::parse(&MINUTE, minute)?,
        hour: Field::parse(&HOUR, hour)?,
        day: Field::parse(&DAY, day)?,
        month: Field::parse(&MONTH, month)?,
        weekday: sunday_is_zero(Field::parse(&WEEKDAY, weekday)?),
    })
}

fn described(text: &str) -> Result<&'static str, String> {
    let known = DESCRIPTORS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    match known {
        Some((_, fields)) => Ok(fields),
        None if text.starts_with("@every") => {
            Err("`@every` is not supported; write a step, such as `*/5 * * * *`".to_owned())
        }
        None => Err(format!("there is no schedule `{text}`")),
    }
}

fn wrong_count(got: usize) -> String {
    const WANTED: &str = "minute, hour, day of the month, month, day of the week";
    match got {
        6 => format!("6 fields, but there is none for seconds: {WANTED}"),
        1 => format!("1 field instead of 5: {WANTED}"),
        _ => format!("{got} fields instead of 5: {WANTED}"),
    }
}

fn sunday_is_zero(mut weekday: Field) -> Field {
    weekday.bits = (weekday.bits | weekday.bits >> 7) & 0x7f;
    weekday
}
