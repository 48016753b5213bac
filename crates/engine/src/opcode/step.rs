//! Steps that ran, failed, or are to run on their own.

use dunlin_types::{Payload, Timestamp};

use crate::input::{Op, OpKind};
use crate::run::{NewRow, Reported};
use crate::step::{StepFlags, StepKind};

/// A row of the reporting item that is about no step.
pub(super) fn blank(now: Timestamp, by: &Reported, flags: StepFlags) -> NewRow {
    NewRow {
        kind: StepKind::Idle,
        flags,
        item: by.item.key,
        attempt: by.item.attempt,
        due: now,
        id: None,
        name: String::new(),
        queued: by.item.due,
        started: by.started,
        ended: by.ended,
        payload: Payload::from_json(Vec::new()),
    }
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
    let flags = flags.with(StepFlags::RACE, op.race);
    Some(NewRow {
        kind,
        id: Some(op.id),
        name: op.name,
        payload,
        ..blank(now, by, flags)
    })
}
