//! The JSON in which apps' functions, applications, sources and endpoints are kept: rows that are
//! few, read whole, and may gain fields.

mod access;
mod event_type;
mod flow;
mod task;

use std::collections::BTreeMap;

use dunlin_delivery::{
    Application, EndpointConfig, EndpointTls, Filter, JsonPath, Retention, Source, SourceConfig,
    SourceKind, SourceMode, Transformation,
};
use dunlin_engine::config::{CancelRule, FunctionRow, RuleTime, Timeouts, TriggerSpec};
use dunlin_types::{Code, Payload, Secret, Seq, Timestamp};
use rusqlite::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::seal::{Secrets, Visit};
pub(crate) use access::IntegrationJson;
pub(crate) use event_type::EventTypeJson;
use flow::FlowJson;
pub(crate) use task::TaskJson;

/// Writes a value out.
pub(crate) fn text<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::ToSqlConversionFailure(Box::new(e)))
}

/// Reads a column of JSON.
pub(crate) fn read<T: DeserializeOwned>(text: &str, column: usize) -> Result<T> {
    let kind = rusqlite::types::Type::Text;
    serde_json::from_str(text)
        .map_err(|e| Error::FromSqlConversionFailure(column, kind, Box::new(e)))
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TriggerJson {
    Event {
        name: String,
        expression: Option<String>,
    },
    Cron {
        schedule: String,
        #[serde(default)]
        jitter_ms: Option<i64>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum UntilJson {
    AfterMs(i64),
    At(i64),
}

#[derive(Serialize, Deserialize)]
struct CancelJson {
    event: String,
    condition: Option<String>,
    until: Option<UntilJson>,
}

impl From<&CancelRule> for CancelJson {
    fn from(rule: &CancelRule) -> Self {
        Self {
            event: rule.event.clone(),
            condition: rule.condition.clone(),
            until: rule.until.map(|until| match until {
                RuleTime::AfterMs(ms) => UntilJson::AfterMs(ms),
                RuleTime::At(at) => UntilJson::At(at.ms()),
            }),
        }
    }
}

impl From<CancelJson> for CancelRule {
    fn from(json: CancelJson) -> Self {
        Self {
            event: json.event,
            condition: json.condition,
            until: json.until.map(|until| match until {
                UntilJson::AfterMs(ms) => RuleTime::AfterMs(ms),
                UntilJson::At(ms) => RuleTime::At(Timestamp::from_ms(ms)),
            }),
        }
    }
}

/// A function's row.
#[derive(Serialize, Deserialize)]
pub(crate) struct FunctionJson {
    number: u32,
    app: u32,
    slug: String,
    name: String,
    version: u32,
    from: u64,
    created: i64,
    archived: Option<i64>,
    #[serde(default)]
    paused: Option<i64>,
    #[serde(default)]
    cancel: Vec<CancelJson>,
    #[serde(default)]
    start_ms: Option<i64>,
    #[serde(default)]
    finish_ms: Option<i64>,
    triggers: Vec<TriggerJson>,
    url: String,
    retries: Option<u8>,
    #[serde(default)]
    flow: FlowJson,
    config: String,
}

impl From<&FunctionRow> for FunctionJson {
    fn from(row: &FunctionRow) -> Self {
        let trigger = |one: &TriggerSpec| match one.clone() {
            TriggerSpec::Event { name, expression } => TriggerJson::Event { name, expression },
            TriggerSpec::Cron {
                schedule,
                jitter_ms,
            } => TriggerJson::Cron {
                schedule,
                jitter_ms,
            },
        };
        Self {
            number: row.number,
            app: row.app,
            slug: row.slug.clone(),
            name: row.name.clone(),
            version: row.version,
            from: row.from.0,
            created: row.created.ms(),
            archived: row.archived.map(Timestamp::ms),
            paused: row.paused.map(Timestamp::ms),
            cancel: row.cancel.iter().map(CancelJson::from).collect(),
            start_ms: row.timeouts.start_ms,
            finish_ms: row.timeouts.finish_ms,
            triggers: row.triggers.iter().map(trigger).collect(),
            url: row.url.clone(),
            retries: row.retries,
            flow: FlowJson::from(&row.flow),
            config: row.config.as_str().to_owned(),
        }
    }
}

impl From<FunctionJson> for FunctionRow {
    fn from(json: FunctionJson) -> Self {
        let trigger = |one: TriggerJson| match one {
            TriggerJson::Event { name, expression } => TriggerSpec::Event { name, expression },
            TriggerJson::Cron {
                schedule,
                jitter_ms,
            } => TriggerSpec::Cron {
                schedule,
                jitter_ms,
            },
        };
        Self {
            number: json.number,
            app: json.app,
            slug: json.slug,
            name: json.name,
            version: json.version,
            from: Seq(json.from),
            created: Timestamp::from_ms(json.created),
            archived: json.archived.map(Timestamp::from_ms),
            paused: json.paused.map(Timestamp::from_ms),
            cancel: json.cancel.into_iter().map(CancelRule::from).collect(),
            timeouts: Timeouts {
                start_ms: json.start_ms,
                finish_ms: json.finish_ms,
            },
            triggers: json.triggers.into_iter().map(trigger).collect(),
            url: json.url,
            retries: json.retries,
            flow: json.flow.into(),
            config: Payload::from_json(json.config),
        }
    }
}

/// An application's row.
#[derive(Serialize, Deserialize)]
pub(crate) struct ApplicationJson {
    created: i64,
    updated: i64,
    name: String,
    uid: Option<String>,
    throttle_rate: Option<u32>,
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    payload_days: Option<u16>,
    #[serde(default)]
    days: Option<u16>,
    #[serde(default)]
    wipe: bool,
    #[serde(default)]
    operational: bool,
}

impl From<&Application> for ApplicationJson {
    fn from(row: &Application) -> Self {
        Self {
            created: row.created.ms(),
            updated: row.updated.ms(),
            name: row.name.clone(),
            uid: row.uid.clone(),
            throttle_rate: row.throttle_rate,
            metadata: row.metadata.clone(),
            payload_days: Some(row.retention.payload_days),
            days: Some(row.retention.days),
            wipe: row.retention.wipe_on_success,
            operational: row.operational,
        }
    }
}

impl ApplicationJson {
    pub(crate) fn row(self, id: Seq) -> Application {
        let usual = Retention::default();
        Application {
            retention: Retention {
                payload_days: self.payload_days.unwrap_or(usual.payload_days),
                days: self.days.unwrap_or(usual.days),
                wipe_on_success: self.wipe,
            },
            operational: self.operational,
            id,
            created: Timestamp::from_ms(self.created),
            updated: Timestamp::from_ms(self.updated),
            name: self.name,
            uid: self.uid,
            throttle_rate: self.throttle_rate,
            metadata: self.metadata,
        }
    }
}

/// A source's row, without its secrets.
#[derive(Serialize, Deserialize)]
pub(crate) struct SourceJson {
    created: i64,
    updated: i64,
    name: String,
    uid: Option<String>,
    kind: String,
    mode: Option<SourceMode>,
    #[serde(default)]
    config: SourceConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url_token: Option<String>,
    app: u64,
    metadata: BTreeMap<String, String>,
}

impl From<&Source> for SourceJson {
    fn from(row: &Source) -> Self {
        Self {
            created: row.created.ms(),
            updated: row.updated.ms(),
            name: row.name.clone(),
            uid: row.uid.clone(),
            kind: row.kind.as_str().to_owned(),
            mode: row.mode,
            config: row.config.clone(),
            url_token: row
                .url_token
                .as_ref()
                .map(|token| token.reveal().to_owned()),
            app: row.app.0,
            metadata: row.metadata.clone(),
        }
    }
}

impl SourceJson {
    pub(crate) fn row(self, id: Seq) -> Source {
        Source {
            id,
            created: Timestamp::from_ms(self.created),
            updated: Timestamp::from_ms(self.updated),
            name: self.name,
            uid: self.uid,
            // A kind that only a newer program knows verifies nothing here.
            kind: SourceKind::parse(&self.kind.replace('_', "-")).unwrap_or(SourceKind::Generic),
            mode: self.mode,
            config: self.config,
            url_token: self.url_token.map(Secret::new),
            app: Seq(self.app),
            metadata: self.metadata,
            secrets: Vec::new(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct TransformationJson {
    code: String,
    enabled: bool,
    variables: BTreeMap<String, String>,
    updated: i64,
}

/// Certificates of an endpoint.
#[derive(Serialize, Deserialize)]
struct TlsJson {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    insecure: bool,
}

/// What the owner of an endpoint set.
#[derive(Serialize, Deserialize)]
pub(crate) struct EndpointJson {
    app: u64,
    uid: Option<String>,
    url: String,
    description: String,
    disabled: bool,
    disabled_reason: Option<String>,
    #[serde(default)]
    disabled_at: Option<i64>,
    #[serde(default)]
    fail_since: Option<i64>,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    retry_schedule_ms: Option<Vec<i64>>,
    #[serde(default)]
    ordering_key: Option<String>,
    #[serde(default)]
    filter: Option<String>,
    #[serde(default)]
    tls: Option<TlsJson>,
    event_types: Vec<String>,
    channels: Vec<String>,
    throttle_rate: Option<u32>,
    metadata: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    integration: Option<String>,
    transformation: Option<TransformationJson>,
}

impl From<&EndpointConfig> for EndpointJson {
    fn from(config: &EndpointConfig) -> Self {
        let config = config.clone();
        Self {
            app: config.app.0,
            uid: config.uid,
            url: config.url,
            description: config.description,
            disabled: config.disabled,
            disabled_reason: config.disabled_reason,
            disabled_at: config.disabled_at.map(Timestamp::ms),
            fail_since: config.fail_since.map(Timestamp::ms),
            paused: config.paused,
            retry_schedule_ms: config.retry_schedule_ms,
            ordering_key: config.ordering_key.map(|path| path.source().to_owned()),
            filter: config.filter.map(|filter| filter.source().to_owned()),
            tls: config.tls.map(|tls| TlsJson {
                ca: tls.ca_pem,
                cert: tls.client_cert_pem,
                key: tls.client_key_pem.map(|key| key.reveal().to_owned()),
                insecure: tls.insecure,
            }),
            event_types: config.event_types,
            channels: config.channels,
            throttle_rate: config.throttle_rate,
            metadata: config.metadata,
            headers: config.headers,
            integration: config.integration,
            transformation: config.transformation.map(|one| TransformationJson {
                code: one.code.as_ref().to_owned(),
                enabled: one.enabled,
                variables: one.variables,
                updated: one.updated.ms(),
            }),
        }
    }
}

impl From<EndpointJson> for EndpointConfig {
    fn from(json: EndpointJson) -> Self {
        Self {
            app: Seq(json.app),
            uid: json.uid,
            url: json.url,
            description: json.description,
            disabled: json.disabled,
            disabled_reason: json.disabled_reason,
            disabled_at: json.disabled_at.map(Timestamp::from_ms),
            fail_since: json.fail_since.map(Timestamp::from_ms),
            paused: json.paused,
            retry_schedule_ms: json.retry_schedule_ms,
            // They were checked when they came in, by this program or another one.
            ordering_key: json
                .ordering_key
                .map(|path| JsonPath::parse(&path).unwrap_or_else(|_| JsonPath::unreadable(&path))),
            filter: json
                .filter
                .map(|text| Filter::parse(&text).unwrap_or_else(|_| Filter::unreadable(&text))),
            tls: json.tls.map(|tls| EndpointTls {
                ca_pem: tls.ca,
                client_cert_pem: tls.cert,
                client_key_pem: tls.key.map(Secret::new),
                insecure: tls.insecure,
            }),
            event_types: json.event_types,
            channels: json.channels,
            throttle_rate: json.throttle_rate,
            metadata: json.metadata,
            headers: json.headers,
            integration: json.integration,
            transformation: json.transformation.map(|one| Transformation {
                code: one.code.into(),
                enabled: one.enabled,
                variables: one.variables,
                updated: Timestamp::from_ms(one.updated),
            }),
        }
    }
}

/// An endpoint as it goes on after a start. Where its filter cannot be read, nobody knows what it wants:
/// it is disabled until it has another one, and enabling it then sends what it missed.
pub(crate) fn restored(json: EndpointJson, id: Seq, updated: Timestamp) -> EndpointConfig {
    let mut config = EndpointConfig::from(json);
    if let Some(path) = &config.ordering_key
        && let Err(error) = JsonPath::parse(path.source())
    {
        let (endpoint, code) = (id.0, Code::OrderingKeyBad);
        warn!(endpoint, %code, %error, "an ordering key cannot be read: all goes in one order");
    }
    if let Some(filter) = &config.filter
        && let Err(error) = Filter::parse(filter.source())
    {
        let (endpoint, code) = (id.0, Code::FilterBad);
        warn!(endpoint, %code, %error, "a filter cannot be read: its endpoint is disabled");
        if !config.disabled {
            config.disabled_at = Some(updated);
        }
        config.disabled = true;
        config.disabled_reason = Some(format!(
            "its filter cannot be read any more ({code}, {error}): set another one, then enable it"
        ));
    }
    config
}

impl Secrets for SourceJson {
    fn each_secret(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        match &mut self.url_token {
            Some(token) => visit("url", "", token),
            None => Ok(()),
        }
    }
}

impl Secrets for EndpointJson {
    fn each_secret(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        for (name, value) in &mut self.headers {
            visit("header", name, value)?;
        }
        let key = self.tls.as_mut().and_then(|tls| tls.key.as_mut());
        if let Some(key) = key {
            visit("tls", "", key)?;
        }
        let variables = self.transformation.iter_mut().map(|one| &mut one.variables);
        for (name, value) in variables.flatten() {
            visit("variable", name, value)?;
        }
        Ok(())
    }
}
