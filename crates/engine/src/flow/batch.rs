//! Batching: several events make one run, when they are enough or have waited long enough.

use dunlin_types::Timestamp;
use dunlin_types::limits::BATCH_BYTES_MAX;

use crate::config::BatchRule;

/// When a batch of so many events and bytes, opened then, is to be run.
pub(crate) fn due(
    rule: &BatchRule,
    (events, bytes): (usize, u64),
    opened: Timestamp,
    now: Timestamp,
) -> Timestamp {
    let full = events >= rule.size_max as usize || bytes >= BATCH_BYTES_MAX;
    if full {
        now
    } else {
        opened.plus_ms(rule.timeout_ms)
    }
}
