//! Applications: whom endpoints belong to.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use dunlin_delivery::{Answer, Application, Input, NewApplication};
use dunlin_types::KsuidKind;
use dunlin_types::limits::DESCRIPTION_CHARS_MAX;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::fields::{Fields, bad_field, checked_metadata, checked_uid};
use super::page::Asked;
use super::{application, ask, not_built, odd_answer};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/app", get(list).post(create))
        .route(
            "/api/v1/app/{app}",
            get(read).delete(remove).put(not_built).patch(not_built),
        )
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApplicationIn {
    name: String,
    uid: Option<String>,
    throttle_rate: Option<u32>,
    rate_limit: Option<u32>,
    metadata: Option<BTreeMap<String, String>>,
}

impl ApplicationIn {
    fn checked(self) -> Result<NewApplication, Refused> {
        let chars = self.name.chars().count();
        if !(1..=DESCRIPTION_CHARS_MAX).contains(&chars) {
            let why = format!("a name has 1 to {DESCRIPTION_CHARS_MAX} characters");
            return Err(bad_field("name", why));
        }
        Ok(NewApplication {
            name: self.name,
            uid: checked_uid(self.uid, KsuidKind::Application.prefix())?,
            throttle_rate: checked_rate(self.throttle_rate.or(self.rate_limit))?,
            metadata: checked_metadata(self.metadata)?,
        })
    }
}

/// Messages per second, one at least.
pub(super) fn checked_rate(rate: Option<u32>) -> Result<Option<u32>, Refused> {
    match rate {
        Some(0) => Err(bad_field("throttleRate", "a rate is 1 or more")),
        rate => Ok(rate),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ApplicationOut {
    id: String,
    uid: Option<String>,
    name: String,
    throttle_rate: Option<u32>,
    rate_limit: Option<u32>,
    metadata: BTreeMap<String, String>,
    created_at: String,
    updated_at: String,
}

impl ApplicationOut {
    fn of(app: &Application) -> Self {
        Self {
            id: app.ksuid().to_string(),
            uid: app.uid.clone(),
            name: app.name.clone(),
            throttle_rate: app.throttle_rate,
            rate_limit: app.throttle_rate,
            metadata: app.metadata.clone(),
            created_at: app.created.rfc3339(),
            updated_at: app.updated.rfc3339(),
        }
    }
}

async fn list(State(api): State<Api>, asked: Asked) -> Reply {
    let config = api.node.config();
    let window = asked.window(KsuidKind::Application, true)?;
    let slice = window.of(config.applications(), |app| app.id);
    slice.reply(|app| app.ksuid().to_string(), |app| ApplicationOut::of(app))
}

async fn create(
    State(api): State<Api>,
    asked: Asked,
    Fields(fields): Fields<ApplicationIn>,
) -> Reply {
    let new = fields.checked()?;
    let existing = new.uid.as_deref().and_then(|uid| {
        let config = api.node.config();
        config.application_of_uid(uid).cloned()
    });
    if let Some(app) = existing
        && asked.flag("get_if_exists", false)?
    {
        return Ok(axum::Json(ApplicationOut::of(&app)).into_response());
    }
    match ask(&api, move |token| Input::CreateApplication { token, new }).await? {
        Answer::Application(app) => {
            Ok((StatusCode::CREATED, axum::Json(ApplicationOut::of(&app))).into_response())
        }
        _ => Err(odd_answer()),
    }
}

async fn read(State(api): State<Api>, Path(app): Path<String>) -> Reply {
    let app = application(&api, &app)?;
    Ok(axum::Json(ApplicationOut::of(&app)).into_response())
}

async fn remove(State(api): State<Api>, Path(app): Path<String>) -> Reply {
    let application = application(&api, &app)?.id;
    match ask(&api, move |token| Input::DeleteApplication {
        token,
        application,
    })
    .await?
    {
        Answer::Deleted => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(odd_answer()),
    }
}

#[cfg(test)]
mod tests {
    use dunlin_types::Code;

    use super::*;

    #[test]
    fn both_names_of_the_rate_are_taken() {
        for name in ["throttleRate", "rateLimit"] {
            let body = format!(r#"{{"name":"Acme","{name}":5}}"#);
            let fields: ApplicationIn = serde_json::from_str(&body).unwrap();
            assert_eq!(fields.checked().unwrap().throttle_rate, Some(5), "{name}");
        }
        let none: ApplicationIn = serde_json::from_str(r#"{"name":"A","rateLimit":0}"#).unwrap();
        assert_eq!(none.checked().unwrap_err().error.code, Code::BadRequest);
    }
}
