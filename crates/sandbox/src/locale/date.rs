//! Dates and times as people write them.

use jiff::tz::TimeZone;

use super::Locale;
use super::clock::{Moment, zone_name};
use super::words::{self, Length};

/// How many digits a number field has at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digits {
    Numeric,
    Two,
}

/// A month as a number or by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Month {
    Number(Digits),
    Name(Length),
}

/// How the hours of a day are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cycle {
    H11,
    H12,
    H23,
    H24,
}

/// The fields a date is written with.
#[derive(Clone, Debug)]
pub(super) struct DateFormat {
    pub(super) locale: Locale,
    pub(super) zone: TimeZone,
    pub(super) weekday: Option<Length>,
    pub(super) year: Option<Digits>,
    pub(super) month: Option<Month>,
    pub(super) day: Option<Digits>,
    pub(super) hour: Option<Digits>,
    pub(super) minute: bool,
    pub(super) second: bool,
    pub(super) cycle: Cycle,
    pub(super) zone_name: Option<Length>,
}

impl DateFormat {
    /// Writes that instant, in milliseconds since 1970.
    pub(super) fn write(&self, ms: i64) -> String {
        let moment = Moment::within(&self.zone, ms);
        let date = self.date(&moment);
        let mut time = self.time(&moment);
        if let Some(length) = self.zone_name {
            let german = self.locale == Locale::DeDe;
            let name = zone_name(&self.zone, ms, length, german);
            match time.is_empty() {
                true => return format!("{date}, {name}"),
                false => time = format!("{time} {name}"),
            }
        }
        match (date.is_empty(), time.is_empty()) {
            (_, true) => date,
            (true, _) => time,
            _ => format!("{date}{}{time}", self.between()),
        }
    }

    fn between(&self) -> &'static str {
        let long = self.month == Some(Month::Name(Length::Long));
        let weekday_only = self.year.is_none() && self.month.is_none() && self.day.is_none();
        match self.locale {
            Locale::EnUs if weekday_only => " ",
            Locale::DeDe if long => " um ",
            _ if long => " at ",
            _ => ", ",
        }
    }

    fn date(&self, moment: &Moment) -> String {
        let year = self.year.map(|digits| year(moment.year, digits));
        let rest = match self.month {
            Some(Month::Name(length)) => self.named(moment, length, year),
            Some(Month::Number(digits)) => self.numbered(moment, digits, year),
            None => {
                let day = self.day.map(|digits| number(moment.day, digits));
                [day, year]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" ")
            }
        };
        let Some(length) = self.weekday else {
            return rest;
        };
        let weekday = words::weekday(self.locale, length, moment.weekday);
        if rest.is_empty() {
            return weekday.to_owned();
        }
        if self.day.is_none() || self.month.is_none() {
            return format!("{rest} {weekday}");
        }
        match self.locale {
            Locale::EnGb if self.year.is_none() && length == Length::Long => {
                format!("{weekday} {rest}")
            }
            _ => format!("{weekday}, {rest}"),
        }
    }

    fn named(&self, moment: &Moment, length: Length, year: Option<String>) -> String {
        let alone = self.day.is_none() && year.is_none();
        let month = words::month(self.locale, length, moment.month, alone);
        let day = self.day.map(|digits| number(moment.day, digits));
        match (self.locale, day, year) {
            (_, None, None) => month.to_owned(),
            (_, None, Some(year)) => format!("{month} {year}"),
            (Locale::EnUs, Some(day), None) => format!("{month} {day}"),
            (Locale::EnUs, Some(day), Some(year)) => format!("{month} {day}, {year}"),
            (Locale::EnGb, Some(day), None) => format!("{day} {month}"),
            (Locale::EnGb, Some(day), Some(year)) => format!("{day} {month} {year}"),
            (Locale::DeDe, Some(day), None) => format!("{day}. {month}"),
            (Locale::DeDe, Some(day), Some(year)) => format!("{day}. {month} {year}"),
        }
    }

    fn numbered(&self, moment: &Moment, digits: Digits, year: Option<String>) -> String {
        let both = digits == Digits::Numeric && self.day == Some(Digits::Numeric);
        let padded = self.locale == Locale::EnGb && (both || self.day.is_none() && year.is_some());
        let width = |digits| if padded { Digits::Two } else { digits };
        let month = number(moment.month, width(digits));
        let day = self.day.map(|digits| number(moment.day, width(digits)));
        match (self.locale, day, year) {
            (_, None, None) => month,
            (_, None, Some(year)) => format!("{month}/{year}"),
            (Locale::EnUs, Some(day), None) => format!("{month}/{day}"),
            (Locale::EnUs, Some(day), Some(year)) => format!("{month}/{day}/{year}"),
            (Locale::EnGb, Some(day), None) => format!("{day}/{month}"),
            (Locale::EnGb, Some(day), Some(year)) => format!("{day}/{month}/{year}"),
            (Locale::DeDe, Some(day), None) => format!("{day}.{month}."),
            (Locale::DeDe, Some(day), Some(year)) => format!("{day}.{month}.{year}"),
        }
    }

    fn time(&self, moment: &Moment) -> String {
        let Some(hour) = self.hour else {
            return match (self.minute, self.second) {
                (true, true) => format!("{:02}:{:02}", moment.minute, moment.second),
                (true, false) => moment.minute.to_string(),
                (false, true) => moment.second.to_string(),
                (false, false) => String::new(),
            };
        };
        let halves = matches!(self.cycle, Cycle::H11 | Cycle::H12);
        let shown = match self.cycle {
            Cycle::H11 => moment.hour % 12,
            Cycle::H12 => (moment.hour + 11) % 12 + 1,
            Cycle::H23 => moment.hour,
            Cycle::H24 => (moment.hour + 23) % 24 + 1,
        };
        let mut text = number(shown, if halves { hour } else { Digits::Two });
        if self.minute {
            text.push_str(&format!(":{:02}", moment.minute));
        }
        if self.second {
            text.push_str(&format!(":{:02}", moment.second));
        }
        let half = match (halves, moment.hour < 12, self.locale) {
            (false, _, Locale::DeDe) if !self.minute && !self.second => " Uhr",
            (false, ..) => "",
            (true, true, Locale::EnGb) => " am",
            (true, false, Locale::EnGb) => " pm",
            (true, true, _) => " AM",
            (true, false, _) => " PM",
        };
        text.push_str(half);
        text
    }
}

fn number(value: u8, digits: Digits) -> String {
    match digits {
        Digits::Numeric => value.to_string(),
        Digits::Two => format!("{value:02}"),
    }
}

/// A year of its era, so that the year before 1 reads 1 again.
fn year(year: i64, digits: Digits) -> String {
    let year = if year > 0 { year } else { 1 - year };
    match digits {
        Digits::Numeric => year.to_string(),
        Digits::Two => format!("{:02}", year % 100),
    }
}
