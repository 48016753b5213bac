//! What a message holds: as it came, taken away, and whether anybody would want it.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{delete, get, post};
use dunlin_delivery::{Answer, Input, NewTask, TaskFilter, TaskKind, Verdict, by_labels};
use dunlin_node::Given;
use dunlin_types::limits::PAGE_ITEMS_MAX;
use dunlin_types::{Code, Seq};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::fields::{Fields, bad_field};
use super::task::{started, task_reply};
use super::{application, ask, odd_answer, read};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    let msg = "/api/v1/app/{app}/msg";
    Router::new()
        .route(&format!("{msg}/{{msg}}/content"), delete(expunge))
        .route(&format!("{msg}/{{msg}}/raw"), get(raw))
        .route(
            &format!("{msg}/{{msg}}/attempt/{{attempt}}/content"),
            delete(expunge_attempt),
        )
        .route(&format!("{msg}/precheck/active"), post(precheck))
        .route(&format!("{msg}/bulk-expunge"), post(expunge_many))
        .route(&format!("{msg}/expunge-all-contents"), post(expunge_all))
}

async fn gone(api: &Api, messages: Vec<Seq>) -> Result<(), Refused> {
    let input = move |token| Input::Expunge {
        token,
        messages,
        even_pending: true,
    };
    match ask(api, input).await? {
        Answer::Changed(_) => Ok(()),
        _ => Err(odd_answer()),
    }
}

async fn expunge(State(api): State<Api>, Path((app, msg)): Path<(String, String)>) -> Reply {
    let app = application(&api, &app)?;
    let message = read::message(&api, app.id, &msg).await?.seq;
    gone(&api, vec![message]).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Debug, Deserialize)]
struct Many {
    ids: Vec<String>,
}

async fn expunge_many(
    State(api): State<Api>,
    Path(app): Path<String>,
    Fields(fields): Fields<Many>,
) -> Reply {
    let app = application(&api, &app)?;
    if fields.ids.len() > PAGE_ITEMS_MAX {
        let why = format!("there can be at most {PAGE_ITEMS_MAX} of them");
        return Err(bad_field("ids", why));
    }
    let mut results = serde_json::Map::new();
    let mut messages = Vec::new();
    for id in fields.ids {
        let found = match read::message(&api, app.id, &id).await {
            Ok(message) => Some(message),
            Err(refused) if refused.error.code == Code::NotFound => None,
            Err(refused) => return Err(refused),
        };
        let word = if found.is_some() {
            "expunged"
        } else {
            "not-found"
        };
        messages.extend(found.map(|message| message.seq));
        results.insert(id, word.into());
    }
    gone(&api, messages).await?;
    Ok(axum::Json(json!({"results": results})).into_response())
}

async fn expunge_all(State(api): State<Api>, Path(app): Path<String>) -> Reply {
    let app = application(&api, &app)?.id;
    let new = NewTask {
        kind: TaskKind::PurgeContent,
        app,
        endpoint: None,
        filter: TaskFilter::default(),
    };
    let row = started(&api, new).await?;
    task_reply(&row)
}

async fn raw(State(api): State<Api>, Path((app, msg)): Path<(String, String)>) -> Reply {
    let app = application(&api, &app)?;
    let message = read::message(&api, app.id, &msg).await?;
    if message.expired {
        return Err(Refused::plain(Code::PayloadExpired));
    }
    let (kind, body) = match Given::of(&message).raw_payload {
        None => ("application/json", message.body.clone()),
        // Never as what its sender says: a page of that kind would be one of this server's.
        Some(raw) => ("text/plain; charset=utf-8", raw.into()),
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, body).into_response())
}

async fn expunge_attempt(
    State(api): State<Api>,
    Path((app, msg, attempt)): Path<(String, String, String)>,
) -> Reply {
    let app = application(&api, &app)?;
    let (attempt, _) = read::attempt(&api, app.id, &msg, &attempt).await?;
    let attempt = attempt.seq;
    match ask(&api, move |token| Input::ExpungeAttempt { token, attempt }).await? {
        Answer::Changed(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(odd_answer()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Precheck {
    event_type: String,
    channels: Option<Vec<String>>,
}

async fn precheck(
    State(api): State<Api>,
    Path(app): Path<String>,
    Fields(fields): Fields<Precheck>,
) -> Reply {
    let app = application(&api, &app)?;
    let channels = fields.channels.unwrap_or_default();
    let config = api.node.config();
    let active = config
        .endpoints_of(app.id)
        .any(|one| by_labels(&one.config, &fields.event_type, &channels) == Verdict::Matched);
    Ok(axum::Json(json!({"active": active})).into_response())
}
