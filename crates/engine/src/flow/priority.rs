//! Priority: a run goes before others of its queue that were made up to so many seconds earlier.

use dunlin_expr::Value;
use dunlin_types::Timestamp;
use dunlin_types::limits::PRIORITY_SECS_MAX;

use crate::flow::admission::Key;

/// What the expression says, within bounds; 0 for what is no number.
pub(crate) fn seconds(key: &Key, event: &Value, now: Timestamp) -> i32 {
    let said = key.answer(event, now).and_then(|answer| answer.as_int());
    let bounded = said
        .unwrap_or(0)
        .clamp(-PRIORITY_SECS_MAX, PRIORITY_SECS_MAX);
    i32::try_from(bounded).unwrap_or(0)
}

/// Where a run stands among those of its queue: the smaller goes first.
pub(crate) fn score(created: Timestamp, seconds: i32) -> i64 {
    created.ms() - 1_000 * i64::from(seconds)
}
