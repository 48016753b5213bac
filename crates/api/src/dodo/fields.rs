//! The fields of a webhook, which is what Dodo calls an endpoint.

use std::collections::BTreeMap;

use dunlin_delivery::{DEFAULT_APPLICATION, Endpoint, EndpointConfig};
use serde::{Deserialize, Serialize};

use crate::error::Refused;
use crate::inbound::body_hash;
use crate::state::Api;
use crate::svix::check;
use crate::svix::fields::{bad_field, checked_metadata, given};

/// A new webhook.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WebhookIn {
    url: Option<String>,
    description: Option<String>,
    disabled: Option<bool>,
    filter_types: Option<Vec<String>>,
    headers: Option<BTreeMap<String, String>>,
    idempotency_key: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    rate_limit: Option<u32>,
}

impl WebhookIn {
    pub(super) fn checked(self, api: &Api) -> Result<EndpointConfig, Refused> {
        let url = self
            .url
            .ok_or_else(|| bad_field("url", "the field is missing"))?;
        check::url(api, &url, None)?;
        let description = self.description.unwrap_or_default();
        check::description(&description)?;
        Ok(EndpointConfig {
            app: DEFAULT_APPLICATION,
            uid: self.idempotency_key.as_deref().and_then(uid_of_key),
            url,
            description,
            disabled: self.disabled.unwrap_or(false),
            event_types: check::event_types(self.filter_types)?,
            throttle_rate: rate(self.rate_limit),
            metadata: checked_metadata(self.metadata)?,
            headers: check::headers(self.headers.unwrap_or_default())?,
            ..EndpointConfig::default()
        })
    }
}

/// The uid by which a repeat of the request is known, as long as the endpoint is there.
fn uid_of_key(key: &str) -> Option<String> {
    let hash = u128::from_be_bytes(body_hash(key.as_bytes()));
    (!key.is_empty()).then(|| format!("idempotent-{hash:032x}"))
}

/// Messages per second; there, 0 is no limit.
fn rate(rate: Option<u32>) -> Option<u32> {
    rate.filter(|rate| *rate > 0)
}

/// Fields to change: what is absent stays, what is null goes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WebhookPatch {
    url: Option<String>,
    #[serde(deserialize_with = "given")]
    description: Option<Option<String>>,
    disabled: Option<bool>,
    #[serde(deserialize_with = "given")]
    filter_types: Option<Option<Vec<String>>>,
    #[serde(deserialize_with = "given")]
    metadata: Option<Option<BTreeMap<String, String>>>,
    #[serde(deserialize_with = "given")]
    rate_limit: Option<Option<u32>>,
}

impl WebhookPatch {
    pub(super) fn applied(
        self,
        api: &Api,
        old: &EndpointConfig,
    ) -> Result<EndpointConfig, Refused> {
        let mut new = old.clone();
        if let Some(url) = self.url {
            check::url(api, &url, new.integration.as_deref())?;
            new.url = url;
        }
        if let Some(description) = self.description {
            let description = description.unwrap_or_default();
            check::description(&description)?;
            new.description = description;
        }
        if let Some(disabled) = self.disabled {
            new.disabled = disabled;
            if !disabled {
                new.disabled_reason = None;
            }
        }
        if let Some(types) = self.filter_types {
            new.event_types = check::event_types(types)?;
        }
        if let Some(metadata) = self.metadata {
            new.metadata = checked_metadata(metadata)?;
        }
        if let Some(given) = self.rate_limit {
            new.throttle_rate = rate(given);
        }
        Ok(new)
    }
}

#[derive(Debug, Serialize)]
pub(super) struct WebhookOut {
    id: String,
    url: String,
    description: String,
    disabled: bool,
    filter_types: Option<Vec<String>>,
    rate_limit: Option<u32>,
    metadata: BTreeMap<String, String>,
    created_at: String,
    updated_at: String,
}

impl WebhookOut {
    pub(super) fn of(endpoint: &Endpoint) -> Self {
        let config = &endpoint.config;
        let types = &config.event_types;
        Self {
            id: endpoint.ksuid().to_string(),
            url: config.url.clone(),
            description: config.description.clone(),
            disabled: config.disabled,
            filter_types: (!types.is_empty()).then(|| types.clone()),
            rate_limit: config.throttle_rate,
            metadata: config.metadata.clone(),
            created_at: endpoint.created.rfc3339(),
            updated_at: endpoint.updated.rfc3339(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_to_a_uid_of_its_own() {
        let uid = |key: &str| uid_of_key(key);
        assert_eq!(uid("a"), uid("a"));
        assert_ne!(uid("a"), uid("b"));
        assert_eq!(uid(""), None);
    }
}
