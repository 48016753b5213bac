//! Sources, after the shape of the ingest API: `/ingest/api/v1/source`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use dunlin_delivery::{
    Answer, DEFAULT_APPLICATION, Input, NewSource, Source, SourceKind, SourceMode,
};
use dunlin_types::limits::SOURCE_NAME_CHARS_MAX;
use dunlin_types::{Code, Coded, KsuidKind};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::{Refused, Reply};
use crate::state::Api;
use crate::svix::fields::{
    Fields, RotateIn, bad, bad_field, checked_metadata, checked_secret, checked_uid, shown_secret,
};
use crate::svix::page::Asked;
use crate::svix::{ask, not_built, odd_answer};

const ONE: &str = "/ingest/api/v1/source/{id}";

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/ingest/api/v1/source", get(list).post(create))
        .route(
            ONE,
            get(read).delete(remove).put(not_built).patch(not_built),
        )
        .route(&format!("{ONE}/secret"), get(secret))
        .route(&format!("{ONE}/secret/rotate"), post(rotate))
}

#[derive(Debug, Deserialize)]
struct SourceIn {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    config: Option<ConfigIn>,
    uid: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
struct ConfigIn {
    secret: Option<String>,
    mode: Option<String>,
}

impl SourceIn {
    fn checked(self) -> Result<NewSource, Refused> {
        let config = self.config.unwrap_or_default();
        let place = ["body", "config", "secret"];
        let mode = match config.mode.as_deref() {
            None => None,
            Some("test") => Some(SourceMode::Test),
            Some("live") => Some(SourceMode::Live),
            Some(_) => {
                let error = Coded::new(Code::BadRequest, "a mode is `test` or `live`");
                return Err(bad(&["body", "config", "mode"], error));
            }
        };
        Ok(NewSource {
            name: checked_name(self.name)?,
            kind: kind_of(&self.kind)?,
            secret: checked_secret(&config.secret.unwrap_or_default(), &place, false)?,
            uid: checked_uid(self.uid, KsuidKind::Source.prefix())?,
            metadata: checked_metadata(self.metadata)?,
            app: DEFAULT_APPLICATION,
            mode,
        })
    }
}

/// A name is part of the source's URL.
fn checked_name(name: String) -> Result<String, Refused> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=SOURCE_NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name);
    }
    let why = format!("a name has 1 to {SOURCE_NAME_CHARS_MAX} of the characters a-z 0-9 -");
    Err(bad_field("name", why))
}

fn kind_of(text: &str) -> Result<SourceKind, Refused> {
    match text {
        "dodo" => Ok(SourceKind::Dodo),
        "standard-webhooks" => Ok(SourceKind::StandardWebhooks),
        _ => Err(bad_field("type", "a type is `dodo` or `standard-webhooks`")),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceOut {
    id: String,
    uid: Option<String>,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    ingest_url: String,
    config: ConfigOut,
    metadata: BTreeMap<String, String>,
    created_at: String,
    updated_at: String,
}

/// Without the secret, which has a path of its own.
#[derive(Debug, Serialize)]
struct ConfigOut {
    mode: Option<&'static str>,
}

impl SourceOut {
    fn of(source: &Source, base_url: &str) -> Self {
        let id = source.ksuid().to_string();
        Self {
            ingest_url: format!("{base_url}/in/{id}"),
            id,
            uid: source.uid.clone(),
            name: source.name.clone(),
            kind: match source.kind {
                SourceKind::Dodo => "dodo",
                SourceKind::StandardWebhooks => "standard-webhooks",
            },
            config: ConfigOut {
                mode: source.mode.map(|mode| match mode {
                    SourceMode::Test => "test",
                    SourceMode::Live => "live",
                }),
            },
            metadata: source.metadata.clone(),
            created_at: source.created.rfc3339(),
            updated_at: source.updated.rfc3339(),
        }
    }
}

fn source(api: &Api, text: &str) -> Result<Arc<Source>, Refused> {
    let found = api.node.config().find_source(text).cloned();
    found.ok_or_else(|| Refused::plain(Code::SourceUnknown))
}

async fn list(State(api): State<Api>, asked: Asked) -> Reply {
    let window = asked.window(KsuidKind::Source, true)?;
    let (config, base) = (api.node.config(), api.options.base_url());
    let slice = window.of(config.sources(), |one| one.id);
    slice.reply(
        |one| one.ksuid().to_string(),
        |one| SourceOut::of(one, &base),
    )
}

async fn create(State(api): State<Api>, Fields(fields): Fields<SourceIn>) -> Reply {
    let new = fields.checked()?;
    match ask(&api, move |token| Input::CreateSource { token, new }).await? {
        Answer::Source(source) => {
            let body = axum::Json(SourceOut::of(&source, &api.options.base_url()));
            Ok((StatusCode::CREATED, body).into_response())
        }
        _ => Err(odd_answer()),
    }
}

async fn read(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let source = source(&api, &id)?;
    Ok(axum::Json(SourceOut::of(&source, &api.options.base_url())).into_response())
}

async fn remove(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let source = source(&api, &id)?.id;
    match ask(&api, move |token| Input::DeleteSource { token, source }).await? {
        Answer::Deleted => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(odd_answer()),
    }
}

async fn secret(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let source = source(&api, &id)?;
    let current = source.secrets.iter().find(|one| one.expires.is_none());
    let current = current.ok_or_else(|| Refused::plain(Code::NotFound))?;
    // Whoever tries a source out signs with its secret, so a private key is shown as it is.
    let key = match current.secret.reveal().starts_with("whsk_") {
        true => current.secret.reveal().to_owned(),
        false => shown_secret(&current.secret),
    };
    Ok(axum::Json(json!({"key": key})).into_response())
}

async fn rotate(
    State(api): State<Api>,
    Path(id): Path<String>,
    Fields(fields): Fields<RotateIn>,
) -> Reply {
    let source = source(&api, &id)?.id;
    let (secret, grace_ms) = fields.checked(false)?;
    let input = move |token| Input::RotateSourceSecret {
        token,
        source,
        secret,
        grace_ms,
    };
    match ask(&api, input).await? {
        Answer::Source(_) => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(odd_answer()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    fn checked(change: impl FnOnce(&mut Value)) -> Result<NewSource, Refused> {
        let mut body = json!({
            "name": "dodo-live",
            "type": "dodo",
            "config": {"secret": SECRET, "mode": "live"},
        });
        change(&mut body);
        serde_json::from_value::<SourceIn>(body).unwrap().checked()
    }

    #[test]
    fn a_source_takes_a_name_a_type_and_a_strong_secret() {
        let new = checked(|_| ()).unwrap();
        assert_eq!(
            (new.kind, new.mode),
            (SourceKind::Dodo, Some(SourceMode::Live))
        );
        assert_eq!(new.secret.reveal(), SECRET);
    }

    #[test]
    fn weak_or_missing_secrets_are_refused_before_anything_is_made() {
        for weak in [
            json!(null),
            json!(""),
            json!("whsec_"),
            json!("whsec_c2hvcnQ="),
        ] {
            let refused = checked(|body| body["config"]["secret"] = weak.clone()).unwrap_err();
            assert_eq!(
                (refused.status.as_u16(), refused.error.code),
                (422, Code::SecretWeak)
            );
        }
        let without = checked(|body| body["config"] = Value::Null).unwrap_err();
        assert_eq!(without.error.code, Code::SecretWeak);
    }

    #[test]
    fn names_must_fit_into_a_url() {
        for name in ["", "Dodo", "a b", "a_b", "ä", &"a".repeat(65)] {
            let refused = checked(|body| body["name"] = json!(name)).unwrap_err();
            assert_eq!(refused.status, 422, "{name}");
        }
        assert_eq!(
            checked(|body| body["type"] = json!("stripe"))
                .unwrap_err()
                .status,
            422
        );
    }
}
