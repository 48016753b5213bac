//! Webhooks that come in: `/in/{source}`. Verified over the raw bytes before anything reads them,
//! and answered only after the commit that holds them.

mod envelope;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use dunlin_delivery::{Answer, Input, NewMessage, Source};
use dunlin_types::limits::{INBOUND_BODY_BYTES_MAX, MESSAGE_DEDUPE_MS};
use dunlin_types::{Code, Coded, DedupeKey, Timestamp};
use dunlin_wire::standard_webhooks::{SignatureHeaders, WebhookKey, verify};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use crate::error::{ERROR_HEADER, Refused, Reply};
use crate::state::Api;
use crate::svix::fields::read_body;
use crate::svix::odd_answer;

pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/in/{source}", post(accept))
}

async fn accept(
    State(api): State<Api>,
    Path(source): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Reply {
    let Some(source) = api.node.config().find_source(&source).cloned() else {
        return Err(Refused::plain(Code::SourceUnknown));
    };
    let body = read_body(body, INBOUND_BODY_BYTES_MAX).await?;
    let signed = SignatureHeaders::of(&headers);
    if let Err(error) = verified(&source, signed, &body, api.node.now()) {
        return unverified(&source, error);
    }
    let event_type = envelope::event_type(&body)?;
    let provider_id = signed.id.unwrap_or_default().to_owned();
    let message = message(provider_id.clone(), event_type, &headers, body);
    let source = source.id;
    let asked = api.node.delivery_intake(move |token| Input::Accept {
        token,
        source,
        message,
    });
    match asked.await? {
        Answer::Refused(error) => Err(error.into()),
        Answer::Accepted { message } => {
            let body = json!({"id": message.to_string(), "eventId": provider_id});
            Ok(axum::Json(body).into_response())
        }
        Answer::Repeat { message, conflict } => {
            if conflict {
                let window_h = MESSAGE_DEDUPE_MS / 3_600_000;
                tracing::warn!(%message, window_h, "a message came again with another body");
            }
            let body = json!({"id": message.to_string(), "duplicate": true});
            Ok(axum::Json(body).into_response())
        }
        _ => Err(odd_answer()),
    }
}

fn verified(
    source: &Source,
    headers: SignatureHeaders<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Coded> {
    let valid = source.secrets.iter().filter(|one| one.is_valid(now));
    let keys: Vec<WebhookKey> = valid
        .filter_map(|one| WebhookKey::parse(one.secret.reveal()).ok())
        .collect();
    verify(&keys, headers, body, now)
}

/// A bad id is the sender's error. All else gets one and the same body, so that it teaches nothing;
/// the code in the header tells only what the sender can see for itself.
fn unverified(source: &Source, error: Coded) -> Reply {
    tracing::info!(source = source.name, %error, "a webhook was refused");
    if error.code == Code::WebhookIdBad {
        return Err(error.into());
    }
    let mut response: Response = (
        StatusCode::UNAUTHORIZED,
        "the webhook could not be verified\n",
    )
        .into_response();
    if let Ok(code) = HeaderValue::from_str(&error.code.to_string()) {
        response.headers_mut().insert(ERROR_HEADER, code);
    }
    Ok(response)
}

fn message(
    provider_id: String,
    event_type: String,
    headers: &HeaderMap,
    body: Bytes,
) -> NewMessage {
    NewMessage {
        provider_id,
        event_type,
        body_hash: body_hash(&body),
        body,
        headers: kept_headers(headers),
        channels: Vec::new(),
    }
}

/// Sixteen bytes that tell a repeat from a conflict.
pub(crate) fn body_hash(body: &[u8]) -> [u8; 16] {
    DedupeKey::new(b"body", body).0
}

/// The headers that help later; never credentials or cookies.
fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let is_kept = |name: &str| {
        matches!(name, "content-type" | "user-agent")
            || name.starts_with("webhook-")
            || name.starts_with("svix-")
    };
    let kept = headers.iter().filter(|(name, _)| is_kept(name.as_str()));
    kept.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_that_help_later_are_kept() {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "user-agent", "webhook-id", "svix-id"] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        for name in ["authorization", "cookie", "x-forwarded-for", "host"] {
            headers.insert(name, HeaderValue::from_static("secret"));
        }
        let kept = kept_headers(&headers);
        assert_eq!(kept.len(), 4);
        assert!(kept.iter().all(|(_, value)| value == "x"));
    }
}
