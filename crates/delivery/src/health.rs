//! How endpoints fare: one where every attempt has failed for days is disabled, after warnings.
//!
//! A failure begins the account, a success or another URL ends it. The time begins to count only
//! when failures are at least twelve hours apart, so that one bad night disables nothing. After a
//! day without a failure the account begins anew: nothing was tried, or somebody has looked at it.

use std::collections::BTreeMap;

use dunlin_types::{Seq, Timestamp, limits};

use crate::{Context, Delivery, HealthRow, Outcome, Write, operational};

/// Why an endpoint is disabled that never answered well.
const REASON: &str = "every attempt had failed for days";

/// The endpoints that fail.
#[derive(Debug, Default)]
pub(crate) struct Health(BTreeMap<Seq, HealthRow>);

impl Health {
    pub(crate) fn put(&mut self, row: HealthRow) {
        self.0.insert(row.endpoint, row);
    }

    /// Those that have an account.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = Seq> {
        self.0.keys().copied()
    }

    pub(crate) fn get(&self, endpoint: Seq) -> Option<&HealthRow> {
        self.0.get(&endpoint)
    }
}

/// What an account has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    Warning,
    Disabling,
}

/// What the failure of a message makes of the account. `fresh` is the account that begins with it.
fn after_failure(old: Option<HealthRow>, fresh: HealthRow, full_ms: i64) -> (HealthRow, Due) {
    let now = fresh.last_failed;
    // While nothing was tried, nobody knows how the endpoint fared.
    let known = |old: &HealthRow| now.since(old.last_failed) <= limits::FAILING_GAP_MS_MAX;
    let Some(mut row) = old.filter(known) else {
        return (fresh, Due::Nothing);
    };
    if now.since(row.last_failed) < limits::FAILING_TOGETHER_MS {
        return (row, Due::Nothing);
    }
    row.last_failed = now;
    if now.since(row.failing_since) >= limits::FAILING_APART_MS_MIN {
        row.counts_since = row.counts_since.or(Some(row.failing_since));
    }
    let Some(counts_since) = row.counts_since else {
        return (row, Due::Nothing);
    };
    let passed = now.since(counts_since);
    let reached = limits::FAILING_WARNINGS_PERCENT
        .into_iter()
        .filter(|percent| passed >= full_ms / 100 * i64::from(*percent))
        .max();
    let due = match reached {
        // Nobody is disabled without having been told that it would come to that.
        Some(percent) if percent > row.warned_percent => {
            row.warned_percent = percent;
            Due::Warning
        }
        _ if passed >= full_ms => Due::Disabling,
        _ => Due::Nothing,
    };
    (row, due)
}

impl Delivery {
    /// Something arrived.
    pub(crate) fn fares_well(&mut self, endpoint: Seq, out: &mut Outcome) {
        if self.health.0.remove(&endpoint).is_some() {
            out.writes.push(Write::HealthGone(endpoint));
        }
    }

    /// An attempt failed through the receiver's fault.
    pub(crate) fn fares_badly(
        &mut self,
        endpoint: Seq,
        created: Timestamp,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let full_ms = self.options.disable_after_ms;
        let old = self.health.get(endpoint).copied();
        let fresh = HealthRow {
            endpoint,
            // The message itself is one of those that did not arrive since.
            failing_since: created.max(cx.now.plus_ms(-limits::FAILING_BEGINS_BEFORE_MS_MAX)),
            last_failed: cx.now,
            counts_since: None,
            warned_percent: 0,
        };
        let (row, due) = after_failure(old, fresh, full_ms.max(1));
        if old != Some(row) {
            self.health.put(row);
            out.writes.push(Write::Health(row));
        }
        if full_ms <= 0 {
            return;
        }
        match due {
            Due::Nothing => {}
            Due::Disabling => self.disable_failing(endpoint, row.failing_since, cx, out),
            Due::Warning => {
                let left_ms = full_ms - cx.now.since(row.counts_since.unwrap_or(cx.now));
                if let Ok(found) = self.endpoint(endpoint) {
                    let told = operational::endpoint_failing(&found, &row, left_ms);
                    self.tell(told, cx, out);
                }
            }
        }
    }

    fn disable_failing(
        &mut self,
        endpoint: Seq,
        since: Timestamp,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        self.disable_endpoint(endpoint, REASON, Some(since), cx, out);
        self.fares_well(endpoint, out);
    }

    /// How an endpoint that fails has fared; none for one that does not.
    #[must_use]
    pub fn health(&self, endpoint: Seq) -> Option<&HealthRow> {
        self.health.get(endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn account(at: Timestamp) -> HealthRow {
        HealthRow {
            endpoint: Seq(1),
            failing_since: at,
            last_failed: at,
            counts_since: None,
            warned_percent: 0,
        }
    }

    /// Fails at these hours, with so many days until disabled; the hour at which that was due.
    fn fail_at(days: i64, hours: &[i64]) -> (HealthRow, Option<i64>) {
        let mut row = None;
        for hour in hours {
            let fresh = account(Timestamp::from_ms(hour * HOUR));
            let (next, due) = after_failure(row, fresh, days * 24 * HOUR);
            row = Some(next);
            if due == Due::Disabling {
                return (next, Some(*hour));
            }
        }
        (row.unwrap(), None)
    }

    #[test]
    fn one_bad_night_disables_nothing() {
        let (row, full) = fail_at(5, &[0, 1, 2, 3, 11, 200, 201]);
        assert_eq!((row.counts_since, full), (None, None));
    }

    #[test]
    fn five_days_of_failures_disable() {
        let hours: Vec<i64> = (0..200).step_by(6).collect();
        assert_eq!(fail_at(5, &hours).1, Some(120));
    }

    #[test]
    fn an_endpoint_is_not_blamed_for_the_time_in_which_nothing_was_tried() {
        let (row, full) = fail_at(5, &[0, 5, 15, 27, 240, 241]);
        let since = row.failing_since.ms() / HOUR;
        assert_eq!((since, row.counts_since, full), (240, None, None));
    }

    #[test]
    fn warnings_come_before() {
        let warned = |last: i64| {
            let hours: Vec<i64> = (0..last).step_by(13).chain([last]).collect();
            fail_at(5, &hours).0.warned_percent
        };
        assert_eq!([50, 61, 85, 110].map(warned), [0, 50, 70, 90]);
    }

    #[test]
    fn nobody_is_disabled_by_the_failure_that_warns() {
        assert_eq!(fail_at(1, &[0, 11, 34]).1, None);
        assert_eq!(fail_at(1, &[0, 11, 34]).0.warned_percent, 90);
        assert_eq!(fail_at(1, &[0, 11, 34, 35]).1, Some(35));
    }

    #[test]
    fn failures_at_the_same_time_are_one() {
        let (warned, due) = after_failure(
            Some(account(Timestamp::from_ms(0))),
            account(Timestamp::from_ms(24 * HOUR)),
            24 * HOUR,
        );
        assert_eq!((warned.warned_percent, due), (90, Due::Warning));
        let soon = account(Timestamp::from_ms(24 * HOUR + 59_999));
        let later = account(Timestamp::from_ms(24 * HOUR + 60_000));
        let due = |fresh| after_failure(Some(warned), fresh, 24 * HOUR).1;
        assert_eq!((due(soon), due(later)), (Due::Nothing, Due::Disabling));
    }
}
