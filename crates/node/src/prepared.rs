//! What each attempt at an endpoint needs and only its settings decide: the checked URL, its
//! headers, its keys and certificates. Made once for each state of an endpoint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use dunlin_delivery::Endpoint;
use dunlin_egress::{AddressPolicy, Target, TlsIdentity, check_header, check_url, parse_tls};
use dunlin_types::{Coded, Secret, Seq, Timestamp, limits};
use dunlin_wire::standard_webhooks::WebhookKey;
use http::{HeaderMap, HeaderValue};

/// An endpoint, ready for attempts. What is wrong with a part of it fails each attempt that needs
/// that part.
pub(crate) struct Prepared {
    /// Its own URL.
    pub(crate) target: Result<Target, Coded>,
    /// What every request has, and the endpoint's own headers.
    pub(crate) headers: Result<HeaderMap, Coded>,
    pub(crate) tls: Result<Option<Arc<TlsIdentity>>, Coded>,
    /// With the time from which each does not sign any more.
    keys: Vec<(Option<Timestamp>, WebhookKey)>,
}

impl Prepared {
    /// Makes an endpoint ready.
    pub(crate) fn new(endpoint: &Endpoint, policy: &AddressPolicy) -> Self {
        let key = |text: &Secret| WebhookKey::parse(text.reveal()).ok();
        let secrets = endpoint.secrets.iter();
        Self {
            target: check_url(&endpoint.config.url, policy),
            headers: headers(endpoint),
            tls: tls(endpoint),
            keys: secrets
                .filter_map(|one| Some((one.expires, key(&one.secret)?)))
                .collect(),
        }
    }

    /// The keys that sign at that time.
    pub(crate) fn keys(&self, now: Timestamp) -> impl Iterator<Item = &WebhookKey> {
        let valid = move |expires: &Option<Timestamp>| expires.is_none_or(|at| at > now);
        let keys = self.keys.iter().filter(move |(expires, _)| valid(expires));
        keys.map(|(_, key)| key)
    }
}

fn headers(endpoint: &Endpoint) -> Result<HeaderMap, Coded> {
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(http::header::ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(
        http::header::USER_AGENT,
        HeaderValue::from_static(concat!("dunlin-webhooks/", env!("CARGO_PKG_VERSION"))),
    );
    for (name, value) in &endpoint.config.headers {
        let (name, value) = check_header(name, value)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn tls(endpoint: &Endpoint) -> Result<Option<Arc<TlsIdentity>>, Coded> {
    let Some(tls) = &endpoint.config.tls else {
        return Ok(None);
    };
    let key = tls.client_key_pem.as_ref().map(Secret::reveal);
    let identity = parse_tls(tls.ca_pem.as_deref(), tls.client_cert_pem.as_deref(), key)?;
    Ok(Some(Arc::new(match tls.insecure {
        true => identity.insecure(),
        false => identity,
    })))
}

/// The endpoints that were made ready, each with the state it was made from.
#[derive(Default)]
pub(crate) struct PreparedEndpoints {
    made: Mutex<HashMap<Seq, Made>>,
}

struct Made {
    from: Arc<Endpoint>,
    prepared: Arc<Prepared>,
}

impl PreparedEndpoints {
    /// The endpoint as it is now; a change makes it another one.
    pub(crate) fn of(&self, endpoint: &Arc<Endpoint>, policy: &AddressPolicy) -> Arc<Prepared> {
        let made = || self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(one) = made().get(&endpoint.id)
            && Arc::ptr_eq(&one.from, endpoint)
        {
            return Arc::clone(&one.prepared);
        }
        // Not under the lock: certificates take their time to be read.
        let prepared = Arc::new(Prepared::new(endpoint, policy));
        let mut made = made();
        // Endpoints that were deleted since stay until then.
        if made.len() >= limits::ENDPOINTS_MAX && !made.contains_key(&endpoint.id) {
            made.clear();
        }
        let one = Made {
            from: Arc::clone(endpoint),
            prepared: Arc::clone(&prepared),
        };
        made.insert(endpoint.id, one);
        prepared
    }
}
