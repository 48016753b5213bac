//! The fields of the root.

use std::rc::Rc;

use dunlin_store::event_in_full;
use dunlin_types::app_uuid;

use super::run::Run;
use super::span::SpanAt;
use super::{Node, Object, events, not_found, object, run, runs, span, text, unresolved};
use crate::coerce::Args;
use crate::execute::{Cx, Resolved, store};

pub(super) fn field(cx: &mut Cx<'_>, field: &str, args: &Args) -> Resolved<Node> {
    match field {
        "run" => Ok(Node::Object(Object::Run(run_of(cx, text(args, "runID"))?))),
        "functionRun" => {
            let query = object(args, "query");
            let run = run_of(cx, text(&query, "functionRunId"))?;
            Ok(Node::Object(Object::OldRun(run)))
        }
        "runs" => runs::page(cx, args),
        "runTrigger" => {
            let run = run_of(cx, text(args, "runID"))?;
            run::trigger(&run, cx)
        }
        "runTrace" => {
            let run = run_of(cx, text(args, "runID"))?;
            Ok(Node::Object(Object::Span(SpanAt::root(run, cx)?)))
        }
        "runTraceSpanOutputByID" => output(cx, text(args, "outputID")),
        "event" => {
            let query = object(args, "query");
            let event = event_of(cx, text(&query, "eventId"))?;
            Ok(Node::Object(Object::OldEvent(event)))
        }
        "eventV2" => Ok(Node::Object(Object::Event(event_of(cx, text(args, "id"))?))),
        "eventsV2" => events::page(cx, args),
        _ => catalog(cx, field, args),
    }
}

fn catalog(cx: &mut Cx<'_>, field: &str, args: &Args) -> Resolved<Node> {
    let names = cx.names()?;
    match field {
        "functions" => {
            let present = names.functions().filter(|f| f.archived.is_none());
            Ok(Node::objects(present.map(|f| Object::Function(f.number))))
        }
        "functionBySlug" => {
            let query = object(args, "query");
            let slug = text(&query, "functionSlug");
            let mut named = names.functions().filter(|f| f.slug == slug);
            let found = named.next().ok_or_else(not_found)?;
            Ok(Node::Object(Object::Function(found.number)))
        }
        "apps" => Ok(Node::objects(
            names.apps().map(|app| Object::App(app.number)),
        )),
        "app" => {
            let id = text(args, "id").to_ascii_lowercase();
            let mut named = names
                .apps()
                .filter(|app| app_uuid(&app.name).to_string() == id);
            let found = named.next().ok_or_else(not_found)?;
            Ok(Node::Object(Object::App(found.number)))
        }
        _ => Err(unresolved("Query", field)),
    }
}

fn run_of(cx: &mut Cx<'_>, id: &str) -> Resolved<Rc<Run>> {
    let run = dunlin_trace::find_run(cx.read(1)?, id).map_err(store)?;
    Ok(Rc::new(Run::new(run.ok_or_else(not_found)?)))
}

fn event_of(cx: &mut Cx<'_>, id: &str) -> Resolved<std::sync::Arc<dunlin_types::Event>> {
    let id = id.parse().map_err(|_| not_found())?;
    let reader = cx.read(5)?;
    let seq = reader.event_of(id).map_err(store)?.ok_or_else(not_found)?;
    let event = reader.event(seq).map_err(store)?.ok_or_else(not_found)?;
    let event = event_in_full(reader, event).map_err(store)?;
    event.ok_or_else(not_found)
}

/// The output of a span, by the id that the span gives it.
fn output(cx: &mut Cx<'_>, id: &str) -> Resolved<Node> {
    let (run, of) = id.split_once(':').ok_or_else(not_found)?;
    let run = run_of(cx, run)?;
    let trace = cx.trace(&run.view)?;
    let span = trace.root.find(of).ok_or_else(not_found)?;
    Ok(span::output(span))
}
