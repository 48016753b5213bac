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
