//! A schedule in its zone. The time line is cut where the zone's offset changes; within a stretch
//! wall clock and instant differ by a constant, so that only its ends need care.

use std::fmt;
use std::sync::Arc;

use dunlin_types::limits::CRON_SEARCH_DAYS_MAX;
use dunlin_types::{Code, Coded, Timestamp};
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::calendar::Calendar;
use crate::parse;

/// The furthest any two neighbouring times of a schedule are apart.
const SEARCH_SECS_MAX: i64 = CRON_SEARCH_DAYS_MAX * 24 * 60 * 60;

/// When something is to happen again and again. Cloning it shares it.
#[derive(Clone)]
pub struct Schedule(Arc<Parsed>);

struct Parsed {
    text: String,
    calendar: Calendar,
    zone: TimeZone,
}

/// A stretch of the time line with one offset; instants are seconds since the epoch.
struct Stretch {
    /// Its first instant and the offset before that, unless it is the first stretch.
    begin: Option<(i64, Offset)>,
    /// The first instant behind it, unless it is the last one.
    end: Option<i64>,
    offset: Offset,
}

impl Schedule {
    /// Parses `minute hour day-of-month month day-of-week` or a name such as `@daily`, with
    /// `TZ=Area/City ` or `CRON_TZ=Area/City ` before it where the zone is not UTC.
    ///
    /// # Errors
    /// [`Code::ScheduleBad`] when the text is no such schedule, or names a date that never comes.
    pub fn parse(text: &str) -> Result<Self, Coded> {
        let (calendar, zone) =
            parse::parse(text).map_err(|why| Coded::new(Code::ScheduleBad, why))?;
        let text = text.to_owned();
        Ok(Self(Arc::new(Parsed {
            text,
            calendar,
            zone,
        })))
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The first time strictly after an instant. `None` only at the end of the calendar, in the
    /// year 9999.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = after.secs().checked_add(1)?;
        let bound = from.checked_add(SEARCH_SECS_MAX)?;
        while from <= bound {
            let stretch = Stretch::around(&self.0.zone, from)?;
            if let Some(found) = self.first_in(&stretch, from) {
                return Some(Timestamp::from_ms(found.checked_mul(1000)?));
            }
            from = stretch.end?;
        }
        None
    }

    /// The last time that is strictly after one instant and no later than another.
    #[must_use]
    pub fn latest_until(&self, after: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let mut until = until.secs();
        let least = after
            .secs()
            .max(until.saturating_sub(SEARCH_SECS_MAX))
            .checked_add(1)?;
        while until >= least {
            let stretch = Stretch::around(&self.0.zone, until)?;
            if let Some(found) = self.last_in(&stretch, until) {
                return (found >= least).then(|| Timestamp::from_ms(found.saturating_mul(1000)));
            }
            until = stretch.begin?.0 - 1;
        }
        None
    }

    /// The first time of a stretch that is no earlier than `from`, which lies in it.
    fn first_in(&self, stretch: &Stretch, from: i64) -> Option<i64> {
        if stretch.begin.is_some_and(|(begin, _)| begin == from) && self.is_skipped_into(stretch) {
            return Some(from);
        }
        let from = from.max(self.first_regular(stretch));
        let wall = wall_clock(stretch.offset, from)?;
        let found = instant(stretch.offset, self.0.calendar.first_from(wall)?)?;
        stretch.end.is_none_or(|end| found < end).then_some(found)
    }

    /// The last time of a stretch that is no later than `until`, which lies in it.
    fn last_in(&self, stretch: &Stretch, until: i64) -> Option<i64> {
        let least = self.first_regular(stretch);
        let wall = wall_clock(stretch.offset, until)?;
        let found = self.0.calendar.last_until(wall);
        let found = found.and_then(|found| instant(stretch.offset, found));
        if let Some(found) = found
            && found >= least
        {
            return Some(found);
        }
        let (begin, _) = stretch.begin?;
        self.is_skipped_into(stretch).then_some(begin)
    }

    /// Where times of a stretch begin to count for themselves: after what the wall clock showed
    /// before, unless that counts twice.
    fn first_regular(&self, stretch: &Stretch) -> i64 {
        let Some((begin, before)) = stretch.begin else {
            return i64::MIN;
        };
        let repeated = i64::from(before.seconds()) - i64::from(stretch.offset.seconds());
        if self.0.calendar.is_interval() {
            begin
        } else {
            begin.saturating_add(repeated.max(0))
        }
    }

    /// Whether the gap before a stretch swallowed a time.
    fn is_skipped_into(&self, stretch: &Stretch) -> bool {
        let Some((begin, before)) = stretch.begin else {
            return false;
        };
        let gap = wall_clock(before, begin).zip(wall_clock(stretch.offset, begin));
        gap.is_some_and(|(first, end)| {
            first < end
                && self
                    .0
                    .calendar
                    .first_from(first)
                    .is_some_and(|skipped| skipped < end)
        })
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schedule").field(&self.0.text).finish()
    }
}

impl Stretch {
    /// The stretch in which an instant lies.
    fn around(zone: &TimeZone, at: i64) -> Option<Self> {
        let moment = jiff::Timestamp::from_second(at).ok()?;
        let offset = zone.to_offset(moment);
        let end = zone.following(moment).next();
        // What precedes the next second may be that very instant.
        let behind = jiff::Timestamp::from_second(at.checked_add(1)?).ok()?;
        let begin = zone.preceding(behind).next().and_then(|change| {
            let begin = change.timestamp();
            let before = begin.checked_sub(jiff::SignedDuration::from_secs(1)).ok()?;
            Some((begin.as_second(), zone.to_offset(before)))
        });
        Some(Self {
            begin,
            end: end.map(|change| change.timestamp().as_second()),
            offset,
        })
    }
}

fn wall_clock(offset: Offset, at: i64) -> Option<DateTime> {
    let at = jiff::Timestamp::from_second(at).ok()?;
    Some(offset.to_datetime(at))
}

fn instant(offset: Offset, wall: DateTime) -> Option<i64> {
    offset.to_timestamp(wall).ok().map(|at| at.as_second())
}
