//! How endpoints fare: one where every attempt has failed for days is disabled, after warnings.
//!
//! A failure begins the account, a success ends it. The time begins to count only when failures
//! are at least twelve hours apart within a day, so that one bad night disables nothing.

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

/// What the failure of a message makes of the account, and whether it is full.
fn after_failure(
    old: Option<HealthRow>,
    endpoint: Seq,
    created: Timestamp,
    now: Timestamp,
    full_ms: i64,
) -> (HealthRow, bool) {
    let Some(mut row) = old else {
        let row = HealthRow {
            endpoint,
            // The message itself is one of those that did not arrive since.
            failing_since: created.max(now.plus_ms(-limits::FAILING_BEGINS_BEFORE_MS_MAX)),
            counts_since: None,
            warned_percent: 0,
        };
        return (row, false);
    };
    let Some(counts_since) = row.counts_since else {
        match now.since(row.failing_since) {
            apart if apart > limits::FAILING_WINDOW_MS => row.failing_since = now,
            apart if apart >= limits::FAILING_APART_MS_MIN => {
                row.counts_since = Some(row.failing_since);
            }
            _ => {}
        }
        return (row, false);
    };
    let passed = now.since(counts_since);
    let reached = limits::FAILING_WARNINGS_PERCENT
        .into_iter()
        .filter(|percent| passed >= full_ms / 100 * i64::from(*percent))
        .max();
    row.warned_percent = row.warned_percent.max(reached.unwrap_or(0));
    (row, passed >= full_ms)
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
        let (row, full) = after_failure(old, endpoint, created, cx.now, full_ms.max(1));
        let warned = old.map_or(0, |old| old.warned_percent) < row.warned_percent;
        if old != Some(row) {
            self.health.put(row);
            out.writes.push(Write::Health(row));
        }
        if full_ms <= 0 {
            return;
        }
        if full {
            self.disable_failing(endpoint, row.failing_since, cx, out);
        } else if warned && let Ok(found) = self.endpoint(endpoint) {
            let left_ms = full_ms - cx.now.since(row.counts_since.unwrap_or(cx.now));
            self.tell(
                operational::endpoint_failing(&found, &row, left_ms),
                cx,
                out,
            );
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

    /// Fails at these hours, with five days until disabled; the hour at which that was full.
    fn fail_at(hours: &[i64]) -> (Option<HealthRow>, Option<i64>) {
        let mut row = None;
        for hour in hours {
            let now = Timestamp::from_ms(hour * HOUR);
            let (next, full) = after_failure(row, Seq(1), now, now, 5 * 24 * HOUR);
            row = Some(next);
            if full {
                return (row, Some(*hour));
            }
        }
        (row, None)
    }

    #[test]
    fn one_bad_night_disables_nothing() {
        let (row, full) = fail_at(&[0, 1, 2, 3, 11, 200, 201]);
        assert_eq!((row.unwrap().counts_since, full), (None, None));
    }

    #[test]
    fn five_days_of_failures_disable() {
        let hours: Vec<i64> = (0..200).step_by(6).collect();
        assert_eq!(fail_at(&hours).1, Some(120));
    }

    #[test]
    fn warnings_come_before() {
        let warned = |hours: &[i64]| fail_at(hours).0.unwrap().warned_percent;
        assert_eq!(warned(&[0, 13, 50]), 0);
        assert_eq!(warned(&[0, 13, 61]), 50);
        assert_eq!(warned(&[0, 13, 85]), 70);
        assert_eq!(warned(&[0, 13, 110]), 90);
    }
}
