//! Endpoints: where messages go.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use dunlin_delivery::{
    Answer, Application, Capability, Endpoint, EndpointConfig, Input, Transformation,
};
use dunlin_types::{Code, KsuidKind, Secret, Seq};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard};

use super::application::checked_rate;
use super::fields::{
    Fields, RotateIn, bad_field, checked_metadata, checked_secret, checked_uid, given, new_secret,
    shown_secret,
};
use super::own_fields::{OwnFields, OwnOut};
use super::page::Asked;
use super::{application, ask, cards, check, endpoint, odd_answer, sample};
use crate::caller::Caller;
use crate::error::{Refused, Reply};
use crate::state::Api;

const ONE: &str = "/api/v1/app/{app}/endpoint/{ep}";

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/app/{app}/endpoint", get(list).post(create))
        .route(ONE, get(read).put(replace).patch(patch).delete(remove))
        .route(&format!("{ONE}/secret"), get(secret))
        .route(&format!("{ONE}/secret/rotate"), post(rotate))
}

/// The core replaces a configuration as a whole, so whoever changes a part of one holds this from
/// its reading on.
static CHANGES: Mutex<()> = Mutex::const_new(());

/// Waits until nobody else changes a part of an endpoint.
pub(crate) async fn changing() -> MutexGuard<'static, ()> {
    CHANGES.lock().await
}

/// The part of the body that makes a transformation.
#[derive(Default, Deserialize)]
struct TransformationIn {
    code: Option<String>,
    enabled: Option<bool>,
    variables: Option<BTreeMap<String, String>>,
}

/// A new endpoint, or the new fields of one.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointIn {
    url: Option<String>,
    description: Option<String>,
    uid: Option<String>,
    disabled: Option<bool>,
    event_types: Option<Vec<String>>,
    filter_types: Option<Vec<String>>,
    channels: Option<Vec<String>>,
    throttle_rate: Option<u32>,
    rate_limit: Option<u32>,
    secret: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    headers: Option<BTreeMap<String, String>>,
    integration: Option<String>,
    transformation: Option<TransformationIn>,
    #[serde(flatten)]
    own: OwnFields,
}

impl EndpointIn {
    /// Refuses fields that take more than making endpoints does.
    fn allowed(&self, test: bool) -> Result<(), Refused> {
        let caller = Caller::current();
        let wants = [
            (self.secret.is_some(), Capability::ManageEndpointSecret),
            (
                self.transformation.is_some(),
                Capability::ManageTransformations,
            ),
            (test, Capability::CreateAttempts),
        ];
        wants
            .into_iter()
            .filter(|(wanted, _)| *wanted)
            .try_for_each(|(_, capability)| caller.require(capability))
    }

    /// Refuses a script that cannot run. Apart from the other checks, for it takes its time.
    async fn runs(&self, api: &Api) -> Result<(), Refused> {
        let fields = self.transformation.as_ref();
        match fields.and_then(|fields| fields.code.as_deref()) {
            Some(code) => check::code(api, code, &["body", "transformation", "code"]).await,
            None => Ok(()),
        }
    }

    /// Everything but the secret and the script, checked. What a replacement leaves out of headers, card and
    /// transformation stays as it is in `old`: clients of the foreign API don't know of them.
    fn checked(
        self,
        api: &Api,
        app: Seq,
        old: Option<&EndpointConfig>,
    ) -> Result<EndpointConfig, Refused> {
        let integration = self.integration.or_else(|| old?.integration.clone());
        let card = integration.as_deref().map(cards::find).transpose()?;
        let preset = card.and_then(|card| card.url).map(str::to_owned);
        let url = self.url.or(preset);
        let url = url.ok_or_else(|| bad_field("url", "the field is missing"))?;
        check::url(api, &url, integration.as_deref())?;
        let description = self.description.unwrap_or_default();
        check::description(&description)?;
        let headers = match self.headers {
            Some(headers) => check::headers(headers)?,
            None => old.map(|old| old.headers.clone()).unwrap_or_default(),
        };
        let transformation = match (self.transformation, old) {
            (None, Some(old)) => old.transformation.clone(),
            (fields, _) => transformation(api, fields, card)?,
        };
        let mut new = old.cloned().unwrap_or_default();
        self.own.apply(api, &mut new)?;
        Ok(EndpointConfig {
            app,
            uid: checked_uid(self.uid, KsuidKind::Endpoint.prefix())?,
            url,
            description,
            disabled: self.disabled.unwrap_or(false),
            disabled_reason: None,
            event_types: check::event_types(self.event_types.or(self.filter_types))?,
            channels: check::channels(self.channels)?,
            throttle_rate: checked_rate(self.throttle_rate.or(self.rate_limit))?,
            metadata: checked_metadata(self.metadata)?,
            headers,
            integration,
            transformation,
            ..new
        })
    }
}

/// The transformation that the fields ask for; where they name no code, the card's own.
fn transformation(
    api: &Api,
    fields: Option<TransformationIn>,
    card: Option<&cards::Card>,
) -> Result<Option<Transformation>, Refused> {
    let preset = card.map(|card| card.transform.to_owned());
    let wants_code = fields
        .as_ref()
        .is_some_and(|fields| fields.enabled == Some(true));
    let fields = fields.unwrap_or_default();
    let Some(code) = fields.code.or(preset) else {
        return match wants_code {
            true => Err(bad_field(
                "transformation",
                "an enabled transformation needs `code`",
            )),
            false => Ok(None),
        };
    };
    let enabled = fields.enabled.unwrap_or(true);
    let variables = fields.variables.unwrap_or_default();
    check::transformation(code, enabled, variables, api.node.now()).map(Some)
}

/// Fields to change: what is absent stays, what is null goes.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EndpointPatch {
    url: Option<String>,
    description: Option<String>,
    disabled: Option<bool>,
    #[serde(deserialize_with = "given")]
    uid: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    event_types: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "given")]
    filter_types: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "given")]
    channels: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "given")]
    throttle_rate: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    rate_limit: Option<Option<u32>>,
    #[serde(deserialize_with = "given")]
    metadata: Option<Option<BTreeMap<String, String>>>,
    #[serde(deserialize_with = "given")]
    integration: Option<Option<String>>,
    secret: Option<String>,
    #[serde(flatten)]
    own: OwnFields,
}

impl EndpointPatch {
    fn applied(self, api: &Api, old: &EndpointConfig) -> Result<EndpointConfig, Refused> {
        let mut new = old.clone();
        if let Some(uid) = self.uid {
            new.uid = checked_uid(uid, KsuidKind::Endpoint.prefix())?;
        }
        if let Some(description) = self.description {
            check::description(&description)?;
            new.description = description;
        }
        if let Some(disabled) = self.disabled {
            new.disabled = disabled;
            if !disabled {
                new.disabled_reason = None;
            }
        }
        if let Some(types) = self.event_types.or(self.filter_types) {
            new.event_types = check::event_types(types)?;
        }
        if let Some(channels) = self.channels {
            new.channels = check::channels(channels)?;
        }
        if let Some(rate) = self.throttle_rate.or(self.rate_limit) {
            new.throttle_rate = checked_rate(rate)?;
        }
        if let Some(metadata) = self.metadata {
            new.metadata = checked_metadata(metadata)?;
        }
        self.own.apply(api, &mut new)?;
        let moved = self.url.is_some() || self.integration.is_some();
        new.integration = self.integration.unwrap_or(new.integration);
        new.url = self.url.unwrap_or(new.url);
        if moved {
            check::url(api, &new.url, new.integration.as_deref())?;
        }
        Ok(new)
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointOut {
    id: String,
    uid: Option<String>,
    url: String,
    description: String,
    disabled: bool,
    disabled_reason: Option<String>,
    event_types: Option<Vec<String>>,
    filter_types: Option<Vec<String>>,
    channels: Option<Vec<String>>,
    throttle_rate: Option<u32>,
    rate_limit: Option<u32>,
    metadata: BTreeMap<String, String>,
    version: u32,
    integration: Option<String>,
    transformation: Option<TransformationSeen>,
    created_at: String,
    updated_at: String,
    #[serde(flatten)]
    own: OwnOut,
}

/// That there is a transformation, without its code and variables.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TransformationSeen {
    enabled: bool,
    updated_at: String,
}

impl EndpointOut {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let config = &endpoint.config;
        let unless_all = |names: &Vec<String>| (!names.is_empty()).then(|| names.clone());
        Self {
            id: endpoint.ksuid().to_string(),
            uid: config.uid.clone(),
            url: config.url.clone(),
            description: config.description.clone(),
            disabled: config.disabled,
            disabled_reason: config.disabled_reason.clone(),
            event_types: unless_all(&config.event_types),
            filter_types: unless_all(&config.event_types),
            channels: unless_all(&config.channels),
            throttle_rate: config.throttle_rate,
            rate_limit: config.throttle_rate,
            metadata: config.metadata.clone(),
            version: endpoint.version,
            integration: config.integration.clone(),
            transformation: config
                .transformation
                .as_ref()
                .map(|one| TransformationSeen {
                    enabled: one.enabled,
                    updated_at: one.updated.rfc3339(),
                }),
            created_at: endpoint.created.rfc3339(),
            updated_at: endpoint.updated.rfc3339(),
            own: OwnOut::of(config),
        }
    }
}

pub(super) async fn list(State(api): State<Api>, Path(app): Path<String>, asked: Asked) -> Reply {
    let app = application(&api, &app)?;
    let window = asked.window(KsuidKind::Endpoint, true)?;
    let config = api.node.config();
    let slice = window.of(config.endpoints_of(app.id), |one| one.id);
    slice.reply(|one| one.ksuid().to_string(), |one| EndpointOut::of(one))
}

pub(super) async fn create(
    State(api): State<Api>,
    Path(app): Path<String>,
    asked: Asked,
    Fields(fields): Fields<EndpointIn>,
) -> Reply {
    let app = application(&api, &app)?;
    let test = asked.text("test");
    fields.allowed(test.is_some())?;
    fields.runs(&api).await?;
    made(&api, &app, fields, test).await
}

/// Makes an endpoint of fields that are allowed and whose script runs. With a sample to try it is disabled until the sample has arrived.
async fn made(api: &Api, app: &Application, fields: EndpointIn, test: Option<&str>) -> Reply {
    let sample = test
        .map(|event_type| sample::of(api, event_type))
        .transpose()?;
    let secret = match &fields.secret {
        Some(text) => checked_secret(text, &["body", "secret"], true)?,
        None => new_secret(),
    };
    let mut config = fields.checked(api, app.id, None)?;
    let enable = !config.disabled;
    config.disabled |= sample.is_some();
    let mut endpoint = inserted(api, config, secret).await?;
    let Some(sample) = sample else {
        let body = axum::Json(EndpointOut::of(&endpoint));
        return Ok((StatusCode::CREATED, body).into_response());
    };
    let tried = sample::tried(api, endpoint.id, sample).await?;
    if tried.arrived && enable {
        endpoint = enabled(api, &endpoint).await?;
    }
    let body = serde_json::json!({"endpoint": EndpointOut::of(&endpoint), "test": tried.shown});
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}

async fn inserted(
    api: &Api,
    config: EndpointConfig,
    secret: Secret,
) -> Result<Arc<Endpoint>, Refused> {
    match ask(api, move |token| Input::CreateEndpoint {
        token,
        config: Box::new(config),
        secret,
    })
    .await?
    {
        Answer::Endpoint(endpoint) => Ok(endpoint),
        _ => Err(odd_answer()),
    }
}

pub(super) async fn enabled(api: &Api, endpoint: &Endpoint) -> Result<Arc<Endpoint>, Refused> {
    let _alone = changing().await;
    let now = api.node.config().endpoint(endpoint.id).cloned();
    let mut config = EndpointConfig::clone(&now.ok_or_else(gone)?.config);
    config.disabled = false;
    config.disabled_reason = None;
    updated(api, endpoint, config).await
}

fn gone() -> Refused {
    Refused::plain(Code::NotFound)
}

/// Replaces the fields of an endpoint. Whoever calls it holds [`changing`].
pub(crate) async fn updated(
    api: &Api,
    old: &Endpoint,
    config: EndpointConfig,
) -> Result<Arc<Endpoint>, Refused> {
    let (endpoint, was_disabled) = (old.id, old.config.disabled);
    match ask(api, move |token| Input::UpdateEndpoint {
        token,
        endpoint,
        config: Box::new(config),
        was_disabled,
    })
    .await?
    {
        Answer::Endpoint(endpoint) => Ok(endpoint),
        _ => Err(odd_answer()),
    }
}

pub(super) async fn read(State(api): State<Api>, Path((app, ep)): Path<(String, String)>) -> Reply {
    let (_, endpoint) = endpoint(&api, &app, &ep)?;
    Ok(axum::Json(EndpointOut::of(&endpoint)).into_response())
}

pub(super) async fn replace(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(mut fields): Fields<EndpointIn>,
) -> Reply {
    let app = application(&api, &app)?;
    fields.allowed(false)?;
    fields.runs(&api).await?;
    let _alone = changing().await;
    let Some(old) = api.node.config().find_endpoint(app.id, &ep).cloned() else {
        if ep.starts_with(KsuidKind::Endpoint.prefix()) {
            return Err(gone());
        }
        fields.uid.get_or_insert(ep);
        return made(&api, &app, fields, None).await;
    };
    let config = fields.checked(&api, app.id, Some(&old.config))?;
    let endpoint = updated(&api, &old, config).await?;
    Ok(axum::Json(EndpointOut::of(&endpoint)).into_response())
}

async fn patch(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(mut fields): Fields<EndpointPatch>,
) -> Reply {
    let _alone = changing().await;
    let (_, old) = endpoint(&api, &app, &ep)?;
    let secret = fields.secret.take();
    if secret.is_some() {
        Caller::current().require(Capability::ManageEndpointSecret)?;
    }
    let secret = secret
        .map(|text| checked_secret(&text, &["body", "secret"], true))
        .transpose()?;
    let config = fields.applied(&api, &old.config)?;
    let mut endpoint = updated(&api, &old, config).await?;
    if let Some(secret) = secret {
        endpoint = rotated(&api, old.id, secret, 0).await?;
    }
    Ok(axum::Json(EndpointOut::of(&endpoint)).into_response())
}

pub(super) async fn remove(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
) -> Reply {
    let endpoint = endpoint(&api, &app, &ep)?.1.id;
    match ask(&api, move |token| Input::DeleteEndpoint { token, endpoint }).await? {
        Answer::Deleted => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(odd_answer()),
    }
}

pub(super) async fn secret(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
) -> Reply {
    let (_, endpoint) = endpoint(&api, &app, &ep)?;
    key_of(&endpoint)
}

fn key_of(endpoint: &Endpoint) -> Reply {
    let current = endpoint
        .secrets
        .iter()
        .find(|one| one.expires.is_none())
        .ok_or_else(gone)?;
    let body = serde_json::json!({"key": shown_secret(&current.secret)});
    Ok(axum::Json(body).into_response())
}

pub(super) async fn rotate(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(fields): Fields<RotateIn>,
) -> Reply {
    let (_, endpoint) = endpoint(&api, &app, &ep)?;
    let (secret, grace_ms) = fields.checked(true)?;
    // SDKs differ: one reads the new key from the answer, the others read nothing.
    let endpoint = rotated(&api, endpoint.id, secret, grace_ms).await?;
    key_of(&endpoint)
}

async fn rotated(
    api: &Api,
    endpoint: Seq,
    secret: Secret,
    grace_ms: i64,
) -> Result<Arc<Endpoint>, Refused> {
    let input = move |token| Input::RotateEndpointSecret {
        token,
        endpoint,
        secret,
        grace_ms,
    };
    match ask(api, input).await? {
        Answer::Endpoint(endpoint) => Ok(endpoint),
        _ => Err(odd_answer()),
    }
}

#[cfg(test)]
mod tests {
    use dunlin_types::Timestamp;

    use super::*;

    #[test]
    fn a_patch_tells_absent_from_null() {
        let patch: EndpointPatch =
            serde_json::from_str(r#"{"filterTypes":null,"rateLimit":7,"uid":null}"#).unwrap();
        assert_eq!(patch.filter_types, Some(None));
        assert_eq!(patch.rate_limit, Some(Some(7)));
        assert_eq!((patch.uid, patch.channels), (Some(None), None));
    }

    #[test]
    fn both_generations_of_names_are_shown_and_all_is_null() {
        let mut config = EndpointConfig {
            url: "https://example.com".to_owned(),
            event_types: vec!["payment.succeeded".to_owned()],
            throttle_rate: Some(3),
            ..EndpointConfig::default()
        };
        let show = |config: EndpointConfig| {
            let at = Timestamp::from_ms(1_800_000_000_000);
            serde_json::to_value(EndpointOut::of(&Endpoint {
                id: Seq(1),
                created: at,
                updated: at,
                version: 1,
                from_seq: Seq(1),
                config: config.into(),
                secrets: Vec::new(),
            }))
            .unwrap()
        };
        let shown = show(config.clone());
        for field in ["eventTypes", "filterTypes"] {
            assert_eq!(shown[field][0], "payment.succeeded");
        }
        assert_eq!(
            (&shown["throttleRate"], &shown["rateLimit"]),
            (&3.into(), &3.into())
        );
        config.event_types.clear();
        assert!(show(config)["filterTypes"].is_null());
    }
}
