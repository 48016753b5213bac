//! Sources as requests write them, and as answers do.

use std::collections::BTreeMap;

use dunlin_delivery::{DEFAULT_APPLICATION, NewSource, Source, SourceFields};
use dunlin_types::limits::{SOURCE_IP_RANGES_MAX, SOURCE_NAME_CHARS_MAX, SOURCE_PLACE_CHARS_MAX};
use dunlin_types::{
    Challenge, Code, Coded, IpRange, KsuidKind, Place, Scheme, Secret, SourceConfig, SourceKind,
    SourceMode, Timestamp, VerifyRule,
};
use dunlin_wire::verify::check_secret;
use http::HeaderName;
use serde::{Deserialize, Serialize};

use crate::error::Refused;
use crate::svix::fields::{bad, bad_field, checked_metadata, checked_uid, given};

/// A new source, or all fields of one.
#[derive(Deserialize)]
pub(super) struct SourceIn {
    name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    config: Option<ConfigIn>,
    uid: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
}

/// Some fields of a source.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct SourcePatch {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    config: Option<ConfigIn>,
    #[serde(deserialize_with = "given")]
    uid: Option<Option<String>>,
    metadata: Option<BTreeMap<String, String>>,
}

/// What a field that is absent means is up to the request.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigIn {
    secret: Option<String>,
    #[serde(deserialize_with = "given")]
    mode: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    verify: Option<Option<VerifyRule>>,
    #[serde(deserialize_with = "given")]
    id: Option<Option<Place>>,
    #[serde(deserialize_with = "given")]
    event_type: Option<Option<Place>>,
    #[serde(deserialize_with = "given")]
    ip_allow: Option<Option<Vec<IpRange>>>,
    #[serde(deserialize_with = "given")]
    challenge: Option<Option<ChallengeIn>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum ChallengeIn {
    /// None, as answers have it, leaves the token as it is.
    VerifyToken(Option<String>),
    Echo(String),
}

impl SourceIn {
    pub(super) fn new_source(self) -> Result<NewSource, Refused> {
        let kind = self
            .kind
            .as_deref()
            .ok_or_else(|| bad_field("type", "missing field `type`"))?;
        let kind = kind_of(kind)?;
        let config = self.config.unwrap_or_default();
        let secret = config.secret.clone().unwrap_or_default();
        let (mode, config) = config.onto(kind, None, SourceConfig::default(), None)?;
        Ok(NewSource {
            name: checked_name(self.name)?,
            secret: checked_secret(kind, &secret, &["body", "config", "secret"])?,
            uid: checked_uid(self.uid, KsuidKind::Source.prefix())?,
            metadata: checked_metadata(self.metadata)?,
            app: DEFAULT_APPLICATION,
            kind,
            mode,
            config,
        })
    }

    /// All fields but the secret, which stays if none is given.
    pub(super) fn replacing(self, source: &Source) -> Result<SourceFields, Refused> {
        same_kind(source, self.kind.as_deref())?;
        let config = self.config.unwrap_or_default();
        let secret = config.new_secret(source)?;
        let token = source.config.challenge.as_ref();
        let (mode, config) = config.onto(source.kind, None, SourceConfig::default(), token)?;
        Ok(SourceFields {
            name: checked_name(self.name)?,
            uid: checked_uid(self.uid, KsuidKind::Source.prefix())?,
            metadata: checked_metadata(self.metadata)?,
            mode,
            config,
            secret,
        })
    }
}

impl SourcePatch {
    pub(super) fn onto(self, source: &Source) -> Result<SourceFields, Refused> {
        same_kind(source, self.kind.as_deref())?;
        let config = self.config.unwrap_or_default();
        let secret = config.new_secret(source)?;
        let (token, old) = (source.config.challenge.as_ref(), source.config.clone());
        let (mode, config) = config.onto(source.kind, source.mode, old, token)?;
        Ok(SourceFields {
            name: match self.name {
                Some(name) => checked_name(name)?,
                None => source.name.clone(),
            },
            uid: match self.uid {
                Some(uid) => checked_uid(uid, KsuidKind::Source.prefix())?,
                None => source.uid.clone(),
            },
            metadata: match self.metadata {
                Some(metadata) => checked_metadata(Some(metadata))?,
                None => source.metadata.clone(),
            },
            mode,
            config,
            secret,
        })
    }
}

impl ConfigIn {
    /// A secret that is another than the current one.
    fn new_secret(&self, source: &Source) -> Result<Option<Secret>, Refused> {
        let Some(text) = &self.secret else {
            return Ok(None);
        };
        let secret = checked_secret(source.kind, text, &["body", "config", "secret"])?;
        let current = source.secrets.first();
        Ok(Some(secret)
            .filter(|secret| current.is_none_or(|one| !one.secret.matches(secret.reveal()))))
    }

    /// What is given in place of what `mode` and `config` say. `token` is kept where an answer is
    /// sent back.
    fn onto(
        self,
        kind: SourceKind,
        mode: Option<SourceMode>,
        mut config: SourceConfig,
        token: Option<&Challenge>,
    ) -> Result<(Option<SourceMode>, SourceConfig), Refused> {
        let mode = match self.mode {
            Some(text) => checked_mode(text.as_deref())?,
            None => mode,
        };
        if let Some(verify) = self.verify {
            config.verify = verify.map(checked_rule).transpose()?;
        }
        if let Some(id) = self.id {
            config.id = id.map(|place| checked_place(place, "id")).transpose()?;
        }
        if let Some(place) = self.event_type {
            let place = place.map(|place| checked_place(place, "eventType"));
            config.event_type = place.transpose()?;
        }
        if let Some(ranges) = self.ip_allow {
            config.ip_allow = checked_ranges(ranges.unwrap_or_default())?;
        }
        if let Some(challenge) = self.challenge {
            let challenge = challenge.map(|one| one.checked(token));
            config.challenge = challenge.transpose()?;
        }
        fits(kind, &config)?;
        Ok((mode, config))
    }
}

impl ChallengeIn {
    fn checked(self, current: Option<&Challenge>) -> Result<Challenge, Refused> {
        match (self, current) {
            (Self::VerifyToken(Some(token)), _) if !token.is_empty() => {
                Ok(Challenge::of_token(&token))
            }
            (Self::VerifyToken(None), Some(Challenge::Token(hash))) => Ok(Challenge::Token(*hash)),
            (Self::VerifyToken(_), _) => Err(bad_config("challenge", "the token is missing")),
            (Self::Echo(name), _) => checked_path(name, "challenge").map(Challenge::Echo),
        }
    }
}

/// Only a generic source leaves open how it verifies; all others know.
fn fits(kind: SourceKind, config: &SourceConfig) -> Result<(), Refused> {
    if kind.scheme() == Scheme::Generic {
        return match config.verify {
            Some(_) => Ok(()),
            None => Err(bad_config(
                "verify",
                "a generic source needs to know how to verify: \
                 {\"by\": \"header\", \"header\": …} or {\"by\": \"hmac\", \"header\": …}",
            )),
        };
    }
    let given = [
        ("verify", config.verify.is_some()),
        ("id", config.id.is_some()),
        ("eventType", config.event_type.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => {
            let kind = kind.as_str();
            let why = format!("a source of the type `{kind}` knows that; it is for generic ones");
            Err(bad_config(name, &why))
        }
        None => Ok(()),
    }
}

fn bad_config(name: &str, why: &str) -> Refused {
    bad(&["body", "config", name], Coded::new(Code::BadRequest, why))
}

fn checked_mode(text: Option<&str>) -> Result<Option<SourceMode>, Refused> {
    match text {
        None => Ok(None),
        Some("test") => Ok(Some(SourceMode::Test)),
        Some("live") => Ok(Some(SourceMode::Live)),
        Some(_) => Err(bad_config("mode", "a mode is `test` or `live`")),
    }
}

fn checked_rule(rule: VerifyRule) -> Result<VerifyRule, Refused> {
    Ok(match rule {
        VerifyRule::Header { header } => VerifyRule::Header {
            header: checked_header(&header, "verify")?,
        },
        VerifyRule::Hmac {
            header,
            prefix,
            encoding,
            algorithm,
        } => VerifyRule::Hmac {
            header: checked_header(&header, "verify")?,
            prefix: match prefix.as_str() {
                "" => prefix,
                _ => checked_path(prefix, "verify")?,
            },
            encoding,
            algorithm,
        },
    })
}

fn checked_place(place: Place, field: &str) -> Result<Place, Refused> {
    match place {
        Place::Header(name) => checked_header(&name, field).map(Place::Header),
        Place::Json(path) => checked_path(path, field).map(Place::Json),
    }
}

/// In lower case, as requests are looked up by.
fn checked_header(name: &str, field: &str) -> Result<String, Refused> {
    let parsed = HeaderName::from_bytes(name.trim().as_bytes());
    let parsed = parsed
        .ok()
        .filter(|name| name.as_str().len() <= SOURCE_PLACE_CHARS_MAX);
    let parsed = parsed.ok_or_else(|| bad_config(field, "that is no name of a header"))?;
    Ok(parsed.as_str().to_owned())
}

fn checked_path(text: String, field: &str) -> Result<String, Refused> {
    let fits = (1..=SOURCE_PLACE_CHARS_MAX).contains(&text.chars().count());
    if fits && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    let why = format!("it has 1 to {SOURCE_PLACE_CHARS_MAX} characters");
    Err(bad_config(field, &why))
}

fn checked_ranges(ranges: Vec<IpRange>) -> Result<Vec<IpRange>, Refused> {
    if ranges.len() > SOURCE_IP_RANGES_MAX {
        let why = format!("a source has {SOURCE_IP_RANGES_MAX} ranges at most");
        return Err(bad_config("ipAllow", &why));
    }
    Ok(ranges)
}

/// A secret that somebody chose, in the form in which it is kept.
pub(super) fn checked_secret(
    kind: SourceKind,
    text: &str,
    place: &[&str],
) -> Result<Secret, Refused> {
    check_secret(kind, text).map_err(|error| bad(place, error))
}

/// A name is part of the source's URL.
fn checked_name(name: String) -> Result<String, Refused> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=SOURCE_NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(name);
    }
    let why = format!("a name has 1 to {SOURCE_NAME_CHARS_MAX} of the characters a-z 0-9 -");
    Err(bad_field("name", why))
}

fn kind_of(text: &str) -> Result<SourceKind, Refused> {
    SourceKind::parse(text).ok_or_else(|| {
        let all: Vec<&str> = SourceKind::ALL.iter().map(|kind| kind.as_str()).collect();
        bad_field("type", format!("a type is one of {}", all.join(", ")))
    })
}

fn same_kind(source: &Source, text: Option<&str>) -> Result<(), Refused> {
    match text {
        Some(text) if kind_of(text)? != source.kind => Err(bad_field(
            "type",
            "a source keeps its type; make another one",
        )),
        _ => Ok(()),
    }
}

/// A source as answers show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SourceOut {
    id: String,
    uid: Option<String>,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    pub(super) ingest_url: String,
    config: ConfigOut,
    secrets: Vec<SecretOut>,
    metadata: BTreeMap<String, String>,
    created_at: String,
    updated_at: String,
}

/// Without the secret, which has a path of its own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigOut {
    mode: Option<SourceMode>,
    verify: Option<VerifyRule>,
    id: Option<Place>,
    event_type: Option<Place>,
    ip_allow: Vec<IpRange>,
    challenge: Option<ChallengeOut>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum ChallengeOut {
    /// What it is is not known any more.
    VerifyToken(()),
    Echo(String),
}

/// A secret that is accepted, not itself.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SecretOut {
    created_at: String,
    expires_at: Option<String>,
}

impl SourceOut {
    pub(super) fn of(source: &Source, base_url: &str, now: Timestamp) -> Self {
        let id = source.ksuid().to_string();
        let valid = source.secrets.iter().filter(|one| one.is_valid(now));
        Self {
            ingest_url: match &source.url_token {
                None => format!("{base_url}/in/{id}"),
                Some(token) => format!("{base_url}/in/{id}.{}", token.reveal()),
            },
            id,
            uid: source.uid.clone(),
            name: source.name.clone(),
            kind: source.kind.as_str(),
            config: ConfigOut::of(source.mode, source.config.clone()),
            secrets: valid
                .map(|one| SecretOut {
                    created_at: one.created.rfc3339(),
                    expires_at: one.expires.map(Timestamp::rfc3339),
                })
                .collect(),
            metadata: source.metadata.clone(),
            created_at: source.created.rfc3339(),
            updated_at: source.updated.rfc3339(),
        }
    }
}

impl ConfigOut {
    fn of(mode: Option<SourceMode>, config: SourceConfig) -> Self {
        Self {
            mode,
            verify: config.verify,
            id: config.id,
            event_type: config.event_type,
            ip_allow: config.ip_allow,
            challenge: config.challenge.map(|challenge| match challenge {
                Challenge::Token(_) => ChallengeOut::VerifyToken(()),
                Challenge::Echo(name) => ChallengeOut::Echo(name),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

    fn checked(change: impl FnOnce(&mut Value)) -> Result<NewSource, Refused> {
        let mut body = json!({
            "name": "dodo-live",
            "type": "dodo",
            "config": {"secret": SECRET, "mode": "live"},
        });
        change(&mut body);
        serde_json::from_value::<SourceIn>(body)
            .unwrap()
            .new_source()
    }

    #[test]
    fn a_source_takes_a_name_a_type_and_a_strong_secret() {
        let new = checked(|_| ()).unwrap();
        assert_eq!(
            (new.kind, new.mode),
            (SourceKind::Dodo, Some(SourceMode::Live))
        );
        assert_eq!(new.secret.reveal(), SECRET);
    }

    #[test]
    fn weak_or_missing_secrets_are_refused_under_every_type() {
        for kind in SourceKind::ALL {
            for weak in [
                json!(null),
                json!(""),
                json!("whsec_"),
                json!("whsec_c2hvcnQ="),
            ] {
                let refused = checked(|body| {
                    body["type"] = json!(kind.as_str());
                    body["config"]["secret"] = weak.clone();
                    if *kind == SourceKind::Generic {
                        body["config"]["verify"] = json!({"by": "header", "header": "x-key"});
                    }
                });
                let refused = refused.unwrap_err();
                assert_eq!(
                    (refused.status.as_u16(), refused.error.code),
                    (422, Code::SecretWeak)
                );
            }
        }
        let without = checked(|body| body["config"] = Value::Null).unwrap_err();
        assert_eq!(without.error.code, Code::SecretWeak);
    }

    #[test]
    fn names_must_fit_into_a_url_and_types_be_known() {
        for name in ["", "Dodo", "a b", "a_b", "ä", &"a".repeat(65)] {
            let refused = checked(|body| body["name"] = json!(name)).unwrap_err();
            assert_eq!(refused.status, 422, "{name}");
        }
        let unknown = checked(|body| body["type"] = json!("cron")).unwrap_err();
        assert!(unknown.error.detail.contains("generic-webhook"));
    }

    #[test]
    fn only_a_generic_source_is_told_how_to_verify_and_it_must_be() {
        let hmac = json!({"by": "hmac", "header": "X-Sig", "encoding": "base64url"});
        let refused = checked(|body| body["config"]["verify"] = hmac.clone()).unwrap_err();
        assert!(refused.error.detail.contains("`dodo`"), "{refused:?}");
        let refused = checked(|body| body["type"] = json!("generic-webhook")).unwrap_err();
        assert!(
            refused.error.detail.contains("how to verify"),
            "{refused:?}"
        );
        let new = checked(|body| {
            body["type"] = json!("generic-webhook");
            body["config"]["verify"] = hmac.clone();
        });
        let rule = new.unwrap().config.verify.unwrap();
        assert_eq!(rule.header(), "x-sig");
    }

    #[test]
    fn places_and_ranges_are_checked() {
        for (field, bad) in [
            ("verify", json!({"by": "header", "header": "a b"})),
            ("verify", json!({"by": "header", "header": ""})),
            ("id", json!({"json": ""})),
            ("eventType", json!({"header": "ä"})),
            ("ipAllow", json!(vec!["10.0.0.0/8"; 257])),
            ("challenge", json!({"echo": ""})),
            ("challenge", json!({"verifyToken": ""})),
            ("challenge", json!({"verifyToken": null})),
            ("mode", json!("both")),
        ] {
            let refused = checked(|body| {
                body["type"] = json!("generic-webhook");
                body["config"]["verify"] = json!({"by": "header", "header": "x-key"});
                body["config"][field] = bad.clone();
            });
            assert_eq!(refused.unwrap_err().status, 422, "{field} {bad}");
        }
    }
}
