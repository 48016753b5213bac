//! Runs, in both forms.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use dunlin_engine::RunStatus;
use dunlin_store::{RunView, event_in_full};
use dunlin_trace::StepOp;
use dunlin_types::{Event, Timestamp, Ulid, ulid_for};
use serde_json::{Value, json};

use super::span::SpanAt;
use super::{Node, Object, unresolved};
use crate::execute::{Cx, Resolved, store};

/// The name of the event that ticks of time tables start runs with.
const TIMER_EVENT: &str = "inngest/scheduled.timer";

/// A run, with its event (of a batch: its first) once it was asked for.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) view: RunView,
    event: OnceCell<Option<Arc<Event>>>,
}

impl Run {
    pub(crate) const fn new(view: RunView) -> Self {
        Self {
            view,
            event: OnceCell::new(),
        }
    }

    pub(crate) fn id(&self) -> Ulid {
        ulid_for(self.view.row.created, self.view.row.seq)
    }

    pub(crate) fn event(&self, cx: &mut Cx<'_>) -> Resolved<Option<Arc<Event>>> {
        if let Some(event) = self.event.get() {
            return Ok(event.clone());
        }
        let reader = cx.read(2)?;
        let event = match reader.event(self.view.row.event).map_err(store)? {
            Some(event) => event_in_full(reader, event).map_err(store)?,
            None => None,
        };
        Ok(self.event.get_or_init(|| event).clone())
    }

    /// All that started it, in order: more than one event if it is a batch.
    pub(crate) fn events(&self, cx: &mut Cx<'_>) -> Resolved<Vec<Arc<Event>>> {
        let mut events: Vec<Arc<Event>> = self.event(cx)?.into_iter().collect();
        let more = &self.view.row.more;
        let reader = cx.read(2 * more.len())?;
        for seq in more {
            if let Some(event) = reader.event(*seq).map_err(store)? {
                events.extend(event_in_full(reader, event).map_err(store)?);
            }
        }
        Ok(events)
    }

    fn is_batch(&self) -> bool {
        !self.view.row.more.is_empty()
    }

    /// When its first call went out. While it is live its steps tell.
    fn started(&self, cx: &mut Cx<'_>) -> Resolved<Option<Timestamp>> {
        let given = |at: Timestamp| Some(at).filter(|at| at.ms() > 0);
        match &self.view.end {
            Some(end) => Ok(given(end.started)),
            None => {
                let rows = cx.read(10)?.steps(self.view.row.seq, None).map_err(store)?;
                Ok(rows.iter().find_map(|row| given(row.started)))
            }
        }
    }

    fn ended(&self) -> Option<Timestamp> {
        self.view.end.as_ref().map(|end| end.ended)
    }

    /// What it returned, or its error. Of the others the stored output is a reason.
    fn output(&self) -> Node {
        let end = self.view.end.as_ref();
        let end = end.filter(|e| matches!(e.status, RunStatus::Completed | RunStatus::Failed));
        Node::json(end.map(|end| &end.output))
    }
}

pub(super) fn field(run: &Rc<Run>, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    let row = &run.view.row;
    Ok(match field {
        "id" | "traceID" => Node::of(run.id().to_string()),
        "appID" => Node::of(cx.names()?.app_id(row.function)),
        "app" => {
            let names = cx.names()?;
            Node::object(
                names
                    .app_of(row.function)
                    .map(|app| Object::App(app.number)),
            )
        }
        "functionID" => Node::of(cx.names()?.function_id(row.function)),
        "function" => Node::Object(Object::Function(row.function)),
        "queuedAt" => Node::time(Some(row.created)),
        "startedAt" => Node::time(run.started(cx)?),
        "endedAt" => Node::time(run.ended()),
        "status" => Node::of(cx.status(&run.view)),
        "triggerIDs" => {
            let events = run.events(cx)?;
            Node::Leaf(
                events
                    .iter()
                    .map(|event| event.internal_id.to_string())
                    .collect(),
            )
        }
        "eventName" => Node::option(run.event(cx)?.map(|event| event.name.clone())),
        "isBatch" => Node::of(run.is_batch()),
        // It opens with its first event.
        "batchCreatedAt" if run.is_batch() => {
            Node::time(run.event(cx)?.map(|event| event.received))
        }
        "cronSchedule" => Node::option(run.event(cx)?.and_then(|event| schedule(&event))),
        "output" => run.output(),
        "trace" => Node::Object(Object::Span(SpanAt::root(Rc::clone(run), cx)?)),
        "hasAI" => {
            let trace = cx.trace(&run.view)?;
            let mut steps = trace.root.children.iter();
            Node::of(steps.any(|step| step.op() == Some(StepOp::AiGateway)))
        }
        "originalRunID" => match row.original {
            Some(_) => Node::option(cx.trace(&run.view)?.original.map(|id| id.to_string())),
            None => Node::Null,
        },
        "sourceID" | "batchCreatedAt" => Node::Null,
        _ => return Err(unresolved("FunctionRunV2", field)),
    })
}

pub(super) fn old_field(run: &Rc<Run>, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    let row = &run.view.row;
    Ok(match field {
        "id" => Node::of(run.id().to_string()),
        "name" => {
            let names = cx.names()?;
            Node::option(names.function(row.function).map(|f| f.name.clone()))
        }
        "status" => Node::of(cx.status(&run.view)),
        "output" => run.output(),
        "functionID" => Node::of(cx.names()?.function_id(row.function)),
        "function" => Node::Object(Object::Function(row.function)),
        "workspaceID" => Node::of("local"),
        "startedAt" => Node::time(run.started(cx)?),
        "finishedAt" => Node::time(run.ended()),
        "eventID" => {
            let event = run.event(cx)?;
            Node::option(event.map(|event| event.internal_id.to_string()))
        }
        "event" => Node::object(run.event(cx)?.map(Object::OldEvent)),
        "cron" => Node::option(run.event(cx)?.and_then(|event| schedule(&event))),
        _ => return Err(unresolved("FunctionRun", field)),
    })
}

/// What started the run. A batch has no id of its own: that of its run stands for it.
pub(super) fn trigger(run: &Run, cx: &mut Cx<'_>) -> Resolved<Node> {
    let events = run.events(cx)?;
    let first = events.first().map(Arc::as_ref);
    let json = |event: &Arc<Event>| String::from_utf8_lossy(&event.json()).into_owned();
    let ids = events.iter().map(|event| event.internal_id.to_string());
    let at = first.map_or(run.view.row.created, |event| event.ts);
    let fields = json!({
        "eventName": first.map(|event| event.name.as_str()),
        "IDs": ids.collect::<Vec<_>>(),
        "timestamp": at.rfc3339(),
        "payloads": events.iter().map(json).collect::<Vec<_>>(),
        "isBatch": run.is_batch(),
        "batchID": run.is_batch().then(|| run.id().to_string()),
        "cron": first.and_then(schedule),
    });
    Ok(Node::plain("RunTraceTrigger", fields))
}

/// The time table whose tick an event is.
fn schedule(event: &Event) -> Option<String> {
    if event.name != TIMER_EVENT {
        return None;
    }
    let data: Value = serde_json::from_slice(event.data.bytes()).ok()?;
    Some(data.get("cron")?.as_str()?.to_owned())
}
