//! Portal tokens: letting somebody of an application's side in, and out again.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dunlin_delivery::{
    AccessChange, Answer, Application, Capabilities, Capability, KeyHolder, NewPortalToken,
};
use dunlin_types::limits::{
    ACCESS_NAME_CHARS_MAX, ACCESS_NAMES_MAX, PORTAL_TOKEN_MS_DEFAULT, PORTAL_TOKEN_MS_MAX,
    PORTAL_TOKEN_MS_MIN,
};
use dunlin_types::{Code, Seq};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::application::{ApplicationIn, found_or_made};
use super::fields::{Fields, bad_field};
use super::{application, change_access, odd_answer};
use crate::caller::{Caller, PORTAL_PREFIX, new_key};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/auth/app-portal-access/{app}", post(open))
        .route("/api/v1/auth/dashboard-access/{app}", post(open_all))
        .route("/api/v1/auth/app/{app}/expire-all", post(expire_all))
        .route("/api/v1/auth/logout", post(log_out))
        .route("/api/v1/auth/whoami", get(who_am_i))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortalIn {
    application: Option<ApplicationIn>,
    capabilities: Option<Vec<String>>,
    feature_flags: Option<Vec<String>>,
    expiry: Option<i64>,
    session_id: Option<String>,
    read_only: Option<bool>,
}

/// What is asked for, checked, but for its application.
struct Asked {
    capabilities: Capabilities,
    feature_flags: Vec<String>,
    session: Option<String>,
    lasts_ms: i64,
}

impl PortalIn {
    fn checked(&self) -> Result<Asked, Refused> {
        let session = self.session_id.iter().cloned().collect();
        let lasts_ms = match self.expiry {
            None => PORTAL_TOKEN_MS_DEFAULT,
            Some(secs) => secs.saturating_mul(1000),
        };
        if !(PORTAL_TOKEN_MS_MIN..=PORTAL_TOKEN_MS_MAX).contains(&lasts_ms) {
            let (least, most) = (PORTAL_TOKEN_MS_MIN / 1000, PORTAL_TOKEN_MS_MAX / 1000);
            let why = format!("a token lasts {least} to {most} seconds");
            return Err(bad_field("expiry", why));
        }
        Ok(Asked {
            capabilities: self.capabilities()?,
            feature_flags: checked_names("featureFlags", self.feature_flags.clone())?,
            session: checked_names("sessionId", Some(session))?.pop(),
            lasts_ms,
        })
    }

    fn capabilities(&self) -> Result<Capabilities, Refused> {
        let named = |name: &String| {
            Capability::from_name(name)
                .ok_or_else(|| bad_field("capabilities", format!("{name:?} is no capability")))
        };
        let asked: Capabilities = match &self.capabilities {
            None => Capabilities::all(),
            Some(names) => names.iter().map(named).collect::<Result<_, _>>()?,
        };
        if self.read_only != Some(true) {
            return Ok(asked);
        }
        let views = asked.iter().filter(|one| *one == Capability::ViewBase);
        Ok(views.collect())
    }
}

/// Names that users choose freely, each once.
pub(super) fn checked_names(
    field: &str,
    names: Option<Vec<String>>,
) -> Result<Vec<String>, Refused> {
    let mut names = names.unwrap_or_default();
    if names.len() > ACCESS_NAMES_MAX {
        let why = format!("there can be at most {ACCESS_NAMES_MAX} of them");
        return Err(bad_field(field, why));
    }
    let fits = |one: &String| (1..=ACCESS_NAME_CHARS_MAX).contains(&one.chars().count());
    if !names.iter().all(fits) {
        let why = format!("it has 1 to {ACCESS_NAME_CHARS_MAX} characters");
        return Err(bad_field(field, why));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

async fn open(
    State(api): State<Api>,
    Path(app): Path<String>,
    Fields(fields): Fields<PortalIn>,
) -> Reply {
    let asked = fields.checked()?;
    let app = found_or_made(&api, &app, fields.application).await?.id;
    opened(&api, app, asked).await
}

/// The way of before there were capabilities.
async fn open_all(State(api): State<Api>, Path(app): Path<String>) -> Reply {
    let asked = PortalIn::default().checked()?;
    opened(&api, application(&api, &app)?.id, asked).await
}

async fn opened(api: &Api, app: Seq, asked: Asked) -> Reply {
    let key = new_key(PORTAL_PREFIX);
    let new = NewPortalToken {
        hash: key.hash,
        app,
        capabilities: asked.capabilities,
        feature_flags: asked.feature_flags,
        session: asked.session,
        lasts_ms: asked.lasts_ms,
    };
    match change_access(api, AccessChange::OpenPortal(new)).await? {
        Answer::PortalToken(_) => {}
        _ => return Err(odd_answer()),
    }
    let config = api.node.config();
    let app = config.application(app).ok_or_else(odd_answer)?;
    let token = key.secret.reveal();
    let url = login_url(&api.options.base_url(), app, token);
    Ok(axum::Json(json!({"url": url, "token": token})).into_response())
}

/// What logs in is behind the `#`, so that it reaches no log of a server on its way.
fn login_url(base: &str, app: &Application, token: &str) -> String {
    let key = json!({"appId": app.ksuid().to_string(), "token": token});
    let key = URL_SAFE_NO_PAD.encode(key.to_string());
    format!("{base}/login#key={key}")
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExpireIn {
    session_ids: Option<Vec<String>>,
    expiry: Option<i64>,
}

async fn expire_all(
    State(api): State<Api>,
    Path(app): Path<String>,
    Fields(fields): Fields<ExpireIn>,
) -> Reply {
    let app = application(&api, &app)?.id;
    let sessions = checked_names("sessionIds", fields.session_ids)?;
    let secs = fields.expiry.unwrap_or_default();
    let most = PORTAL_TOKEN_MS_MAX / 1000;
    if !(0..=most).contains(&secs) {
        return Err(bad_field("expiry", format!("it is 0 to {most} seconds")));
    }
    let change = AccessChange::ExpireTokens {
        app,
        sessions,
        after_ms: secs * 1000,
    };
    match change_access(&api, change).await? {
        Answer::Changed(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(odd_answer()),
    }
}

async fn log_out(State(api): State<Api>) -> Reply {
    let Caller::Holder(KeyHolder::Portal(token)) = Caller::current() else {
        let detail = "only a portal token can be logged out";
        return Err(Refused::new(Code::BadRequest, detail));
    };
    let hash = token.hash;
    match change_access(&api, AccessChange::Logout { hash }).await? {
        Answer::Deleted => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(odd_answer()),
    }
}

async fn who_am_i(State(api): State<Api>) -> Reply {
    let shown = match Caller::current() {
        Caller::Nobody | Caller::Anybody => json!({"kind": "anybody"}),
        Caller::Operator => json!({"kind": "admin"}),
        Caller::Holder(holder) => shown_holder(&api, &holder),
    };
    Ok(axum::Json(shown).into_response())
}

fn shown_holder(api: &Api, holder: &KeyHolder) -> Value {
    let config = api.node.config();
    let app = config.application(holder.app());
    let mut shown = json!({
        "appId": app.map(|app| app.ksuid().to_string()),
        "appUid": app.and_then(|app| app.uid.clone()),
        "featureFlags": holder.feature_flags(),
    });
    let more = match holder {
        KeyHolder::Portal(token) => json!({
            "kind": "portal",
            "capabilities": token.capabilities.iter().map(Capability::name).collect::<Vec<_>>(),
            "sessionId": token.session,
            "expiresAt": token.expires.rfc3339(),
        }),
        KeyHolder::Integration(one) => json!({
            "kind": "integration",
            "integrationId": one.ksuid().to_string(),
            "name": one.fields.name,
        }),
    };
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: Value) -> PortalIn {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn read_only_leaves_nothing_but_the_view() {
        let allowed =
            |body: Value| -> Vec<_> { parsed(body).capabilities().unwrap().iter().collect() };
        assert_eq!(allowed(json!({})), Capability::ALL);
        assert_eq!(allowed(json!({"capabilities": []})), []);
        let both = json!({"readOnly": true, "capabilities": ["ViewBase", "ManageEndpoint"]});
        assert_eq!(allowed(both), [Capability::ViewBase]);
        assert_eq!(allowed(json!({"readOnly": true})), [Capability::ViewBase]);
        assert!(parsed(json!({"capabilities": ["Fly"]})).checked().is_err());
    }

    #[test]
    fn a_token_lasts_an_hour_to_a_week() {
        let lasts = |secs: i64| {
            parsed(json!({"expiry": secs}))
                .checked()
                .map(|one| one.lasts_ms)
        };
        assert_eq!(lasts(3600).unwrap(), 3_600_000);
        assert_eq!(lasts(604_800).unwrap(), 604_800_000);
        for wrong in [-1, 0, 3599, 604_801, i64::MAX] {
            assert_eq!(
                lasts(wrong).map_err(|e| e.status.as_u16()),
                Err(422),
                "{wrong}"
            );
        }
    }
}
