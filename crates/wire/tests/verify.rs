//! Every scheme against its vectors: the providers' published examples, the algorithms as they
//! document them, and the attacks S1 to S9 of the security cases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use dunlin_types::{Code, SourceConfig, SourceKind, Timestamp, limits};
use dunlin_wire::envelope::{envelope, json_body};
use dunlin_wire::verify::{Inbound, check_secret, is_id, verify};
use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    /// `ok`, or the code.
    want: String,
    secrets: Vec<String>,
    headers: BTreeMap<String, String>,
    body: String,
    now: i64,
    /// The provider's id; `hash` for one that was made, `no object` where there is none.
    #[serde(default)]
    id: String,
    #[serde(default, rename = "type")]
    event_type: String,
    #[serde(default)]
    config: SourceConfig,
}

fn headers(of: &BTreeMap<String, String>) -> HeaderMap {
    let pair = |(name, value): (&String, &String)| {
        (
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        )
    };
    of.iter().map(pair).collect()
}

fn check(kind: SourceKind, text: &str) {
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    assert!(vectors.cases.iter().any(|case| case.want == "ok"));
    for case in &vectors.cases {
        let headers = headers(&case.headers);
        let inbound = Inbound {
            headers: &headers,
            body: case.body.as_bytes(),
            now: Timestamp::from_ms(case.now * 1000),
        };
        let secrets = case.secrets.iter().map(String::as_str);
        let result = verify(kind, &case.config, secrets, inbound);
        let verified = match result {
            Err(error) => {
                assert_eq!(error.code.to_string(), case.want, "{}", case.name);
                continue;
            }
            Ok(verified) => verified,
        };
        assert_eq!(case.want, "ok", "{}", case.name);
        let content_type = headers.get("content-type").map(|v| v.to_str().unwrap());
        let body = json_body(content_type, inbound.body).unwrap();
        if case.id == "no object" {
            let refused = envelope(&verified, &body).unwrap_err();
            assert_eq!(refused.code, Code::WebhookBodyBad);
            continue;
        }
        let told = envelope(&verified, &body).unwrap();
        assert_eq!(told.event_type, case.event_type, "{}", case.name);
        match case.id.as_str() {
            "hash" => assert!(is_id(&told.provider_id) && told.provider_id.contains('_')),
            id => assert_eq!(told.provider_id, id, "{}", case.name),
        }
    }
}

#[test]
fn stripe() {
    check(SourceKind::Stripe, include_str!("vectors/stripe.json"));
}

#[test]
fn github() {
    check(SourceKind::GitHub, include_str!("vectors/github.json"));
}

#[test]
fn shopify() {
    check(SourceKind::Shopify, include_str!("vectors/shopify.json"));
}

#[test]
fn slack() {
    check(SourceKind::Slack, include_str!("vectors/slack.json"));
}

#[test]
fn generic() {
    check(SourceKind::Generic, include_str!("vectors/generic.json"));
}

#[test]
fn everybody_who_signs_by_standard_webhooks() {
    use SourceKind::*;
    for kind in [
        Dodo,
        StandardWebhooks,
        Svix,
        Clerk,
        Resend,
        Replicate,
        Brex,
        OpenAi,
        Render,
        IncidentIo,
    ] {
        check(kind, include_str!("vectors/svix.json"));
    }
}

/// S2: nothing is set up that could be guessed, or not be sent at all.
#[test]
fn weak_secrets_are_refused_under_every_scheme() {
    for kind in SourceKind::ALL {
        let long = "x".repeat(limits::SOURCE_SECRET_BYTES_MAX + 1);
        for weak in [
            "",
            " ",
            "whsec_",
            "short",
            "twenty-three-bytes-long",
            "\u{fc}23456789012345678901234",
            &long,
        ] {
            let refused = check_secret(*kind, weak).unwrap_err();
            assert_eq!(refused.code, Code::SecretWeak, "{kind:?} {weak}");
        }
    }
    let text = "  0123456789abcdef0123456789abcdef ";
    let kept = check_secret(SourceKind::Slack, text).unwrap();
    assert_eq!(kept.reveal(), text.trim());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is sent without the secret, nothing is taken, and nothing panics.
    #[test]
    fn nothing_passes_by_chance(
        kind in 0..SourceKind::ALL.len(),
        values in proptest::collection::vec("[ -~]{0,80}", 12),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let names = [
            "stripe-signature", "x-hub-signature-256", "x-shopify-hmac-sha256",
            "x-slack-signature", "x-slack-request-timestamp", "x-key", "webhook-id",
            "webhook-timestamp", "webhook-signature", "svix-id", "svix-timestamp", "svix-signature",
        ];
        let headers: HeaderMap = names.iter().zip(&values).map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        }).collect();
        let config: SourceConfig =
            serde_json::from_str(r#"{"verify":{"by":"hmac","header":"x-key"}}"#).unwrap();
        let inbound = Inbound { headers: &headers, body: &body, now: Timestamp::from_ms(0) };
        let secrets = ["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"];
        let kind = SourceKind::ALL[kind];
        prop_assert!(verify(kind, &config, secrets.into_iter(), inbound).is_err());
    }
}
