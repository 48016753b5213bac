//! Messages that senders make over the API: checked, then handed to the delivery core, which
//! answers after the commit that holds the message and its pending deliveries.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use dunlin_delivery::{Answer, Input, NewMessage};
use dunlin_node::Given;
use dunlin_types::limits::{
    DAY_MS, DELIVER_AT_AHEAD_MS_MAX, DELIVERY_BODY_BYTES_MAX, EVENT_TYPE_CHARS_MAX,
    JSON_DEPTH_LEVELS_MAX, MESSAGE_BODY_BYTES_MAX, MESSAGE_TAGS_MAX, TAG_CHARS_MAX, UID_CHARS_MAX,
};
use dunlin_types::{Code, DedupeKey, Seq, Timestamp, json_depth};
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::application::{ApplicationIn, found_or_made};
use super::check;
use super::fields::{bad_field, parse, read_body};
use super::message::MessageOut;
use super::page::Asked;
use super::{odd_answer, read};
use crate::error::{Refused, Reply};
use crate::idempotency::idempotency_key;
use crate::inbound::body_hash;
use crate::state::Api;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MessageIn {
    event_type: String,
    payload: Box<RawValue>,
    event_id: Option<String>,
    channels: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    transformations_params: Option<Box<RawValue>>,
    deliver_at: Option<String>,
    payload_retention_period: Option<u16>,
    payload_retention_hours: Option<u16>,
    /// The application of the path, where nobody has made it yet.
    application: Option<ApplicationIn>,
}

/// Takes a message in.
pub(super) async fn create(
    State(api): State<Api>,
    Path(app): Path<String>,
    asked: Asked,
    parts: Parts,
    body: Body,
) -> Reply {
    let with_content = asked.flag("with_content", true)?;
    let body = read_body(body, MESSAGE_BODY_BYTES_MAX).await?;
    let now = api.node.now();
    let mut fields = parse::<MessageIn>(&body)?;
    let brought = fields.application.take();
    let message = fields.checked(now)?;
    let app = found_or_made(&api, &app, brought).await?;
    // Its uid may be that of one that is gone, of which the path was the same.
    let within = |DedupeKey(key)| DedupeKey::new(&key, &app.id.0.to_be_bytes());
    let idempotency = idempotency_key(&parts).map(within);
    let shown = accepted(&api, app.id, message, idempotency, with_content).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(shown)).into_response())
}

/// Hands the message over; one that comes again is shown as the first, whatever it holds.
async fn accepted(
    api: &Api,
    application: Seq,
    message: NewMessage,
    idempotency: Option<DedupeKey>,
    with_content: bool,
) -> Result<MessageOut, Refused> {
    let sent = message.clone();
    let input = move |token| Input::CreateMessage {
        token,
        application,
        message,
        idempotency,
    };
    match api.node.delivery_intake(input).await? {
        Answer::Refused(error) => Err(error.into()),
        Answer::Accepted { message } => Ok(MessageOut::of_sent(message, &sent, with_content)),
        Answer::Repeat { message, .. } => {
            let first = read::message(api, application, &message.to_string()).await?;
            Ok(MessageOut::of(&first, with_content))
        }
        _ => Err(odd_answer()),
    }
}

impl MessageIn {
    pub(super) fn checked(self, now: Timestamp) -> Result<NewMessage, Refused> {
        event_type(&self.event_type)?;
        let provider_id = self.event_id.unwrap_or_default();
        if !provider_id.is_empty() && !is_plain(&provider_id, UID_CHARS_MAX, "-_.") {
            return Err(bad_field(
                "eventId",
                "it may hold letters, digits, `-`, `_` and `.`",
            ));
        }
        let body = Bytes::from(Box::<str>::from(self.payload).into_boxed_bytes().into_vec());
        payload(&body)?;
        let params = self
            .transformations_params
            .as_deref()
            .map(params)
            .transpose()?;
        Ok(NewMessage {
            event_type: self.event_type,
            provider_id,
            body_hash: body_hash(&body),
            body,
            headers: Vec::new(),
            channels: check::channels(self.channels)?,
            tags: tags(self.tags.unwrap_or_default())?,
            deliver_at: self.deliver_at.map(|at| deliver_at(&at, now)).transpose()?,
            retention_ms: retention(self.payload_retention_period, self.payload_retention_hours)?,
            params: params.flatten(),
        })
    }
}

fn is_plain(text: &str, chars_max: usize, others: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    (1..=chars_max).contains(&text.len()) && text.chars().all(plain)
}

fn event_type(text: &str) -> Result<(), Refused> {
    match is_plain(text, EVENT_TYPE_CHARS_MAX, "-_.") {
        true => Ok(()),
        false => {
            let why = "it has 1 to 256 letters, digits, `-`, `_` and `.`";
            Err(bad_field("eventType", why))
        }
    }
}

pub(super) fn payload(body: &[u8]) -> Result<(), Refused> {
    if body.first() != Some(&b'{') {
        return Err(bad_field("payload", "it must be a JSON object"));
    }
    if json_depth(body) > JSON_DEPTH_LEVELS_MAX {
        return Err(bad_field("payload", "it is nested too deeply"));
    }
    if body.len() > DELIVERY_BODY_BYTES_MAX {
        return Err(Refused::new(
            Code::TooLarge,
            "the payload has more than 1 MiB",
        ));
    }
    Ok(())
}

fn params(given: &RawValue) -> Result<Option<Bytes>, Refused> {
    let text = match given.get() {
        "null" | "{}" => return Ok(None),
        text if text.starts_with('{') => text,
        _ => return Err(bad_params("it must be a JSON object")),
    };
    let known = Given::parse(text.as_bytes()).map_err(bad_params)?;
    let raw = known.raw_payload.unwrap_or_default();
    if raw.len() > DELIVERY_BODY_BYTES_MAX {
        return Err(Refused::new(
            Code::TooLarge,
            "the payload has more than 1 MiB",
        ));
    }
    check::headers(known.headers.into_iter().collect())?;
    Ok(Some(Bytes::copy_from_slice(text.as_bytes())))
}

fn bad_params(why: &str) -> Refused {
    bad_field("transformationsParams", why)
}

pub(super) fn tags(tags: Vec<String>) -> Result<Vec<String>, Refused> {
    if tags.len() > MESSAGE_TAGS_MAX {
        let why = format!("there can be at most {MESSAGE_TAGS_MAX} of them");
        return Err(bad_field("tags", why));
    }
    let wrong = tags
        .iter()
        .find(|tag| !is_plain(tag, TAG_CHARS_MAX, "-_./\\#"));
    match wrong {
        Some(tag) => Err(bad_field("tags", format!("{tag:?} is no such name"))),
        None => Ok(tags),
    }
}

fn deliver_at(text: &str, now: Timestamp) -> Result<Timestamp, Refused> {
    let at = Timestamp::parse_rfc3339(text)
        .ok_or_else(|| bad_field("deliverAt", "it must be an RFC 3339 time"))?;
    match at.since(now) {
        // A minute from now for the sender may be less by our clock.
        0..=DELIVER_AT_AHEAD_MS_MAX => Ok(at),
        _ => Err(bad_field(
            "deliverAt",
            "it must be within the next 24 hours",
        )),
    }
}

fn retention(days: Option<u16>, hours: Option<u16>) -> Result<Option<i64>, Refused> {
    match (days, hours) {
        (None, None) => Ok(None),
        (Some(days @ 1..=90), None) => Ok(Some(i64::from(days) * DAY_MS)),
        (None, Some(hours @ 1..=2160)) => Ok(Some(i64::from(hours) * DAY_MS / 24)),
        (Some(_), Some(_)) => {
            let why = "give days or hours, not both";
            Err(bad_field("payloadRetentionHours", why))
        }
        (Some(_), None) => Err(bad_field("payloadRetentionPeriod", "it is 1 to 90 days")),
        (None, Some(_)) => Err(bad_field("payloadRetentionHours", "it is 1 to 2160 hours")),
    }
}
