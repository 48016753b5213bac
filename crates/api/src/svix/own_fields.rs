//! What endpoints have here beyond the foreign API: their own retries, order, filter, pause and TLS.

use dunlin_delivery::{EndpointConfig, EndpointTls, Filter, JsonPath};
use dunlin_egress::parse_tls;
use dunlin_types::limits::{DELIVERY_DELAY_MS_MAX, DELIVERY_DELAYS_MAX};
use dunlin_types::{Code, Coded, Secret};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::{bad, bad_field, given};
use crate::caller::{Caller, insufficient};
use crate::error::Refused;
use crate::state::Api;

/// Fields to set: what is absent stays, what is null goes.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct OwnFields {
    paused: Option<bool>,
    /// Seconds.
    #[serde(deserialize_with = "given")]
    retry_schedule: Option<Option<Vec<u32>>>,
    #[serde(deserialize_with = "given")]
    ordering_key: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    filter: Option<Option<Value>>,
    #[serde(deserialize_with = "given")]
    tls: Option<Option<TlsIn>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TlsIn {
    ca: Option<String>,
    client_certificate: Option<String>,
    client_key: Option<String>,
    insecure: bool,
}

impl OwnFields {
    pub(super) fn apply(self, api: &Api, new: &mut EndpointConfig) -> Result<(), Refused> {
        new.paused = self.paused.unwrap_or(new.paused);
        if let Some(delays) = self.retry_schedule {
            new.retry_schedule_ms = delays.map(schedule).transpose()?;
        }
        if let Some(path) = self.ordering_key {
            let parse = |path: String| {
                JsonPath::parse(&path).map_err(|error| bad(&["body", "orderingKey"], error.into()))
            };
            new.ordering_key = path.map(parse).transpose()?;
        }
        if let Some(filter) = self.filter {
            let parse = |filter: Value| {
                Filter::parse(&filter.to_string())
                    .map_err(|error| bad(&["body", "filter"], error.into()))
            };
            new.filter = filter.map(parse).transpose()?;
        }
        if let Some(tls) = self.tls {
            new.tls = tls.map(|tls| tls.checked(api)).transpose()?;
        }
        Ok(())
    }
}

/// Delays between attempts, in milliseconds.
pub(super) fn schedule(secs: Vec<u32>) -> Result<Vec<i64>, Refused> {
    let delays: Vec<i64> = secs
        .into_iter()
        .map(|secs| i64::from(secs) * 1000)
        .collect();
    if delays.len() > DELIVERY_DELAYS_MAX || delays.iter().any(|ms| *ms > DELIVERY_DELAY_MS_MAX) {
        let days = DELIVERY_DELAY_MS_MAX / 86_400_000;
        let why =
            format!("a schedule has at most {DELIVERY_DELAYS_MAX} delays of up to {days} days");
        return Err(bad_field("retrySchedule", why));
    }
    Ok(delays)
}

impl TlsIn {
    fn checked(self, api: &Api) -> Result<EndpointTls, Refused> {
        let place = ["body", "tls"];
        parse_tls(
            self.ca.as_deref(),
            self.client_certificate.as_deref(),
            self.client_key.as_deref(),
        )
        .map_err(|error| bad(&place, error))?;
        if self.insecure && !Caller::current().is_operator() {
            return Err(insufficient("the admin token, for `tls.insecure`"));
        }
        if self.insecure && !api.node.options().endpoint_policy.allows_insecure_tls() {
            let why =
                "this server's operator does not allow receivers whose certificate is not checked";
            return Err(bad(&place, Coded::new(Code::TlsBad, why)));
        }
        Ok(EndpointTls {
            ca_pem: self.ca,
            client_cert_pem: self.client_certificate,
            client_key_pem: self.client_key.map(Secret::new),
            insecure: self.insecure,
        })
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OwnOut {
    paused: bool,
    retry_schedule: Option<Vec<i64>>,
    ordering_key: Option<String>,
    filter: Option<Box<RawValue>>,
    tls: Option<TlsOut>,
    disabled_at: Option<String>,
    fail_since: Option<String>,
}

/// What is set, without the key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TlsOut {
    ca: Option<String>,
    client_certificate: Option<String>,
    has_client_key: bool,
    insecure: bool,
}

impl OwnOut {
    pub(super) fn of(config: &EndpointConfig) -> Self {
        let secs = |delays: &Vec<i64>| delays.iter().map(|ms| ms / 1000).collect();
        let filter = config
            .filter
            .as_ref()
            .map(|filter| filter.source().to_owned());
        Self {
            paused: config.paused,
            retry_schedule: config.retry_schedule_ms.as_ref().map(secs),
            ordering_key: config
                .ordering_key
                .as_ref()
                .map(|path| path.source().to_owned()),
            filter: filter.and_then(|text| RawValue::from_string(text).ok()),
            tls: config.tls.as_ref().map(|tls| TlsOut {
                ca: tls.ca_pem.clone(),
                client_certificate: tls.client_cert_pem.clone(),
                has_client_key: tls.client_key_pem.is_some(),
                insecure: tls.insecure,
            }),
            disabled_at: config.disabled_at.map(|at| at.rfc3339()),
            // What waited when its owner disabled it is no failure.
            fail_since: config
                .fail_since
                .filter(|_| config.disabled_reason.is_some())
                .map(|at| at.rfc3339()),
        }
    }
}
