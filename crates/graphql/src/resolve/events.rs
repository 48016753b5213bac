//! Lists of events, newest first.

use std::rc::Rc;

use dunlin_store::{EventFilter, Page, event_in_full};
use dunlin_types::limits::{GRAPHQL_ROWS_PER_READ_MAX, LIST_ROWS_READ_MAX, PAGE_ITEMS_MAX};
use dunlin_types::{Lifecycle, Seq, Timestamp, Ulid};
use serde_json::{Value, json};

use super::{Node, Object, instant, not_found, object, text, texts, unresolved};
use crate::coerce::Args;
use crate::execute::{Cx, Resolved, store};
use crate::search::Search;

/// Items of a page where `first` is null; the schema has the same for where it is absent.
const FIRST_DEFAULT: u64 = 40;

/// Names of events that the server makes itself, which a list without names leaves out.
const INTERNAL_NAMES: [&str; 6] = [
    Lifecycle::Finished.event_name(),
    Lifecycle::Failed.event_name(),
    Lifecycle::Cancelled.event_name(),
    "inngest/deferred.schedule",
    "inngest/function.invoked",
    "inngest/scheduled.timer",
];

/// Which events.
#[derive(Debug)]
struct Filter {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    /// One walk for each: by a name, or over all that came from outside.
    names: Vec<Option<String>>,
    search: Option<Search>,
}

impl Filter {
    fn read(args: &Args) -> Resolved<Self> {
        let internal = args.get("includeInternalEvents") == Some(&Value::Bool(true));
        let mut names: Vec<_> = match texts(args, "eventNames") {
            Some(names) => names.into_iter().map(Some).collect(),
            None => vec![None],
        };
        if internal && names == [None] {
            names.extend(INTERNAL_NAMES.map(|name| Some(name.to_owned())));
        }
        names.sort();
        names.dedup();
        let search = match text(args, "query") {
            "" => None,
            lines => Some(Search::parse(lines)?),
        };
        Ok(Self {
            from: instant(args, "from"),
            until: instant(args, "until"),
            names,
            search,
        })
    }
}

/// An event on a list, without its body.
#[derive(Clone, Copy, Debug)]
struct Found {
    seq: Seq,
    id: Ulid,
}

/// What matches, newest first, and where a walk stopped though there was more.
fn walk(
    cx: &mut Cx<'_>,
    filter: &Filter,
    after: Option<Seq>,
) -> Resolved<(Vec<Found>, Option<Found>)> {
    let mut found = Vec::new();
    let mut stopped: Option<Found> = None;
    let rows_max = LIST_ROWS_READ_MAX / filter.names.len().max(1);
    for name in &filter.names {
        let of_name = EventFilter {
            name: name.clone(),
            received_from: filter.from,
            received_until: filter.until,
        };
        let end = walk_name(cx, filter, &of_name, (after, rows_max), &mut found)?;
        // Beyond the first end some are missing.
        stopped = stopped.into_iter().chain(end).max_by_key(|end| end.seq);
    }
    found.sort_by_key(|found| std::cmp::Reverse(found.seq));
    if let Some(end) = stopped {
        found.retain(|found| found.seq >= end.seq);
    }
    Ok((found, stopped))
}

fn walk_name(
    cx: &mut Cx<'_>,
    filter: &Filter,
    of_name: &EventFilter,
    (after, rows_max): (Option<Seq>, usize),
    found: &mut Vec<Found>,
) -> Resolved<Option<Found>> {
    let mut page = Page::newest(GRAPHQL_ROWS_PER_READ_MAX);
    page.after = after;
    let (mut rows, mut last) = (0, None);
    while rows < rows_max.min(cx.rows_left()) {
        let events = cx.read(page.items)?.events(of_name, page).map_err(store)?;
        let full = events.len() >= page.items;
        rows += events.len();
        for logged in events {
            let here = Found {
                seq: logged.seq(),
                id: logged.internal_id(),
            };
            page.after = Some(here.seq);
            last = Some(here);
            let wanted = match &filter.search {
                None => true,
                Some(search) => {
                    let event = event_in_full(cx.read(1)?, logged).map_err(store)?;
                    let value = event.and_then(|event| serde_json::from_slice(&event.json()).ok());
                    search.holds(&json!({"event": value.unwrap_or(Value::Null)}), cx.now)
                }
            };
            if wanted {
                found.push(here);
            }
        }
        if !full {
            return Ok(None);
        }
    }
    Ok(last)
}

/// A page of events.
#[derive(Debug)]
pub(crate) struct Events {
    filter: Filter,
    edges: Vec<Seq>,
    info: Value,
}

pub(super) fn page(cx: &mut Cx<'_>, args: &Args) -> Resolved<Node> {
    let filter = Filter::read(&object(args, "filter"))?;
    let first = args
        .get("first")
        .and_then(Value::as_u64)
        .unwrap_or(FIRST_DEFAULT) as usize;
    let first = first.clamp(1, PAGE_ITEMS_MAX);
    let after = cursor(cx, text(args, "after"))?;
    let (found, stopped) = walk(cx, &filter, after)?;
    let shown = &found[..first.min(found.len())];
    let more = found.len() > shown.len();
    let last = shown.last().copied();
    let end = if more { last } else { stopped.or(last) };
    let info = json!({
        "hasNextPage": more || stopped.is_some(),
        "hasPreviousPage": after.is_some(),
        "startCursor": shown.first().map(|found| found.id.to_string()),
        "endCursor": end.map(|found| found.id.to_string()),
    });
    let events = Events {
        edges: shown.iter().map(|found| found.seq).collect(),
        filter,
        info,
    };
    Ok(Node::Object(Object::Events(Rc::new(events))))
}

/// The place that a cursor, which is an event's internal id, names.
fn cursor(cx: &mut Cx<'_>, text: &str) -> Resolved<Option<Seq>> {
    if text.is_empty() {
        return Ok(None);
    }
    let id = text.parse().map_err(|_| not_found())?;
    let place = cx.read(1)?.event_of(id).map_err(store)?;
    place.map(Some).ok_or_else(not_found)
}

pub(super) fn field(events: &Events, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    Ok(match field {
        "edges" => Node::objects(events.edges.iter().map(|seq| Object::EventEdge(*seq))),
        "pageInfo" => Node::plain("PageInfo", events.info.clone()),
        "totalCount" => Node::of(walk(cx, &events.filter, None)?.0.len()),
        _ => return Err(unresolved("EventsConnection", field)),
    })
}

pub(super) fn edge_field(seq: Seq, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    let reader = cx.read(2)?;
    let Some(logged) = reader.event(seq).map_err(store)? else {
        return Err(not_found());
    };
    Ok(match field {
        "cursor" => Node::of(logged.internal_id().to_string()),
        "node" => {
            let event = event_in_full(reader, logged).map_err(store)?;
            Node::object(event.map(Object::Event))
        }
        _ => return Err(unresolved("EventsEdge", field)),
    })
}
