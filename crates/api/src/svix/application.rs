//! Applications: whom endpoints belong to.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use dunlin_delivery::{Answer, Application, Config, Input, NewApplication, Retention};
use dunlin_types::limits::{DESCRIPTION_CHARS_MAX, RETENTION_DAYS_MAX};
use dunlin_types::{Code, KsuidKind, Seq};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::fields::{Fields, bad, bad_field, checked_metadata, checked_uid, given};
use super::page::Asked;
use super::{application, ask, odd_answer};
use crate::caller::Caller;
use crate::error::{Refused, Reply};
use crate::state::Api;

/// What endpoints of Svix's own receiver for trying things out begin with.
const SVIX_PLAY: &str = "https://play.svix.com/";

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/app", get(list).post(create))
        .route(
            "/api/v1/app/{app}",
            get(read).put(replace).patch(patch).delete(remove),
        )
}

/// The core replaces an application's fields as a whole, so whoever changes a part of them holds
/// this from its reading on.
static CHANGES: Mutex<()> = Mutex::const_new(());

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApplicationIn {
    name: String,
    uid: Option<String>,
    throttle_rate: Option<u32>,
    rate_limit: Option<u32>,
    metadata: Option<BTreeMap<String, String>>,
    retention_days: Option<u16>,
    payload_retention_days: Option<u16>,
    wipe_on_success: Option<bool>,
}

impl ApplicationIn {
    /// Checked. What is left out of retention stays as it is in `old`: clients of the foreign API
    /// don't know of it.
    fn checked(self, old: Retention) -> Result<NewApplication, Refused> {
        let days = checked_days("retentionDays", self.retention_days)?;
        let payload_days = checked_days("payloadRetentionDays", self.payload_retention_days)?;
        Ok(NewApplication {
            name: checked_name(self.name)?,
            uid: checked_uid(self.uid, KsuidKind::Application.prefix())?,
            throttle_rate: checked_rate(self.throttle_rate.or(self.rate_limit))?,
            metadata: checked_metadata(self.metadata)?,
            retention: Retention {
                days: days.unwrap_or(old.days),
                payload_days: payload_days.unwrap_or(old.payload_days),
                wipe_on_success: self.wipe_on_success.unwrap_or(old.wipe_on_success),
            },
        })
    }

    /// The application of that uid, which a path names and nobody has made yet.
    pub(super) fn named(mut self, uid: &str) -> Result<NewApplication, Refused> {
        if self.uid.as_ref().is_some_and(|given| given != uid) {
            let error = dunlin_types::Coded::new(Code::BadRequest, "it is not the uid of the path");
            return Err(bad(&["body", "application", "uid"], error));
        }
        self.uid = Some(uid.to_owned());
        self.checked(Retention::default())
    }
}

fn checked_name(name: String) -> Result<String, Refused> {
    if (1..=DESCRIPTION_CHARS_MAX).contains(&name.chars().count()) {
        return Ok(name);
    }
    let why = format!("a name has 1 to {DESCRIPTION_CHARS_MAX} characters");
    Err(bad_field("name", why))
}

/// Messages per second, one at least.
pub(super) fn checked_rate(rate: Option<u32>) -> Result<Option<u32>, Refused> {
    match rate {
        Some(0) => Err(bad_field("throttleRate", "a rate is 1 or more")),
        rate => Ok(rate),
    }
}

fn checked_days(field: &str, days: Option<u16>) -> Result<Option<u16>, Refused> {
    match days {
        Some(days) if !(1..=RETENTION_DAYS_MAX).contains(&days) => {
            let why = format!("it is 1 to {RETENTION_DAYS_MAX} days");
            Err(bad_field(field, why))
        }
        days => Ok(days),
    }
}

/// Fields to change: what is absent stays, what is null goes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ApplicationPatch {
    name: Option<String>,
    #[serde(deserialize_with = "given")]
    uid: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    throttle_rate: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    rate_limit: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    metadata: Option<Option<BTreeMap<String, String>>>,
    #[serde(deserialize_with = "given")]
    retention_days: Option<Option<u16>>,
    #[serde(deserialize_with = "given")]
    payload_retention_days: Option<Option<u16>>,
    #[serde(deserialize_with = "given")]
    wipe_on_success: Option<Option<bool>>,
}

impl ApplicationPatch {
    fn applied(self, old: &Application) -> Result<NewApplication, Refused> {
        let mut new = fields_of(old);
        let usual = Retention::default();
        if let Some(name) = self.name {
            new.name = checked_name(name)?;
        }
        if let Some(uid) = self.uid {
            new.uid = checked_uid(uid, KsuidKind::Application.prefix())?;
        }
        if let Some(rate) = self.throttle_rate.or(self.rate_limit) {
            new.throttle_rate = checked_rate(rate)?;
        }
        if let Some(metadata) = self.metadata {
            new.metadata = checked_metadata(metadata)?;
        }
        if let Some(days) = self.retention_days {
            new.retention.days = checked_days("retentionDays", days)?.unwrap_or(usual.days);
        }
        if let Some(days) = self.payload_retention_days {
            let days = checked_days("payloadRetentionDays", days)?;
            new.retention.payload_days = days.unwrap_or(usual.payload_days);
        }
        if let Some(wipe) = self.wipe_on_success {
            new.retention.wipe_on_success = wipe.unwrap_or(usual.wipe_on_success);
        }
        Ok(new)
    }
}

fn fields_of(app: &Application) -> NewApplication {
    NewApplication {
        name: app.name.clone(),
        uid: app.uid.clone(),
        throttle_rate: app.throttle_rate,
        metadata: app.metadata.clone(),
        retention: app.retention,
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
    retention_days: u16,
    payload_retention_days: u16,
    wipe_on_success: bool,
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
            retention_days: app.retention.days,
            payload_retention_days: app.retention.payload_days,
            wipe_on_success: app.retention.wipe_on_success,
            created_at: app.created.rfc3339(),
            updated_at: app.updated.rfc3339(),
        }
    }
}

/// Which applications a list leaves out.
struct Left {
    without: bool,
    disabled: bool,
    play: bool,
}

impl Left {
    fn by(asked: &Asked) -> Result<Self, Refused> {
        Ok(Self {
            without: asked.flag("exclude_apps_with_no_endpoints", false)?,
            disabled: asked.flag("exclude_apps_with_disabled_endpoints", false)?,
            play: asked.flag("exclude_apps_with_svix_play_endpoints", false)?,
        })
    }

    /// An application is left out where all its endpoints are of a kind that is.
    fn keeps(&self, config: &Config, app: Seq) -> bool {
        let mut endpoints = config.endpoints_of(app).peekable();
        if endpoints.peek().is_none() {
            return !self.without;
        }
        let (mut disabled, mut play) = (true, true);
        for endpoint in endpoints {
            disabled &= endpoint.config.disabled;
            play &= endpoint.config.url.starts_with(SVIX_PLAY);
        }
        !(self.disabled && disabled || self.play && play)
    }
}

async fn list(State(api): State<Api>, asked: Asked) -> Reply {
    let config = api.node.config();
    let (window, left) = (
        asked.window(KsuidKind::Application, true)?,
        Left::by(&asked)?,
    );
    let kept = config.applications();
    let slice = window.of(kept.filter(|app| left.keeps(&config, app.id)), |app| app.id);
    slice.reply(|app| app.ksuid().to_string(), |app| ApplicationOut::of(app))
}

/// Makes an application.
async fn made(api: &Api, new: NewApplication) -> Result<Arc<Application>, Refused> {
    let create = move |token| Input::CreateApplication { token, new };
    told(ask(api, create).await?)
}

/// The application that a path names, or the one that the request brings for it. Only who may make
/// applications may bring one.
pub(super) async fn found_or_made(
    api: &Api,
    name: &str,
    brought: Option<ApplicationIn>,
) -> Result<Arc<Application>, Refused> {
    let _alone = match brought {
        Some(_) => Some(CHANGES.lock().await),
        None => None,
    };
    match (application(api, name), brought) {
        (Err(refused), Some(new))
            if refused.error.code == Code::NotFound && Caller::current().may_make_events() =>
        {
            made(api, new.named(name)?).await
        }
        (found, _) => found,
    }
}

async fn updated(
    api: &Api,
    application: Seq,
    new: NewApplication,
) -> Result<Arc<Application>, Refused> {
    let update = move |token| Input::UpdateApplication {
        token,
        application,
        new,
    };
    told(ask(api, update).await?)
}

fn told(answer: Answer) -> Result<Arc<Application>, Refused> {
    match answer {
        Answer::Application(app) => Ok(app),
        _ => Err(odd_answer()),
    }
}

async fn create(
    State(api): State<Api>,
    asked: Asked,
    Fields(fields): Fields<ApplicationIn>,
) -> Reply {
    let or_existing = asked.flag("get_if_exists", false)?;
    let new = fields.checked(Retention::default())?;
    let uid = new.uid.clone().filter(|_| or_existing);
    let existing = || {
        let config = api.node.config();
        config.application_of_uid(uid.as_deref()?).cloned()
    };
    let shown = |app: &Application| axum::Json(ApplicationOut::of(app)).into_response();
    if let Some(app) = existing() {
        return Ok(shown(&app));
    }
    match made(&api, new).await {
        Ok(app) => Ok((StatusCode::CREATED, shown(&app)).into_response()),
        // Somebody else made it meanwhile.
        Err(refused) if refused.error.code == Code::Conflict => {
            existing().map(|app| shown(&app)).ok_or(refused)
        }
        Err(refused) => Err(refused),
    }
}

async fn read(State(api): State<Api>, Path(app): Path<String>) -> Reply {
    let app = application(&api, &app)?;
    Ok(axum::Json(ApplicationOut::of(&app)).into_response())
}

/// Replaces an application, or makes it under the uid of the path. Without a uid in the body one
/// that is there keeps its own, so that the same request finds it again.
async fn replace(
    State(api): State<Api>,
    Path(name): Path<String>,
    Fields(fields): Fields<ApplicationIn>,
) -> Reply {
    let _alone = CHANGES.lock().await;
    let old = match application(&api, &name) {
        Ok(old) => old,
        Err(refused) if refused.error.code == Code::NotFound => {
            let mut fields = fields;
            fields.uid.get_or_insert(name);
            let app = made(&api, fields.checked(Retention::default())?).await?;
            return Ok((StatusCode::CREATED, axum::Json(ApplicationOut::of(&app))).into_response());
        }
        Err(refused) => return Err(refused),
    };
    let mut new = fields.checked(old.retention)?;
    new.uid = new.uid.or_else(|| old.uid.clone());
    let app = updated(&api, old.id, new).await?;
    Ok(axum::Json(ApplicationOut::of(&app)).into_response())
}

async fn patch(
    State(api): State<Api>,
    Path(name): Path<String>,
    Fields(fields): Fields<ApplicationPatch>,
) -> Reply {
    let _alone = CHANGES.lock().await;
    let old = application(&api, &name)?;
    let app = updated(&api, old.id, fields.applied(&old)?).await?;
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
    use super::*;

    #[test]
    fn both_names_of_the_rate_are_taken() {
        let usual = Retention::default();
        for name in ["throttleRate", "rateLimit"] {
            let body = format!(r#"{{"name":"Acme","{name}":5}}"#);
            let fields: ApplicationIn = serde_json::from_str(&body).unwrap();
            assert_eq!(
                fields.checked(usual).unwrap().throttle_rate,
                Some(5),
                "{name}"
            );
        }
        let none: ApplicationIn = serde_json::from_str(r#"{"name":"A","rateLimit":0}"#).unwrap();
        assert_eq!(
            none.checked(usual).unwrap_err().error.code,
            Code::BadRequest
        );
    }
}
