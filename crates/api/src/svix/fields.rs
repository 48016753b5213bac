//! Bodies of management requests, and the rules that several kinds of things share.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use dunlin_types::limits::{
    MANAGEMENT_BODY_BYTES_MAX, METADATA_BYTES_MAX, SECRET_GRACE_MS_DEFAULT, SECRET_GRACE_MS_MAX,
    UID_CHARS_MAX, WEBHOOK_KEY_BYTES_MIN,
};
use dunlin_types::{Code, Coded, Secret};
use dunlin_wire::standard_webhooks::{WebhookKey, generate};
use http::StatusCode;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::error::Refused;

/// A field of the request is wrong: 422 with the list that clients of this API expect.
pub(crate) fn bad(place: &[&str], error: Coded) -> Refused {
    let detail = json!([{"loc": place, "msg": error.detail, "type": "value_error"}]);
    Refused::from(error)
        .status(StatusCode::UNPROCESSABLE_ENTITY)
        .detail(detail)
}

/// The same with [`Code::BadRequest`] for a field of the body.
pub(crate) fn bad_field(name: &str, why: impl Into<String>) -> Refused {
    bad(&["body", name], Coded::new(Code::BadRequest, why))
}

/// The whole body, within a limit.
pub(crate) async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Refused> {
    axum::body::to_bytes(body, bytes_max)
        .await
        .map_err(|error| match is_too_long(&error) {
            true => Refused::new(
                Code::TooLarge,
                format!("the body has more than {bytes_max} bytes"),
            ),
            false => Refused::new(Code::BadRequest, "the body ended early"),
        })
}

fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<LengthLimitError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A JSON body; an empty one counts as `{}`.
pub(crate) struct Fields<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Fields<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let body = read_body(request.into_body(), MANAGEMENT_BODY_BYTES_MAX).await?;
        parse(&body).map(Self)
    }
}

/// What serde says of a body, without the values that it quotes: they may be secrets in the wrong
/// place.
fn without_values(text: &str) -> String {
    for (open, close) in [(" \"", "\", expected "), (" `", "`, expected ")] {
        let value = text.split_once(open);
        let rest = value.and_then(|(before, rest)| Some((before, rest.rsplit_once(close)?.1)));
        if let Some((before, after)) = rest {
            return format!("{before}, expected {after}");
        }
    }
    text.to_owned()
}

/// A JSON body that has been read; an empty one counts as `{}`.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refused> {
    let body: &[u8] = if body.trim_ascii().is_empty() {
        b"{}"
    } else {
        body
    };
    serde_json::from_slice(body).map_err(|error| {
        let text = without_values(&error.to_string());
        let field = text
            .split('`')
            .nth(1)
            .filter(|_| text.starts_with("missing field"));
        let place: Vec<&str> = std::iter::once("body").chain(field).collect();
        let code = Code::BadRequest;
        let refused = bad(&place, Coded::new(code, text.clone()));
        match error.classify() {
            serde_json::error::Category::Data => refused,
            _ => Refused::new(code, format!("the body is not JSON: {text}")),
        }
    })
}

/// Reads a field that may be absent, null or given: `None`, `Some(None)`, `Some(Some(_))`.
pub(crate) fn given<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// An id that the owner gave.
pub(crate) fn checked_uid(uid: Option<String>, prefix: &str) -> Result<Option<String>, Refused> {
    let Some(uid) = uid.filter(|uid| !uid.is_empty()) else {
        return Ok(None);
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if uid.len() > UID_CHARS_MAX || !uid.bytes().all(plain) {
        let why = format!("a uid has 1 to {UID_CHARS_MAX} of the characters a-z A-Z 0-9 - _ .");
        return Err(bad_field("uid", why));
    }
    if uid.starts_with(prefix) {
        return Err(bad_field(
            "uid",
            format!("a uid may not begin with `{prefix}`"),
        ));
    }
    Ok(Some(uid))
}

/// What the owner noted.
pub(crate) fn checked_metadata(
    metadata: Option<BTreeMap<String, String>>,
) -> Result<BTreeMap<String, String>, Refused> {
    let metadata = metadata.unwrap_or_default();
    let bytes: usize = metadata
        .iter()
        .map(|(key, value)| key.len() + value.len() + 6)
        .sum();
    if bytes > METADATA_BYTES_MAX {
        let why = format!("the metadata has more than {METADATA_BYTES_MAX} bytes");
        return Err(bad_field("metadata", why));
    }
    Ok(metadata)
}

/// A secret that somebody chose, in the form in which it is kept. `signs` asks for one that can
/// sign, not only verify.
pub(crate) fn checked_secret(text: &str, place: &[&str], signs: bool) -> Result<Secret, Refused> {
    let text = text.trim();
    let key = WebhookKey::parse(text).map_err(|error| bad(place, error))?;
    let verifies_only = text.starts_with("whpk_");
    if signs && verifies_only {
        let why = "a public key cannot sign; give the private one (whsk_…)";
        return Err(bad(place, Coded::new(Code::SecretWeak, why)));
    }
    let prefixed = key.public_text().is_some() || text.starts_with("whsec_");
    Ok(Secret::new(if prefixed {
        text.to_owned()
    } else {
        format!("whsec_{text}")
    }))
}

/// A new secret.
pub(crate) fn new_secret() -> Secret {
    generate(&rand::random::<[u8; WEBHOOK_KEY_BYTES_MIN]>())
}

/// What those who verify are given: of an ed25519 key, only the public half.
pub(crate) fn shown_secret(secret: &Secret) -> String {
    let public = WebhookKey::parse(secret.reveal())
        .ok()
        .and_then(|key| key.public_text());
    public.unwrap_or_else(|| secret.reveal().to_owned())
}

/// The body of a rotation.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RotateIn {
    key: Option<String>,
    grace_period_seconds: Option<i64>,
}

impl RotateIn {
    /// The new secret, and how long the one before stays valid.
    pub(crate) fn checked(self, signs: bool) -> Result<(Secret, i64), Refused> {
        self.checked_by(|key| match key {
            Some(key) => checked_secret(key, &["body", "key"], signs),
            None => Ok(new_secret()),
        })
    }

    /// The same, with other rules for the secret.
    pub(crate) fn checked_by(
        self,
        secret: impl FnOnce(Option<&str>) -> Result<Secret, Refused>,
    ) -> Result<(Secret, i64), Refused> {
        let secret = secret(self.key.as_deref())?;
        let grace_ms = match self.grace_period_seconds {
            None => SECRET_GRACE_MS_DEFAULT,
            Some(secs) if (0..=SECRET_GRACE_MS_MAX / 1000).contains(&secs) => secs * 1000,
            Some(_) => {
                let most = SECRET_GRACE_MS_MAX / 1000;
                let why = format!("the grace period is 0 to {most} seconds");
                return Err(bad_field("gracePeriodSeconds", why));
            }
        };
        Ok((secret, grace_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_value_of_the_wrong_type_does_not_quote_it() {
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Kind {
            Dodo,
        }
        let value = json!("whsec_\", expected `x`, expected ");
        let bodies = [
            serde_json::from_value::<BTreeMap<String, String>>(value.clone()).unwrap_err(),
            serde_json::from_value::<u8>(value.clone()).unwrap_err(),
            serde_json::from_value::<Kind>(value).unwrap_err(),
        ];
        for error in bodies {
            let text = without_values(&error.to_string());
            assert!(
                text.contains("expected") && !text.contains("whsec"),
                "{text}"
            );
        }
        let _ = Kind::Dodo;
        let missing = "missing field `url` at line 1 column 2";
        assert_eq!(without_values(missing), missing);
    }

    const GOOD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    #[test]
    fn a_secret_without_its_prefix_gets_it() {
        let secret = checked_secret(GOOD, &["body"], true).unwrap();
        assert_eq!(secret.reveal(), format!("whsec_{GOOD}"));
    }

    #[test]
    fn weak_secrets_are_refused_with_their_code() {
        for weak in [
            "",
            "whsec_",
            "whsec_AAAA",
            "whsec_***",
            "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
        ] {
            let refused = checked_secret(weak, &["body", "secret"], true).unwrap_err();
            assert_eq!(
                (refused.status.as_u16(), refused.error.code),
                (422, Code::SecretWeak)
            );
        }
    }

    #[test]
    fn a_rotation_without_fields_makes_a_secret_and_keeps_the_old_one_for_a_day() {
        let (secret, grace_ms) = parse::<RotateIn>(b"").unwrap().checked(true).unwrap();
        assert!(WebhookKey::parse(secret.reveal()).is_ok());
        assert_eq!(grace_ms, 86_400_000);
        let late = parse::<RotateIn>(br#"{"gracePeriodSeconds":604801}"#).unwrap();
        assert_eq!(late.checked(true).unwrap_err().status, 422);
    }

    #[test]
    fn a_missing_field_is_named_and_broken_json_is_no_field_error() {
        #[derive(Debug, Deserialize)]
        struct One {
            #[expect(dead_code, reason = "only its absence matters")]
            url: String,
        }
        let refused = parse::<One>(b"{}").unwrap_err();
        assert_eq!(refused.status, 422);
        assert!(refused.error.detail.contains("`url`"));
        assert_eq!(parse::<One>(b"{").unwrap_err().status, 400);
    }

    #[test]
    fn uids_must_not_look_like_ids() {
        let check = |uid: &str| checked_uid(Some(uid.to_owned()), "ep_").map_err(|_| ());
        assert_eq!(check("acme.eu-1_x"), Ok(Some("acme.eu-1_x".to_owned())));
        assert_eq!(check(""), Ok(None));
        for uid in ["ep_1", "a b", "ü", &"a".repeat(257)] {
            assert_eq!(check(uid), Err(()), "{uid}");
        }
    }
}
