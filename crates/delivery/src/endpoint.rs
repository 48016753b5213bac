//! Endpoints: where messages go. Each change of one leaves a version behind.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use dunlin_types::{Code, Coded, Ksuid, KsuidKind, Secret, Seq, Timestamp, limits};

use crate::application::{full, taken};
use crate::lane::Lane;
use crate::{
    Answer, Context, Delivery, EndpointVersionRow, Filter, JsonPath, Outcome, RestRow,
    SecretVersion, Trigger, Write, operational, secrets,
};

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its row.
    pub id: Seq,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// The number of its present version.
    pub version: u32,
    /// From where on that version holds.
    pub from_seq: Seq,
    /// What its owner set.
    pub config: Arc<EndpointConfig>,
    /// What signs its deliveries, newest first.
    pub secrets: Vec<SecretVersion>,
}

impl Endpoint {
    /// The id users see.
    #[must_use]
    pub fn ksuid(&self) -> Ksuid {
        Ksuid::new(KsuidKind::Endpoint, self.created, self.id)
    }
}

/// What the owner of an endpoint sets.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EndpointConfig {
    /// The application it belongs to.
    pub app: Seq,
    /// The id its owner gave it, unique in the application.
    pub uid: Option<String>,
    /// Where messages go.
    pub url: String,
    /// For people.
    pub description: String,
    /// Whether nothing is sent to it.
    pub disabled: bool,
    /// Why, when it was not its owner who disabled it.
    pub disabled_reason: Option<String>,
    /// The event types it wants; all when empty.
    pub event_types: Vec<String>,
    /// The channels it wants; all when empty.
    pub channels: Vec<String>,
    /// Since when it is disabled.
    pub disabled_at: Option<Timestamp>,
    /// Since when messages had not arrived when it was disabled; none if all had.
    pub fail_since: Option<Timestamp>,
    /// Whether what is for it waits until its owner lets it go on.
    pub paused: bool,
    /// Messages per second; the application's when absent.
    pub throttle_rate: Option<u32>,
    /// The delays between attempts; those of the event type or the server when absent.
    pub retry_schedule_ms: Option<Vec<i64>>,
    /// Messages with the same value there go one after the other.
    pub ordering_key: Option<JsonPath>,
    /// Which messages it wants, by what is in them.
    pub filter: Option<Filter>,
    /// How it is known, and what it asks to know, when connections are made.
    pub tls: Option<EndpointTls>,
    /// What its owner noted.
    pub metadata: BTreeMap<String, String>,
    /// Headers of each request; may hold credentials.
    pub headers: BTreeMap<String, String>,
    /// The card it was made from.
    pub integration: Option<String>,
    /// What rewrites its messages.
    pub transformation: Option<Transformation>,
}

/// Without the values of headers, which may be credentials.
impl fmt::Debug for EndpointConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointConfig")
            .field("app", &self.app)
            .field("uid", &self.uid)
            .field("url", &self.url)
            .field("disabled", &self.disabled)
            .field("event_types", &self.event_types)
            .field("channels", &self.channels)
            .field("headers", &self.headers.keys())
            .field("integration", &self.integration)
            .field("transformation", &self.transformation)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Certificates of one endpoint, as PEM texts that have been checked.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EndpointTls {
    /// Authorities that are trusted besides the usual ones.
    pub ca_pem: Option<String>,
    /// What we show ourselves with, with its chain.
    pub client_cert_pem: Option<String>,
    /// The key of that.
    pub client_key_pem: Option<Secret>,
    /// Whether the receiver's certificate is not checked; only where the operator allows it.
    pub insecure: bool,
}

/// Without the key.
impl fmt::Debug for EndpointTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointTls")
            .field("ca", &self.ca_pem.is_some())
            .field("client_cert", &self.client_cert_pem.is_some())
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}

/// A script that rewrites an endpoint's messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Transformation {
    /// The script.
    pub code: Arc<str>,
    /// Whether it runs.
    pub enabled: bool,
    /// What it sees as `env`; may hold credentials.
    pub variables: BTreeMap<String, String>,
    /// When it last changed.
    pub updated: Timestamp,
}

/// Without the values of variables, which may be credentials.
impl fmt::Debug for Transformation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transformation")
            .field("code_bytes", &self.code.len())
            .field("enabled", &self.enabled)
            .field("variables", &self.variables.keys())
            .finish_non_exhaustive()
    }
}

impl Delivery {
    pub(crate) fn create_endpoint(
        &mut self,
        config: EndpointConfig,
        secret: Secret,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        if self.config.endpoints().count() >= limits::ENDPOINTS_MAX {
            return Err(full("endpoints", limits::ENDPOINTS_MAX));
        }
        if self.config.application(config.app).is_none() {
            return Err(Coded::plain(Code::NotFound));
        }
        let most = limits::ENDPOINTS_PER_APPLICATION_MAX;
        if self.config.endpoints_of(config.app).count() >= most {
            return Err(full("endpoints in an application", most));
        }
        self.check_uid(&config, None)?;
        let id = cx.seq();
        let endpoint = Endpoint {
            id,
            created: cx.now,
            updated: cx.now,
            version: 1,
            from_seq: id,
            config: Arc::new(config),
            secrets: secrets::first(secret, cx.now),
        };
        let endpoint = self.put_version(endpoint, out);
        self.steer_as(&endpoint, cx.now);
        self.tell(
            operational::endpoint("endpoint.created", &endpoint),
            cx,
            out,
        );
        Ok(Answer::Endpoint(endpoint))
    }

    pub(crate) fn update_endpoint(
        &mut self,
        id: Seq,
        mut config: EndpointConfig,
        was_disabled: bool,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        let old = self.endpoint(id)?;
        if config.disabled == was_disabled {
            // Left as it was read: what its receiver did meanwhile stays, and why it is disabled.
            let EndpointConfig {
                disabled,
                disabled_at,
                fail_since,
                ..
            } = *old.config;
            let disabled_reason = old.config.disabled_reason.clone();
            config = EndpointConfig {
                disabled,
                disabled_reason,
                disabled_at,
                fail_since,
                ..config
            };
        }
        if config.app != old.config.app {
            let detail = "an endpoint stays with its application";
            return Err(Coded::new(Code::BadRequest, detail));
        }
        self.check_uid(&config, Some(id))?;
        Ok(Answer::Endpoint(self.change(&old, config, cx, out)))
    }

    pub(crate) fn delete_endpoint(
        &mut self,
        id: Seq,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        self.endpoint(id)?;
        self.remove_endpoint(id, cx, out);
        Ok(Answer::Deleted)
    }

    pub(crate) fn rotate_endpoint(
        &mut self,
        id: Seq,
        secret: Secret,
        grace_ms: i64,
        now: Timestamp,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        let mut endpoint = Endpoint::clone(&*self.endpoint(id)?);
        endpoint.secrets = secrets::rotated(&endpoint.secrets, secret, grace_ms, now)?;
        endpoint.updated = now;
        // Secrets are no part of a version: no question about the past needs them.
        Ok(Answer::Endpoint(self.put_endpoint(endpoint, out)))
    }

    /// Disables an endpoint for what its receiver did.
    pub(crate) fn disable_endpoint(
        &mut self,
        id: Seq,
        reason: &str,
        fail_since: Option<Timestamp>,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let Ok(old) = self.endpoint(id) else { return };
        if old.config.disabled {
            return;
        }
        let mut config = EndpointConfig::clone(&old.config);
        config.disabled = true;
        config.disabled_reason = Some(reason.to_owned());
        config.fail_since = fail_since;
        self.change(&old, config, cx, out);
    }

    pub(crate) fn remove_endpoint(&mut self, id: Seq, cx: &mut Context<'_>, out: &mut Outcome) {
        let Ok(old) = self.endpoint(id) else { return };
        self.tell(operational::endpoint("endpoint.deleted", &old), cx, out);
        self.config_mut().remove_endpoint(id);
        self.fares_well(id, out);
        out.writes.push(Write::EndpointDeleted(id));
        out.writes.push(Write::EndpointVersion(EndpointVersionRow {
            endpoint: id,
            version: old.version + 1,
            from_seq: cx.seq(),
            at: cx.now,
            config: None,
        }));
        // There may be any number of them, so they end one by one as they come due.
        self.queue.all_due(id, cx.now);
        self.queue.steer(id, cx.now, Lane::end);
        self.unpark(id, out);
    }

    pub(crate) fn endpoint(&self, id: Seq) -> Result<Arc<Endpoint>, Coded> {
        let found = self.config.endpoint(id).cloned();
        found.ok_or_else(|| Coded::plain(Code::NotFound))
    }

    fn check_uid(&self, config: &EndpointConfig, own: Option<Seq>) -> Result<(), Coded> {
        let Some(uid) = &config.uid else {
            return Ok(());
        };
        match self.config.endpoint_of_uid(config.app, uid) {
            Some(other) if Some(other.id) != own => Err(taken("endpoint", uid)),
            _ => Ok(()),
        }
    }

    fn change(
        &mut self,
        old: &Endpoint,
        mut config: EndpointConfig,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Arc<Endpoint> {
        let (was, is) = (old.config.disabled, config.disabled);
        if is {
            self.queue.ready_due(old.id, cx.now);
        }
        if is && !was {
            config.disabled_at = Some(cx.now);
            // What waits is given up now, so whoever catches up must begin with it.
            let pending = self.queue.of_endpoint(old.id, Seq(0));
            let pending = pending.filter(|hot| hot.row.trigger != Trigger::Test);
            let oldest = pending.map(|hot| hot.row.created).min();
            config.fail_since = oldest.into_iter().chain(config.fail_since).min();
        } else if !is {
            (
                config.disabled_at,
                config.disabled_reason,
                config.fail_since,
            ) = (None, None, None);
        }
        let endpoint = Endpoint {
            version: old.version + 1,
            from_seq: cx.seq(),
            updated: cx.now,
            config: Arc::new(config),
            ..old.clone()
        };
        let endpoint = self.put_version(endpoint, out);
        if endpoint.config.url != old.config.url {
            self.fares_well(endpoint.id, out);
        }
        self.steer_as(&endpoint, cx.now);
        if endpoint.config.paused && !old.config.paused {
            self.release_held_back(cx, out);
        }
        if is && !was {
            self.unpark(endpoint.id, out);
        }
        let told = match (was, is) {
            (false, true) => operational::endpoint_disabled(&endpoint),
            (true, false) => {
                self.fares_well(endpoint.id, out);
                self.begin_carefully(endpoint.id, cx.now, out);
                operational::endpoint("endpoint.enabled", &endpoint)
            }
            _ => operational::endpoint("endpoint.updated", &endpoint),
        };
        self.tell(told, cx, out);
        self.start_ready(cx, out);
        endpoint
    }

    /// Has the queue do as the endpoint's owner wants.
    pub(crate) fn steer_as(&mut self, endpoint: &Endpoint, now: Timestamp) {
        let paused = endpoint.config.paused;
        self.queue
            .steer(endpoint.id, now, |lane| lane.pause(paused));
    }

    fn begin_carefully(&mut self, endpoint: Seq, now: Timestamp, out: &mut Outcome) {
        let begin = |lane: &mut Lane| lane.begin_carefully(now);
        if self.queue.steer(endpoint, now, begin) {
            let until = now;
            out.writes.push(Write::Rest(RestRow { endpoint, until }));
        }
    }

    fn put_version(&mut self, endpoint: Endpoint, out: &mut Outcome) -> Arc<Endpoint> {
        out.writes.push(Write::EndpointVersion(EndpointVersionRow {
            endpoint: endpoint.id,
            version: endpoint.version,
            from_seq: endpoint.from_seq,
            at: endpoint.updated,
            config: Some(Arc::clone(&endpoint.config)),
        }));
        self.put_endpoint(endpoint, out)
    }

    fn put_endpoint(&mut self, endpoint: Endpoint, out: &mut Outcome) -> Arc<Endpoint> {
        let endpoint = Arc::new(endpoint);
        self.config_mut().put_endpoint(Arc::clone(&endpoint));
        out.writes.push(Write::Endpoint(Arc::clone(&endpoint)));
        endpoint
    }
}
