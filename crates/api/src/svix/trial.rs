//! A message that is tried once at one endpoint and not kept: its sender waits for the answer.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::post;
use dunlin_delivery::{Endpoint, Message, NewMessage, trial_row};
use dunlin_types::limits::MESSAGE_BODY_BYTES_MAX;
use dunlin_types::{Code, Seq};
use http::StatusCode;

use super::fields::{parse, read_body};
use super::message_in::MessageIn;
use super::page::Asked;
use super::{attempt, endpoint};
use crate::caller::is_own_log;
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    let path = "/api/v1/app/{app}/endpoint/{ep}/msg/test-attempt";
    Router::new().route(path, post(try_once))
}

async fn try_once(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    asked: Asked,
    body: Body,
) -> Reply {
    let (_, endpoint) = endpoint(&api, &app, &ep)?;
    let body = read_body(body, MESSAGE_BODY_BYTES_MAX).await?;
    let message = parse::<MessageIn>(&body)?.checked(api.node.now())?;
    if is_own_log(&endpoint.config.url, &api.node.options().own_event_urls) {
        let detail = "this endpoint makes events of this server, and an event is kept; \
                      `send-example` sends one";
        return Err(Refused::new(Code::BadRequest, detail));
    }
    let message = unkept(&api, &endpoint, message);
    let tried = api.node.try_once(&endpoint, &message).await?;
    let row = trial_row(tried, nowhere(), &message, &endpoint);
    let shown = attempt::shown_once(&api, row, message, &asked).await?;
    Ok((StatusCode::CREATED, axum::Json(shown)).into_response())
}

/// A place that no row ever has.
fn nowhere() -> Seq {
    Seq(rand::random::<u64>() | 1 << 63)
}

/// The message as it would be kept.
fn unkept(api: &Api, endpoint: &Endpoint, new: NewMessage) -> Message {
    let now = api.node.now();
    Message {
        seq: nowhere(),
        at: now,
        app: endpoint.config.app,
        source: None,
        event_type: new.event_type,
        provider_id: new.provider_id,
        headers: new.headers,
        channels: new.channels,
        tags: new.tags,
        deliver_at: None,
        expires: now,
        params: new.params,
        body: new.body,
        expired: false,
        body_hash: new.body_hash,
        test: false,
    }
}
