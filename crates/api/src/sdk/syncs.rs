//! Apps are asked to register by somebody who knows their URL, and taken away again.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_engine::config::{AppRow, Registration};
use dunlin_engine::{Answer, Input};
use dunlin_node::{ServerKind, SyncOutcome, sync_app};
use dunlin_types::{Code, app_uuid};
use dunlin_wire::register::app_identity_url;
use http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::output::{self, Names};
use super::params::{Fields, Params, bad};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) async fn sync(State(api): State<Api>, Path(app): Path<String>, body: Bytes) -> Reply {
    let fields = Fields::of(&body)?;
    let missing = || bad("url is required").word("missing_field");
    let url = fields.text("url")?.ok_or_else(missing)?.to_owned();
    let outcome = sync_app(&api.node, &url).await;
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let identity = app_identity_url(&url);
    let found = names
        .apps()
        .into_iter()
        .find(|row| row.identity_url == identity);
    let registered = found.map_or("", |row| row.name.as_str());
    let error = match outcome {
        SyncOutcome::Failed(code, why) => Some((code, why)),
        SyncOutcome::Synced if registered == app => None,
        SyncOutcome::Synced => {
            let why = format!("the app at that URL is `{registered}`; it is in step");
            Some((Code::AppRefusedSync, why))
        }
    };
    let error = error.map(|(code, why)| {
        json!({"code": "app_sync_failed", "message": format!("{code}: {why}"),
            "error_code": code.to_string()})
    });
    let now = api.node.now();
    let id = Uuid::new_v5(&app_uuid(&app), format!("{url} {}", now.ms()).as_bytes());
    let sync = json!({
        "id": id.to_string(),
        "status": if error.is_some() { "error" } else { "success" },
        "appId": app,
        "error": error,
    });
    Ok(output::v2(sync, now))
}

/// An app is forgotten until it registers again: its functions are archived. For tests.
pub(super) async fn remove(State(api): State<Api>, params: Params) -> Reply {
    if api.options.kind != ServerKind::Dev {
        return Err(Refused::plain(Code::NotFound));
    }
    let url = params.get("url").ok_or_else(|| bad("url is required"))?;
    let identity = app_identity_url(url);
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let app = names
        .apps()
        .into_iter()
        .find(|row| row.identity_url == identity);
    let app = app.filter(|app| !app.name.is_empty());
    let registration = Box::new(without_functions(app.ok_or_else(super::apps::unknown)?));
    let asked = api.node.engine(|token| Input::Register {
        token,
        registration,
    });
    match asked.await? {
        Answer::Registered { .. } => {
            Ok((StatusCode::OK, Json(json!({"ok": true, "status": 200}))).into_response())
        }
        Answer::RegisterRefused(code, why) => Err(Refused::new(code, why)),
        _ => Err(Refused::plain(Code::ShuttingDown)),
    }
}

fn without_functions(app: &AppRow) -> Registration {
    Registration {
        app: app.name.clone(),
        url: app.url.clone(),
        identity_url: app.identity_url.clone(),
        sdk: app.sdk.clone(),
        framework: app.framework.clone(),
        version: app.version.clone(),
        // That of no registration, so that the next one counts.
        checksum: [0; 32],
        functions: Vec::new(),
    }
}

/// Limits of single functions cannot be set.
pub(super) async fn function_limit(State(api): State<Api>) -> Reply {
    if api.options.kind != ServerKind::Dev {
        return Err(Refused::plain(Code::NotFound));
    }
    let detail = "limits hold for all functions here; they cannot be set for one";
    Err(Refused::new(Code::NotBuilt, detail))
}
