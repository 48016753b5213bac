//! A message that is tried once at an endpoint and not kept: no delivery, nothing counted, nothing
//! that a restart would find.

use dunlin_types::{Code, Seq};

use crate::attempt::{Report, answered};
use crate::{AttemptOutcome, AttemptResult, AttemptRow, Attempted, Endpoint, Message, Trigger};

/// What came of trying that message, as the row of an attempt would tell it.
#[must_use]
pub fn trial_row(tried: Attempted, seq: Seq, message: &Message, endpoint: &Endpoint) -> AttemptRow {
    let report = report(tried.outcome);
    AttemptRow {
        seq,
        delivery: tried.delivery,
        message: message.seq,
        endpoint: endpoint.id,
        at: tried.started,
        duration_ms: tried.ended.since(tried.started),
        attempt_no: tried.attempt_no,
        trigger: Trigger::Test,
        result: report.result,
        status: report.status,
        code: report.code,
        detail: report.detail,
        url: tried.url,
        response: report.response,
        headers: tried.headers,
        logs: tried.logs,
        event: None,
        next_at: None,
    }
}

fn report(outcome: AttemptOutcome) -> Report {
    match outcome {
        AttemptOutcome::Sent {
            status, response, ..
        } => answered(status, response),
        AttemptOutcome::Failed {
            code,
            detail,
            status,
            response,
            ..
        } => Report {
            result: AttemptResult::Failed,
            status: status.unwrap_or(0),
            code: Some(code),
            detail,
            response,
        },
        AttemptOutcome::Cancelled => Report::of(AttemptResult::Cancelled),
        // It would have to be appended to the log, and nothing of a trial is kept.
        AttemptOutcome::Event { .. } => Report {
            code: Some(Code::BadRequest),
            ..Report::of(AttemptResult::Failed)
        },
    }
}
