//! Traces.

use std::rc::Rc;

use dunlin_trace::{CancelReason, ServerRequest, Span, SpanError, StepInfo, Trace};
use dunlin_types::{StepId, Timestamp, Ulid};
use serde_json::{Map, Value, json};

use super::run::Run;
use super::{Node, Object, unresolved};
use crate::execute::{Cx, Resolved};

/// A span, by the way to it from the root.
#[derive(Clone, Debug)]
pub(crate) struct SpanAt {
    run: Rc<Run>,
    trace: Rc<Trace>,
    path: Vec<usize>,
}

impl SpanAt {
    pub(super) fn root(run: Rc<Run>, cx: &mut Cx<'_>) -> Resolved<Self> {
        let trace = cx.trace(&run.view)?;
        Ok(Self {
            run,
            trace,
            path: Vec::new(),
        })
    }

    fn along(&self, path: &[usize]) -> &Span {
        let root = &self.trace.root;
        path.iter()
            .try_fold(root, |span, place| span.children.get(*place))
            .unwrap_or(root)
    }

    fn span(&self) -> &Span {
        self.along(&self.path)
    }

    fn parent(&self) -> Option<&Span> {
        let (_, path) = self.path.split_last()?;
        Some(self.along(path))
    }

    fn children(&self) -> impl Iterator<Item = Self> {
        (0..self.span().children.len()).map(|place| {
            let mut path = self.path.clone();
            path.push(place);
            Self {
                path,
                ..self.clone()
            }
        })
    }
}

pub(super) fn field(at: &SpanAt, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    let span = at.span();
    let function = at.run.view.row.function;
    Ok(match field {
        "appID" => Node::of(cx.names()?.app_id(function)),
        "functionID" => Node::of(cx.names()?.function_id(function)),
        "run" => Node::Object(Object::Run(Rc::clone(&at.run))),
        "runID" | "traceID" => Node::of(at.trace.run.to_string()),
        "spanID" => Node::of(span.id.clone()),
        "parentSpanID" => Node::option(at.parent().map(|parent| parent.id.clone())),
        "isRoot" => Node::of(at.path.is_empty()),
        "isUserland" => Node::of(false),
        "groupID" | "stepID" => Node::option(span.step.as_ref().map(StepId::text)),
        "name" => Node::of(span.name.clone()),
        "status" if at.path.is_empty() => Node::of(cx.status(&at.run.view)),
        "status" => Node::of(span.status.word()),
        "attempts" => Node::of(span.attempts),
        "duration" => Node::option(span.duration_ms()),
        "queuedAt" | "scheduledAt" => Node::time(span.queued),
        "startedAt" => Node::time(span.started),
        "endedAt" => Node::time(span.ended),
        "outputID" => {
            let has = span.output.is_some() || span.error.is_some();
            Node::option(has.then(|| format!("{}:{}", at.trace.run, span.id)))
        }
        "childrenSpans" => Node::objects(at.children().map(Object::Span)),
        "stepOp" => Node::option(span.op().map(|op| op.word())),
        "stepInfo" => span.info.as_ref().map_or(Node::Null, info),
        "stepType" => match &span.info {
            Some(StepInfo::Run(kind)) => Node::option(kind.clone()),
            _ => Node::Null,
        },
        "metadata" => metadata(span),
        "error" => span.error.as_ref().map_or(Node::Null, error),
        "isKept" => Node::of(span.kept),
        "response" | "skipExistingRunID" => Node::Null,
        _ if at.path.is_empty() => return run_field(&at.trace, field),
        _ => Node::Null,
    })
}

/// What only the root has.
fn run_field(trace: &Trace, field: &str) -> Resolved<Node> {
    let parent = trace.parent.as_ref();
    Ok(match field {
        "skipReason" => Node::option(trace.skipped.clone()),
        "cancelReason" => Node::option(trace.cancelled.as_ref().map(CancelReason::word)),
        "cancelEventID" => match &trace.cancelled {
            Some(CancelReason::Event(id)) => Node::option(id.clone()),
            _ => Node::Null,
        },
        "parentRunID" => Node::option(parent.map(|parent| parent.run.to_string())),
        "parentStepID" => Node::option(parent.map(|parent| parent.step.text())),
        "originalRunID" => Node::option(trace.original.map(|id| id.to_string())),
        _ => return Err(unresolved("RunTraceSpan", field)),
    })
}

fn info(info: &StepInfo) -> Node {
    let id = |id: &Option<Ulid>| id.map(|id| id.to_string());
    match info {
        StepInfo::Run(kind) => Node::plain("RunStepInfo", json!({"type": kind})),
        StepInfo::Sleep(until) => {
            Node::plain("SleepStepInfo", json!({"sleepUntil": until.rfc3339()}))
        }
        StepInfo::Event(wait) => Node::plain(
            "WaitForEventStepInfo",
            json!({
                "eventName": wait.event,
                "expression": wait.expression,
                "timeout": wait.timeout.rfc3339(),
                "foundEventID": id(&wait.found),
                "timedOut": wait.timed_out,
            }),
        ),
        StepInfo::Signal(wait) => Node::plain(
            "WaitForSignalStepInfo",
            json!({
                "signal": wait.signal,
                "timeout": wait.timeout.rfc3339(),
                "timedOut": wait.timed_out,
            }),
        ),
        StepInfo::Invoke(invocation) => Node::plain(
            "InvokeStepInfo",
            json!({
                "triggeringEventID": id(&invocation.event),
                "functionID": invocation.function,
                "timeout": invocation.timeout.rfc3339(),
                "returnEventID": id(&invocation.returned),
                "runID": id(&invocation.run),
                "timedOut": invocation.timed_out,
            }),
        ),
        StepInfo::Request(request) if request.format.is_some() => Node::Null,
        StepInfo::Request(_) => Node::plain("RunStepInfo", json!({"type": "step.fetch"})),
    }
}

/// What the SDK told of the step, and what is known of a request.
fn metadata(span: &Span) -> Node {
    let updated = span.ended.or(span.started).map(Timestamp::rfc3339);
    let entry = |scope: &str, kind: &str, values: &Value| {
        let fields = json!({
            "scope": scope,
            "kind": kind,
            "values": values,
            "updatedAt": updated,
        });
        Node::plain("SpanMetadata", fields)
    };
    let told: Value = span
        .metadata
        .as_ref()
        .and_then(|told| serde_json::from_slice(told.bytes()).ok())
        .unwrap_or(Value::Null);
    let told = told.as_array().cloned().unwrap_or_default();
    let mut entries: Vec<Node> = told
        .iter()
        .map(|item| {
            let text = |key: &str| item.get(key).and_then(Value::as_str);
            let values = item.get("values").filter(|values| values.is_object());
            entry(
                text("scope").unwrap_or("step"),
                text("kind").unwrap_or_default(),
                values.unwrap_or(&Value::Object(Map::new())),
            )
        })
        .collect();
    if let Some(StepInfo::Request(request)) = &span.info {
        let kind = match request.format {
            Some(_) => "inngest.ai",
            None => "inngest.http",
        };
        entries.push(entry("step", kind, &request_values(request)));
    }
    Node::List(entries)
}

fn request_values(request: &ServerRequest) -> Value {
    let usage = request.usage.unwrap_or_default();
    let all = json!({
        "url": request.url,
        "method": request.method,
        "format": request.format,
        "model": request.model,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
    });
    match all {
        Value::Object(all) => Value::Object(
            all.into_iter()
                .filter(|(_, value)| !value.is_null())
                .collect(),
        ),
        other => other,
    }
}

fn error_fields(error: &SpanError) -> Value {
    json!({
        "name": error.name,
        "message": error.message,
        "stack": error.stack,
        "cause": error.cause,
        "code": error.code.to_string(),
    })
}

fn error(error: &SpanError) -> Node {
    Node::plain("StepError", error_fields(error))
}

/// `RunTraceSpanOutput`
pub(super) fn output(span: &Span) -> Node {
    let text = |payload: &dunlin_types::Payload| payload.as_str().to_owned();
    Node::plain(
        "RunTraceSpanOutput",
        json!({
            "input": span.input.as_ref().map(text),
            "data": span.output.as_ref().map(text),
            "error": span.error.as_ref().map(error_fields),
        }),
    )
}
