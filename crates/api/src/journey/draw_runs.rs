//! From facts to the tree: events, runs and their steps.

use dunlin_trace::{CancelReason, Span, SpanStatus, StepInfo, StepOp, Trace};
use dunlin_types::{EventOrigin, StepId, Timestamp, Ulid};
use serde_json::{Value, json};

use super::facts::{Asked, Below, EventFacts, RunFacts};
use super::node::Node;

/// Knows what to mark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    pub(super) asked: Asked,
}

const fn status(status: SpanStatus) -> &'static str {
    match status {
        SpanStatus::Queued => "queued",
        SpanStatus::Running => "running",
        SpanStatus::Waiting => "waiting",
        SpanStatus::Completed => "completed",
        SpanStatus::Failed => "failed",
        SpanStatus::Cancelled => "cancelled",
        SpanStatus::Skipped => "skipped",
    }
}

const fn op(op: StepOp) -> &'static str {
    match op {
        StepOp::Run => "run",
        StepOp::Sleep => "sleep",
        StepOp::WaitForEvent => "waitForEvent",
        StepOp::WaitForSignal => "waitForSignal",
        StepOp::Invoke => "invoke",
        StepOp::AiGateway => "ai",
        StepOp::Fetch => "fetch",
    }
}

impl Pen {
    pub(super) fn event(self, facts: &EventFacts) -> Node {
        let origin = match facts.origin {
            EventOrigin::Api => "api",
            EventOrigin::Run(_) => "run",
            EventOrigin::Message(_) => "webhook",
            EventOrigin::Internal => "internal",
        };
        let runs = facts.runs.shown.iter().map(|run| self.run(run)).collect();
        // The second time it is mentioned only.
        let asked = self.is(facts.seq) && !facts.is_elsewhere;
        Node::new(
            "event",
            facts.id.to_string(),
            facts.name.clone(),
            "appended",
        )
        .asked(asked)
        .times(Some(facts.at), None)
        .fact("eventId", json!(facts.sender_id))
        .fact("origin", origin)
        .fact("shownElsewhere", facts.is_elsewhere)
        .below(runs, facts.runs.more)
    }

    pub(super) fn run(self, facts: &RunFacts) -> Node {
        let (row, trace) = (&facts.view.row, facts.trace.as_ref());
        let ended = facts.view.end.as_ref().map(|end| end.ended);
        let status = trace.map_or("notRead", |trace| status(trace.root.status));
        let status = match facts.is_elsewhere {
            true => "shownElsewhere",
            false => status,
        };
        let batch: Vec<String> = facts.batch.iter().map(Ulid::to_string).collect();
        let started = trace.and_then(|trace| trace.root.started);
        let lasted = ended.map(|ended| ended.since(started.unwrap_or(row.created)));
        let mut node = Node::new(
            "run",
            facts.id().to_string(),
            facts.function.name.clone(),
            status,
        )
        .asked(self.is(row.seq) && !facts.is_elsewhere)
        .times(Some(row.created), ended)
        .lasted(lasted)
        .fact("functionId", facts.function.id.as_str())
        .fact("startedAt", json!(started.map(Timestamp::rfc3339)))
        .fact("eventIds", json!(batch));
        if let Some(trace) = trace {
            let original = trace.original.map(|id| id.to_string());
            node = ending(node, trace).fact("originalRunId", json!(original));
        }
        let steps = trace.map_or(&[][..], |trace| &trace.root.children);
        let steps = steps.iter().map(|span| self.step(facts, span));
        let told = facts.told.iter().map(|event| self.event(event));
        node.below(steps.chain(told).collect(), facts.steps_more)
    }

    fn step(self, run: &RunFacts, span: &Span) -> Node {
        // What the function does outside of its steps.
        let kind = if span.info.is_some() { "step" } else { "call" };
        let id = format!("{}.{}", run.id(), span.id);
        let tries: Vec<Value> = span.children.iter().map(tried).collect();
        let empty = Below::default();
        let below = run.below.get(&span.id).unwrap_or(&empty);
        let events = below.events.shown.iter().map(|event| self.event(event));
        let runs = below.runs.shown.iter().map(|run| self.run(run));
        let more = below.events.more + below.runs.more;
        // The event of an invocation is not drawn: the step stands for it.
        let invoked = below.invoked.is_some_and(|event| self.is(event));
        let node = Node::new(kind, id, span.name.clone(), status(span.status))
            .asked(invoked)
            .times(span.started.or(span.queued), span.ended)
            .lasted(span.duration_ms())
            .fact("op", json!(span.op().map(op)))
            .fact("stepId", json!(span.step.as_ref().map(StepId::text)))
            .fact("attempts", span.attempts)
            .fact("tries", tries)
            .fact("kept", span.kept)
            .fact("invocationEventId", json!(invocation(span)));
        failure(node, span).below(events.chain(runs).collect(), more)
    }
}

/// The event by which a step invokes a function.
fn invocation(span: &Span) -> Option<String> {
    match &span.info {
        Some(StepInfo::Invoke(invocation)) => invocation.event.map(|id| id.to_string()),
        _ => None,
    }
}

fn failure(node: Node, span: &Span) -> Node {
    match &span.error {
        Some(error) => node.because(Some(error.code), &error.message),
        None => node,
    }
}

/// Why a run ended other than well.
fn ending(node: Node, trace: &Trace) -> Node {
    if let Some(cancelled) = &trace.cancelled {
        let reason = match cancelled {
            CancelReason::Request => "somebody asked for it",
            CancelReason::Event(_) => "an event cancelled it",
            CancelReason::StartTimeout => "it had not begun in time",
            CancelReason::FinishTimeout => "it had not ended in time",
        };
        let event = match cancelled {
            CancelReason::Event(id) => id.clone(),
            _ => None,
        };
        return node.because(None, reason).fact("cancelledBy", json!(event));
    }
    match trace.skipped.as_deref() {
        Some("Singleton") => node.because(None, "another run of the function was live"),
        Some(_) => node.because(None, "the function was paused, so it was never started"),
        None => failure(node, &trace.root),
    }
}

/// One of several attempts of a step.
fn tried(span: &Span) -> Value {
    let error = span.error.as_ref();
    json!({
        "status": status(span.status),
        "at": span.started.or(span.queued).map(Timestamp::rfc3339),
        "durationMs": span.duration_ms(),
        "error": error.map(|error| format!("{}: {}", error.code, error.message)),
    })
}
