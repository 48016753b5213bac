//! Events come in from SDKs: `POST /e/{key}`.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dunlin_types::limits::TRACE_STATE_MEMBERS_MAX;
use dunlin_types::{Code, Coded, EventOrigin, NewEvent, Seq, Ulid};
use dunlin_wire::ingest::{EventSeed, ParsedEvent, ParsedEvents, parse_events};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::output;
use crate::error::{Refused, Reply};
use crate::state::Api;

/// What the headers say of the events.
pub(super) struct Sender {
    /// `x-inngest-event-id-seed`.
    seed: Option<EventSeed>,
    /// The run whose step sends them: calls carry it, and SDKs hand it on.
    run: Option<Seq>,
}

impl Sender {
    /// The parsed events, with what the headers say.
    fn named(&self, events: Vec<ParsedEvent>) -> Vec<NewEvent> {
        let origin = self.run.map_or(EventOrigin::Api, EventOrigin::Run);
        let named = |parsed: ParsedEvent| NewEvent {
            origin,
            ..parsed.event
        };
        events.into_iter().map(named).collect()
    }
}

/// The run that a `tracestate` names.
fn run_of(state: &str) -> Option<Seq> {
    let mut members = state.split(',').take(TRACE_STATE_MEMBERS_MAX);
    let run = members.find_map(|member| member.trim().strip_prefix("dunlin="))?;
    run.parse::<Ulid>().ok()?.seq()
}

impl<S: Sync> FromRequestParts<S> for Sender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let text = |name: &str| parts.headers.get(name)?.to_str().ok();
        Ok(Self {
            seed: text("x-inngest-event-id-seed").and_then(EventSeed::parse),
            run: text("tracestate").and_then(run_of),
        })
    }
}

pub(super) async fn send(State(api): State<Api>, sender: Sender, body: Bytes) -> Reply {
    let ParsedEvents { events, error } = parse_events(&body, sender.seed.as_ref());
    let seconds = events.iter().filter(|event| event.ts_was_seconds).count();
    if seconds > 0 {
        tracing::warn!(
            events = seconds,
            "ts was given in seconds; it was read as such"
        );
    }
    let events = sender.named(events);
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
pub(super) async fn send_one(State(api): State<Api>, sender: Sender, body: Bytes) -> Reply {
    if body.trim_ascii_start().first() == Some(&b'[') {
        let detail = "the body must be one event object";
        return Err(Refused::new(Code::EventBodyBad, detail));
    }
    let ParsedEvents { events, error } = parse_events(&body, sender.seed.as_ref());
    if let Some(error) = error {
        return Err(error.into());
    }
    let ids = api.node.append_events(sender.named(events)).await?;
    let id = ids.first().map(Ulid::to_string);
    Ok(output::v2(json!({ "eventId": id }), api.node.now()))
}
