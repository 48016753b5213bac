//! Debounce: of events that follow each other closely, the last one counts.

use dunlin_types::{Seq, Timestamp};

use crate::config::DebounceRule;
use crate::write::GatherRow;

/// What an event that joins does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    /// The event that counts from now on, and its own time.
    pub(crate) event: Seq,
    pub(crate) ts: Timestamp,
    /// When the run starts as things stand.
    pub(crate) due: Timestamp,
    /// The event that no longer counts, if there is one: the new one itself if it is the older.
    pub(crate) dropped: Option<Seq>,
}

/// An event joins a debounce, or begins one. Its time is when it came, if it claims a later one.
pub(crate) fn join(
    rule: &DebounceRule,
    known: Option<&GatherRow>,
    (event, ts): (Seq, Timestamp),
    now: Timestamp,
) -> Joined {
    let ts = ts.min(now);
    let latest = |opened: Timestamp| rule.timeout_ms.map(|ms| opened.plus_ms(ms));
    let due = |opened: Timestamp| {
        let quiet = now.plus_ms(rule.period_ms);
        latest(opened).map_or(quiet, |latest| latest.min(quiet))
    };
    match known {
        None => Joined {
            event,
            ts,
            due: due(now),
            dropped: None,
        },
        Some(row) if ts < row.ts => Joined {
            event: row.event,
            ts: row.ts,
            due: row.due,
            dropped: Some(event),
        },
        Some(row) => Joined {
            event,
            ts,
            due: due(row.opened),
            dropped: Some(row.event),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Rule;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    /// What was kept and when it is due, looked up in the list of all that came: (came, own time).
    fn kept(rule: &DebounceRule, came: &[(i64, i64)]) -> (usize, i64) {
        let mut last = 0;
        for (n, (_, ts)) in came.iter().enumerate() {
            if *ts >= came[last].1 {
                last = n;
            }
        }
        let quiet = came[last].0 + rule.period_ms;
        let latest = rule.timeout_ms.map_or(i64::MAX, |ms| came[0].0 + ms);
        (last, quiet.min(latest))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn the_newest_counts_and_all_others_are_told(
            (period_ms, timeout_ms) in (1_000_i64..5_000, prop::option::of(1_000_i64..20_000)),
            events in prop::collection::vec((0_i64..3_000, -4_000_i64..4_000), 1..30),
        ) {
            let rule = DebounceRule { period_ms, timeout_ms, key: None };
            let (mut now, mut known, mut came) = (0, None::<GatherRow>, Vec::new());
            for (n, (pause, off)) in events.into_iter().enumerate() {
                now += pause;
                if known.as_ref().is_some_and(|row| row.due <= at(now)) {
                    (known, _) = (None, came.clear());
                }
                let from = n - came.len();
                came.push((now, (now + off).min(now)));
                let event = Seq(n as u64);
                let joined = join(&rule, known.as_ref(), (event, at(now + off)), at(now));
                let (last, due) = kept(&rule, &came);
                prop_assert_eq!(joined.event, Seq((from + last) as u64));
                prop_assert_eq!((joined.due, joined.ts), (at(due), at(came[last].1)));
                let dropped = match &known {
                    None => None,
                    Some(row) if row.event == joined.event => Some(event),
                    Some(row) => Some(row.event),
                };
                prop_assert_eq!(joined.dropped, dropped);
                known = Some(GatherRow {
                    seq: Seq(0),
                    function: 0,
                    rule: Rule::Debounce,
                    key: String::new(),
                    opened: at(came[0].0),
                    due: joined.due,
                    event: joined.event,
                    ts: joined.ts,
                    bytes: 0,
                });
            }
        }
    }
}
