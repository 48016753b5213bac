//! Messages: what came in, and where it went.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use dunlin_delivery::{Answer, DeliveryRow, DeliveryState, Input, Message, NewMessage};
use dunlin_types::{Ksuid, KsuidKind};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::endpoint::EndpointOut;
use super::page::Asked;
use super::search::Wanted;
use super::{application, ask, endpoint, message_in, odd_answer, read};
use crate::error::Reply;
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/app/{app}/msg", get(list).post(message_in::create))
        .route("/api/v1/app/{app}/msg/{msg}", get(one))
        .route("/api/v1/app/{app}/msg/{msg}/endpoint", get(destinations))
        .route("/api/v1/app/{app}/endpoint/{ep}/msg", get(attempted))
        .route(
            "/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend",
            post(resend),
        )
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageOut {
    id: String,
    event_id: Option<String>,
    event_type: String,
    /// The exact bytes that came in.
    payload: Option<Box<RawValue>>,
    channels: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    timestamp: String,
    deliver_at: Option<String>,
    test: bool,
}

/// A delivery and its message.
pub(super) type DestinationRow = (DeliveryRow, Option<Arc<Message>>);

fn unless_empty(texts: &[String]) -> Option<Vec<String>> {
    (!texts.is_empty()).then(|| texts.to_vec())
}

impl MessageOut {
    pub(super) fn of(message: &Message, with_content: bool) -> Self {
        Self {
            id: message.id().to_string(),
            event_id: Some(message.provider_id.clone()).filter(|id| !id.is_empty()),
            event_type: message.event_type.clone(),
            payload: match message.expired {
                true => RawValue::from_string(EXPIRED.to_owned()).ok(),
                false => payload(&message.body, with_content),
            },
            channels: unless_empty(&message.channels),
            tags: unless_empty(&message.tags),
            timestamp: message.at.rfc3339(),
            deliver_at: message.deliver_at.map(|at| at.rfc3339()),
            test: message.test,
        }
    }

    /// A sample that was just taken in.
    pub(super) fn of_new(id: Ksuid, message: &NewMessage) -> Self {
        Self {
            test: true,
            ..Self::of_sent(id, message, true)
        }
    }

    /// A message that was just taken in.
    pub(super) fn of_sent(id: Ksuid, message: &NewMessage, with_content: bool) -> Self {
        Self {
            id: id.to_string(),
            event_id: Some(message.provider_id.clone()).filter(|id| !id.is_empty()),
            event_type: message.event_type.clone(),
            payload: payload(&message.body, with_content),
            channels: unless_empty(&message.channels),
            tags: unless_empty(&message.tags),
            timestamp: id.at.rfc3339(),
            deliver_at: message.deliver_at.map(|at| at.rfc3339()),
            test: false,
        }
    }
}

/// What stands in place of a payload that is gone (Svix).
const EXPIRED: &str = r#"{"expired":true}"#;

fn payload(body: &Bytes, with_content: bool) -> Option<Box<RawValue>> {
    let text = match with_content {
        true => str::from_utf8(body).ok()?,
        false => "{}",
    };
    RawValue::from_string(text.to_owned()).ok()
}

async fn list(State(api): State<Api>, Path(app): Path<String>, asked: Asked) -> Reply {
    let app = application(&api, &app)?;
    Wanted::asked(&asked)?.list(&api, app.id, &asked).await
}

async fn one(
    State(api): State<Api>,
    Path((app, msg)): Path<(String, String)>,
    asked: Asked,
) -> Reply {
    let app = application(&api, &app)?;
    let message = read::message(&api, app.id, &msg).await?;
    let with_content = asked.flag("with_content", true)?;
    Ok(axum::Json(MessageOut::of(&message, with_content)).into_response())
}

/// An endpoint, and how one message stands there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DestinationOut {
    #[serde(flatten)]
    endpoint: EndpointOut,
    status: u8,
    status_text: &'static str,
    next_attempt: Option<String>,
}

async fn destinations(
    State(api): State<Api>,
    Path((app, msg)): Path<(String, String)>,
    asked: Asked,
) -> Reply {
    let app = application(&api, &app)?;
    let window = asked.window(KsuidKind::Endpoint, true)?;
    let expanded = asked.flag("expanded_statuses", false)?;
    let message = read::message(&api, app.id, &msg).await?.seq;
    let deliveries = api
        .node
        .read(move |reader| reader.deliveries_of(message))
        .await?;
    let config = api.node.config();
    let reached = config.endpoints_of(app.id).filter_map(|endpoint| {
        let newest = deliveries
            .iter()
            .rev()
            .find(|row| row.endpoint == endpoint.id)?;
        Some((endpoint, newest))
    });
    let reached: Vec<_> = reached.collect();
    let slice = window.of(reached.into_iter(), |(endpoint, _)| endpoint.id);
    slice.reply(
        |(endpoint, _)| endpoint.ksuid().to_string(),
        |(endpoint, row)| {
            let (status, status_text) = state_of(row, expanded);
            DestinationOut {
                endpoint: EndpointOut::of(endpoint),
                status,
                status_text,
                next_attempt: row.next_at.map(|at| at.rfc3339()),
            }
        },
    )
}

/// A message, and how it stands at one endpoint.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptedOut {
    #[serde(flatten)]
    message: MessageOut,
    status: u8,
    status_text: &'static str,
    next_attempt: Option<String>,
}

/// The messages that went to an endpoint, with how they stand there.
async fn attempted(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    asked: Asked,
) -> Reply {
    let (app, endpoint) = endpoint(&api, &app, &ep)?;
    let window = asked.window(KsuidKind::Message, false)?;
    let with_content = asked.flag("with_content", true)?;
    let status = asked.number("status")?;
    let expanded = asked.flag("expanded_statuses", false)?;
    let wanted = Wanted::asked(&asked)?;
    let endpoint = endpoint.id;
    let slice = api.node.read(move |reader| {
        let read = |page| {
            let mut rows = Vec::new();
            for message in wanted.page(reader, app.id, page)? {
                let newest = reader.deliveries_of(message.seq)?;
                let newest = newest.into_iter().rfind(|row| row.endpoint == endpoint);
                rows.push((newest, message));
            }
            Ok(rows)
        };
        let keep = |(newest, message): &(Option<DeliveryRow>, Arc<Message>)| {
            let shown = |row: &DeliveryRow| u16::from(state_of(row, expanded).0);
            let fits = |row: &DeliveryRow| status.is_none_or(|one| one == shown(row));
            newest.as_ref().is_some_and(fits) && wanted.holds(message)
        };
        window.read(read, |row| row.1.seq, keep, |row| row.1.bytes())
    });
    slice.await?.reply(
        |(_, message)| message.id().to_string(),
        |(newest, message)| {
            let state = newest.as_ref().map(|row| state_of(row, expanded));
            let (status, status_text) = state.unwrap_or((1, "pending"));
            AttemptedOut {
                message: MessageOut::of(&message, with_content),
                status,
                status_text,
                next_attempt: newest.and_then(|row| row.next_at).map(|at| at.rfc3339()),
            }
        },
    )
}

/// The number and word of the foreign API. Clients that don't ask for more are told that what was
/// not wanted went well, as of attempts.
fn state_of(row: &DeliveryRow, expanded: bool) -> (u8, &'static str) {
    match row.state {
        DeliveryState::Pending => (1, "pending"),
        DeliveryState::Succeeded => (0, "success"),
        DeliveryState::Failed => (2, "fail"),
        DeliveryState::Cancelled | DeliveryState::Duplicate if expanded => (4, "canceled"),
        DeliveryState::Cancelled | DeliveryState::Duplicate => (0, "success"),
    }
}

async fn resend(
    State(api): State<Api>,
    Path((app, msg, ep)): Path<(String, String, String)>,
) -> Reply {
    let (app, endpoint) = endpoint(&api, &app, &ep)?;
    let message = read::message(&api, app.id, &msg).await?.seq;
    let endpoint = endpoint.id;
    match ask(&api, move |token| Input::Resend {
        token,
        message,
        endpoint,
    })
    .await?
    {
        Answer::Resent { .. } => Ok((StatusCode::ACCEPTED, axum::Json(json!({}))).into_response()),
        _ => Err(odd_answer()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_shown_as_it_came() {
        let body = Bytes::from_static(b"{\"b\":1.0, \"a\":12345678901234567890123}");
        let shown = payload(&body, true).unwrap();
        assert_eq!(shown.get().as_bytes(), body);
        assert_eq!(payload(&body, false).unwrap().get(), "{}");
    }
}
