//! Events come in from SDKs: `POST /e/{key}`.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dunlin_types::{Code, Coded, NewEvent, Ulid};
use dunlin_wire::ingest::{EventSeed, ParsedEvents, parse_events};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::output;
use crate::error::{Refused, Reply};
use crate::state::Api;

/// What `x-inngest-event-id-seed` says.
pub(super) struct Seed(Option<EventSeed>);

impl<S: Sync> FromRequestParts<S> for Seed {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let header = parts.headers.get("x-inngest-event-id-seed");
        let text = header.and_then(|value| value.to_str().ok());
        Ok(Self(text.and_then(EventSeed::parse)))
    }
}

pub(super) async fn send(State(api): State<Api>, Seed(seed): Seed, body: Bytes) -> Reply {
    let ParsedEvents { events, error } = parse_events(&body, seed.as_ref());
    let seconds = events.iter().filter(|event| event.ts_was_seconds).count();
    if seconds > 0 {
        tracing::warn!(
            events = seconds,
            "ts was given in seconds; it was read as such"
        );
    }
    let events: Vec<NewEvent> = events.into_iter().map(|parsed| parsed.event).collect();
    let ids = match events.is_empty() {
        true => Vec::new(),
        false => api.node.append_events(events).await?,
    };
    match error {
        None => Ok(accepted(&ids)),
        Some(error) => Err(refused(&ids, error)),
    }
}

/// Written by hand: this is the path that is called most.
fn accepted(ids: &[Ulid]) -> Response {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(32 + 29 * ids.len());
    text.push_str("{\"ids\":[");
    for (index, id) in ids.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\"{id}\"");
    }
    text.push_str("],\"status\":200}");
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], text).into_response()
}

/// Those before the bad one are in; it is told by an empty id.
fn refused(ids: &[Ulid], error: Coded) -> Refused {
    let mut ids: Vec<String> = ids.iter().map(Ulid::to_string).collect();
    ids.push(String::new());
    Refused::from(error)
        .status(StatusCode::BAD_REQUEST)
        .ids(ids)
}

/// One event, in the second version of the API.
pub(super) async fn send_one(State(api): State<Api>, Seed(seed): Seed, body: Bytes) -> Reply {
    if body.trim_ascii_start().first() == Some(&b'[') {
        let detail = "the body must be one event object";
        return Err(Refused::new(Code::EventBodyBad, detail));
    }
    let ParsedEvents { events, error } = parse_events(&body, seed.as_ref());
    if let Some(error) = error {
        return Err(error.into());
    }
    let events = events.into_iter().map(|parsed| parsed.event).collect();
    let ids = api.node.append_events(events).await?;
    let id = ids.first().map(Ulid::to_string);
    Ok(output::v2(json!({ "eventId": id }), api.node.now()))
}
