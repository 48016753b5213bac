//! Standard Webhooks: signing what goes out, verifying what comes in, over the raw bytes.

use std::borrow::Borrow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dunlin_types::limits::{
    SIGNATURE_CANDIDATES_MAX, SIGNATURE_TOLERANCE_MS, WEBHOOK_KEY_BYTES_MAX, WEBHOOK_KEY_BYTES_MIN,
};
use dunlin_types::{Code, Coded, Secret, Timestamp, constant_time_eq};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use ring::hmac;

use crate::verify::is_id;

/// A key that webhooks are signed or verified with.
#[derive(Clone)]
pub struct WebhookKey(Kind);

#[derive(Clone)]
enum Kind {
    Hmac(hmac::Key),
    Private(Box<SigningKey>),
    Public(Box<VerifyingKey>),
}

impl WebhookKey {
    /// Reads `whsec_…` (HMAC, the prefix may be missing), `whsk_…` (ed25519, signs and verifies) or
    /// `whpk_…` (ed25519, verifies only).
    ///
    /// # Errors
    /// [`Code::SecretWeak`] when it is missing, malformed or of the wrong length.
    pub fn parse(text: &str) -> Result<Self, Coded> {
        let text = text.trim();
        if let Some(key) = text.strip_prefix("whsk_") {
            return private(&decode(key)?).map(|key| Self(Kind::Private(Box::new(key))));
        }
        if let Some(key) = text.strip_prefix("whpk_") {
            return public(&decode(key)?).map(|key| Self(Kind::Public(Box::new(key))));
        }
        let key = decode(text.strip_prefix("whsec_").unwrap_or(text))?;
        if !(WEBHOOK_KEY_BYTES_MIN..=WEBHOOK_KEY_BYTES_MAX).contains(&key.len()) {
            return Err(weak(format!(
                "the secret has {} bytes, {WEBHOOK_KEY_BYTES_MIN} to {WEBHOOK_KEY_BYTES_MAX} are \
                 needed",
                key.len()
            )));
        }
        Ok(Self(Kind::Hmac(hmac::Key::new(hmac::HMAC_SHA256, &key))))
    }

    /// One item of a signature header, or `None` for a key that can only verify.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: Timestamp, body: &[u8]) -> Option<String> {
        let seconds = timestamp.secs().to_string();
        match &self.0 {
            Kind::Hmac(mac) => {
                let mac = mac_of(mac, id, &seconds, body);
                Some(format!("v1,{}", BASE64.encode(mac)))
            }
            Kind::Private(key) => {
                let signature = key.sign(&signed_text(id, &seconds, body));
                Some(format!("v1a,{}", BASE64.encode(signature.to_bytes())))
            }
            Kind::Public(_) => None,
        }
    }

    /// What receivers of an ed25519 signature verify with, `whpk_…`; `None` for HMAC.
    #[must_use]
    pub fn public_text(&self) -> Option<String> {
        let key = match &self.0 {
            Kind::Hmac(_) => return None,
            Kind::Private(key) => key.verifying_key(),
            Kind::Public(key) => **key,
        };
        Some(format!("whpk_{}", BASE64.encode(key.to_bytes())))
    }
}

impl fmt::Debug for WebhookKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookKey(redacted)")
    }
}

/// A new HMAC secret, `whsec_…`, from that much randomness.
#[must_use]
pub fn generate(random: &[u8; WEBHOOK_KEY_BYTES_MIN]) -> Secret {
    Secret::new(format!("whsec_{}", BASE64.encode(random)))
}

fn weak(detail: impl Into<String>) -> Coded {
    Coded::new(Code::SecretWeak, detail)
}

fn decode(text: &str) -> Result<Vec<u8>, Coded> {
    if text.is_empty() {
        return Err(weak("the secret is empty"));
    }
    BASE64
        .decode(text)
        .map_err(|_| weak("the secret is not base64 behind its prefix"))
}

/// Seed and public half, which must belong together.
fn private(bytes: &[u8]) -> Result<SigningKey, Coded> {
    bytes
        .try_into()
        .ok()
        .and_then(|pair: &[u8; 64]| SigningKey::from_keypair_bytes(pair).ok())
        .ok_or_else(|| weak("the ed25519 key is not a seed with its public half"))
}

fn public(bytes: &[u8]) -> Result<VerifyingKey, Coded> {
    bytes
        .try_into()
        .ok()
        .and_then(|key: &[u8; 32]| VerifyingKey::from_bytes(key).ok())
        .filter(|key| !key.is_weak())
        .ok_or_else(|| weak("the ed25519 public key is not one"))
}

fn mac_of(key: &hmac::Key, id: &str, seconds: &str, body: &[u8]) -> hmac::Tag {
    let mut mac = hmac::Context::with_key(key);
    for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac.sign()
}

fn signed_text(id: &str, seconds: &str, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", seconds.as_bytes(), b".", body].concat()
}

/// The three headers of a signed webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SignatureHeaders<'a> {
    /// `webhook-id`
    pub id: Option<&'a str>,
    /// `webhook-timestamp`
    pub timestamp: Option<&'a str>,
    /// `webhook-signature`
    pub signature: Option<&'a str>,
}

impl<'a> SignatureHeaders<'a> {
    /// The `svix-*` headers where all three are there, else the `webhook-*` ones. A header that
    /// is not plain text counts as an empty one.
    #[must_use]
    pub fn of(headers: &'a http::HeaderMap) -> Self {
        let get = |name: &str| headers.get(name).map(|v| v.to_str().unwrap_or_default());
        let family = |id, timestamp, signature| Self {
            id: get(id),
            timestamp: get(timestamp),
            signature: get(signature),
        };
        let svix = family("svix-id", "svix-timestamp", "svix-signature");
        match (svix.id, svix.timestamp, svix.signature) {
            (Some(_), Some(_), Some(_)) => svix,
            _ => family("webhook-id", "webhook-timestamp", "webhook-signature"),
        }
    }
}

/// Checks a webhook against every key that is accepted now.
///
/// # Errors
/// [`Code::SignatureMissing`], [`Code::WebhookIdBad`], [`Code::TimestampOff`] or
/// [`Code::SignatureWrong`]; none of them tells what would have been right.
pub fn verify<K: Borrow<WebhookKey>>(
    keys: impl IntoIterator<Item = K>,
    headers: SignatureHeaders<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Coded> {
    let missing = || Coded::plain(Code::SignatureMissing);
    let id = headers.id.ok_or_else(missing)?;
    let timestamp = headers.timestamp.ok_or_else(missing)?;
    let signature = headers.signature.filter(|s| !s.trim().is_empty());
    let signature = signature.ok_or_else(missing)?;
    if !is_id(id) {
        return Err(Coded::plain(Code::WebhookIdBad));
    }
    check_timestamp(timestamp, now)?;
    let candidates = Candidates::of(signature);
    let mut matched = false;
    for key in keys {
        matched |= candidates.match_key(key.borrow(), id, timestamp, body);
    }
    if matched {
        return Ok(());
    }
    Err(Coded::plain(Code::SignatureWrong))
}

/// Refuses a time in seconds that is not plain, or too far from now.
pub(crate) fn check_timestamp(text: &str, now: Timestamp) -> Result<(), Coded> {
    let off = |detail: &str| Coded::new(Code::TimestampOff, detail);
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(off("the webhook timestamp is no number of seconds"));
    }
    let at: i64 = text
        .parse()
        .map_err(|_| off("the webhook timestamp is too new"))?;
    if at.abs_diff(now.secs()) <= SIGNATURE_TOLERANCE_MS.unsigned_abs() / 1000 {
        return Ok(());
    }
    Err(off(match at < now.secs() {
        true => "the webhook timestamp is too old",
        false => "the webhook timestamp is too new",
    }))
}

/// The signatures of one request that are of the right version and length.
#[derive(Default)]
struct Candidates {
    macs: [[u8; 32]; SIGNATURE_CANDIDATES_MAX],
    /// How many of them there are.
    count: usize,
    signatures: Vec<Signature>,
}

impl Candidates {
    fn of(header: &str) -> Self {
        let mut out = Self::default();
        let items = header.split(' ').filter(|item| !item.is_empty());
        for item in items.take(SIGNATURE_CANDIDATES_MAX) {
            let Some((version, text)) = item.split_once(',') else {
                continue;
            };
            // Room for a signature of either version, as the decoder counts; longer ones are none.
            let mut room = [0_u8; 66];
            let Ok(length) = BASE64.decode_slice(text, &mut room) else {
                continue;
            };
            match (version, &room[..length]) {
                ("v1", bytes) if bytes.len() == 32 => {
                    out.macs[out.count].copy_from_slice(bytes);
                    out.count += 1;
                }
                ("v1a", bytes) => out.signatures.extend(Signature::from_slice(bytes)),
                _ => {}
            }
        }
        out
    }

    fn match_key(&self, key: &WebhookKey, id: &str, seconds: &str, body: &[u8]) -> bool {
        let key = match &key.0 {
            Kind::Hmac(mac) => {
                let right = mac_of(mac, id, seconds, body);
                let claims = self.macs[..self.count].iter();
                let equal = claims.map(|claimed| constant_time_eq(claimed, right.as_ref()));
                return equal.fold(false, |any, this| any | this);
            }
            Kind::Private(key) => key.verifying_key(),
            Kind::Public(key) => **key,
        };
        let text = signed_text(id, seconds, body);
        let right = |claimed: &Signature| key.verify_strict(&text, claimed).is_ok();
        // Public-key verification has no secret to leak.
        self.signatures.iter().any(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published vector has a key that is too short to be taken from anybody.
    #[test]
    fn the_published_vector_is_computed_right() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../tests/vectors/standard_webhooks.json")).unwrap();
        let case = &vectors["published_with_short_secret"];
        let text = |field: &str| case[field].as_str().unwrap();
        let key = decode(text("secret").strip_prefix("whsec_").unwrap()).unwrap();
        let key = WebhookKey(Kind::Hmac(hmac::Key::new(hmac::HMAC_SHA256, &key)));
        let at = Timestamp::from_ms(case["timestamp"].as_i64().unwrap() * 1000);
        let signature = key.sign(text("id"), at, text("body").as_bytes());
        assert_eq!(signature.as_deref(), Some(text("signature")));
    }
}
