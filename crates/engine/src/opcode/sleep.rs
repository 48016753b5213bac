//! Sleeps.

use dunlin_types::limits::SLEEP_MS_MAX;
use dunlin_types::{Code, Timestamp};

use super::step::{blank, raced};
use crate::input::{Op, OpKind};
use crate::run::{NewRow, Reported};
use crate::step::{StepFlags, StepKind};

/// The row of a sleep, or why there is none.
pub(super) fn row(
    now: Timestamp,
    by: &Reported,
    flags: StepFlags,
    op: Op,
) -> Result<NewRow, (Code, String)> {
    let due = match op.kind {
        OpKind::SleepUntil(at) => at.max(now),
        OpKind::SleepFor(ms) => now.plus_ms(ms.max(0)),
        _ => now,
    };
    if due.since(now) > SLEEP_MS_MAX {
        let why = format!("the sleep \"{}\" ends more than 366 days from now", op.name);
        return Err((Code::SleepTooLong, why));
    }
    let flags = raced(flags, op.race);
    let blank = blank(now, by, flags);
    Ok(NewRow {
        kind: StepKind::Slept,
        due,
        id: Some(op.id),
        name: op.name,
        ..blank
    })
}
