//! An endpoint's certificates by the paths of the foreign API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{EP, server};

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

fn certificate() -> String {
    let der = include_bytes!("../../../egress/tests/tls/localhost.crt.der");
    pem("CERTIFICATE", der)
}

fn key() -> String {
    let der = include_bytes!("../../../egress/tests/tls/localhost.key.der");
    pem("PRIVATE KEY", der)
}

#[tokio::test]
async fn an_identity_is_given_shown_without_its_key_and_taken_away() {
    let server = server().await;
    let one = format!(
        "{EP}/{}",
        server.endpoint(json!({"url": "https://a.example/"})).await
    );
    let mtls = format!("{one}/mtls");
    let none = json!({"serverCaCert": null, "clientCertificate": null, "hasClientKey": false});
    assert_eq!(server.get(&mtls).await.is(200, "").json(), none);

    let identity = key() + &certificate();
    let body = json!({"identity": identity, "serverCaCert": certificate()});
    server.put(&mtls, body).await.is(204, "");
    let shown = server.get(&mtls).await.is(200, "");
    let expected = json!({"serverCaCert": certificate(), "clientCertificate": certificate(),
        "hasClientKey": true});
    assert_eq!(shown.json(), expected);
    let whole = server.get(&one).await.is(200, "");
    assert_eq!(whole.json()["tls"]["hasClientKey"], true);
    for text in [shown.text, whole.text] {
        assert!(!text.contains("PRIVATE KEY") && !text.contains(&key()[40..80]));
    }

    let body = json!({"identity": identity});
    server.put(&mtls, body).await.is(204, "");
    let kept = server.get(&mtls).await.json();
    assert_eq!(
        kept["serverCaCert"],
        certificate(),
        "what is not named stays"
    );
    server.delete(&mtls).await.is(204, "");
    assert_eq!(server.get(&mtls).await.json(), none);
    assert_eq!(server.get(&one).await.json()["tls"], Value::Null);
}

#[tokio::test]
async fn an_authority_comes_and_goes_by_itself() {
    let server = server().await;
    let one = format!(
        "{EP}/{}",
        server.endpoint(json!({"url": "https://a.example/"})).await
    );
    let (ca, mtls) = (format!("{one}/ca"), format!("{one}/mtls"));
    let body = json!({"identity": key() + &certificate()});
    server.put(&mtls, body).await.is(204, "");
    server
        .put(&ca, json!({"caCert": certificate()}))
        .await
        .is(204, "");
    let shown = server.get(&ca).await.is(200, "").json();
    assert_eq!(shown, json!({"caCert": certificate()}));
    server.delete(&ca).await.is(204, "");
    assert_eq!(server.get(&ca).await.json(), json!({"caCert": null}));
    assert_eq!(server.get(&mtls).await.json()["hasClientKey"], true);
}

#[tokio::test]
async fn certificates_that_cannot_be_used_change_nothing() {
    let server = server().await;
    let one = format!(
        "{EP}/{}",
        server.endpoint(json!({"url": "https://a.example/"})).await
    );
    let before = server.get(&one).await.json();
    for (path, body, place) in [
        ("mtls", json!({"identity": ""}), "body.identity"),
        ("mtls", json!({"identity": certificate()}), "body.identity"),
        ("mtls", json!({"identity": key()}), "body.identity"),
        ("ca", json!({"caCert": "  "}), "body.caCert"),
        ("ca", json!({"caCert": key()}), "body.caCert"),
    ] {
        let refused = server.put(&format!("{one}/{path}"), body).await;
        assert_eq!(refused.is(422, "E0640").place(), place);
    }
    server
        .put(&format!("{one}/mtls"), json!({}))
        .await
        .is(422, "E0100");
    let nobody = format!("{EP}/ep_1srOrx2ZWZBpBUvZwXKQmoEYga2/ca");
    server.get(&nobody).await.is(404, "E0102");
    server.delete(&nobody).await.is(404, "E0102");
    assert_eq!(server.get(&one).await.json(), before);
}
