//! The event log, read: `/v1/events`.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use dunlin_store::{EventFilter, Page, Reader, StoreResult, event_in_full};
use dunlin_types::{Code, Event, EventOrigin, Seq, Timestamp, Ulid, limits};
use serde::{Deserialize, Serialize};

use super::output::{self, ACCOUNT_ID, ENVIRONMENT_ID, Raw};
use crate::error::{Refused, Reply};
use crate::state::Api;

/// Events of one page when no limit is given (SDK protocol).
const LIMIT_DEFAULT: usize = 20;

#[derive(Deserialize)]
pub(super) struct Asked {
    limit: Option<usize>,
    #[serde(default)]
    cursor: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    received_after: String,
    #[serde(default)]
    received_before: String,
}

#[derive(Serialize)]
struct EventOut {
    internal_id: String,
    account_id: &'static str,
    environment_id: &'static str,
    source: &'static str,
    source_id: Option<String>,
    received_at: String,
    id: String,
    name: String,
    data: Raw,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Raw>,
    ts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<String>,
}

impl EventOut {
    fn of(event: &Event) -> Self {
        Self {
            internal_id: event.internal_id.to_string(),
            account_id: ACCOUNT_ID,
            environment_id: ENVIRONMENT_ID,
            source: match event.origin {
                EventOrigin::Api | EventOrigin::Run(_) => "",
                EventOrigin::Message(_) => "webhook",
                EventOrigin::Internal => "internal",
            },
            source_id: None,
            received_at: event.received.rfc3339(),
            id: event.id.clone(),
            name: event.name.clone(),
            data: Raw(event.data.clone()),
            user: event.user.clone().map(Raw),
            ts: event.ts.ms(),
            v: event.v.clone(),
        }
    }
}

/// Newest first; internal ones when they are asked for by name.
pub(super) async fn list(State(api): State<Api>, Query(asked): Query<Asked>) -> Reply {
    let filter = EventFilter {
        received_from: instant("received_after", &asked.received_after)?,
        received_until: instant("received_before", &asked.received_before)?,
        name: Some(asked.name).filter(|name| !name.is_empty()),
    };
    let items = asked
        .limit
        .unwrap_or(LIMIT_DEFAULT)
        .clamp(1, limits::PAGE_ITEMS_MAX);
    let cursor = cursor(&asked.cursor)?;
    let read = api.node.read(move |reader| {
        let mut page = Page::newest(items);
        if let Some(id) = cursor {
            page.after = reader.event_of(id)?;
            if page.after.is_none() {
                return Ok(None);
            }
        }
        let mut events = Vec::new();
        for logged in reader.events(&filter, page)? {
            events.extend(event_in_full(reader, logged)?);
        }
        Ok(Some(events))
    });
    let Some(events) = read.await? else {
        return Err(Refused::new(Code::BadRequest, "cursor names no event"));
    };
    let events: Vec<EventOut> = events.iter().map(|event| EventOut::of(event)).collect();
    Ok(output::v1(events, api.node.now()))
}

fn cursor(text: &str) -> Result<Option<Ulid>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let bad = |_| {
        Refused::new(
            Code::BadRequest,
            "cursor must be the internal id of an event",
        )
    };
    text.parse().map(Some).map_err(bad)
}

fn instant(field: &str, text: &str) -> Result<Option<Timestamp>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let at = Timestamp::parse_rfc3339(text);
    let bad = || {
        Refused::new(
            Code::BadRequest,
            format!("{field} must be an RFC 3339 instant"),
        )
    };
    at.map(Some).ok_or_else(bad)
}

pub(super) async fn one(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let event = api.node.read(move |reader| {
        let Some(seq) = event_of(reader, &id)? else {
            return Ok(None);
        };
        full(reader, seq)
    });
    let event = event.await?.ok_or_else(unknown)?;
    Ok(output::v1(EventOut::of(&event), api.node.now()))
}

/// The place of the event with that internal id.
pub(super) fn event_of(reader: &mut dyn Reader, id: &str) -> StoreResult<Option<Seq>> {
    match id.parse() {
        Ok(id) => reader.event_of(id),
        Err(_) => Ok(None),
    }
}

/// The event with its body.
pub(super) fn full(reader: &mut dyn Reader, seq: Seq) -> StoreResult<Option<Arc<Event>>> {
    match reader.event(seq)? {
        Some(logged) => event_in_full(reader, logged),
        None => Ok(None),
    }
}

pub(super) fn unknown() -> Refused {
    Refused::new(Code::NotFound, "there is no such event")
}
