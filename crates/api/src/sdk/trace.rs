//! What happened in a run, step by step: `/v2/runs/{id}/trace`. Of a live run it tells also what
//! it waits for.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use dunlin_trace::{self as drawn, CancelReason, SpanError, SpanStatus, StepInfo};
use dunlin_types::{Payload, Seq, StepId, Timestamp, Ulid};
use serde::Serialize;
use serde_json::{Value, json};

use super::output::{self, Names, Raw, run_of};
use super::runs::{Asked, unknown};
use crate::error::Reply;
use crate::flow::{Seen, see};
use crate::state::Api;

pub(super) async fn trace(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Reply {
    let with_output = asked.output();
    let now = api.node.now();
    let read = api.node.read(move |reader| {
        let Some(run) = run_of(reader, &id)? else {
            return Ok(None);
        };
        let names = Names::read(reader)?;
        let name = names.function(run.row.function).map_or("", |f| &f.name);
        let trace = drawn::load(reader, &run, name, now)?;
        Ok(Some((run.row.seq, trace)))
    });
    let (run, mut trace) = read.await?.ok_or_else(unknown)?;
    // A trace without what its run waits for is better than none.
    let seen = match trace.root.status.is_final() {
        true => None,
        false => see(&api, run).await.ok().flatten(),
    };
    if let Some(seen) = &seen {
        trace.root.status = match seen.has_begun() {
            true => SpanStatus::Running,
            false => SpanStatus::Queued,
        };
    }
    let waiting = seen.iter().flat_map(Seen::items).collect();
    let shown = Shown {
        with_output,
        waiting,
    };
    Ok(output::v2(Trace::of(&trace, &shown), now))
}

/// What is shown beside the tree.
struct Shown {
    with_output: bool,
    /// What open items wait for.
    waiting: BTreeMap<Seq, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    run_id: String,
    root_span: Span,
    /// The step that waits for its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_reason: Option<&'static str>,
    /// The internal id of the event that cancelled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel_event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skip_reason: Option<String>,
    /// What it waits for, item by item, if it is live.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Value>,
}

impl Trace {
    fn of(trace: &drawn::Trace, shown: &Shown) -> Self {
        let parent = trace.parent.as_ref();
        Self {
            run_id: trace.run.to_string(),
            root_span: Span::of(&trace.root, shown),
            parent: parent.map(
                |parent| json!({"runId": parent.run.to_string(), "stepId": parent.step.text()}),
            ),
            original_run_id: text(trace.original),
            cancel_reason: trace.cancelled.as_ref().map(CancelReason::word),
            cancel_event_id: match &trace.cancelled {
                Some(CancelReason::Event(id)) => id.clone(),
                _ => None,
            },
            skip_reason: trace.skipped.clone(),
            waiting: shown.waiting.values().cloned().collect(),
        }
    }
}

fn text(id: Option<Ulid>) -> Option<String> {
    id.map(|id| id.to_string())
}

/// A stretch of time in which something was done, or waited for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    id: String,
    name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_op: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_info: Option<Value>,
    attempts: u32,
    /// Whether the result was taken over from the run that this one repeats.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    kept: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Value>,
    metadata: Raw,
    /// What it waits for, while it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Value>,
    children: Vec<Self>,
}

impl Span {
    fn of(span: &drawn::Span, shown: &Shown) -> Self {
        let error = span.error.as_ref();
        let given =
            |payload: Option<&Payload>| payload.filter(|_| shown.with_output).cloned().map(Raw);
        let none = || Payload::from_json(&b"[]"[..]);
        Self {
            id: span.id.clone(),
            name: span.name.clone(),
            status: span.status.word(),
            step_op: span.op().map(drawn::StepOp::word),
            step_id: span.step.as_ref().map(StepId::text),
            step_info: span.info.as_ref().and_then(info),
            attempts: span.attempts,
            kept: span.kept,
            queued_at: span.queued.map(Timestamp::rfc3339),
            started_at: span.started.map(Timestamp::rfc3339),
            ended_at: span.ended.map(Timestamp::rfc3339),
            duration_ms: span.duration_ms().map(|ms| ms.to_string()),
            input: given(span.input.as_ref()),
            // What failed has its error where others have their output (SDK protocol).
            output: given(span.output.as_ref().or(error.map(|error| &error.raw))),
            error: error.map(error_of),
            metadata: Raw(span.metadata.clone().unwrap_or_else(none)),
            waiting: span.item.and_then(|item| shown.waiting.get(&item).cloned()),
            children: span
                .children
                .iter()
                .map(|child| Self::of(child, shown))
                .collect(),
        }
    }
}

/// What says at a glance what is wrong; the whole error goes with the outputs.
fn error_of(error: &SpanError) -> Value {
    json!({
        "code": error.code.to_string(),
        "name": error.name,
        "message": error.message,
    })
}

/// What a kind of step has to tell. Zero values are absent in this API.
fn info(info: &StepInfo) -> Option<Value> {
    let all = match info {
        StepInfo::Run(kind) => json!({"type": kind}),
        StepInfo::Sleep(until) => json!({"sleepUntil": until.rfc3339()}),
        StepInfo::Event(wait) => json!({
            "eventName": wait.event,
            "expression": wait.expression,
            "timeout": wait.timeout.rfc3339(),
            "foundEventId": text(wait.found),
            "timedOut": wait.timed_out,
            "never": wait.never.then_some(true),
        }),
        StepInfo::Signal(wait) => json!({
            "signal": wait.signal,
            "timeout": wait.timeout.rfc3339(),
            "timedOut": wait.timed_out,
        }),
        StepInfo::Invoke(invocation) => json!({
            "functionId": invocation.function,
            "triggeringEventId": text(invocation.event),
            "runId": text(invocation.run),
            "returnEventId": text(invocation.returned),
            "timeout": invocation.timeout.rfc3339(),
            "timedOut": invocation.timed_out,
        }),
        StepInfo::Request(request) => {
            let usage = request.usage.unwrap_or_default();
            json!({
                "url": request.url,
                "method": request.method,
                "format": request.format,
                "model": request.model,
                "inputTokens": usage.input_tokens,
                "outputTokens": usage.output_tokens,
            })
        }
    };
    let Value::Object(mut members) = all else {
        return None;
    };
    members.retain(|_, value| !value.is_null());
    (!members.is_empty()).then_some(Value::Object(members))
}
