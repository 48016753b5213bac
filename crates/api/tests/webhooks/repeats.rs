//! Messages that their sender makes again under the same idempotency key: there is one, and each time
//! the answer is the first one's.

use std::sync::Arc;
use std::time::Duration;

use dunlin_store::{MemoryStore, Store};
use serde_json::{Value, json};

use crate::harness::{MSG, server, server_over};

const HOUR_MS: i64 = 3_600_000;

fn first() -> Value {
    json!({"eventType": "order.paid", "payload": {"b": 1.0, "a": 1}, "eventId": "order-1",
        "tags": ["first"], "channels": ["eu"]})
}

fn other() -> Value {
    json!({"eventType": "order.lost", "payload": {"n": 2}, "tags": ["second"]})
}

#[tokio::test]
async fn a_message_made_again_is_answered_with_the_first_whatever_is_sent_and_after_a_restart() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (server, running) = server_over(Arc::clone(&store), |_| ()).await;
    let made = server.post_with_key(MSG, "k", first()).await.is(202, "");
    for body in [other(), first()] {
        let again = server.post_with_key(MSG, "k", body).await.is(202, "");
        assert_eq!(again.text, made.text);
    }
    let short = format!("{MSG}?with_content=false");
    let made_short = server.post_with_key(&short, "k", other()).await;
    let again = server.post_with_key(&short, "k", first()).await;
    assert_eq!(again.is(202, "").text, made_short.is(202, "").text);
    drop(server);
    running.stop(Duration::ZERO).await;

    let (server, running) = server_over(store, |_| ()).await;
    let again = server.post_with_key(MSG, "k", other()).await.is(202, "");
    assert_eq!(again.text, made.text);
    assert_eq!(server.messages().await.len(), 2);
    server.node.advance(12 * HOUR_MS).unwrap();
    let later = server.post_with_key(MSG, "k", other()).await.is(202, "");
    assert_ne!(later.json()["id"], made.json()["id"]);
    assert_eq!(server.messages().await.len(), 3);
    drop(server);
    running.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_message_made_again_is_shown_without_a_payload_that_is_gone() {
    let server = server().await;
    let made = server.post_with_key(MSG, "k", first()).await.is(202, "");
    let one = format!("{MSG}/{}", made.json()["id"].as_str().unwrap());
    server.delete(&format!("{one}/content")).await.is(204, "");
    let again = server.post_with_key(MSG, "k", first()).await.is(202, "");
    assert_eq!(again.json()["payload"], json!({"expired": true}));
    assert_eq!(again.text, server.get(&one).await.is(200, "").text);
}

#[tokio::test]
async fn a_key_means_nothing_in_another_application_of_that_uid() {
    let server = server().await;
    let app = json!({"name": "acme", "uid": "acme"});
    let messages = "/api/v1/app/acme/msg";
    server.post("/api/v1/app", app.clone()).await.is(201, "");
    let before = server.post_with_key(messages, "k", first()).await;
    server.delete("/api/v1/app/acme").await.is(204, "");
    server.post("/api/v1/app", app).await.is(201, "");
    let after = server.post_with_key(messages, "k", other()).await;
    let after = after.is(202, "").json();
    assert_ne!(after["id"], before.json()["id"]);
    assert_eq!(after["eventType"], "order.lost");
    let listed = server.get(messages).await.json();
    assert_eq!(listed["data"], json!([after]));
}
