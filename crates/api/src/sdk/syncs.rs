//! Apps are asked to register by somebody who knows their URL, and taken away again.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_engine::config::{AppRow, Registration};
use dunlin_engine::{Answer, Input};
use dunlin_node::{ServerKind, SyncOutcome, sync_app};
use dunlin_types::{Code, app_uuid};
use dunlin_wire::register::app_identity_url;
use http::{Method, StatusCode, Uri};
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

/// Sets (`POST`) or lifts (`DELETE`) a function's own limit of steps or of state. In development
/// only, until the server ends; for suites that try limits out.
pub(super) async fn function_limit(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    params: Params,
    body: Bytes,
) -> Reply {
    if api.options.kind != ServerKind::Dev {
        return Err(Refused::plain(Code::NotFound));
    }
    let form = form_of(&body);
    let named = |name: &str| {
        let of_form = form.iter().find(|(key, _)| key == name);
        let of_query = params.get(name).map(str::to_owned);
        of_query.or_else(|| of_form.map(|(_, value)| value.clone()))
    };
    let missing = |name: &str| Refused::new(Code::BadRequest, format!("{name} is required"));
    let id = named("functionId").ok_or_else(|| missing("functionId"))?;
    let limit = match method {
        Method::DELETE => None,
        _ => {
            let text = named("limit").ok_or_else(|| missing("limit"))?;
            let bad = |_| Refused::new(Code::BadRequest, format!("limit: {text} is no number"));
            Some(text.parse::<usize>().map_err(bad)?)
        }
    };
    let function = super::pause::function(&api, &id).await?.0.number;
    let of_steps = uri.path().ends_with("/step-limit");
    let asked = api.node.engine(move |token| Input::Limit {
        token,
        function,
        steps: limit.filter(|_| of_steps),
        state_bytes: limit.filter(|_| !of_steps),
    });
    match asked.await? {
        Answer::Done => Ok(StatusCode::OK.into_response()),
        _ => Err(Refused::plain(Code::NotFound)),
    }
}

/// The pairs of a form's body, which is written as a query is.
fn form_of(body: &Bytes) -> Vec<(String, String)> {
    let uri = format!("/?{}", String::from_utf8_lossy(body)).parse::<Uri>();
    let pairs = uri.ok().and_then(|uri| Query::try_from_uri(&uri).ok());
    pairs.map(|Query(pairs)| pairs).unwrap_or_default()
}
