//! Headers that a webhook's owner adds to each request.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use dunlin_delivery::EndpointConfig;
use http::StatusCode;
use serde::Deserialize;

use super::existing;
use crate::error::Reply;
use crate::state::Api;
use crate::svix::endpoint::{changing, updated};
use crate::svix::fields::Fields;
use crate::svix::{check, headers};

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/webhooks/{id}/headers", get(read).patch(patch))
}

#[derive(Deserialize)]
struct HeadersIn {
    headers: BTreeMap<String, String>,
}

async fn read(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let endpoint = existing(&api, &id)?;
    Ok(axum::Json(headers::shown(&endpoint.config.headers)).into_response())
}

/// Sets those that are given; the others stay.
async fn patch(
    State(api): State<Api>,
    Path(id): Path<String>,
    Fields(fields): Fields<HeadersIn>,
) -> Reply {
    let _alone = changing().await;
    let old = existing(&api, &id)?;
    let mut headers = old.config.headers.clone();
    headers.extend(check::headers(fields.headers)?);
    let config = EndpointConfig {
        headers: check::headers(headers)?,
        ..EndpointConfig::clone(&old.config)
    };
    updated(&api, &old, config).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
