//! Attempts: each try of a message at an endpoint, with what came of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dunlin_delivery::{AttemptResult, AttemptRow, Config, Message, Trigger};
use dunlin_egress::without_userinfo;
use dunlin_store::{AttemptFilter, LoggedEvent, Reader, StoreResult};
use dunlin_types::{Code, Ksuid, KsuidKind, Seq, Timestamp};
use serde::Serialize;
use serde_json::Value;

use super::message::MessageOut;
use super::page::Asked;
use super::{application, endpoint, endpoint_ids, read};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/app/{app}/attempt/endpoint/{ep}", get(of_endpoint))
        .route("/api/v1/app/{app}/attempt/msg/{msg}", get(of_message))
        // What older clients ask.
        .route("/api/v1/app/{app}/msg/{msg}/attempt", get(of_message))
        .route(
            "/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/attempt",
            get(of_message_at),
        )
        .route("/api/v1/app/{app}/msg/{msg}/attempt/{attempt}", get(one))
        .route(
            "/api/v1/app/{app}/msg/{msg}/attempt/{attempt}/headers",
            get(headers),
        )
}

/// An attempt and its message.
#[derive(Clone, Debug)]
struct Joined {
    attempt: AttemptRow,
    message: Arc<Message>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptOut {
    id: String,
    msg_id: String,
    endpoint_id: String,
    url: String,
    status: u8,
    status_text: &'static str,
    response: String,
    response_status_code: u16,
    response_duration_ms: i64,
    trigger_type: u8,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    msg: Option<MessageOut>,
    // What follows is Dunlin's own.
    attempt_number: u8,
    error_code: Option<String>,
    detail: String,
    logs: Vec<String>,
    next_attempt: Option<String>,
    event_id: Option<String>,
    duplicate_of: Option<String>,
    test: bool,
}

/// What attempts are shown with.
#[derive(Debug, Default)]
struct Around {
    endpoints: BTreeMap<Seq, String>,
    /// The ids of events that attempts appended.
    events: BTreeMap<Seq, String>,
    with_msg: bool,
    with_content: bool,
    /// Whether the client knows more than success and failure.
    expanded: bool,
}

impl Around {
    fn asked(asked: &Asked) -> Result<Self, Refused> {
        Ok(Self {
            with_msg: asked.flag("with_msg", false)?,
            with_content: asked.flag("with_content", true)?,
            expanded: asked.flag("expanded_statuses", false)?,
            ..Self::default()
        })
    }

    fn load(
        &mut self,
        reader: &mut dyn Reader,
        config: &Config,
        rows: &[Joined],
    ) -> StoreResult<()> {
        let attempts = rows.iter().map(|row| &row.attempt);
        let rivals = attempts.clone().filter_map(|attempt| match attempt.result {
            AttemptResult::DuplicateOf(endpoint) => Some(endpoint),
            _ => None,
        });
        let wanted = attempts
            .clone()
            .map(|attempt| attempt.endpoint)
            .chain(rivals);
        self.endpoints = endpoint_ids(reader, config, wanted)?;
        for event in attempts.filter_map(|attempt| attempt.event) {
            if let Some(LoggedEvent::Full(full)) = reader.event(event)? {
                self.events.insert(event, full.internal_id.to_string());
            }
        }
        Ok(())
    }

    fn endpoint(&self, row: Seq) -> Option<String> {
        self.endpoints.get(&row).cloned()
    }

    fn show(&self, Joined { attempt, message }: Joined) -> AttemptOut {
        let (status, status_text) = status_of(&attempt.result, self.expanded);
        let shown = match attempt.response.is_empty() {
            true => attempt.detail.clone(),
            false => text_of(&attempt.response),
        };
        let duplicate_of = match attempt.result {
            AttemptResult::DuplicateOf(endpoint) => self.endpoint(endpoint),
            _ => None,
        };
        AttemptOut {
            id: attempt.id().to_string(),
            msg_id: message.id().to_string(),
            endpoint_id: self.endpoint(attempt.endpoint).unwrap_or_default(),
            status,
            status_text,
            response: shown,
            response_status_code: attempt.status,
            response_duration_ms: attempt.duration_ms,
            trigger_type: u8::from(attempt.trigger != Trigger::Scheduled),
            timestamp: attempt.at.rfc3339(),
            msg: self
                .with_msg
                .then(|| MessageOut::of(&message, self.with_content)),
            attempt_number: attempt.attempt_no,
            error_code: attempt.code.map(|code| code.to_string()),
            next_attempt: attempt.next_at.map(Timestamp::rfc3339),
            event_id: attempt
                .event
                .and_then(|event| self.events.get(&event).cloned()),
            duplicate_of,
            test: attempt.trigger == Trigger::Test,
            detail: attempt.detail,
            // One that an older version kept may have user and password.
            url: without_userinfo(&attempt.url),
            logs: attempt.logs,
        }
    }
}

/// The number and word of the foreign API. Clients that don't ask for more are told that what was
/// not wanted went well.
fn status_of(result: &AttemptResult, expanded: bool) -> (u8, &'static str) {
    match result {
        AttemptResult::Succeeded => (0, "success"),
        AttemptResult::Failed => (2, "fail"),
        AttemptResult::Cancelled | AttemptResult::DuplicateOf(_) if expanded => (4, "canceled"),
        AttemptResult::Cancelled | AttemptResult::DuplicateOf(_) => (0, "success"),
    }
}

fn text_of(response: &[u8]) -> String {
    match str::from_utf8(response) {
        Ok(text) => text.to_owned(),
        // What is kept may end within a character.
        Err(cut) if cut.error_len().is_none() => {
            String::from_utf8_lossy(&response[..cut.valid_up_to()]).into_owned()
        }
        Err(_) => BASE64.encode(response),
    }
}

/// Which attempts a list is to hold.
#[derive(Debug)]
struct Wanted {
    status: Option<u16>,
    class: Option<u16>,
    event_types: Vec<String>,
    channel: Option<String>,
    tag: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    endpoint: Option<Seq>,
}

impl Wanted {
    fn asked(asked: &Asked, endpoint: Option<Seq>) -> Result<Self, Refused> {
        Ok(Self {
            status: asked.number("status")?,
            class: asked.number("status_code_class")?,
            event_types: asked.list("event_types"),
            channel: asked.text("channel").map(str::to_owned),
            tag: asked.text("tag").map(str::to_owned),
            from: asked.instant("after")?,
            until: asked.instant("before")?,
            endpoint,
        })
    }

    fn holds(&self, row: &Joined, expanded: bool) -> bool {
        let Joined { attempt, message } = row;
        let status = u16::from(status_of(&attempt.result, expanded).0);
        let types = &self.event_types;
        self.status.is_none_or(|wanted| wanted == status)
            && self
                .class
                .is_none_or(|class| class == attempt.status / 100 * 100)
            && (types.is_empty() || types.contains(&message.event_type))
            && self
                .channel
                .as_ref()
                .is_none_or(|one| message.channels.contains(one))
            && self.endpoint.is_none_or(|one| one == attempt.endpoint)
            && self.from.is_none_or(|from| attempt.at >= from)
            && self.until.is_none_or(|until| attempt.at < until)
            && self
                .tag
                .as_ref()
                .is_none_or(|one| message.tags.contains(one))
    }
}

/// Attempts with their messages; those of one message share it.
fn joined(
    reader: &mut dyn Reader,
    attempts: Vec<AttemptRow>,
    known: &mut BTreeMap<Seq, Arc<Message>>,
) -> StoreResult<Vec<Joined>> {
    let mut rows = Vec::with_capacity(attempts.len());
    for attempt in attempts {
        let message = match known.get(&attempt.message) {
            Some(message) => Some(Arc::clone(message)),
            None => reader.message(attempt.message)?,
        };
        if let Some(message) = message {
            known.insert(attempt.message, Arc::clone(&message));
            rows.push(Joined { attempt, message });
        }
    }
    Ok(rows)
}

async fn list(api: Api, filter: AttemptFilter, endpoint: Option<Seq>, asked: Asked) -> Reply {
    let window = asked.window(KsuidKind::Attempt, false)?;
    let wanted = Wanted::asked(&asked, endpoint)?;
    let filter = AttemptFilter {
        failed: wanted.status == Some(2),
        from: wanted.from,
        until: wanted.until,
        ..filter
    };
    let mut around = Around::asked(&asked)?;
    let config = api.node.config();
    let read = api.node.read(move |reader| {
        let mut known = BTreeMap::new();
        let slice = window.read(
            |page| {
                let attempts = reader.attempts(&filter, page)?;
                joined(reader, attempts, &mut known)
            },
            |row| row.attempt.seq,
            |row| wanted.holds(row, around.expanded),
            |row| row.message.bytes(),
        )?;
        around.load(reader, &config, &slice.rows)?;
        Ok((slice, around))
    });
    let (slice, around) = read.await?;
    slice.reply(|row| row.attempt.id().to_string(), |row| around.show(row))
}

async fn of_endpoint(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    asked: Asked,
) -> Reply {
    let (_, endpoint) = endpoint(&api, &app, &ep)?;
    let filter = AttemptFilter {
        endpoint: Some(endpoint.id),
        ..AttemptFilter::default()
    };
    list(api, filter, None, asked).await
}

async fn of_message(
    State(api): State<Api>,
    Path((app, msg)): Path<(String, String)>,
    asked: Asked,
) -> Reply {
    let endpoint = asked.text("endpoint_id").map(str::to_owned);
    of_message_and(api, (app, msg), endpoint, asked).await
}

async fn of_message_at(
    State(api): State<Api>,
    Path((app, msg, ep)): Path<(String, String, String)>,
    asked: Asked,
) -> Reply {
    of_message_and(api, (app, msg), Some(ep), asked).await
}

async fn of_message_and(
    api: Api,
    (app, msg): (String, String),
    endpoint: Option<String>,
    asked: Asked,
) -> Reply {
    let app = application(&api, &app)?;
    let message = read::message(&api, app.id, &msg).await?;
    let named = |text: String| {
        let config = api.node.config();
        let found = config.find_endpoint(app.id, &text).map(|one| one.id);
        found.ok_or_else(|| Refused::plain(Code::NotFound))
    };
    let of_endpoint = endpoint.map(named).transpose()?;
    let filter = AttemptFilter {
        message: Some(message.seq),
        ..AttemptFilter::default()
    };
    list(api, filter, of_endpoint, asked).await
}

async fn one(
    State(api): State<Api>,
    Path((app, msg, attempt)): Path<(String, String, String)>,
    asked: Asked,
) -> Reply {
    let app = application(&api, &app)?;
    let (attempt, message) = read::attempt(&api, app.id, &msg, &attempt).await?;
    let around = Around::asked(&asked)?;
    let shown = dressed(&api, Joined { attempt, message }, around).await?;
    Ok(axum::Json(shown).into_response())
}

/// The headers that went out and came back, without what every request has.
async fn headers(
    State(api): State<Api>,
    Path((app, msg, attempt)): Path<(String, String, String)>,
) -> Reply {
    let app = application(&api, &app)?;
    let (attempt, _) = read::attempt(&api, app.id, &msg, &attempt).await?;
    let headers = attempt.headers;
    let hidden = |(_, value): &&(String, String)| value.starts_with("****");
    let all = headers.sent.iter().chain(&headers.received);
    let sensitive: Vec<&String> = all.filter(hidden).map(|(name, _)| name).collect();
    let shown = |pairs: &[(String, String)]| -> BTreeMap<String, String> {
        pairs.iter().cloned().collect()
    };
    let body = serde_json::json!({
        "sentHeaders": shown(&headers.sent),
        "responseHeaders": shown(&headers.received),
        "sensitive": sensitive,
    });
    Ok(axum::Json(body).into_response())
}

/// An attempt at a message that is not kept.
pub(super) async fn shown_once(
    api: &Api,
    attempt: AttemptRow,
    message: Message,
    asked: &Asked,
) -> Result<Value, Refused> {
    let row = Joined {
        attempt,
        message: Arc::new(message),
    };
    let shown = dressed(api, row, Around::asked(asked)?).await?;
    serde_json::to_value(shown).map_err(|_| Refused::plain(Code::StoreCorrupt))
}

/// A sample's attempt, as it was committed.
pub(super) async fn tested(api: &Api, id: Ksuid, told: AttemptRow) -> Result<Value, Refused> {
    let seq = told.seq;
    let read = api
        .node
        .read(move |reader| Ok((reader.attempt(seq)?, reader.message(id.seq)?)));
    let (attempt, message) = read.await?;
    let message = message.ok_or_else(|| Refused::plain(Code::NotFound))?;
    let row = Joined {
        attempt: attempt.unwrap_or(told),
        message,
    };
    let around = Around {
        with_msg: true,
        with_content: true,
        expanded: true,
        ..Around::default()
    };
    let shown = dressed(api, row, around).await?;
    serde_json::to_value(shown).map_err(|_| Refused::plain(Code::StoreCorrupt))
}

async fn dressed(api: &Api, row: Joined, mut around: Around) -> Result<AttemptOut, Refused> {
    let config = api.node.config();
    let read = api.node.read(move |reader| {
        around.load(reader, &config, std::slice::from_ref(&row))?;
        Ok(around.show(row))
    });
    Ok(read.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_that_ask_are_told_of_what_was_cancelled() {
        assert_eq!(status_of(&AttemptResult::Cancelled, true), (4, "canceled"));
        assert_eq!(status_of(&AttemptResult::Cancelled, false).0, 0);
        assert_eq!(status_of(&AttemptResult::DuplicateOf(Seq(1)), true).0, 4);
        assert_eq!(status_of(&AttemptResult::Failed, false).0, 2);
    }

    #[test]
    fn responses_that_are_no_text_become_base64() {
        assert_eq!(text_of("gr\u{fc}n".as_bytes()), "gr\u{fc}n");
        assert_eq!(text_of(b"cut \xc3"), "cut ");
        assert_eq!(text_of(&[0xff, 0xfe, 0x00]), "//4A");
    }
}
