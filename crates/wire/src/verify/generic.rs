//! Senders without a scheme of their own: a header that is the secret, or a header that holds an
//! HMAC over the body, as the source's configuration says.

use dunlin_types::{Code, Coded, Place, SourceConfig, VerifyRule, constant_time_eq};

use super::{IdAt, Inbound, TYPE, TypeAt, Verified, mac};

pub(super) fn verify<'a>(
    config: &'a SourceConfig,
    secrets: &mut dyn Iterator<Item = &str>,
    inbound: Inbound<'a>,
) -> Result<Verified<'a>, Coded> {
    let wrong = || Coded::plain(Code::SignatureWrong);
    // A source without a rule is not made; were there one, it would take nothing.
    let rule = config.verify.as_ref().ok_or_else(wrong)?;
    let text = inbound.proof(rule.header())?;
    let matches = match rule {
        VerifyRule::Header { .. } => is_secret(secrets, text),
        VerifyRule::Hmac {
            prefix,
            encoding,
            algorithm,
            ..
        } => {
            let claim = text
                .strip_prefix(prefix.as_str())
                .and_then(|text| mac::decoded(*encoding, text));
            let claims: Vec<Vec<u8>> = claim.into_iter().collect();
            mac::any_matches(*algorithm, secrets, &claims, &[inbound.body])
        }
    };
    if !matches {
        return Err(wrong());
    }
    Ok(Verified {
        id: match &config.id {
            Some(Place::Header(name)) => inbound.header(name).map_or(IdAt::Body, IdAt::Given),
            Some(Place::Json(path)) => IdAt::Json(path),
            None => IdAt::Body,
        },
        event_type: match &config.event_type {
            Some(Place::Header(name)) => inbound.header(name).map_or(TYPE, TypeAt::Given),
            Some(Place::Json(path)) => TypeAt::Json(path),
            None => TYPE,
        },
    })
}

fn is_secret(secrets: &mut dyn Iterator<Item = &str>, text: &str) -> bool {
    let mut matched = false;
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        matched |= constant_time_eq(text.as_bytes(), secret.as_bytes());
    }
    matched
}
