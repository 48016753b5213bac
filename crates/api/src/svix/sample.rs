//! Samples sent to one endpoint: examples, and the test that goes with making one.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use dunlin_delivery::{Answer, AttemptResult, Input, NewMessage};
use dunlin_types::{Code, Coded, Seq};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::event_type::{self, newest_schema};
use super::fields::{Fields, bad, bad_field};
use super::message::MessageOut;
use super::{ask, attempt, endpoint, message_in, odd_answer};
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
    #[serde(default)]
    example_index: usize,
    payload: Option<Box<RawValue>>,
}

/// The first sample of that type, as of now.
pub(super) fn of(api: &Api, event_type: &str) -> Result<NewMessage, Refused> {
    Ok(message(event_type, example(api, event_type, 0)?))
}

/// A body of that type: what its schema gives as an example, else what is built in.
fn example(api: &Api, event_type: &str, index: usize) -> Result<String, Refused> {
    if event_type == PING {
        return Ok(r#"{"success":true}"#.to_owned());
    }
    let config = api.node.config();
    let row = config.event_type(event_type);
    let fields = row.and_then(|row| row.fields.as_ref());
    let examples = fields
        .and_then(newest_schema)
        .and_then(|(_, schema)| schema.get("examples")?.as_array().cloned());
    if let Some(examples) = examples.filter(|examples| !examples.is_empty()) {
        let example = examples.get(index).filter(|example| example.is_object());
        let why = || bad_field("exampleIndex", "the schema has no such example");
        return example.map(Value::to_string).ok_or_else(why);
    }
    let known = samples::shifted(event_type, api.node.now()).filter(|_| index == 0);
    known.ok_or_else(|| bad(&["body", "eventType"], Coded::plain(Code::EventTypeUnknown)))
}

/// What somebody gave as an example.
fn given(event_type: &str, payload: &RawValue) -> Result<String, Refused> {
    if !event_type::fits(event_type) {
        return Err(bad_field("eventType", "is no name of an event type"));
    }
    message_in::payload(payload.get().as_bytes())?;
    Ok(payload.get().to_owned())
}

fn message(event_type: &str, body: String) -> NewMessage {
    let body = Bytes::from(body);
    NewMessage {
        // Each sample is an event of its own, so that trying twice starts a function twice.
        provider_id: format!("sample_{:032x}", rand::random::<u128>()),
        event_type: event_type.to_owned(),
        body_hash: body_hash(&body),
        body,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        channels: Vec::new(),
        tags: Vec::new(),
        deliver_at: None,
        retention_ms: None,
        params: None,
    }
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
    let event_type = &fields.event_type;
    let body = match fields.payload {
        Some(payload) => given(event_type, &payload)?,
        None => example(&api, event_type, fields.example_index)?,
    };
    let message = message(event_type, body);
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
