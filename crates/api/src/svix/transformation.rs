//! The script that rewrites an endpoint's messages.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use dunlin_delivery::{EndpointConfig, Transformation};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::endpoint::{changing, updated};
use super::fields::{Fields, bad_field, given};
use super::{check, endpoint};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    let path = "/api/v1/app/{app}/endpoint/{ep}/transformation";
    Router::new().route(path, get(read).patch(patch))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TransformationPatch {
    #[serde(deserialize_with = "given")]
    code: Option<Option<String>>,
    enabled: Option<bool>,
    #[serde(deserialize_with = "given")]
    variables: Option<Option<BTreeMap<String, String>>>,
}

async fn read(State(api): State<Api>, Path((app, ep)): Path<(String, String)>) -> Reply {
    let (_, endpoint) = endpoint(&api, &app, &ep)?;
    let shown = match &endpoint.config.transformation {
        None => json!({"code": null, "enabled": false, "variables": {}, "updatedAt": null}),
        Some(one) => json!({
            "code": &*one.code,
            "enabled": one.enabled,
            "variables": one.variables,
            "updatedAt": one.updated.rfc3339(),
        }),
    };
    Ok(axum::Json(shown).into_response())
}

async fn patch(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(fields): Fields<TransformationPatch>,
) -> Reply {
    endpoint(&api, &app, &ep)?;
    if let Some(Some(code)) = &fields.code {
        check::code(&api, code, &["body", "code"]).await?;
    }
    let _alone = changing().await;
    let (_, old) = endpoint(&api, &app, &ep)?;
    let transformation = applied(&api, fields, old.config.transformation.as_ref())?;
    let config = EndpointConfig {
        transformation,
        ..EndpointConfig::clone(&old.config)
    };
    updated(&api, &old, config).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What the fields make of the transformation; their script has been checked.
fn applied(
    api: &Api,
    fields: TransformationPatch,
    old: Option<&Transformation>,
) -> Result<Option<Transformation>, Refused> {
    let now = api.node.now();
    let variables = match fields.variables {
        Some(variables) => variables.unwrap_or_default(),
        None => old.map(|old| old.variables.clone()).unwrap_or_default(),
    };
    let enabled = fields.enabled.or(old.map(|old| old.enabled));
    match (fields.code, old) {
        (Some(Some(code)), _) => {
            let enabled = enabled.unwrap_or(true);
            check::transformation(code, enabled, variables, now).map(Some)
        }
        (None, Some(old)) => {
            check::variables(&variables)?;
            let enabled = enabled.unwrap_or(old.enabled);
            Ok(Some(Transformation {
                enabled,
                variables,
                updated: now,
                ..old.clone()
            }))
        }
        (Some(None) | None, _) if fields.enabled == Some(true) => {
            Err(bad_field("code", "an enabled transformation needs `code`"))
        }
        (Some(None) | None, _) => Ok(None),
    }
}
