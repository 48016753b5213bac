//! GitHub: `X-Hub-Signature-256: sha256=…`, an HMAC over the body. Id and type are headers.

use dunlin_types::{Code, Coded, MacAlgorithm, MacEncoding};

use super::{IdAt, Inbound, TYPE, TypeAt, Verified, mac};

pub(super) fn verify<'a>(
    secrets: &mut dyn Iterator<Item = &str>,
    inbound: Inbound<'a>,
) -> Result<Verified<'a>, Coded> {
    let text = inbound
        .proof("x-hub-signature-256")?
        .strip_prefix("sha256=");
    let claim = text.and_then(|text| mac::decoded(MacEncoding::Hex, text));
    let claims: Vec<Vec<u8>> = claim.into_iter().collect();
    if !mac::any_matches(MacAlgorithm::Sha256, secrets, &claims, &[inbound.body]) {
        return Err(Coded::plain(Code::SignatureWrong));
    }
    Ok(Verified {
        id: inbound
            .header("x-github-delivery")
            .map_or(IdAt::Body, IdAt::Given),
        event_type: inbound.header("x-github-event").map_or(TYPE, TypeAt::Given),
    })
}
