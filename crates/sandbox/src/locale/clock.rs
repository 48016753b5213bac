//! An instant of JavaScript's time as the calendar and the clock of a zone show it. Its range is
//! thirty times that of the zone data, so the calendar is reckoned here.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::words::Length;

const DAY_MS: i64 = 86_400_000;
/// Days of 400 years, after which the calendar repeats.
const ERA_DAYS: i64 = 146_097;

/// Zones whose short names V8 uses in English; all others are shown by their offset.
const NAMED: [(&str, &str); 11] = [
    ("EST", "Eastern Standard Time"),
    ("EDT", "Eastern Daylight Time"),
    ("CST", "Central Standard Time"),
    ("CDT", "Central Daylight Time"),
    ("MST", "Mountain Standard Time"),
    ("MDT", "Mountain Daylight Time"),
    ("PST", "Pacific Standard Time"),
    ("PDT", "Pacific Daylight Time"),
    ("AKST", "Alaska Standard Time"),
    ("AKDT", "Alaska Daylight Time"),
    ("HST", "Hawaii-Aleutian Standard Time"),
];

/// What a calendar and a clock on the wall show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) year: i64,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) weekday: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
}

impl Moment {
    /// That many milliseconds after 1970 began in UTC.
    pub(super) fn of(local_ms: i64) -> Self {
        let days = local_ms.div_euclid(DAY_MS);
        let second_of_day = local_ms.rem_euclid(DAY_MS) / 1000;
        // Years are counted from March, so that the leap day is a year's last.
        let since_era = days + 719_468;
        let era = since_era.div_euclid(ERA_DAYS);
        let day_of_era = since_era.rem_euclid(ERA_DAYS);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 {
            from_march + 3
        } else {
            from_march - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: small(month),
            day: small(day_of_year - (153 * from_march + 2) / 5 + 1),
            weekday: small((days + 4).rem_euclid(7)),
            hour: small(second_of_day / 3600),
            minute: small(second_of_day / 60 % 60),
            second: small(second_of_day % 60),
        }
    }

    /// The same in a zone.
    pub(super) fn within(zone: &TimeZone, ms: i64) -> Self {
        Self::of(ms + offset_secs(zone, ms) * 1000)
    }
}

fn small(value: i64) -> u8 {
    u8::try_from(value).unwrap_or_default()
}

fn stamp(ms: i64) -> Timestamp {
    let (least, most) = (Timestamp::MIN, Timestamp::MAX);
    let ms = ms.clamp(least.as_millisecond(), most.as_millisecond());
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn offset_secs(zone: &TimeZone, ms: i64) -> i64 {
    i64::from(zone.to_offset(stamp(ms)).seconds())
}

/// What a zone is called at that time.
pub(super) fn zone_name(zone: &TimeZone, ms: i64, length: Length, german: bool) -> String {
    let name = zone.iana_name().unwrap_or("UTC");
    let is_utc = matches!(name, "UTC" | "Etc/UTC" | "Etc/UCT" | "Etc/Zulu" | "Zulu");
    match length {
        Length::Short if is_utc => return "UTC".to_owned(),
        Length::Long if is_utc && german => return "Koordinierte Weltzeit".to_owned(),
        Length::Long if is_utc => return "Coordinated Universal Time".to_owned(),
        _ => {}
    }
    let info = zone.to_offset_info(stamp(ms));
    let american = ["America/", "US/", "Pacific/Honolulu"]
        .iter()
        .any(|p| name.starts_with(p));
    let known = NAMED
        .iter()
        .find(|(short, _)| american && !german && *short == info.abbreviation());
    match (known, length) {
        (Some((short, _)), Length::Short) => (*short).to_owned(),
        (Some((_, long)), Length::Long) => (*long).to_owned(),
        (None, _) => offset_name(offset_secs(zone, ms), length),
    }
}

fn offset_name(seconds: i64, length: Length) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
    match (length, hours, minutes) {
        (_, 0, 0) => "GMT".to_owned(),
        (Length::Long, ..) => format!("GMT{sign}{hours:02}:{minutes:02}"),
        (Length::Short, _, 0) => format!("GMT{sign}{hours}"),
        (Length::Short, ..) => format!("GMT{sign}{hours}:{minutes:02}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_calendar_agrees_with_the_zone_data_where_both_reach(
            ms in -60_000_000_000_000_i64..250_000_000_000_000,
        ) {
            let ours = Moment::of(ms);
            let theirs = stamp(ms).to_zoned(TimeZone::UTC);
            prop_assert_eq!(ours.year, i64::from(theirs.year()));
            prop_assert_eq!(ours.month, theirs.month().unsigned_abs());
            prop_assert_eq!(ours.day, theirs.day().unsigned_abs());
            prop_assert_eq!(ours.hour, theirs.hour().unsigned_abs());
            prop_assert_eq!(ours.second, theirs.second().unsigned_abs());
            let weekday = theirs.weekday().to_sunday_zero_offset().unsigned_abs();
            prop_assert_eq!(ours.weekday, weekday);
        }
    }
}
