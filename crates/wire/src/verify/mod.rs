//! Whether an inbound webhook comes from whom it says: one file a scheme, one face for all.
//!
//! To add a scheme: a variant of [`Scheme`], a line in [`verify`], a file with its function, and its
//! vectors in `tests/vectors/`.

mod generic;
mod github;
mod mac;
mod shopify;
mod slack;
mod stripe;

use dunlin_types::limits::{INBOUND_ID_BYTES_MAX, SOURCE_SECRET_BYTES_MAX, WEBHOOK_KEY_BYTES_MIN};
use dunlin_types::{Code, Coded, Scheme, Secret, SourceConfig, SourceKind, Timestamp};
use http::HeaderMap;

use crate::standard_webhooks::{self, SignatureHeaders, WebhookKey};
pub use slack::challenge as slack_challenge;

/// A webhook as it came.
#[derive(Clone, Copy, Debug)]
pub struct Inbound<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The exact bytes of its body.
    pub body: &'a [u8],
    /// When it came.
    pub now: Timestamp,
}

impl<'a> Inbound<'a> {
    /// A header, unless it is missing, empty or no plain text.
    fn header(&self, name: &str) -> Option<&'a str> {
        let text = self.headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// The header without which nothing is verified.
    fn proof(&self, name: &str) -> Result<&'a str, Coded> {
        self.header(name)
            .ok_or_else(|| Coded::plain(Code::SignatureMissing))
    }
}

/// Where a verified webhook says what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<'a> {
    /// Its provider's id.
    pub id: IdAt<'a>,
    /// Its event type.
    pub event_type: TypeAt<'a>,
}

/// Where the provider's id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdAt<'a> {
    /// It is this.
    Given(&'a str),
    /// At that path of the body.
    Json(&'a str),
    /// The body has none: it is its own id.
    Body,
}

/// Where the event type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeAt<'a> {
    /// It is this.
    Given(&'a str),
    /// The same, with its parts joined by `/` instead of dots.
    Slashed(&'a str),
    /// At that path of the body.
    Json(&'a str),
    /// At the first of these paths where there is one.
    FirstOf(&'static [&'static str]),
}

/// The member that most senders name their types in.
const TYPE: TypeAt<'static> = TypeAt::Json("type");

/// Checks a webhook against every secret that is accepted now.
///
/// # Errors
/// [`Code::SignatureMissing`], [`Code::WebhookIdBad`], [`Code::TimestampOff`] or
/// [`Code::SignatureWrong`]; none of them tells what would have been right.
pub fn verify<'a, 'k>(
    kind: SourceKind,
    config: &'a SourceConfig,
    secrets: impl Iterator<Item = &'k str>,
    inbound: Inbound<'a>,
) -> Result<Verified<'a>, Coded> {
    let mut secrets = secrets;
    let verified = match kind.scheme() {
        Scheme::StandardWebhooks => return standard(secrets, inbound),
        Scheme::Stripe => stripe::verify(&mut secrets, inbound),
        Scheme::GitHub => github::verify(&mut secrets, inbound),
        Scheme::Shopify => shopify::verify(&mut secrets, inbound),
        Scheme::Slack => slack::verify(&mut secrets, inbound),
        Scheme::Generic => generic::verify(config, &mut secrets, inbound),
    }?;
    match verified.id {
        IdAt::Given(id) if !is_id(id) => Err(Coded::plain(Code::WebhookIdBad)),
        _ => Ok(verified),
    }
}

fn standard<'a, 'k>(
    secrets: impl Iterator<Item = &'k str>,
    inbound: Inbound<'a>,
) -> Result<Verified<'a>, Coded> {
    let headers = SignatureHeaders::of(inbound.headers);
    let keys = secrets.filter_map(|text| WebhookKey::parse(text).ok());
    standard_webhooks::verify(keys, headers, inbound.body, inbound.now)?;
    Ok(Verified {
        id: IdAt::Given(headers.id.unwrap_or_default()),
        event_type: TYPE,
    })
}

/// Whether a text can be an id: it goes out again in a header, and into what is signed there,
/// which is unambiguous only without dots.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && b != b'.';
    !text.is_empty() && text.len() <= INBOUND_ID_BYTES_MAX && text.bytes().all(plain)
}

/// Whether the scheme's secrets are made by whoever sends, so that none can be made here.
#[must_use]
pub const fn secret_is_the_providers(kind: SourceKind) -> bool {
    matches!(
        kind,
        SourceKind::Stripe | SourceKind::Shopify | SourceKind::Slack
    )
}

/// A secret of a source in the form in which it is kept.
///
/// # Errors
/// [`Code::SecretWeak`] when it is missing, malformed, or of the wrong length.
pub fn check_secret(kind: SourceKind, text: &str) -> Result<Secret, Coded> {
    let text = text.trim();
    if kind.scheme() == Scheme::StandardWebhooks {
        let key = WebhookKey::parse(text)?;
        let prefixed = key.public_text().is_some() || text.starts_with("whsec_");
        return Ok(match prefixed {
            true => Secret::new(text),
            false => Secret::new(format!("whsec_{text}")),
        });
    }
    let weak = |detail: String| Err(Coded::new(Code::SecretWeak, detail));
    if !(WEBHOOK_KEY_BYTES_MIN..=SOURCE_SECRET_BYTES_MAX).contains(&text.len()) {
        return weak(format!(
            "the secret has {} bytes, {WEBHOOK_KEY_BYTES_MIN} to {SOURCE_SECRET_BYTES_MAX} are \
             needed",
            text.len()
        ));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return weak("the secret has characters that no header can carry".to_owned());
    }
    Ok(Secret::new(text))
}
