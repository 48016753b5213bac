//! Tasks: what is long goes on beside everything else and can be asked about.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use dunlin_delivery::{
    Answer, DeliveryState, Input, NewTask, TaskFilter, TaskKind, TaskRow, TaskStatus,
};
use dunlin_types::limits::{DAY_MS, REPLAYS_WAITING_MAX, TASK_SPAN_MS_MAX};
use dunlin_types::{Code, KsuidKind, Seq, Timestamp};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fields::{Fields, bad_field};
use super::message::DestinationRow;
use super::page::Asked;
use super::{ask, endpoint, odd_answer};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    let endpoint = "/api/v1/app/{app}/endpoint/{ep}";
    Router::new()
        .route(&format!("{endpoint}/recover"), post(recover))
        .route(&format!("{endpoint}/replay-missing"), post(replay_missing))
        .route(&format!("{endpoint}/bulk-replay"), post(bulk_replay))
        .route(&format!("{endpoint}/enable"), post(enable))
        .route(&format!("{endpoint}/cancel-msgs"), post(cancel))
        .route(&format!("{endpoint}/dead-letter"), get(dead_letters))
        .route("/api/v1/background-task", get(list))
        .route("/api/v1/background-task/{task}", get(one))
}

/// Has a task begin, and go on.
pub(super) async fn started(api: &Api, new: NewTask) -> Result<Arc<TaskRow>, Refused> {
    let (api, new) = (api.clone(), Box::new(new));
    whole(async move {
        match ask(&api, move |token| Input::StartTask { token, new }).await? {
            Answer::Task(row) => {
                api.node.carry_on(&row);
                Ok(row)
            }
            _ => Err(odd_answer()),
        }
    })
    .await
}

/// Does what must not be left half done, also when whoever asked for it hangs up meanwhile.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refused>> + Send + 'static,
) -> Result<T, Refused> {
    tokio::spawn(work).await.map_err(|_| odd_answer())?
}

/// A task that has begun.
pub(super) fn task_reply(row: &TaskRow) -> Reply {
    Ok((StatusCode::ACCEPTED, axum::Json(shown(row))).into_response())
}

/// How far a task is that finds nothing but does something.
fn progress(row: &TaskRow) -> Value {
    let done = match row.kind {
        TaskKind::PurgeContent => "messagesPurged",
        _ => "messagesSent",
    };
    json!({
        done: row.changed,
        "messagesLooked": row.looked,
        "errorCode": row.code.map(|code| code.to_string()),
    })
}

pub(super) fn shown(row: &TaskRow) -> Value {
    let result = serde_json::from_str(&row.result).unwrap_or_else(|_| progress(row));
    json!({
        "id": row.ksuid().to_string(),
        "status": row.status.name(),
        "task": row.kind.name(),
        "data": result,
        "updatedAt": row.updated.rfc3339(),
        "createdAt": row.created.rfc3339(),
    })
}

/// Why a task does not come further for now, if that is so.
async fn waits(api: &Api, row: &TaskRow) -> Result<Option<String>, Refused> {
    let running = row.status == TaskStatus::Running;
    let config = api.node.config();
    let endpoint = row.endpoint.filter(|_| running);
    let Some(found) = endpoint.and_then(|id| config.endpoint(id)) else {
        return Ok(None);
    };
    let pending = api.node.standing(found.id).await?.pending;
    Ok(waiting(pending, found.config.paused))
}

fn waiting(pending: usize, paused: bool) -> Option<String> {
    let most = REPLAYS_WAITING_MAX;
    let paused = if paused { ", which is paused" } else { "" };
    (pending >= most).then(|| {
        format!(
            "{pending} messages are still to be sent to the endpoint{paused}: the task goes on \
             when they are fewer than {most}"
        )
    })
}

fn instant(name: &str, text: &str) -> Result<Timestamp, Refused> {
    Timestamp::parse_rfc3339(text).ok_or_else(|| bad_field(name, "it must be an RFC 3339 time"))
}

/// From when on a task may be about messages.
fn reach(name: &str, since: &str, now: Timestamp) -> Result<Timestamp, Refused> {
    let since = instant(name, since)?;
    if now.since(since) > TASK_SPAN_MS_MAX {
        let days = TASK_SPAN_MS_MAX / DAY_MS;
        return Err(bad_field(
            name,
            format!("it lies more than {days} days back"),
        ));
    }
    Ok(since)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    since: Option<String>,
    until: Option<String>,
    event_types: Option<Vec<String>>,
    channel: Option<String>,
    tag: Option<String>,
    status: Option<u8>,
    status_code_class: Option<u16>,
}

impl Span {
    fn checked(self, now: Timestamp) -> Result<TaskFilter, Refused> {
        let missing = || bad_field("since", "the field is missing");
        let since = reach("since", &self.since.ok_or_else(missing)?, now)?;
        let until = self.until.map(|text| instant("until", &text)).transpose()?;
        if until.is_some_and(|until| until <= since) {
            return Err(bad_field("until", "it must be later than `since`"));
        }
        // As the lists of messages and attempts number them.
        if self.status.is_some_and(|status| status > 4) {
            return Err(bad_field("status", "it is 0 to 4"));
        }
        let class = self.status_code_class;
        if class.is_some_and(|class| class > 500 || class % 100 != 0) {
            let why = "it is 0, 100, 200, 300, 400 or 500";
            return Err(bad_field("statusCodeClass", why));
        }
        Ok(TaskFilter {
            since: Some(since),
            until,
            event_types: self.event_types.unwrap_or_default(),
            channel: self.channel,
            tag: self.tag,
            status: self.status,
            status_class: self.status_code_class,
            ..TaskFilter::default()
        })
    }
}

async fn of_endpoint(api: Api, app: &str, ep: &str, kind: TaskKind, span: Span) -> Reply {
    let (app, endpoint) = endpoint(&api, app, ep)?;
    let new = NewTask {
        kind,
        app: app.id,
        endpoint: Some(endpoint.id),
        filter: span.checked(api.node.now())?,
    };
    let row = started(&api, new).await?;
    task_reply(&row)
}

async fn recover(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(span): Fields<Span>,
) -> Reply {
    of_endpoint(api, &app, &ep, TaskKind::Recover, span).await
}

async fn replay_missing(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(span): Fields<Span>,
) -> Reply {
    of_endpoint(api, &app, &ep, TaskKind::ReplayMissing, span).await
}

async fn bulk_replay(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(span): Fields<Span>,
) -> Reply {
    of_endpoint(api, &app, &ep, TaskKind::BulkReplay, span).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EnableIn {
    /// From when on to send what did not arrive; since it began to fail when absent.
    recover_since: Option<String>,
}

/// Enables an endpoint, and sends what it has missed.
async fn enable(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(fields): Fields<EnableIn>,
) -> Reply {
    let (app, found) = endpoint(&api, &app, &ep)?;
    let (config, now) = (&found.config, api.node.now());
    let since = match fields.recover_since {
        Some(text) => reach("recoverSince", &text, now)?,
        None => {
            let began = config.fail_since.or(config.disabled_at);
            let earliest = now.plus_ms(-TASK_SPAN_MS_MAX);
            began.map_or(now, |began| began.max(earliest))
        }
    };
    let new = NewTask {
        kind: TaskKind::CatchUp,
        app: app.id,
        endpoint: Some(found.id),
        filter: TaskFilter {
            since: Some(since),
            ..TaskFilter::default()
        },
    };
    // Nothing is enabled where what was missed could not be sent.
    api.node.config().room_for_task(new.kind, new.app)?;
    let row = whole(async move {
        super::endpoint::enabled(&api, &found).await?;
        started(&api, new).await
    });
    task_reply(row.await?.as_ref())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CancelIn {
    created_before: String,
}

async fn cancel(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(fields): Fields<CancelIn>,
) -> Reply {
    let endpoint = endpoint(&api, &app, &ep)?.1.id;
    let created_before = Timestamp::parse_rfc3339(&fields.created_before)
        .ok_or_else(|| bad_field("createdBefore", "it must be an RFC 3339 time"))?;
    let mut after = Seq(0);
    loop {
        let input = move |token| Input::CancelPending {
            token,
            endpoint,
            created_before,
            after,
        };
        match ask(&api, input).await? {
            Answer::ChangedSome { last, .. } => after = last,
            Answer::Changed(_) => return Ok(StatusCode::NO_CONTENT.into_response()),
            _ => return Err(odd_answer()),
        }
    }
}

/// What was given up, newest first; `bulk-replay` and `recover` send it again.
async fn dead_letters(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    asked: Asked,
) -> Reply {
    let endpoint = endpoint(&api, &app, &ep)?.1.id;
    let window = asked.window(KsuidKind::Delivery, false)?;
    let with_content = asked.flag("with_content", false)?;
    let slice = api.node.read(move |reader| {
        let read = |page| {
            let rows = reader.dead_letters(endpoint, None, page)?;
            let mut joined = Vec::with_capacity(rows.len());
            for row in rows {
                joined.push((row.clone(), reader.message(row.message)?));
            }
            Ok(joined)
        };
        let weight = |row: &DestinationRow| row.1.as_ref().map_or(0, |one| one.body.len());
        window.read(read, |row| row.0.seq, |row| row.1.is_some(), weight)
    });
    slice.await?.reply(
        |row| row.0.id().to_string(),
        |(row, message)| {
            json!({
                "id": row.id().to_string(),
                "attempts": row.tries,
                "failedAt": row.ended.map(Timestamp::rfc3339),
                "errorCode": row.code.map(|code| code.to_string()),
                "status": u8::from(row.state == DeliveryState::Failed) * 2,
                "msg": message.map(|one| super::message::MessageOut::of(&one, with_content)),
            })
        },
    )
}

async fn list(State(api): State<Api>, asked: Asked) -> Reply {
    let window = asked.window(KsuidKind::Task, false)?;
    let config = api.node.config();
    let (status, kind) = (asked.text("status"), asked.text("task"));
    let wanted = config.tasks().filter(|row| {
        status.is_none_or(|status| row.status.name() == status)
            && kind.is_none_or(|kind| row.kind.name() == kind)
    });
    let slice = window.of(wanted, |row| row.id);
    api.node.settled().await?;
    slice.reply(|row| row.ksuid().to_string(), |row| shown(row))
}

async fn one(State(api): State<Api>, Path(task): Path<String>) -> Reply {
    let config = api.node.config();
    let id = dunlin_types::Ksuid::parse(KsuidKind::Task, &task).ok();
    let found = id.and_then(|id| config.task(id.seq).filter(|row| row.ksuid() == id));
    let row = found.ok_or_else(|| Refused::plain(Code::NotFound))?;
    let mut shown = shown(row);
    if row.status != TaskStatus::Running {
        // Whoever reads that it has ended looks for what it did.
        api.node.settled().await?;
    }
    if let Some(why) = waits(&api, row).await? {
        shown["data"]["waiting"] = why.into();
    }
    Ok(axum::Json(shown).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_waits_for_its_endpoint_says_so() {
        assert_eq!(waiting(REPLAYS_WAITING_MAX - 1, true), None);
        let why = waiting(REPLAYS_WAITING_MAX, true).unwrap();
        assert!(why.starts_with("5000 messages are still to be sent to the endpoint, which is"));
        assert!(waiting(5001, false).unwrap().contains("endpoint: the task"));
    }
}
