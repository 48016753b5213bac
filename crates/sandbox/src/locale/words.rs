//! Names of months and weekdays.

use super::Locale;

/// Whether a name is written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    Short,
    Long,
}

const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTHS_DE: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];
const MONTHS_DE_SHORT: [&str; 12] = [
    "Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez.",
];
const MONTHS_DE_ALONE: [&str; 12] = [
    "Jan", "Feb", "Mär", "Apr", "Mai", "Jun", "Jul", "Aug", "Sep", "Okt", "Nov", "Dez",
];
const DAYS_EN: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const DAYS_DE: [&str; 7] = [
    "Sonntag",
    "Montag",
    "Dienstag",
    "Mittwoch",
    "Donnerstag",
    "Freitag",
    "Samstag",
];

/// A month's name; `alone` when neither day nor year stands beside it.
pub(super) fn month(locale: Locale, length: Length, month: u8, alone: bool) -> &'static str {
    let at = usize::from(month.clamp(1, 12) - 1);
    match (locale, length) {
        (Locale::DeDe, Length::Long) => MONTHS_DE[at],
        (Locale::DeDe, Length::Short) if alone => MONTHS_DE_ALONE[at],
        (Locale::DeDe, Length::Short) => MONTHS_DE_SHORT[at],
        (_, Length::Long) => MONTHS_EN[at],
        (Locale::EnGb, Length::Short) if at == 8 => "Sept",
        (_, Length::Short) => &MONTHS_EN[at][..3],
    }
}

/// A weekday's name, Sunday being 0.
pub(super) fn weekday(locale: Locale, length: Length, day: u8) -> &'static str {
    let at = usize::from(day % 7);
    match (locale, length) {
        (Locale::DeDe, Length::Long) => DAYS_DE[at],
        (Locale::DeDe, Length::Short) => &DAYS_DE[at][..2],
        (_, Length::Long) => DAYS_EN[at],
        (_, Length::Short) => &DAYS_EN[at][..3],
    }
}
