//! Events, in both forms.

use std::rc::Rc;
use std::sync::Arc;

use dunlin_store::Page;
use dunlin_types::limits::PAGE_ITEMS_MAX;
use dunlin_types::{Event, Payload};

use super::run::Run;
use super::{Node, Object, unresolved};
use crate::execute::{Cx, Resolved, store};

/// The id that its sender gave, if it did.
fn given_id(event: &Event) -> Option<String> {
    (event.id != event.internal_id.to_string()).then(|| event.id.clone())
}

fn whole(event: &Event) -> Node {
    Node::json(Some(&Payload::from_json(event.json())))
}

fn runs(event: &Event, cx: &mut Cx<'_>) -> Resolved<Vec<Rc<Run>>> {
    let page = Page::oldest(PAGE_ITEMS_MAX);
    let runs = cx.read(1)?.runs_of_event(event.seq, page).map_err(store)?;
    cx.read(runs.len())?;
    Ok(runs.into_iter().map(|run| Rc::new(Run::new(run))).collect())
}

pub(super) fn field(event: &Arc<Event>, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    Ok(match field {
        "id" => Node::of(event.internal_id.to_string()),
        "idempotencyKey" => Node::option(given_id(event)),
        "name" => Node::of(event.name.clone()),
        "occurredAt" => Node::time(Some(event.ts)),
        "receivedAt" => Node::time(Some(event.received)),
        "raw" => whole(event),
        "version" => Node::option(event.v.clone()),
        "runs" => Node::objects(runs(event, cx)?.into_iter().map(Object::Run)),
        _ => return Err(unresolved("EventV2", field)),
    })
}

pub(super) fn old_field(event: &Arc<Event>, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    Ok(match field {
        "id" => Node::of(event.internal_id.to_string()),
        "externalID" => Node::option(given_id(event)),
        "name" => Node::of(event.name.clone()),
        "createdAt" => Node::time(Some(event.received)),
        "payload" => Node::json(Some(&event.data)),
        "raw" => whole(event),
        "functionRuns" => Node::objects(runs(event, cx)?.into_iter().map(Object::OldRun)),
        "totalRuns" => Node::of(runs(event, cx)?.len()),
        _ => return Err(unresolved("Event", field)),
    })
}
