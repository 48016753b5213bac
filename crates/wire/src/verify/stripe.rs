//! Stripe: `Stripe-Signature: t=…,v1=…`, an HMAC over time, a dot and the body. The text of the
//! secret is the key, its prefix included.

use dunlin_types::limits::SIGNATURE_CANDIDATES_MAX;
use dunlin_types::{Code, Coded, MacAlgorithm, MacEncoding};

use super::{IdAt, Inbound, TYPE, Verified, mac};
use crate::standard_webhooks::check_timestamp;

pub(super) fn verify<'a>(
    secrets: &mut dyn Iterator<Item = &str>,
    inbound: Inbound<'a>,
) -> Result<Verified<'a>, Coded> {
    let header = inbound.proof("stripe-signature")?;
    let items = || {
        header
            .split(',')
            .filter_map(|item| item.trim().split_once('='))
    };
    let of = |wanted: &'static str| {
        items()
            .filter(move |(name, _)| *name == wanted)
            .map(|(_, value)| value)
    };
    let wrong = || Coded::plain(Code::SignatureWrong);
    // Without a single signature of the version there is nothing that could be in time.
    of("v1").next().ok_or_else(wrong)?;
    let time = of("t").next().unwrap_or_default();
    check_timestamp(time, inbound.now)?;
    let claims: Vec<Vec<u8>> = of("v1")
        .take(SIGNATURE_CANDIDATES_MAX)
        .filter_map(|text| mac::decoded(MacEncoding::Hex, text))
        .collect();
    let parts = [time.as_bytes(), b".", inbound.body];
    if !mac::any_matches(MacAlgorithm::Sha256, secrets, &claims, &parts) {
        return Err(wrong());
    }
    Ok(Verified {
        id: IdAt::Json("id"),
        event_type: TYPE,
    })
}
