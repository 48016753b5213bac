//! The endpoints of the application `default` in the shapes of Dodo's own API, so that a client of
//! Dodo's that is given this server's URL manages them.

mod fields;
mod headers;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use dunlin_delivery::{Answer, DEFAULT_APPLICATION, Endpoint, Input};
use dunlin_types::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use dunlin_types::{Code, Coded, Ksuid, KsuidKind, Seq};
use http::StatusCode;
use serde_json::json;

use self::fields::{WebhookIn, WebhookOut, WebhookPatch};
use crate::error::{Refused, Reply};
use crate::state::Api;
use crate::svix::endpoint::{changing, updated};
use crate::svix::fields::{Fields, bad, new_secret, shown_secret};
use crate::svix::page::Asked;
use crate::svix::{ask, odd_answer};

pub(crate) fn routes() -> Router<Api> {
    let one = "/webhooks/{id}";
    Router::new()
        .route("/webhooks", get(list).post(create))
        .route(one, get(read).patch(patch).delete(remove))
        .route(&format!("{one}/secret"), get(secret))
        .merge(headers::routes())
}

/// The endpoint that a path names.
fn existing(api: &Api, text: &str) -> Result<Arc<Endpoint>, Refused> {
    let config = api.node.config();
    let found = config.find_endpoint(DEFAULT_APPLICATION, text).cloned();
    found.ok_or_else(|| Refused::new(Code::NotFound, "there is no such webhook"))
}

fn wrong(name: &str, what: &str) -> Refused {
    let error = Coded::new(Code::BadRequest, what);
    bad(&["query", name], error)
}

/// Clients go on as long as there is an iterator, whatever `done` says, so the last page has none.
async fn list(State(api): State<Api>, asked: Asked) -> Reply {
    let limit = match asked.number("limit")? {
        None => PAGE_ITEMS_DEFAULT,
        Some(limit) if (1..=PAGE_ITEMS_MAX).contains(&limit.into()) => limit.into(),
        Some(_) => return Err(wrong("limit", &format!("must be 1 to {PAGE_ITEMS_MAX}"))),
    };
    let after = match asked.text("iterator") {
        None => Seq(0),
        Some(text) => Ksuid::parse(KsuidKind::Endpoint, text)
            .map(|id| id.seq)
            .map_err(|_| wrong("iterator", "is none that a list gave"))?,
    };
    let config = api.node.config();
    let all = config.endpoints_of(DEFAULT_APPLICATION);
    let rows: Vec<_> = all.filter(|one| one.id > after).take(limit + 1).collect();
    let done = rows.len() <= limit;
    let rows = &rows[..limit.min(rows.len())];
    let last = rows.last().filter(|_| !done);
    let data: Vec<WebhookOut> = rows.iter().map(|one| WebhookOut::of(one)).collect();
    let iterator = last.map(|one| one.ksuid().to_string());
    Ok(axum::Json(json!({"data": data, "iterator": iterator, "done": done})).into_response())
}

/// A repeat with the same key gets what the first made.
async fn create(State(api): State<Api>, Fields(fields): Fields<WebhookIn>) -> Reply {
    let config = fields.checked(&api)?;
    let _alone = changing().await;
    if let Some(uid) = &config.uid
        && let Some(made) = api.node.config().endpoint_of_uid(DEFAULT_APPLICATION, uid)
    {
        return Ok(axum::Json(WebhookOut::of(made)).into_response());
    }
    let secret = new_secret();
    let input = move |token| Input::CreateEndpoint {
        token,
        config: Box::new(config),
        secret,
    };
    match ask(&api, input).await? {
        Answer::Endpoint(made) => Ok(axum::Json(WebhookOut::of(&made)).into_response()),
        _ => Err(odd_answer()),
    }
}

async fn read(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let found = existing(&api, &id)?;
    Ok(axum::Json(WebhookOut::of(&found)).into_response())
}

async fn patch(
    State(api): State<Api>,
    Path(id): Path<String>,
    Fields(fields): Fields<WebhookPatch>,
) -> Reply {
    let _alone = changing().await;
    let old = existing(&api, &id)?;
    let config = fields.applied(&api, &old.config)?;
    let endpoint = updated(&api, &old, config).await?;
    Ok(axum::Json(WebhookOut::of(&endpoint)).into_response())
}

async fn remove(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let endpoint = existing(&api, &id)?.id;
    match ask(&api, move |token| Input::DeleteEndpoint { token, endpoint }).await? {
        Answer::Deleted => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(odd_answer()),
    }
}

async fn secret(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let endpoint = existing(&api, &id)?;
    let current = endpoint.secrets.iter().find(|one| one.expires.is_none());
    let current = current.ok_or_else(|| Refused::plain(Code::NotFound))?;
    let body = json!({"secret": shown_secret(&current.secret)});
    Ok(axum::Json(body).into_response())
}
