//! Sources: made, shown, rotated, deleted.

use serde_json::{Value, json};

use crate::harness::{BODY, SECRET, Webhook, server};

const SOURCES: &str = "/ingest/api/v1/source";

fn source(name: &str) -> Value {
    json!({"name": name, "type": "standard-webhooks", "config": {"secret": SECRET}})
}

#[tokio::test]
async fn a_source_shows_its_url_and_keeps_its_secret_apart() {
    let server = server().await;
    let mut fields = source("shop");
    fields["uid"] = json!("shop-uid");
    fields["metadata"] = json!({"team": "a"});
    fields["config"]["mode"] = json!("live");
    let made = server.post(SOURCES, fields).await.is(201, "");
    assert!(!made.text.contains("whsec_"), "{}", made.text);
    let made = made.json();
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["ingestUrl"], format!("http://127.0.0.1:8288/in/{id}"));
    assert_eq!(
        (&made["type"], &made["config"]["mode"]),
        (&json!("standard-webhooks"), &json!("live"))
    );
    for name in [id, "shop", "shop-uid"] {
        assert_eq!(
            server
                .get(&format!("{SOURCES}/{name}"))
                .await
                .is(200, "")
                .json(),
            made
        );
        let secret = server
            .get(&format!("{SOURCES}/{name}/secret"))
            .await
            .is(200, "")
            .json();
        assert_eq!(secret, json!({"key": SECRET}));
    }
    let listed = server.get(SOURCES).await.json();
    assert_eq!((&listed["data"][0], &listed["done"]), (&made, &json!(true)));
    assert_eq!(
        (&listed["iterator"], &listed["prevIterator"]),
        (&json!(id), &json!(format!("-{id}")))
    );
}

/// S2 and decision 17: nothing is ever verified with an empty key.
#[tokio::test]
async fn a_weak_or_missing_secret_is_refused_and_no_source_is_made() {
    let server = server().await;
    for secret in [
        Value::Null,
        json!(""),
        json!("whsec_"),
        json!("whsec_c2hvcnQ="),
        json!("%%%"),
    ] {
        let mut fields = source("shop");
        fields["config"]["secret"] = secret;
        let refused = server.post(SOURCES, fields).await.is(422, "E0206");
        assert_eq!(refused.place(), "body.config.secret");
    }
    let without = json!({"name": "shop", "type": "dodo"});
    server.post(SOURCES, without).await.is(422, "E0206");
    assert_eq!(server.get(SOURCES).await.json()["data"], json!([]));
}

#[tokio::test]
async fn names_are_checked_and_taken_only_once() {
    let server = server().await;
    server.post(SOURCES, source("Shop")).await.is(422, "E0100");
    server
        .post(SOURCES, json!({"name": "shop"}))
        .await
        .is(422, "E0100");
    server.post(SOURCES, source("shop")).await.is(201, "");
    let taken = server.post(SOURCES, source("shop")).await.is(409, "E0103");
    assert_eq!(taken.json()["code"], "conflict");
}

#[tokio::test]
async fn a_rotation_without_a_key_makes_one() {
    let server = server().await;
    server.source().await;
    let rotate = format!("{SOURCES}/dodo/secret/rotate");
    let late = json!({"gracePeriodSeconds": 604_801});
    assert_eq!(
        server.post(&rotate, late).await.is(422, "E0100").place(),
        "body.gracePeriodSeconds"
    );
    server
        .post(&rotate, json!({"key": "whsec_short"}))
        .await
        .is(422, "E0206");
    server.post(&rotate, json!({})).await.is(204, "");
    let secret = server.get(&format!("{SOURCES}/dodo/secret")).await.json();
    assert_ne!(secret["key"], SECRET);
}

#[tokio::test]
async fn a_deleted_source_takes_nothing_and_its_messages_stay() {
    let server = server().await;
    server.source().await;
    server.webhook("evt-1", BODY).await;
    server.delete(&format!("{SOURCES}/dodo")).await.is(204, "");
    server
        .delete(&format!("{SOURCES}/dodo"))
        .await
        .is(404, "E0207");
    let hook = Webhook::of("evt-2", BODY, server.node.now());
    server.ask(hook.request("dodo")).await.is(404, "E0207");
    assert_eq!(server.messages().await.len(), 1);
    server
        .patch(&format!("{SOURCES}/dodo"), json!({}))
        .await
        .is(501, "E0108");
}
