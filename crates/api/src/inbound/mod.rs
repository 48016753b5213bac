//! Webhooks that come in: `/in/{source}`. Verified over the raw bytes before anything reads them,
//! and answered only after the commit that holds them.

mod challenge;
mod door;
mod kept;
mod refusal;

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use dunlin_delivery::{Answer, Input, NewMessage, Source};
use dunlin_types::limits::{INBOUND_BODY_BYTES_MAX, MESSAGE_DEDUPE_MS};
use dunlin_types::{Coded, DedupeKey, Scheme, Timestamp};
use dunlin_wire::envelope::{Envelope, envelope, json_body};
use dunlin_wire::verify::{Inbound, slack_challenge, verify};
use http::{HeaderMap, header};
use serde_json::json;

pub(crate) use refusal::Meter;

use crate::error::Reply;
use crate::state::Api;
use crate::svix::fields::read_body;
use crate::svix::odd_answer;
use door::Peer;
use refusal::Visit;

pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/in/{source}", get(challenge::answer).post(accept))
}

async fn accept(
    State(api): State<Api>,
    Path(path): Path<String>,
    Peer(ip): Peer,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let source = door::find(&api.node.config(), &path)?;
    let visit = Visit {
        api: &api,
        source: &source,
        ip,
        headers: &headers,
    };
    if let Err(error) = door::lets_in(&source, ip) {
        return visit.refuse(error, 0).await;
    }
    let body = read_body(body, INBOUND_BODY_BYTES_MAX).await?;
    let bytes = body.len();
    let message = match take(&source, &headers, body, api.node.wall()) {
        Err(error) => return visit.refuse(error, bytes).await,
        Ok(Taken::Challenge(text)) => return Ok(text.into_response()),
        Ok(Taken::Message(message)) => *message,
    };
    let provider_id = message.provider_id.clone();
    let answer = store(&api, source, message).await?;
    answered(answer, &provider_id)
}

/// What a verified request is.
enum Taken {
    /// A message.
    Message(Box<NewMessage>),
    /// A question whether somebody is here, and its answer.
    Challenge(String),
}

fn take(source: &Source, headers: &HeaderMap, raw: Bytes, now: Timestamp) -> Result<Taken, Coded> {
    let valid = source.secrets.iter().filter(|one| one.is_valid(now));
    let secrets = valid.map(|one| one.secret.reveal());
    let inbound = Inbound {
        headers,
        body: &raw,
        now,
    };
    let verified = verify(source.kind, &source.config, secrets, inbound)?;
    let content_type = headers.get(header::CONTENT_TYPE);
    let body = match json_body(content_type.and_then(|text| text.to_str().ok()), &raw)? {
        Cow::Borrowed(_) => raw.clone(),
        Cow::Owned(json) => Bytes::from(json),
    };
    if source.kind.scheme() == Scheme::Slack
        && let Some(challenge) = slack_challenge(&body)
    {
        return Ok(Taken::Challenge(challenge));
    }
    let Envelope {
        provider_id,
        event_type,
    } = envelope(&verified, &body)?;
    Ok(Taken::Message(Box::new(NewMessage {
        provider_id,
        event_type,
        body_hash: body_hash(&body),
        body,
        headers: kept::with_a_message(headers, &source.config),
        ..NewMessage::default()
    })))
}

async fn store(api: &Api, source: Arc<Source>, message: NewMessage) -> Result<Answer, Coded> {
    let source = source.id;
    let accept = move |token| Input::Accept {
        token,
        source,
        message,
    };
    api.node.delivery_intake(accept).await
}

fn answered(answer: Answer, provider_id: &str) -> Reply {
    let body = match answer {
        Answer::Refused(error) => return Err(error.into()),
        Answer::Accepted { message } => json!({"id": message.to_string(), "eventId": provider_id}),
        Answer::Repeat { message, conflict } => {
            if conflict {
                let window_h = MESSAGE_DEDUPE_MS / 3_600_000;
                tracing::warn!(%message, window_h, "a message came again with another body");
            }
            json!({"id": message.to_string(), "duplicate": true})
        }
        _ => return Err(odd_answer()),
    };
    let response: Response = axum::Json(body).into_response();
    Ok(response)
}

/// Sixteen bytes that tell a repeat from a conflict.
pub(crate) fn body_hash(body: &[u8]) -> [u8; 16] {
    DedupeKey::new(b"body", body).0
}
