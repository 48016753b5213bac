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
        .is(404, "E0207");
}

#[tokio::test]
async fn a_source_is_changed_in_part_or_as_a_whole() {
    let server = server().await;
    let mut fields = source("shop");
    fields["uid"] = json!("shop-uid");
    fields["metadata"] = json!({"team": "a"});
    let id = server.post(SOURCES, fields).await.is(201, "").json()["id"].clone();
    server.source().await;

    let change = json!({"name": "store", "config": {"mode": "live"}});
    let changed = server
        .patch(&format!("{SOURCES}/shop"), change)
        .await
        .is(200, "")
        .json();
    assert_eq!(
        (
            &changed["id"],
            &changed["name"],
            &changed["uid"],
            &changed["config"]["mode"]
        ),
        (&id, &json!("store"), &json!("shop-uid"), &json!("live"))
    );
    assert_eq!(changed["metadata"], json!({"team": "a"}));
    server
        .get(&format!("{SOURCES}/shop"))
        .await
        .is(404, "E0207");

    let path = format!("{SOURCES}/store");
    let replaced = server
        .put(&path, json!({"name": "store"}))
        .await
        .is(200, "")
        .json();
    assert_eq!(
        (
            &replaced["uid"],
            &replaced["config"]["mode"],
            &replaced["metadata"]
        ),
        (&Value::Null, &Value::Null, &json!({}))
    );
    let secret = server.get(&format!("{path}/secret")).await.json();
    assert_eq!(secret["key"], SECRET, "it stays if none is given");

    server
        .patch(&path, json!({"name": "dodo"}))
        .await
        .is(409, "E0103");
    server
        .patch(&path, json!({"type": "dodo"}))
        .await
        .is(422, "E0100");
    server
        .patch(&path, json!({"config": {"secret": "whsec_"}}))
        .await
        .is(422, "E0206");
    let other = json!({"config": {"secret": crate::harness::OTHER_SECRET}});
    let shown = server.patch(&path, other).await.is(200, "").json();
    let secrets = shown["secrets"].as_array().unwrap();
    assert_eq!((secrets.len(), &secrets[0]["expiresAt"]), (2, &Value::Null));
    assert!(secrets[1]["expiresAt"].is_string());
    for (id, secret) in [("evt-1", SECRET), ("evt-2", crate::harness::OTHER_SECRET)] {
        let hook = Webhook::signed(secret, id, BODY.as_bytes(), server.node.now());
        server.ask(hook.request("store")).await.is(200, "");
    }
}

#[tokio::test]
async fn a_new_url_closes_the_ones_before() {
    let server = server().await;
    let id = server.source().await;
    let mut urls = Vec::new();
    for _ in 0..2 {
        let told = server
            .post(&format!("{SOURCES}/dodo/token/rotate"), json!({}))
            .await;
        let url = told.is(200, "").json()["ingestUrl"]
            .as_str()
            .unwrap()
            .to_owned();
        urls.push(url.split_once("/in/").unwrap().1.to_owned());
    }
    let shown = server.get(&format!("{SOURCES}/dodo")).await.json();
    assert!(shown["ingestUrl"].as_str().unwrap().ends_with(&urls[1]));
    let token = urls[1].split_once('.').unwrap().1;
    for (path, status, code) in [
        ("dodo", 404, "E0207"),
        (id.as_str(), 404, "E0207"),
        (urls[0].as_str(), 404, "E0207"),
        (urls[1].as_str(), 200, ""),
        (&format!("dodo.{token}"), 200, ""),
        (&format!("{}x", urls[1]), 404, "E0207"),
        (&format!("{id}."), 404, "E0207"),
    ] {
        let hook = Webhook::of("evt-1", BODY, server.node.now());
        server.ask(hook.request(path)).await.is(status, code);
    }
}

#[tokio::test]
async fn a_secret_that_the_provider_makes_is_not_made_here() {
    let server = server().await;
    for kind in ["stripe", "slack", "shopify", "github", "clerk"] {
        let secret = if kind == "clerk" {
            SECRET
        } else {
            "0123456789abcdef0123456789abcdef"
        };
        let fields = json!({"name": kind, "type": kind, "config": {"secret": secret}});
        server.post(SOURCES, fields).await.is(201, "");
        let rotate = format!("{SOURCES}/{kind}/secret/rotate");
        let told = server.post(&rotate, json!({})).await;
        match kind {
            "github" | "clerk" => drop(told.is(204, "")),
            _ => drop(told.is(422, "E0206")),
        }
    }
}
