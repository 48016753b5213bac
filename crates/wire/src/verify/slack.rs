//! Slack: `X-Slack-Signature: v0=…`, an HMAC over version, time and body with colons between them.

use dunlin_types::{Code, Coded, MacAlgorithm, MacEncoding};

use super::{IdAt, Inbound, TypeAt, Verified, mac};
use crate::envelope::text_at;
use crate::standard_webhooks::check_timestamp;

/// Events have the type within, interactions at the top; commands name themselves.
const TYPES: &[&str] = &["event.type", "type", "command"];

pub(super) fn verify<'a>(
    secrets: &mut dyn Iterator<Item = &str>,
    inbound: Inbound<'a>,
) -> Result<Verified<'a>, Coded> {
    let signature = inbound.proof("x-slack-signature")?;
    let time = inbound.proof("x-slack-request-timestamp")?;
    check_timestamp(time, inbound.now)?;
    let claim = signature
        .strip_prefix("v0=")
        .and_then(|text| mac::decoded(MacEncoding::Hex, text));
    let claims: Vec<Vec<u8>> = claim.into_iter().collect();
    let parts = [b"v0:", time.as_bytes(), b":", inbound.body];
    if !mac::any_matches(MacAlgorithm::Sha256, secrets, &claims, &parts) {
        return Err(Coded::plain(Code::SignatureWrong));
    }
    Ok(Verified {
        id: IdAt::Json("event_id"),
        event_type: TypeAt::FirstOf(TYPES),
    })
}

/// What Slack wants to hear again when a URL is registered, where the body asks for it.
#[must_use]
pub fn challenge(body: &[u8]) -> Option<String> {
    let asks = text_at(body, "type").is_some_and(|kind| kind == "url_verification");
    asks.then(|| text_at(body, "challenge")).flatten()
}
