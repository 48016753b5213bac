//! Integrations: keys to one application, for programs.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use dunlin_delivery::{AccessChange, Answer, Integration, IntegrationFields};
use dunlin_types::limits::DESCRIPTION_CHARS_MAX;
use dunlin_types::{Code, KsuidKind};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::fields::{Fields, bad_field};
use super::page::Asked;
use super::portal::checked_names;
use super::{application, change_access, odd_answer};
use crate::caller::{INTEGRATION_PREFIX, new_key};
use crate::error::{Refused, Reply};
use crate::state::Api;

const ALL: &str = "/api/v1/app/{app}/integration";

pub(super) fn routes() -> Router<Api> {
    let one = format!("{ALL}/{{id}}");
    Router::new()
        .route(ALL, get(list).post(create))
        .route(&one, get(read).put(replace).delete(remove))
        .route(&format!("{one}/key"), get(key))
        .route(&format!("{one}/key/rotate"), post(rotate))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationIn {
    name: String,
    feature_flags: Option<Vec<String>>,
}

impl IntegrationIn {
    fn checked(self) -> Result<IntegrationFields, Refused> {
        let chars = self.name.chars().count();
        if !(1..=DESCRIPTION_CHARS_MAX).contains(&chars) {
            let why = format!("a name has 1 to {DESCRIPTION_CHARS_MAX} characters");
            return Err(bad_field("name", why));
        }
        Ok(IntegrationFields {
            name: self.name,
            feature_flags: checked_names("featureFlags", self.feature_flags)?,
        })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct IntegrationOut {
    id: String,
    name: String,
    feature_flags: Vec<String>,
    created_at: String,
    updated_at: String,
}

impl IntegrationOut {
    fn of(one: &Integration) -> Self {
        Self {
            id: one.ksuid().to_string(),
            name: one.fields.name.clone(),
            feature_flags: one.fields.feature_flags.clone(),
            created_at: one.created.rfc3339(),
            updated_at: one.updated.rfc3339(),
        }
    }
}

fn integration(api: &Api, app: &str, text: &str) -> Result<Arc<Integration>, Refused> {
    let app = application(api, app)?;
    let config = api.node.config();
    let found = config.access().find_integration(app.id, text).cloned();
    found.ok_or_else(|| Refused::plain(Code::NotFound))
}

async fn changed(api: &Api, change: AccessChange) -> Result<Arc<Integration>, Refused> {
    match change_access(api, change).await? {
        Answer::Integration(one) => Ok(one),
        _ => Err(odd_answer()),
    }
}

async fn list(State(api): State<Api>, Path(app): Path<String>, asked: Asked) -> Reply {
    let app = application(&api, &app)?;
    let window = asked.window(KsuidKind::Integration, true)?;
    let config = api.node.config();
    let slice = window.of(config.access().integrations_of(app.id), |one| one.id);
    slice.reply(|one| one.ksuid().to_string(), |one| IntegrationOut::of(one))
}

async fn create(
    State(api): State<Api>,
    Path(app): Path<String>,
    Fields(fields): Fields<IntegrationIn>,
) -> Reply {
    let app = application(&api, &app)?.id;
    let fields = fields.checked()?;
    let key = new_key(INTEGRATION_PREFIX);
    let made = changed(&api, AccessChange::CreateIntegration { app, fields, key }).await?;
    Ok((StatusCode::CREATED, axum::Json(IntegrationOut::of(&made))).into_response())
}

async fn read(State(api): State<Api>, Path((app, id)): Path<(String, String)>) -> Reply {
    let one = integration(&api, &app, &id)?;
    Ok(axum::Json(IntegrationOut::of(&one)).into_response())
}

async fn replace(
    State(api): State<Api>,
    Path((app, id)): Path<(String, String)>,
    Fields(fields): Fields<IntegrationIn>,
) -> Reply {
    let integration = integration(&api, &app, &id)?.id;
    let fields = fields.checked()?;
    let change = AccessChange::UpdateIntegration {
        integration,
        fields,
    };
    let one = changed(&api, change).await?;
    Ok(axum::Json(IntegrationOut::of(&one)).into_response())
}

async fn remove(State(api): State<Api>, Path((app, id)): Path<(String, String)>) -> Reply {
    let integration = integration(&api, &app, &id)?.id;
    match change_access(&api, AccessChange::DeleteIntegration { integration }).await? {
        Answer::Deleted => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(odd_answer()),
    }
}

async fn key(State(api): State<Api>, Path((app, id)): Path<(String, String)>) -> Reply {
    Ok(shown_key(&*integration(&api, &app, &id)?))
}

async fn rotate(State(api): State<Api>, Path((app, id)): Path<(String, String)>) -> Reply {
    let integration = integration(&api, &app, &id)?.id;
    let key = new_key(INTEGRATION_PREFIX);
    let change = AccessChange::RotateIntegrationKey { integration, key };
    Ok(shown_key(&*changed(&api, change).await?))
}

fn shown_key(one: &Integration) -> axum::response::Response {
    axum::Json(json!({"key": one.key.secret.reveal()})).into_response()
}
