//! Webhooks as a provider sends them: a payment of a given size, signed.

use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::files;

/// The sample of a payment that succeeded, of which events of any type are made.
#[derive(Debug)]
pub struct Payment {
    sample: Value,
    bytes: usize,
}

impl Payment {
    /// Payments of that size, as far as the sample itself is smaller.
    ///
    /// # Panics
    /// When the sample cannot be read.
    #[must_use]
    pub fn of_bytes(bytes: usize) -> Self {
        let file = files::workspace().join("integrations/dodo/samples/payment.succeeded.json");
        let text = std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        Self {
            sample: serde_json::from_slice(&text).expect("a sample is JSON"),
            bytes,
        }
    }

    /// The payload of that type about the payment of that id.
    #[must_use]
    pub fn payload(&self, event_type: &str, id: &str) -> Value {
        let mut payload = self.sample.clone();
        payload["type"] = json!(event_type);
        payload["data"]["payment_id"] = json!(id);
        payload["data"]["metadata"] = json!({ "note": "" });
        let missing = self.bytes.saturating_sub(payload.to_string().len());
        payload["data"]["metadata"]["note"] = json!("n".repeat(missing));
        payload
    }
}

/// Signs as Standard Webhooks says.
#[derive(Clone, Debug)]
pub struct WebhookSigner(Hmac<Sha256>);

impl WebhookSigner {
    /// With a secret as users see it.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        let key = BASE64.decode(secret.trim_start_matches("whsec_"));
        let key = key.expect("a secret is base64");
        Self(Hmac::new_from_slice(&key).expect("a key of any length will do"))
    }

    /// The signature of that body under that id, at that time.
    #[must_use]
    pub fn signature(&self, id: &str, seconds: u64, body: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        let code = BASE64.encode(mac.finalize().into_bytes());
        format!("v1,{code}")
    }

    /// A request that brings that body under that id, signed now.
    ///
    /// # Panics
    /// When the clock is wrong.
    #[must_use]
    pub fn request(&self, path: &str, id: &str, body: &str) -> Bytes {
        self.request_ahead(path, id, body, 0)
    }

    /// The same for a server whose clock is that many seconds ahead.
    ///
    /// # Panics
    /// When the clock is wrong.
    #[must_use]
    pub fn request_ahead(&self, path: &str, id: &str, body: &str, ahead_seconds: u64) -> Bytes {
        let since = UNIX_EPOCH.elapsed();
        let seconds = since.expect("it is after 1970").as_secs() + ahead_seconds;
        let signature = self.signature(id, seconds, body);
        let length = body.len();
        Bytes::from(format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             webhook-id: {id}\r\nwebhook-timestamp: {seconds}\r\nwebhook-signature: {signature}\r\n\
             content-length: {length}\r\n\r\n{body}"
        ))
    }
}
