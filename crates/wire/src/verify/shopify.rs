//! Shopify: `X-Shopify-Hmac-Sha256`, an HMAC over the body in base64. Id and topic are headers.

use dunlin_types::{Code, Coded, MacAlgorithm, MacEncoding};

use super::{IdAt, Inbound, TYPE, TypeAt, Verified, mac};

pub(super) fn verify<'a>(
    secrets: &mut dyn Iterator<Item = &str>,
    inbound: Inbound<'a>,
) -> Result<Verified<'a>, Coded> {
    let text = inbound.proof("x-shopify-hmac-sha256")?;
    let claims: Vec<Vec<u8>> = mac::decoded(MacEncoding::Base64, text)
        .into_iter()
        .collect();
    if !mac::any_matches(MacAlgorithm::Sha256, secrets, &claims, &[inbound.body]) {
        return Err(Coded::plain(Code::SignatureWrong));
    }
    // The first is that of the delivery; the second is shared by all subscriptions to an event.
    let id = inbound
        .header("x-shopify-webhook-id")
        .or_else(|| inbound.header("x-shopify-event-id"));
    Ok(Verified {
        id: id.map_or(IdAt::Body, IdAt::Given),
        event_type: inbound
            .header("x-shopify-topic")
            .map_or(TYPE, TypeAt::Slashed),
    })
}
