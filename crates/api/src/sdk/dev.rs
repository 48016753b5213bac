//! What the server tells of itself.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use dunlin_node::ServerKind;
use dunlin_types::Code;
use serde::Serialize;
use serde_json::{Value, json};

use super::output::{self, Names, Raw};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) async fn health() -> Json<Value> {
    Json(json!({"status": 200, "message": "OK"}))
}

pub(super) async fn health_v2(State(api): State<Api>) -> Reply {
    Ok(output::v2(json!({"status": "ok"}), api.node.now()))
}

/// SDKs that infer their mode ask whether this is a development server.
pub(super) async fn dev(State(api): State<Api>) -> Reply {
    if api.options.kind != ServerKind::Dev {
        return Err(Refused::new(
            Code::NotFound,
            "this is no development server",
        ));
    }
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let functions = names
        .functions()
        .into_iter()
        .filter(|function| function.archived.is_none());
    let functions = functions.map(|function| FunctionOut {
        id: names.function_id(function.number),
        name: function.name.clone(),
        slug: function.slug.clone(),
        config: Raw(function.config.clone()),
    });
    let apps = names.apps().into_iter();
    let handlers = apps.map(|app| json!({"name": app.name, "url": app.url}));
    Ok(Json(Dev {
        version: api.options.version,
        authed: false,
        start_opts: json!({}),
        functions: functions.collect(),
        handlers: handlers.collect(),
        is_single_node_service: true,
        is_missing_signing_key: api.options.signing_key.is_none(),
        is_missing_event_keys: api.options.event_keys.is_empty(),
        features: json!({}),
    })
    .into_response())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dev {
    version: &'static str,
    authed: bool,
    start_opts: Value,
    functions: Vec<FunctionOut>,
    handlers: Vec<Value>,
    is_single_node_service: bool,
    is_missing_signing_key: bool,
    is_missing_event_keys: bool,
    features: Value,
}

#[derive(Serialize)]
struct FunctionOut {
    id: String,
    name: String,
    slug: String,
    config: Raw,
}
