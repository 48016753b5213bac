//! Sources, after the shape of the ingest API: `/ingest/api/v1/source`.

mod fields;
mod log;
mod refusals;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dunlin_delivery::{Answer, Input, Source, SourceFields};
use dunlin_types::{Code, Coded, KsuidKind, Secret};
use dunlin_wire::verify::secret_is_the_providers;
use http::StatusCode;
use serde_json::json;

use crate::error::{Refused, Reply};
use crate::state::Api;
use crate::svix::fields::{Fields, RotateIn, bad, new_secret, shown_secret};
use crate::svix::page::Asked;
use crate::svix::{ask, odd_answer};
use fields::{SourceIn, SourceOut, SourcePatch, checked_secret};

const ONE: &str = "/ingest/api/v1/source/{id}";
/// Of what nobody can guess.
const URL_TOKEN_BYTES: usize = 18;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/ingest/api/v1/source", get(list).post(create))
        .route(ONE, get(read).delete(remove).put(replace).patch(change))
        .route(&format!("{ONE}/secret"), get(secret))
        .route(&format!("{ONE}/secret/rotate"), post(rotate))
        .route(&format!("{ONE}/token/rotate"), post(rotate_url))
        .route(&format!("{ONE}/errors"), get(refusals::list))
        .route(&format!("{ONE}/log"), get(log::list))
}

fn source(api: &Api, text: &str) -> Result<Arc<Source>, Refused> {
    let found = api.node.config().find_source(text).cloned();
    found.ok_or_else(|| Refused::plain(Code::SourceUnknown))
}

fn shown(api: &Api, source: &Source) -> SourceOut {
    SourceOut::of(source, &api.options.base_url(), api.node.now())
}

/// The source that the core answered with, shown.
fn told(api: &Api, answer: Answer) -> Result<SourceOut, Refused> {
    match answer {
        Answer::Source(source) => Ok(shown(api, &source)),
        _ => Err(odd_answer()),
    }
}

async fn list(State(api): State<Api>, asked: Asked) -> Reply {
    let window = asked.window(KsuidKind::Source, true)?;
    let config = api.node.config();
    let slice = window.of(config.sources(), |one| one.id);
    slice.reply(|one| one.ksuid().to_string(), |one| shown(&api, one))
}

async fn create(State(api): State<Api>, Fields(fields): Fields<SourceIn>) -> Reply {
    let new = fields.new_source()?;
    let made = ask(&api, move |token| Input::CreateSource { token, new }).await?;
    let body = axum::Json(told(&api, made)?);
    Ok((StatusCode::CREATED, body).into_response())
}

async fn read(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let source = source(&api, &id)?;
    Ok(axum::Json(shown(&api, &source)).into_response())
}

async fn replace(
    State(api): State<Api>,
    Path(id): Path<String>,
    Fields(fields): Fields<SourceIn>,
) -> Reply {
    let source = source(&api, &id)?;
    update(&api, &source, fields.replacing(&source)?).await
}

async fn change(
    State(api): State<Api>,
    Path(id): Path<String>,
    Fields(fields): Fields<SourcePatch>,
) -> Reply {
    let source = source(&api, &id)?;
    update(&api, &source, fields.onto(&source)?).await
}

async fn update(api: &Api, source: &Source, fields: SourceFields) -> Reply {
    let source = source.id;
    let input = move |token| Input::UpdateSource {
        token,
        source,
        fields,
    };
    let answer = ask(api, input).await?;
    Ok(axum::Json(told(api, answer)?).into_response())
}

async fn remove(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let source = source(&api, &id)?.id;
    match ask(&api, move |token| Input::DeleteSource { token, source }).await? {
        Answer::Deleted => {
            api.refusals.forget(source);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => Err(odd_answer()),
    }
}

async fn secret(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let source = source(&api, &id)?;
    let current = source.secrets.iter().find(|one| one.expires.is_none());
    let current = current.ok_or_else(|| Refused::plain(Code::NotFound))?;
    // Whoever tries a source out signs with its secret, so a private key is shown as it is.
    let key = match current.secret.reveal().starts_with("whsk_") {
        true => current.secret.reveal().to_owned(),
        false => shown_secret(&current.secret),
    };
    Ok(axum::Json(json!({"key": key})).into_response())
}

async fn rotate(
    State(api): State<Api>,
    Path(id): Path<String>,
    Fields(fields): Fields<RotateIn>,
) -> Reply {
    let found = source(&api, &id)?;
    let place = ["body", "key"];
    let (secret, grace_ms) = fields.checked_by(|key| match key {
        Some(key) => checked_secret(found.kind, key, &place),
        None if secret_is_the_providers(found.kind) => {
            let why = "the provider makes this secret; give the one it shows";
            Err(bad(&place, Coded::new(Code::SecretWeak, why)))
        }
        None => Ok(new_secret()),
    })?;
    let source = found.id;
    let input = move |token| Input::RotateSourceSecret {
        token,
        source,
        secret,
        grace_ms,
    };
    told(&api, ask(&api, input).await?)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The URLs of before lead nowhere from now on.
async fn rotate_url(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Refused> {
    let source = source(&api, &id)?.id;
    let random: [u8; URL_TOKEN_BYTES] = rand::random();
    let url_token = Secret::new(URL_SAFE_NO_PAD.encode(random));
    let input = move |token| Input::SetSourceUrl {
        token,
        source,
        url_token,
    };
    let told = told(&api, ask(&api, input).await?)?;
    Ok(axum::Json(json!({"ingestUrl": told.ingest_url})).into_response())
}
