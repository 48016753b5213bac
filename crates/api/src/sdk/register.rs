//! Apps register themselves: `POST /fn/register`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_engine::{Change, Changes};
use dunlin_node::register_app;
use dunlin_types::{Code, Coded, app_uuid};
use dunlin_wire::register::parse_registration;
use http::HeaderMap;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) async fn register(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Reply {
    expect_kind(&api, &headers)?;
    let parsed = parse_registration(&body).map_err(|error| refuse("", error))?;
    let app = parsed.app_name.clone();
    let registered = register_app(&api.node, parsed).await;
    let registered = registered.map_err(|error| refuse(&app, error))?;
    let app_id = app_uuid(&app);
    Ok(Json(json!({
        "ok": true,
        "modified": registered.modified,
        "sync_id": Uuid::new_v5(&app_id, &registered.checksum).to_string(),
        "app_id": app_id.to_string(),
        "warnings": registered.warnings,
        "changes": changes_out(&registered.changes),
    }))
    .into_response())
}

/// SDKs leave it alone; it is for whoever syncs by hand, and for scripts that deploy.
fn changes_out(changes: &Changes) -> Value {
    let app: Vec<Value> = changes
        .app
        .iter()
        .map(|said| json!({"what": said.what, "before": said.before, "after": said.after}))
        .collect();
    let functions = changes.functions.iter().map(|function| {
        let mut out = json!({"id": function.slug, "change": function.change.word()});
        if let Change::Changed(parts) = &function.change {
            out["parts"] = json!(parts);
        }
        out
    });
    json!({
        "newApp": changes.new_app,
        "app": app,
        "functions": functions.collect::<Vec<_>>(),
        "text": changes.to_string(),
    })
}

fn refuse(app: &str, error: Coded) -> Refused {
    tracing::warn!(app, code = %error.code, "a registration was refused: {}", error.detail);
    error.into()
}

/// An app made for another kind of server would check signatures that this one does not make, or
/// trust calls that it should not.
fn expect_kind(api: &Api, headers: &HeaderMap) -> Result<(), Refused> {
    let Some(expected) = headers.get("x-inngest-expected-server-kind") else {
        return Ok(());
    };
    let ours = api.options.kind.as_str();
    if expected == ours || expected.is_empty() {
        return Ok(());
    }
    let theirs = String::from_utf8_lossy(expected.as_bytes());
    let detail = format!("Expected server kind {ours}, got {theirs}");
    Err(refuse("", Coded::new(Code::ServerKindDiffers, detail)))
}
