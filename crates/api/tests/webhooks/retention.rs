//! What is kept too long goes, and what is still to be delivered stays.

use dunlin_types::limits;
use serde_json::json;

use crate::harness::{EP, MSG, Server, server};
use crate::receiver::Receiver;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn send(server: &Server, event_type: &str, number: usize) {
    let payload = json!({"number": number});
    let body = json!({"eventType": event_type, "payload": payload, "payloadRetentionPeriod": 5});
    server.post(MSG, body).await.is(202, "");
}

async fn payloads(server: &Server, event_type: &str) -> Vec<String> {
    let path = format!("{MSG}?event_types={event_type}&limit=250&with_content=true");
    let page = server.get(&path).await.json();
    let rows = page["data"].as_array().cloned().unwrap_or_default();
    rows.iter().map(|one| one["payload"].to_string()).collect()
}

#[tokio::test]
async fn messages_that_wait_at_a_paused_endpoint_do_not_keep_others_from_going() {
    let server = server().await;
    let waits = json!({"url": "http://127.0.0.1:9/", "eventTypes": ["a.waits"], "paused": true});
    server.post(EP, waits).await.is(201, "");
    // More than are looked at in one go.
    for number in 0..150 {
        send(&server, "a.waits", number).await;
    }
    for number in 0..3 {
        send(&server, "b.goes", number).await;
    }
    server.node.advance(6 * DAY_MS).unwrap();
    assert_eq!(server.node.forget().await.unwrap(), (3, 0));
    assert_eq!(
        payloads(&server, "b.goes").await,
        [r#"{"expired":true}"#; 3]
    );
    assert!(
        payloads(&server, "a.waits")
            .await
            .iter()
            .all(|one| one.contains("number"))
    );

    server.node.advance(400 * DAY_MS).unwrap();
    assert_eq!(server.node.forget().await.unwrap(), (0, 3));
    assert!(payloads(&server, "b.goes").await.is_empty());
    assert_eq!(payloads(&server, "a.waits").await.len(), 150);
}

#[tokio::test]
async fn messages_of_an_application_that_is_gone_and_of_this_servers_own_go_as_well() {
    let server = server().await;
    let fields = json!({"name": "gone", "uid": "gone"});
    server.post("/api/v1/app", fields).await.is(201, "");
    let message = json!({"eventType": "a.b", "payload": {}});
    server
        .post("/api/v1/app/gone/msg", message)
        .await
        .is(202, "");
    server.delete("/api/v1/app/gone").await.is(204, "");
    let told = Receiver::answering(200).await;
    let operational = "/api/v1/operational-webhook/endpoint";
    let url = json!({"url": told.url});
    server.post(operational, url).await.is(201, "");
    // It is told that this task has ended.
    let all = format!("{MSG}/expunge-all-contents");
    server.post(&all, json!({})).await.is(202, "");
    while told.came().is_empty() {
        server.node.idle().await;
        tokio::task::yield_now().await;
    }
    server.node.idle().await;
    let left = async || {
        let apps = server
            .node
            .read(|reader| reader.message_applications(None, 9));
        apps.await.unwrap().len()
    };
    assert_eq!(left().await, 2);
    server.node.advance(400 * DAY_MS).unwrap();
    assert_eq!(server.node.forget().await.unwrap().1, 2);
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn ids_of_senders_are_forgotten_when_nobody_can_repeat_them_any_more() {
    let server = server().await;
    for number in 0..20 {
        let body = json!({"eventType": "a.b", "payload": {}, "eventId": format!("id-{number}")});
        server.post(MSG, body).await.is(202, "");
    }
    let forget_all = async || {
        let mut gone = 0;
        for part in 0..limits::RETENTION_KEY_PARTS {
            gone += server.node.forget_keys(part).await.unwrap();
        }
        gone
    };
    assert_eq!(forget_all().await, 0, "they can still be repeated");
    server.node.advance(DAY_MS).unwrap();
    let again = json!({"eventType": "a.b", "payload": {}, "eventId": "id-7"});
    server.post(MSG, again.clone()).await.is(202, "");
    assert_eq!(forget_all().await, 19, "one was used again");
    server.post(MSG, again).await.is(409, "E0103");
    assert_eq!(forget_all().await, 0);
}
