//! The list of event types, by name, a page at a time.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use dunlin_delivery::EventType;
use dunlin_types::limits::{LIST_BODIES_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use dunlin_types::{Code, Coded};
use serde_json::json;

use super::fields::{EventTypeOut, fits};
use super::is_seen;
use crate::catalogue;
use crate::error::{Refused, Reply};
use crate::state::Api;
use crate::svix::fields::bad;
use crate::svix::page::Asked;

/// What names the place after which a page begins. Names may begin with `-`, which turns back.
const CURSOR: &str = "evtype_";

struct Window {
    limit: usize,
    cursor: Option<String>,
    back: bool,
    ascending: bool,
}

impl Window {
    fn asked(asked: &Asked) -> Result<Self, Refused> {
        let limit = match asked.number("limit")? {
            None => PAGE_ITEMS_DEFAULT,
            Some(limit) if (1..=PAGE_ITEMS_MAX).contains(&limit.into()) => limit.into(),
            Some(_) => return Err(wrong("limit", "must be 1 to 250")),
        };
        let ascending = match asked.text("order") {
            None | Some("ascending") => true,
            Some("descending") => false,
            Some(_) => return Err(wrong("order", "must be ascending or descending")),
        };
        let iterator = asked.text("iterator").unwrap_or_default();
        let (back, place) = match iterator.strip_prefix('-') {
            Some(place) => (true, place),
            None => (false, iterator),
        };
        let cursor = match place {
            "" => None,
            place => {
                let name = place.strip_prefix(CURSOR).filter(|name| fits(name));
                let name = name.ok_or_else(|| wrong("iterator", "is none that a list gave"))?;
                Some(name.to_owned())
            }
        };
        Ok(Self {
            limit,
            cursor,
            back,
            ascending,
        })
    }

    /// The rows of the page, and whether there are more beyond it.
    fn of(
        &self,
        all: impl DoubleEndedIterator<Item = Arc<EventType>>,
        weight: impl Fn(&EventType) -> usize,
    ) -> (Vec<Arc<EventType>>, bool) {
        let upwards = self.ascending != self.back;
        let beyond = |row: &Arc<EventType>| match &self.cursor {
            None => true,
            Some(cursor) if upwards => row.name > *cursor,
            Some(cursor) => row.name < *cursor,
        };
        let mut ordered: Box<dyn Iterator<Item = Arc<EventType>>> = if upwards {
            Box::new(all.filter(beyond))
        } else {
            Box::new(all.rev().filter(beyond))
        };
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < self.limit && bytes < LIST_BODIES_BYTES_MAX {
            let Some(row) = ordered.next() else { break };
            bytes += weight(&row);
            rows.push(row);
        }
        let more = ordered.next().is_some();
        if self.back {
            rows.reverse();
        }
        (rows, more)
    }
}

fn wrong(name: &str, what: &str) -> Refused {
    let error = Coded::new(Code::BadRequest, format!("`{name}` {what}"));
    bad(&["query", name], error)
}

pub(super) async fn list(State(api): State<Api>, asked: Asked) -> Reply {
    let window = Window::asked(&asked)?;
    let archived = asked.flag("include_archived", false)?;
    let with_content = asked.flag("with_content", false)?;
    let all = catalogue::all(&api.node.config()).into_values();
    let is_shown = |one: &Arc<EventType>| {
        let fields = one.fields.as_ref();
        fields.is_some_and(|fields| archived || !fields.archived) && is_seen(one)
    };
    let shown = all.filter(is_shown);
    let weight = |one: &EventType| {
        let schemas = one.fields.as_ref().and_then(|one| one.schemas.as_ref());
        schemas.filter(|_| with_content).map_or(0, |one| one.len())
    };
    let (rows, more) = window.of(shown, weight);
    let place = |row: Option<&Arc<EventType>>| row.map(|row| format!("{CURSOR}{}", row.name));
    let previous = place(rows.first()).map(|place| format!("-{place}"));
    let data: Vec<_> = rows
        .iter()
        .map(|row| EventTypeOut::of(row, with_content))
        .collect();
    let body = json!({
        "data": data,
        "iterator": place(rows.last()),
        "prevIterator": previous,
        "done": !more,
    });
    Ok(axum::Json(body).into_response())
}
