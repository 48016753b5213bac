//! Apps and functions, read.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use dunlin_engine::config::AppRow;
use dunlin_types::{Code, app_uuid};
use serde::Serialize;
use serde_json::{Value, json};

use super::account::page;
use super::output::{self, ENVIRONMENT_ID, Names, Raw};
use super::params::Params;
use crate::error::{Refused, Reply};
use crate::state::Api;

/// Apps of one page (SDK protocol).
const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100;

#[derive(Serialize)]
struct FunctionOut {
    internal_id: String,
    env_id: &'static str,
    app_id: String,
    id: String,
    name: String,
    config: Raw,
    created_at: String,
    archived_at: Option<String>,
}

/// A bare list (SDK protocol).
pub(super) async fn functions(State(api): State<Api>, Path(app): Path<String>) -> Reply {
    let names = api.node.read(|reader| Names::read(reader)).await?;
    if !names.apps().iter().any(|row| row.name == app) {
        return Err(unknown());
    }
    let functions = names.functions().into_iter();
    let functions = functions.filter(|f| f.archived.is_none() && names.app_of(f) == app);
    let out = functions.map(|function| FunctionOut {
        internal_id: names.function_id(function.number),
        env_id: ENVIRONMENT_ID,
        app_id: app_uuid(&app).to_string(),
        id: function.slug.clone(),
        name: function.name.clone(),
        config: Raw(function.config.clone()),
        created_at: function.created.rfc3339(),
        archived_at: None,
    });
    Ok(Json(out.collect::<Vec<_>>()).into_response())
}

/// All apps, with how their last sync went.
pub(super) async fn list(State(api): State<Api>, params: Params) -> Reply {
    let limit = params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let names = api.node.read(|reader| Names::read(reader)).await?;
    // An app that was registered once stays; what is archived is its functions.
    let none = params.is_true("archived");
    let apps = names.apps().into_iter().filter(|_| !none);
    let apps: Vec<Value> = apps.map(|app| app_out(app, &names)).collect();
    let (apps, page) = page(apps, params.get("cursor"), limit);
    Ok(output::v2_page(apps, page, api.node.now()))
}

pub(super) async fn one(State(api): State<Api>, Path(app): Path<String>) -> Reply {
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let row = names.app(&app).ok_or_else(unknown)?;
    Ok(output::v2(app_out(row, &names), api.node.now()))
}

pub(super) fn unknown() -> Refused {
    Refused::new(Code::NotFound, "there is no such app")
}

fn app_out(app: &AppRow, names: &Names) -> Value {
    let functions = names.functions().into_iter();
    let functions: Vec<_> = functions
        .filter(|f| f.app == app.number && f.archived.is_none())
        .collect();
    let warnings = functions.iter().flat_map(|function| {
        let ignored = function.flow.ignored().into_iter();
        ignored.map(|(rule, beside)| {
            let message = format!("{rule} is ignored beside {beside}");
            json!({"functionId": function.slug, "rule": rule.name(), "message": message})
        })
    });
    let warnings: Vec<Value> = warnings.collect();
    let (language, version) = app.sdk.split_once(':').unwrap_or((&app.sdk, ""));
    let error = app.error.as_ref();
    json!({
        "id": app.name,
        "internalId": app_uuid(&app.name).to_string(),
        "name": app.name,
        "method": "SERVE",
        "appVersion": app.version,
        "createdAt": app.created.rfc3339(),
        "isArchived": false,
        "functionCount": functions.len(),
        "warnings": warnings,
        "latestSync": {
            "status": if error.is_some() { "error" } else { "success" },
            "syncedAt": app.synced.rfc3339(),
            "sdkLanguage": language.strip_prefix("inngest-").unwrap_or(language),
            "sdkVersion": version.strip_prefix('v').unwrap_or(version),
            "framework": app.framework,
            "url": app.url,
            "error": error.map(|(code, why)| format!("{code}: {why}")),
            "appVersion": app.version,
        },
    })
}
