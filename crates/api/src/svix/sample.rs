//! Samples sent to one endpoint: examples, and the test that goes with making one.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use dunlin_delivery::{Answer, AttemptResult, Input, NewMessage};
use dunlin_types::{Code, Coded, Seq, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::fields::{Fields, bad};
use super::message::MessageOut;
use super::{ask, attempt, endpoint, odd_answer};
use crate::error::{Refused, Reply};
use crate::inbound::body_hash;
use crate::samples;
use crate::state::Api;

/// The type that the foreign API has without a schema.
const PING: &str = "svix.ping";

pub(super) fn routes() -> Router<Api> {
    let path = "/api/v1/app/{app}/endpoint/{ep}/send-example";
    Router::new().route(path, post(send_example))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExampleIn {
    event_type: String,
}

/// A sample of that type that happened now.
pub(super) fn of(event_type: &str, now: Timestamp) -> Result<NewMessage, Refused> {
    let body = match event_type {
        PING => Some(r#"{"success":true}"#.to_owned()),
        _ => samples::shifted(event_type, now),
    };
    let body = body
        .map(Bytes::from)
        .ok_or_else(|| bad(&["body", "eventType"], Coded::plain(Code::EventTypeUnknown)))?;
    Ok(NewMessage {
        // Each sample is an event of its own, so that trying twice starts a function twice.
        provider_id: format!("sample_{:032x}", rand::random::<u128>()),
        event_type: event_type.to_owned(),
        body_hash: body_hash(&body),
        body,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        channels: Vec::new(),
    })
}

/// What became of a sample.
pub(super) struct Tried {
    pub(super) arrived: bool,
    pub(super) shown: Value,
}

/// Sends a sample and waits for the end of its one attempt.
pub(super) async fn tried(api: &Api, endpoint: Seq, message: NewMessage) -> Result<Tried, Refused> {
    let input = move |token| Input::SendTest {
        token,
        endpoint,
        message,
        wait: true,
    };
    match ask(api, input).await? {
        Answer::Tested { message, attempt } => {
            let arrived = attempt.result == AttemptResult::Succeeded;
            Ok(Tried {
                arrived,
                shown: attempt::tested(api, message, *attempt).await?,
            })
        }
        _ => Err(odd_answer()),
    }
}

async fn send_example(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(fields): Fields<ExampleIn>,
) -> Reply {
    let endpoint = endpoint(&api, &app, &ep)?.1.id;
    let message = of(&fields.event_type, api.node.now())?;
    let sent = message.clone();
    let input = move |token| Input::SendTest {
        token,
        endpoint,
        message,
        wait: false,
    };
    match ask(&api, input).await? {
        Answer::TestSent { message, .. } => {
            Ok(axum::Json(MessageOut::of_new(message, &sent)).into_response())
        }
        _ => Err(odd_answer()),
    }
}
