//! What a source refused: listed with its reason, without its body, and bounded.

use serde_json::{Value, json};

use crate::harness::{BODY, OTHER_SECRET, SECRET, Server, Webhook, server};

const ERRORS: &str = "/ingest/api/v1/source/dodo/errors";

impl Server {
    async fn forged(&self, id: &str) {
        let body = br#"{"type":"a.secret.of.somebody"}"#;
        let hook = Webhook::signed(OTHER_SECRET, id, body, self.node.now());
        self.ask(hook.request("dodo")).await.is(401, "E0201");
    }

    async fn refusals(&self) -> Value {
        self.get(ERRORS).await.is(200, "").json()
    }
}

#[tokio::test]
async fn what_was_refused_is_listed_with_its_reason_and_without_its_body() {
    let server = server().await;
    let source = server.source().await;
    server.webhook("evt-1", BODY).await;
    server.forged("evt-2").await;
    let mut late = Webhook::of("evt-3", BODY, server.node.now());
    late.timestamp = Some("1".to_owned());
    server.ask(late.request("dodo")).await.is(401, "E0202");
    let no_json = Webhook::of("evt-4", "[]", server.node.now());
    server.ask(no_json.request("dodo")).await.is(400, "E0204");

    let listed = server.get(ERRORS).await.is(200, "");
    for secret in ["somebody", "v1,", "Bearer", "cookie"] {
        assert!(!listed.text.contains(secret), "{}", listed.text);
    }
    let listed = listed.json();
    let rows = listed["data"].as_array().unwrap();
    let told: Vec<(&str, &str)> = rows
        .iter()
        .map(|row| {
            (
                row["errorCode"].as_str().unwrap(),
                row["headers"]["webhook-id"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [("E0204", "evt-4"), ("E0202", "evt-3"), ("E0201", "evt-2")]
    );
    assert_eq!(rows[2]["reason"], "no signature matches");
    assert_eq!(rows[2]["bodyBytes"], 31);
    assert_eq!(listed["totals"], json!({"all": 3, "unlisted": 0}));

    let first = server.get(&format!("{ERRORS}?limit=2")).await.json();
    assert_eq!(
        (first["data"].as_array().unwrap().len(), &first["done"]),
        (2, &json!(false))
    );
    let next = format!("{ERRORS}?iterator={}", first["iterator"].as_str().unwrap());
    assert_eq!(server.get(&next).await.json()["data"][0], rows[2]);

    server
        .delete(&format!("/ingest/api/v1/source/{source}"))
        .await
        .is(204, "");
    server.get(ERRORS).await.is(404, "E0207");
}

/// Whoever sends garbage must not be able to fill the disk.
#[tokio::test]
async fn a_flood_is_counted_and_only_some_of_it_listed() {
    let server = server().await;
    server.source().await;
    for n in 0..40 {
        server.forged(&format!("evt-{n}")).await;
    }
    let listed = server.refusals().await;
    let count = listed["data"].as_array().unwrap().len();
    assert!((10..40).contains(&count), "{count}");
    assert_eq!(listed["totals"], json!({"all": 40, "unlisted": 40 - count}));
    server.node.advance(2_000).unwrap();
    server.forged("evt-last").await;
    let listed = server.refusals().await;
    assert_eq!(listed["totals"]["all"], 41);
    let newest = &listed["data"][0];
    assert_eq!(newest["headers"]["webhook-id"], "evt-last");
    assert!(newest["unlistedBefore"].as_u64().unwrap() > 0, "{newest}");
}

#[tokio::test]
async fn the_log_has_what_was_refused_and_what_came_again_in_one_order() {
    let server = server().await;
    server.source().await;
    let other = json!({"name": "other", "type": "dodo", "config": {"secret": SECRET}});
    let made = server.post("/ingest/api/v1/source", other).await;
    made.is(201, "");
    let log = "/ingest/api/v1/source/dodo/log";
    let empty = server.get(log).await.is(200, "").json();
    assert_eq!((&empty["data"], &empty["done"]), (&json!([]), &json!(true)));

    let first = server.webhook("evt-1", BODY).await;
    server.webhook("evt-1", BODY).await;
    server.forged("evt-2").await;
    for _ in 0..2 {
        let elsewhere = Webhook::of("evt-1", BODY, server.node.now());
        let elsewhere = server.ask(elsewhere.request("other")).await;
        elsewhere.is(200, "");
    }
    let changed = Webhook::of("evt-1", r#"{"type":"changed"}"#, server.node.now());
    server.ask(changed.request("dodo")).await;

    let page = server.get(&format!("{log}?limit=2")).await.is(200, "");
    let page = page.json();
    let iterator = page["iterator"].as_str().unwrap().to_owned();
    let rest = format!("{log}?limit=2&iterator={iterator}");
    let rest = server.get(&rest).await.is(200, "").json();
    let of = |page: &Value| page["data"].as_array().unwrap().clone();
    let all = [of(&page), of(&rest)].concat();
    let kinds: Vec<&str> = all
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["conflict", "refused", "repeat"]);
    assert_eq!(
        (&page["done"], &rest["done"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(all[1]["errorCode"], "E0201");
    for again in [&all[0], &all[2]] {
        assert_eq!(
            (&again["msgId"], &again["webhookId"]),
            (&json!(first), &json!("evt-1"))
        );
    }
    server
        .get("/ingest/api/v1/source/nobody/log")
        .await
        .is(404, "E0207");
}
