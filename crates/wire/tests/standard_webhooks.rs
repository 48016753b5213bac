//! Standard Webhooks against the vectors in `vectors/standard_webhooks.json`: published ones, and
//! the attacks S1 to S9 of the security cases.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use dunlin_types::{Code, Secret, Timestamp};
use dunlin_wire::standard_webhooks::{SignatureHeaders, WebhookKey, generate, verify};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    sign: Vec<SignCase>,
    verify: Vec<VerifyCase>,
    weak_secrets: Vec<WeakSecret>,
}

#[derive(Deserialize)]
struct SignCase {
    name: String,
    secret: String,
    id: String,
    timestamp: i64,
    body: String,
    signature: String,
}

#[derive(Deserialize)]
struct VerifyCase {
    name: String,
    secrets: Vec<String>,
    id: Option<String>,
    timestamp: Option<String>,
    signature: Option<String>,
    body: String,
    now: i64,
    want: String,
}

#[derive(Deserialize)]
struct WeakSecret {
    name: String,
    secret: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/standard_webhooks.json")).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_ms(seconds * 1000)
}

#[test]
fn signatures_are_those_of_the_vectors() {
    for case in vectors().sign {
        let key = WebhookKey::parse(&case.secret).unwrap();
        let signature = key.sign(&case.id, at(case.timestamp), case.body.as_bytes());
        assert_eq!(
            signature.as_deref(),
            Some(case.signature.as_str()),
            "{}",
            case.name
        );
    }
}

#[test]
fn only_genuine_webhooks_pass() {
    for case in vectors().verify {
        let keys: Vec<WebhookKey> = case
            .secrets
            .iter()
            .map(|text| WebhookKey::parse(text).unwrap())
            .collect();
        let headers = SignatureHeaders {
            id: case.id.as_deref(),
            timestamp: case.timestamp.as_deref(),
            signature: case.signature.as_deref(),
        };
        let verdict = match verify(&keys, headers, case.body.as_bytes(), at(case.now)) {
            Ok(()) => "ok".to_owned(),
            Err(refused) => format!("{:?}", refused.code),
        };
        assert_eq!(verdict, case.want, "{}", case.name);
    }
}

#[test]
fn weak_secrets_are_refused_and_not_repeated() {
    for WeakSecret { name, secret } in vectors().weak_secrets {
        let refused = WebhookKey::parse(&secret).unwrap_err();
        assert_eq!(refused.code, Code::SecretWeak, "{name}");
        assert!(
            secret.trim().len() < 10 || !refused.detail.contains(&secret),
            "{name}"
        );
    }
}

#[test]
fn the_svix_headers_win_only_as_a_whole() {
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, "standard".parse().unwrap());
    }
    for name in ["svix-id", "svix-timestamp"] {
        headers.insert(name, "svix".parse().unwrap());
    }
    assert_eq!(SignatureHeaders::of(&headers).id, Some("standard"));
    headers.insert("svix-signature", "svix".parse().unwrap());
    let found = SignatureHeaders::of(&headers);
    assert_eq!((found.id, found.signature), (Some("svix"), Some("svix")));
    assert_eq!(
        SignatureHeaders::of(&http::HeaderMap::new()),
        SignatureHeaders::default()
    );
}

#[test]
fn the_public_half_is_what_receivers_need() {
    let private = &vectors().sign[2].secret;
    let public = WebhookKey::parse(private).unwrap().public_text().unwrap();
    assert_eq!(public, "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=");
    let key = WebhookKey::parse(&public).unwrap();
    assert_eq!(key.sign("id", at(1), b""), None);
    assert_eq!(key.public_text(), Some(public));
}

#[test]
fn keys_do_not_show_themselves() {
    let secret: Secret = generate(&[7; 24]);
    let key = WebhookKey::parse(secret.reveal()).unwrap();
    assert_eq!(
        format!("{key:?} {secret:?}"),
        "WebhookKey(redacted) Secret(redacted)"
    );
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        random in any::<[u8; 24]>(),
        id in "[a-zA-Z0-9_-]{1,40}",
        body in prop::collection::vec(any::<u8>(), 0..200),
        other in prop::collection::vec(any::<u8>(), 0..200),
        seconds in 0_i64..4_000_000_000,
        junk in "\\PC{0,60}",
    ) {
        let key = WebhookKey::parse(generate(&random).reveal()).unwrap();
        let signature = key.sign(&id, at(seconds), &body).unwrap();
        let timestamp = seconds.to_string();
        let headers = SignatureHeaders {
            id: Some(&id),
            timestamp: Some(&timestamp),
            signature: Some(&signature),
        };
        let keys = [key];
        prop_assert!(verify(&keys, headers, &body, at(seconds)).is_ok());
        prop_assert_eq!(verify(&keys, headers, &other, at(seconds)).is_ok(), body == other);
        let forged = SignatureHeaders { signature: Some(&junk), ..headers };
        prop_assert!(verify(&keys, forged, &body, at(seconds)).is_err());
        let _ = verify(&keys, SignatureHeaders { id: Some(&junk), ..headers }, &body, at(seconds));
        let _ = WebhookKey::parse(&junk);
    }
}
