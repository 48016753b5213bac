//! One try of a step, or of a call that was to find out what comes next.

use dunlin_engine::step::{StepKind, StepRow};
use dunlin_types::{Code, Payload, Timestamp};

use crate::error::SpanError;
use crate::span::{Span, SpanStatus};

/// An instant that may be packed away as zero.
pub(crate) fn given(at: Timestamp) -> Option<Timestamp> {
    (at != Timestamp::ZERO).then_some(at)
}

/// A payload that may be absent.
pub(crate) fn text(payload: &Payload) -> Option<Payload> {
    (!payload.is_empty()).then(|| payload.clone())
}

/// What a row says of its attempt: a result or an error.
pub(crate) fn outcome(row: &StepRow, thrown: Code) -> (Option<Payload>, Option<SpanError>) {
    match row.mark.kind {
        StepKind::Failed | StepKind::Retried => (None, Some(SpanError::read(&row.payload, thrown))),
        _ => (text(&row.payload), None),
    }
}

/// The attempt that a row tells of.
pub(crate) fn attempt(row: &StepRow, thrown: Code) -> Span {
    // A row of a failed attempt carries the number of the next one.
    let retried = row.mark.kind == StepKind::Retried;
    let number = row.mark.attempt.saturating_sub(u8::from(retried));
    let (output, error) = outcome(row, thrown);
    Span {
        id: format!("{:016x}.{number}", row.mark.seq.0),
        name: format!("Attempt {}", number.saturating_add(1)),
        status: match error {
            Some(_) => SpanStatus::Failed,
            None => SpanStatus::Completed,
        },
        attempts: 1,
        queued: given(row.queued),
        started: given(row.started),
        ended: given(row.ended),
        output,
        error,
        ..Span::default()
    }
}
