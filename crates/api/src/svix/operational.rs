//! Operational webhooks: endpoints that are told what happens to other endpoints. They are
//! endpoints of a hidden application, so everything about them is as everywhere.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use dunlin_delivery::{Answer, Input};
use http::StatusCode;

use super::fields::Fields;
use super::page::Asked;
use super::{ask, endpoint, headers, odd_answer};
use crate::error::{Refused, Reply};
use crate::state::Api;

const BASE: &str = "/api/v1/operational-webhook/endpoint";

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route(BASE, get(list).post(create))
        .route(
            &format!("{BASE}/{{ep}}"),
            get(read).put(replace).delete(remove),
        )
        .route(&format!("{BASE}/{{ep}}/headers"), get(shown).put(set))
        .route(&format!("{BASE}/{{ep}}/secret"), get(secret))
        .route(&format!("{BASE}/{{ep}}/secret/rotate"), post(rotate))
}

/// The id of the hidden application.
async fn hidden(api: &Api) -> Result<String, Refused> {
    match ask(api, |token| Input::OperationalApplication { token }).await? {
        Answer::Application(app) => Ok(app.ksuid().to_string()),
        _ => Err(odd_answer()),
    }
}

async fn list(State(api): State<Api>, asked: Asked) -> Reply {
    let app = hidden(&api).await?;
    endpoint::list(State(api), Path(app), asked).await
}

async fn create(
    State(api): State<Api>,
    asked: Asked,
    fields: Fields<endpoint::EndpointIn>,
) -> Reply {
    let app = hidden(&api).await?;
    endpoint::create(State(api), Path(app), asked, fields).await
}

async fn read(State(api): State<Api>, Path(ep): Path<String>) -> Reply {
    let app = hidden(&api).await?;
    endpoint::read(State(api), Path((app, ep))).await
}

async fn replace(
    State(api): State<Api>,
    Path(ep): Path<String>,
    fields: Fields<endpoint::EndpointIn>,
) -> Reply {
    let app = hidden(&api).await?;
    endpoint::replace(State(api), Path((app, ep)), fields).await
}

async fn remove(State(api): State<Api>, Path(ep): Path<String>) -> Reply {
    let app = hidden(&api).await?;
    endpoint::remove(State(api), Path((app, ep))).await
}

async fn shown(State(api): State<Api>, Path(ep): Path<String>) -> Reply {
    let app = hidden(&api).await?;
    headers::read(State(api), Path((app, ep))).await
}

async fn set(
    State(api): State<Api>,
    Path(ep): Path<String>,
    fields: Fields<headers::HeadersIn>,
) -> Reply {
    let app = hidden(&api).await?;
    headers::replace(State(api), Path((app, ep)), fields).await
}

async fn secret(State(api): State<Api>, Path(ep): Path<String>) -> Reply {
    let app = hidden(&api).await?;
    endpoint::secret(State(api), Path((app, ep))).await
}

async fn rotate(
    State(api): State<Api>,
    Path(ep): Path<String>,
    fields: Fields<super::fields::RotateIn>,
) -> Reply {
    let app = hidden(&api).await?;
    endpoint::rotate(State(api), Path((app, ep)), fields).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
