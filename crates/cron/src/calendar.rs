//! The times of a schedule as wall-clock times, before any zone has its say.

use dunlin_types::limits::CRON_SEARCH_DAYS_MAX;
use jiff::civil::{Date, DateTime, Time};

use crate::field::Field;

/// The five fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    pub(crate) minute: Field,
    pub(crate) hour: Field,
    pub(crate) day: Field,
    pub(crate) month: Field,
    pub(crate) weekday: Field,
}

impl Calendar {
    /// Whether the schedule is meant as a frequency instead of as certain times of the day.
    pub(crate) const fn is_interval(&self) -> bool {
        self.minute.is_interval || self.hour.is_interval
    }

    /// The first time that is no earlier than `from`, unless it is further away than any is.
    pub(crate) fn first_from(&self, from: DateTime) -> Option<DateTime> {
        let from = up_to_minute(from)?;
        let mut date = from.date();
        if self.has_date(date)
            && let Some(time) = self.first_in_day(from.time())
        {
            return Some(date.to_datetime(time));
        }
        for _ in 0..CRON_SEARCH_DAYS_MAX {
            date = if self.has_month(date) {
                date.tomorrow().ok()?
            } else {
                date.last_of_month().tomorrow().ok()?
            };
            if self.has_date(date) {
                return Some(date.to_datetime(self.first_in_day(Time::midnight())?));
            }
        }
        None
    }

    /// The last time that is no later than `until`, unless it is further back than any is.
    pub(crate) fn last_until(&self, until: DateTime) -> Option<DateTime> {
        let mut date = until.date();
        if self.has_date(date)
            && let Some(time) = self.last_in_day(until.time())
        {
            return Some(date.to_datetime(time));
        }
        for _ in 0..CRON_SEARCH_DAYS_MAX {
            date = if self.has_month(date) {
                date.yesterday().ok()?
            } else {
                date.first_of_month().yesterday().ok()?
            };
            if self.has_date(date) {
                return Some(date.to_datetime(self.last_in_day(Time::MAX)?));
            }
        }
        None
    }

    fn has_month(&self, date: Date) -> bool {
        self.month.has(date.month().unsigned_abs().into())
    }

    /// Where both kinds of days are restricted, either suffices; this is cron's oldest rule.
    fn has_date(&self, date: Date) -> bool {
        let day = self.day.has(date.day().unsigned_abs().into());
        let weekday = date.weekday().to_sunday_zero_offset().unsigned_abs();
        let weekday = self.weekday.has(weekday.into());
        let days = if self.day.is_any || self.weekday.is_any {
            day && weekday
        } else {
            day || weekday
        };
        days && self.has_month(date)
    }

    fn first_in_day(&self, from: Time) -> Option<Time> {
        let (hour, minute) = parts(from);
        if self.hour.has(hour)
            && let Some(minute) = self.minute.at_least(minute)
        {
            return time(hour, minute);
        }
        time(self.hour.at_least(hour + 1)?, self.minute.at_least(0)?)
    }

    fn last_in_day(&self, until: Time) -> Option<Time> {
        let (hour, minute) = parts(until);
        if self.hour.has(hour)
            && let Some(minute) = self.minute.at_most(minute)
        {
            return time(hour, minute);
        }
        time(
            self.hour.at_most(hour.checked_sub(1)?)?,
            self.minute.at_most(59)?,
        )
    }
}

fn up_to_minute(at: DateTime) -> Option<DateTime> {
    let time = at.time();
    if time.second() == 0 && time.subsec_nanosecond() == 0 {
        return Some(at);
    }
    let (hour, minute) = parts(time);
    let minutes = hour * 60 + minute + 1;
    if minutes == 24 * 60 {
        return Some(at.date().tomorrow().ok()?.to_datetime(Time::midnight()));
    }
    Some(
        at.date()
            .to_datetime(self::time(minutes / 60, minutes % 60)?),
    )
}

fn parts(at: Time) -> (u32, u32) {
    (
        at.hour().unsigned_abs().into(),
        at.minute().unsigned_abs().into(),
    )
}

fn time(hour: u32, minute: u32) -> Option<Time> {
    Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()
}
