//! Spans and instants as the SDKs write them: durations, sleeps, `Retry-After`.

use dunlin_types::Timestamp;
use dunlin_types::limits::{RETRY_AFTER_MS_MAX, RETRY_AFTER_MS_MIN, SLEEP_MS_MAX};
use jiff::fmt::strtime;

/// The longest text that is looked at; what SDKs write has at most 40 bytes.
const TEXT_BYTES_MAX: usize = 128;
/// A text shorter than this is never a date (SDK protocol, time strings).
const DATE_BYTES_MIN: usize = 10;
/// A `Retry-After` up to this length is a number of seconds (SDK protocol).
const SECONDS_DIGITS_MAX: usize = 7;

/// How long an app asks us to wait before the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// Milliseconds from when the response came.
    In {
        /// The span.
        ms: i64,
    },
    /// Until then.
    At(Timestamp),
}

impl RetryAfter {
    /// The instant it means, within the bounds that are honoured.
    #[must_use]
    pub fn instant(self, now: Timestamp) -> Timestamp {
        let ms = match self {
            Self::In { ms } => ms,
            Self::At(at) => at.since(now),
        };
        now.plus_ms(ms.clamp(RETRY_AFTER_MS_MIN, RETRY_AFTER_MS_MAX))
    }
}

/// Reads a `Retry-After`; `None` when it is neither seconds nor a date.
#[must_use]
pub fn parse_retry_after(text: &str) -> Option<RetryAfter> {
    let text = text.trim();
    if text.len() <= SECONDS_DIGITS_MAX {
        let seconds: i64 = text.parse().ok()?;
        return Some(RetryAfter::In { ms: seconds * 1000 });
    }
    parse_date(text).map(RetryAfter::At)
}

/// How long a sleep op wants to sleep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SleepSpec {
    /// So many milliseconds from now; 0 for what lies in the past.
    For {
        /// The span.
        ms: i64,
    },
    /// Until then; in the past only where [`parse_timeout`] says so.
    Until(Timestamp),
    /// The text is neither a span nor a date.
    Invalid(String),
    /// It is longer than a run may sleep.
    TooLong,
}

/// Reads the text of a sleep op: `opts.duration` where that is there, else its name.
#[must_use]
pub fn parse_sleep(text: &str, now: Timestamp) -> SleepSpec {
    let text = text.trim();
    if text.is_empty() {
        return SleepSpec::For { ms: 0 };
    }
    if text.len() >= DATE_BYTES_MIN
        && let Some(at) = parse_date(text)
    {
        return match at.since(now) {
            ..=0 => SleepSpec::For { ms: 0 },
            1..=SLEEP_MS_MAX => SleepSpec::Until(at),
            _ => SleepSpec::TooLong,
        };
    }
    match parse_duration(text) {
        Some(..=0) => SleepSpec::For { ms: 0 },
        Some(ms @ 1..=SLEEP_MS_MAX) => SleepSpec::For { ms },
        Some(_) => SleepSpec::TooLong,
        None => SleepSpec::Invalid(text.chars().take(TEXT_BYTES_MAX).collect()),
    }
}

/// Reads how long something holds, when it is not known yet from when on: an instant is taken as it
/// is, be it past or years ahead.
#[must_use]
pub fn parse_timeout(text: &str) -> SleepSpec {
    let text = text.trim();
    match parse_date(text) {
        Some(at) if text.len() >= DATE_BYTES_MIN => SleepSpec::Until(at),
        // A text that is no date means the same at any time.
        _ => parse_sleep(text, Timestamp::ZERO),
    }
}

/// Milliseconds of a compound duration such as `1d2h`, `1.5s`, `-3m` or `0`; units `ns us µs μs ms
/// s m h d w`. Parts of a millisecond are dropped, what is too large saturates.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total_ns = 0_i128;
    while !rest.is_empty() {
        let (part_ns, after) = duration_part(rest)?;
        total_ns = total_ns.saturating_add(part_ns);
        rest = after;
    }
    let ms = i64::try_from(total_ns / 1_000_000).unwrap_or(i64::MAX);
    Some(if negative { -ms } else { ms })
}

/// Nanoseconds of the first number with its unit, and what follows.
fn duration_part(text: &str) -> Option<(i128, &str)> {
    let (whole, rest) = split_digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let end = rest
        .find(|c: char| c.is_ascii_digit() || c == '.')
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let unit_ns = unit_ns(unit)?;
    // Nineteen digits are more than 31,000 years even in nanoseconds' thousandfold.
    let whole: i128 = match whole.len() {
        0 => 0,
        1..=19 => whole.parse().ok()?,
        _ => 10_i128.pow(19),
    };
    let fraction = &fraction[..fraction.len().min(15)];
    let part = match fraction {
        "" => 0,
        digits => digits.parse::<i128>().ok()? * unit_ns / 10_i128.pow(digits.len() as u32),
    };
    Some((whole.saturating_mul(unit_ns).saturating_add(part), rest))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn unit_ns(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "w" => 604_800_000_000_000,
        _ => return None,
    })
}

/// Reads an instant in any form that SDKs and HTTP use: RFC 3339, the same without a zone (which
/// is UTC), a date alone, and the forms of RFC 1123, 822, 850, `date` and `asctime`.
#[must_use]
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    if let Some(at) = Timestamp::parse_rfc3339(text) {
        return Some(at);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) && text.as_bytes().get(4) == Some(&b'-') {
        return iso_without_zone(text);
    }
    wordy_date(text)
}

fn iso_without_zone(text: &str) -> Option<Timestamp> {
    let civil = match text.parse::<jiff::civil::DateTime>() {
        Ok(civil) => civil,
        Err(_) => text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0),
    };
    utc(civil)
}

fn utc(civil: jiff::civil::DateTime) -> Option<Timestamp> {
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_ms(zoned.timestamp().as_millisecond()))
}

/// Week days and zone names are dropped (a zone's name says nothing reliable, and HTTP allows only
/// GMT), a numeric offset is taken off at the end.
fn wordy_date(text: &str) -> Option<Timestamp> {
    let mut offset_ms = 0;
    let mut words: Vec<&str> = Vec::new();
    for word in text.split_ascii_whitespace() {
        let bare = word.trim_end_matches(',');
        let alphabetic = bare.bytes().all(|b| b.is_ascii_alphabetic());
        if alphabetic && (bare.ends_with("day") || is_weekday(bare) || is_zone(bare)) {
            continue;
        }
        if let Some(offset) = numeric_offset(word) {
            offset_ms = offset;
            continue;
        }
        words.push(bare);
    }
    let plain = words.join(" ");
    const FORMS: [&str; 5] = [
        "%d %b %Y %H:%M:%S",
        "%d %b %y %H:%M",
        "%d-%b-%y %H:%M:%S",
        "%b %d %H:%M:%S %Y",
        "%d %b %Y %H:%M",
    ];
    let civil = FORMS
        .iter()
        .find_map(|form| strtime::parse(form, &plain).ok()?.to_datetime().ok())?;
    Some(utc(civil)?.plus_ms(-offset_ms))
}

fn is_weekday(word: &str) -> bool {
    matches!(word, "Mon" | "Tue" | "Wed" | "Thu" | "Fri" | "Sat" | "Sun")
}

fn is_zone(word: &str) -> bool {
    (1..=5).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase())
}

/// Milliseconds east of UTC of `+hhmm` or `-hhmm`.
fn numeric_offset(word: &str) -> Option<i64> {
    let sign = match word.as_bytes() {
        [b'+', digits @ ..] if digits.len() == 4 => 1,
        [b'-', digits @ ..] if digits.len() == 4 => -1,
        _ => return None,
    };
    let number: i64 = word[1..].parse().ok()?;
    Some(sign * ((number / 100) * 60 + number % 100) * 60_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_795_293_616_000);

    #[test]
    fn durations_of_every_sdk_are_understood() {
        for (text, ms) in [
            ("0", Some(0)),
            ("1s", Some(1000)),
            ("1d2h3s", Some(93_603_000)),
            ("1w", Some(604_800_000)),
            ("1.5h", Some(5_400_000)),
            (".5s", Some(500)),
            ("250ms", Some(250)),
            ("1500us", Some(1)),
            ("1500µs", Some(1)),
            ("1500μs", Some(1)),
            ("999999ns", Some(0)),
            ("-3m", Some(-180_000)),
            ("+3m", Some(180_000)),
            ("99999999999999999999999w", Some(i64::MAX)),
            ("", None),
            ("-", None),
            ("1", None),
            ("s", None),
            ("1x", None),
            ("1s ", None),
            ("1.s2", None),
        ] {
            assert_eq!(parse_duration(text), ms, "{text}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_bounds() {
        assert_eq!(parse_retry_after("2"), Some(RetryAfter::In { ms: 2000 }));
        assert_eq!(parse_retry_after("soon"), None);
        let at = |text| parse_retry_after(text).unwrap().instant(NOW).ms() - NOW.ms();
        assert_eq!(at("0"), 1000);
        assert_eq!(at("-5"), 1000);
        assert_eq!(at("9999999"), 86_400_000);
        assert_eq!(at("2026-11-21T20:40:19.482Z"), 3_482);
    }

    #[test]
    fn dates_are_read_in_every_form_of_the_protocol() {
        for text in [
            "2026-11-21T20:40:19Z",
            "2026-11-21T21:40:19+01:00",
            "2026-11-21T20:40:19",
            "Sat, 21 Nov 2026 20:40:19 GMT",
            "Sat, 21 Nov 2026 20:40:19 +0000",
            "Saturday, 21-Nov-26 20:40:19 UTC",
            "Sat Nov 21 21:40:19 +0100 2026",
            "Sat Nov 21 20:40:19 UTC 2026",
            "Sat Nov 21 20:40:19 2026",
        ] {
            assert_eq!(
                parse_date(text).map(Timestamp::rfc3339).as_deref(),
                Some("2026-11-21T20:40:19.000Z"),
                "{text}"
            );
        }
        let minute = "2026-11-21T20:40:00.000Z";
        for text in ["21 Nov 26 20:40 UTC", "21 Nov 26 15:40 -0500"] {
            assert_eq!(parse_date(text).unwrap().rfc3339(), minute, "{text}");
        }
        assert_eq!(
            parse_date("2026-11-21").unwrap().rfc3339(),
            "2026-11-21T00:00:00.000Z"
        );
        assert_eq!(
            parse_date("Mon Jan  2 15:04:05 2006").unwrap().rfc3339(),
            "2006-01-02T15:04:05.000Z"
        );
        assert_eq!(parse_date("tomorrow at noon"), None);
    }

    #[test]
    fn sleeps_are_spans_or_instants() {
        let for_ms = |ms| SleepSpec::For { ms };
        assert_eq!(parse_sleep("", NOW), for_ms(0));
        assert_eq!(parse_sleep("30s", NOW), for_ms(30_000));
        assert_eq!(parse_sleep("-30s", NOW), for_ms(0));
        assert_eq!(parse_sleep("24h30m0.123456789s", NOW), for_ms(88_200_123));
        assert_eq!(
            parse_sleep("2026-11-21T20:40:47.727Z", NOW),
            SleepSpec::Until(Timestamp::parse_rfc3339("2026-11-21T20:40:47.727Z").unwrap())
        );
        assert_eq!(parse_sleep("2020-01-01T00:00:00Z", NOW), for_ms(0));
        assert_eq!(parse_sleep("367d", NOW), SleepSpec::TooLong);
        assert_eq!(parse_sleep("2099-01-01T00:00:00Z", NOW), SleepSpec::TooLong);
        assert_eq!(
            parse_sleep("a while", NOW),
            SleepSpec::Invalid("a while".to_owned())
        );
    }

    #[test]
    fn a_timeout_without_a_beginning_keeps_its_instant() {
        for text in ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
            let at = Timestamp::parse_rfc3339(text).unwrap();
            assert_eq!(parse_timeout(text), SleepSpec::Until(at));
        }
        assert_eq!(parse_timeout("1d"), SleepSpec::For { ms: 86_400_000 });
        assert_eq!(parse_timeout("400d"), SleepSpec::TooLong);
        assert_eq!(parse_timeout("soon"), SleepSpec::Invalid("soon".to_owned()));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,60}", shaped in "[-+]?[0-9.nuµmshdw :,A-Z]{0,150}") {
            for text in [text, shaped] {
                let _ = (parse_duration(&text), parse_date(&text), parse_retry_after(&text));
                let _ = (parse_sleep(&text, NOW), parse_timeout(&text));
            }
        }
    }
}
