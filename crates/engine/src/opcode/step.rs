//! Steps that ran, failed, or are to run on their own.

use dunlin_types::{Payload, Timestamp};

use crate::input::{Op, OpKind};
use crate::run::{NewRow, Reported};
use crate::step::{StepFlags, StepKind};

/// A row of the reporting item that is about no step.
pub(super) fn blank(now: Timestamp, by: &Reported, flags: StepFlags) -> NewRow {
    NewRow {
        attempt: by.item.attempt,
        queued: by.item.due,
        started: by.started,
        ended: by.ended,
        ..NewRow::blank(now, by.item.key, flags)
    }
}

/// A step that races belongs to no group: nobody waits for those that lose.
pub(super) fn raced(flags: StepFlags, race: bool) -> StepFlags {
    let grouped = if race { StepFlags::GROUP } else { 0 };
    StepFlags(flags.0 & !grouped).with(StepFlags::RACE, race)
}

/// The row of a step operation.
pub(super) fn row(now: Timestamp, by: &Reported, flags: StepFlags, op: Op) -> Option<NewRow> {
    let (kind, payload) = match op.kind {
        OpKind::StepRun(output) => (StepKind::Ran, output),
        OpKind::Step(output) => (StepKind::RanRaw, output),
        OpKind::StepFailed(error) => (StepKind::Failed, error),
        OpKind::StepPlanned => (StepKind::Planned, Payload::from_json(Vec::new())),
        _ => return None,
    };
    let flags = raced(flags, op.race);
    Some(NewRow {
        kind,
        id: Some(op.id),
        name: op.name,
        payload,
        ..blank(now, by, flags)
    })
}
