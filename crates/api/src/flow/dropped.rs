//! Events that a function's rules dropped, newest first: `/api/functions/{slug}/dropped`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use dunlin_store::{LoggedEvent, Page, Reader, StoreResult};
use dunlin_types::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use dunlin_types::{Code, Ulid};
use serde_json::{Value, json};

use super::kept::{Dropped, with_kept};
use super::queues::function;
use crate::error::{Refused, Reply};
use crate::sdk::Params;
use crate::state::Api;

pub(super) async fn dropped(
    State(api): State<Api>,
    Path(slug): Path<String>,
    params: Params,
) -> Reply {
    let items = params.limit(PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX)?;
    let cursor = params.get("cursor").map(str::parse::<Ulid>);
    let odd = || Refused::new(Code::BadRequest, "cursor is not one of ours");
    let cursor = cursor.transpose().map_err(|_| odd())?;
    let (number, _, _) = function(&api, &slug).await?;
    let read = api.node.read(move |reader| {
        let mut page = Page::newest(items + 1);
        if let Some(id) = cursor {
            page.after = reader.event_of(id)?;
            if page.after.is_none() {
                return Ok(None);
            }
        }
        read(reader, number, page).map(Some)
    });
    let mut found = read.await?.ok_or_else(odd)?;
    let has_more = found.len() > items;
    found.truncate(items);
    let cursor = found.last().filter(|_| has_more);
    let cursor = cursor.map(|one| one["eventId"].clone());
    let body = json!({"data": found, "cursor": cursor, "hasMore": has_more});
    Ok(Json(body).into_response())
}

fn read(reader: &mut dyn Reader, function: u32, page: Page) -> StoreResult<Vec<Value>> {
    let mut found = Vec::new();
    for row in reader.dropped(Some(function), page)? {
        let event = reader.event(row.event)?;
        let drop = with_kept(reader, row)?;
        found.push(shown(&drop, event.as_ref()));
    }
    Ok(found)
}

pub(super) fn shown(drop: &Dropped, event: Option<&LoggedEvent>) -> Value {
    let name = event.map(|event| match event {
        LoggedEvent::Full(event) => event.name.as_str(),
        LoggedEvent::Lifecycle(row) => row.kind.event_name(),
    });
    json!({
        "eventId": event.map(|event| event.internal_id().to_string()),
        "eventName": name,
        "at": drop.row.at.rfc3339(),
        "rule": drop.row.rule.name(),
        "key": drop.row.key,
        "kept": drop.kept.as_ref().map(super::kept::Kept::facts),
    })
}
