//! What deliveries are signed with: keys of both kinds, and the one before while it is being changed.

use dunlin_wire::standard_webhooks::{SignatureHeaders, WebhookKey, verify};
use serde_json::json;

use crate::harness::{EP, OTHER_SECRET, SECRET, Server, sent, server};
use crate::receiver::{Came, Receiver};

const DAY_MS: i64 = 24 * 3_600_000;
/// Of the bytes 0 to 31, with its public half.
const PRIVATE: &str = "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJul\
     DV8d3IZkElUxuA==";
const PUBLIC: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// Sends a message; how it came.
async fn delivered(server: &Server, receiver: &Receiver) -> Came {
    sent(server, json!({})).await;
    server.node.idle().await;
    receiver.came().last().unwrap().clone()
}

fn schemes(came: &Came) -> Vec<&str> {
    let items = came.headers["webhook-signature"].split(' ');
    items.map(|item| item.split_once(',').unwrap().0).collect()
}

fn verifies(server: &Server, came: &Came, key: &str) -> bool {
    let header = |name: &str| came.headers.get(name).map(String::as_str);
    let headers = SignatureHeaders {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
    };
    let key = WebhookKey::parse(key).unwrap();
    verify([key], headers, came.body.as_bytes(), server.node.now()).is_ok()
}

async fn shown(server: &Server) -> String {
    let key = server.get(&format!("{EP}/e/secret")).await.is(200, "");
    key.json()["key"].as_str().unwrap().to_owned()
}

async fn rotate(server: &Server, key: &str) {
    let path = format!("{EP}/e/secret/rotate");
    server.post(&path, json!({"key": key})).await.is(200, "");
}

#[tokio::test]
async fn an_ed25519_key_signs_and_only_its_public_half_is_shown() {
    let server = server().await;
    let receiver = Receiver::answering(200).await;
    let fields = json!({"url": receiver.url, "uid": "e", "secret": PRIVATE});
    let made = server.post(EP, fields).await.is(201, "");
    assert!(!made.text.contains("whsk_"));
    assert_eq!(shown(&server).await, PUBLIC);
    let mut came = delivered(&server, &receiver).await;
    assert_eq!(schemes(&came), ["v1a"]);
    assert!(verifies(&server, &came, PUBLIC));
    came.body.push(' ');
    assert!(!verifies(&server, &came, PUBLIC));
    // With the public half nobody can sign.
    let public = json!({"url": receiver.url, "secret": PUBLIC});
    let refused = server.post(EP, public).await.is(422, "E0206");
    assert_eq!(refused.place(), "body.secret");
}

#[tokio::test]
async fn a_key_that_is_changed_for_one_of_the_other_kind_signs_beside_it_for_a_day() {
    let server = server().await;
    let receiver = Receiver::answering(200).await;
    let fields = json!({"url": receiver.url, "uid": "e", "secret": SECRET});
    server.post(EP, fields).await.is(201, "");

    rotate(&server, PRIVATE).await;
    assert_eq!(shown(&server).await, PUBLIC);
    let came = delivered(&server, &receiver).await;
    assert_eq!(schemes(&came), ["v1a", "v1"]);
    assert!(verifies(&server, &came, PUBLIC) && verifies(&server, &came, SECRET));
    server.node.advance(DAY_MS).unwrap();
    let came = delivered(&server, &receiver).await;
    assert_eq!(schemes(&came), ["v1a"]);
    assert!(verifies(&server, &came, PUBLIC) && !verifies(&server, &came, SECRET));

    rotate(&server, OTHER_SECRET).await;
    assert_eq!(shown(&server).await, OTHER_SECRET);
    let came = delivered(&server, &receiver).await;
    assert_eq!(schemes(&came), ["v1", "v1a"]);
    assert!(verifies(&server, &came, PUBLIC) && verifies(&server, &came, OTHER_SECRET));
    server.node.advance(DAY_MS).unwrap();
    let came = delivered(&server, &receiver).await;
    assert_eq!(schemes(&came), ["v1"]);
}
