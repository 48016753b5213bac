//! One message for every application.

use std::sync::Arc;
use std::time::Duration;

use dunlin_store::{MemoryStore, Store};
use serde_json::{Value, json};

use crate::harness::{Server, ended, server, server_over};
use crate::receiver::Receiver;

const BROADCAST: &str = "/api/v1/msg/broadcast";

async fn application(server: &Server, uid: &str) {
    let body = json!({"name": uid, "uid": uid});
    server.post("/api/v1/app", body).await.is(201, "");
}

async fn messages(server: &Server, app: &str) -> Vec<Value> {
    let listed = server.get(&format!("/api/v1/app/{app}/msg")).await;
    let listed = listed.is(200, "").json()["data"].clone();
    listed.as_array().unwrap().clone()
}

#[tokio::test]
async fn every_application_has_the_message_and_sends_it_where_it_is_wanted() {
    let server = server().await;
    let receiver = Receiver::answering(200).await;
    application(&server, "acme").await;
    application(&server, "other").await;
    // The application of operational webhooks is nobody's.
    let url = json!({"url": "https://a.example/", "disabled": true});
    let operational = "/api/v1/operational-webhook/endpoint";
    server.post(operational, url).await.is(201, "");
    let fields = json!({"url": receiver.url, "channels": ["all"]});
    server
        .post("/api/v1/app/acme/endpoint", fields)
        .await
        .is(201, "");
    let message = json!({"eventType": "news.sent", "payload": {"n": 1}, "eventId": "news-1",
        "channels": ["all"], "tags": ["news"]});
    let task = server
        .post(BROADCAST, message.clone())
        .await
        .is(202, "")
        .json();
    assert_eq!(task["task"], "message.broadcast");
    let task = ended(&server, &task).await;
    assert_eq!(task["status"], "finished");
    assert_eq!(task["data"]["messagesSent"], 3);
    server.node.idle().await;
    for app in ["default", "acme", "other"] {
        let here = messages(&server, app).await;
        assert_eq!(here.len(), 1, "{app}");
        for (field, value) in message.as_object().unwrap() {
            assert_eq!(&here[0][field], value, "{app} {field}");
        }
    }
    let came = receiver.came();
    assert_eq!((came.len(), came[0].body.as_str()), (1, r#"{"n":1}"#));
    let again = server.post("/api/v1/app/acme/msg", message).await;
    again.is(409, "E0103");
}

#[tokio::test]
async fn a_broadcast_to_many_is_made_in_parts_and_takes_no_one_twice() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (server, running) = server_over(Arc::clone(&store), |_| ()).await;
    for n in 0..250 {
        application(&server, &format!("app-{n}")).await;
    }
    let message = json!({"eventType": "news.sent", "payload": {}});
    let task = server.post(BROADCAST, message).await.is(202, "").json();
    drop(server);
    running.stop(Duration::ZERO).await;

    let (server, running) = server_over(store, |_| ()).await;
    let task = ended(&server, &task).await;
    assert_eq!(task["data"]["messagesSent"], 251);
    for app in ["default", "app-0", "app-99", "app-100", "app-249"] {
        assert_eq!(messages(&server, app).await.len(), 1, "{app}");
    }
    running.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_message_that_could_not_be_sent_is_broadcast_to_nobody() {
    let server = server().await;
    for (body, place) in [
        (json!({"eventType": "a b", "payload": {}}), "body.eventType"),
        (json!({"eventType": "a", "payload": []}), "body.payload"),
        (json!({"payload": {}}), "body.eventType"),
    ] {
        let refused = server.post(BROADCAST, body).await.is(422, "E0100");
        assert_eq!(refused.place(), place);
    }
    assert!(server.messages().await.is_empty());
    let tasks = server.get("/api/v1/background-task").await.json();
    assert_eq!(tasks["data"], json!([]));
}

#[tokio::test]
async fn an_application_that_has_an_id_is_not_sent_it_again() {
    let server = server().await;
    application(&server, "acme").await;
    application(&server, "other").await;
    let message = json!({"eventType": "news.sent", "payload": {}, "eventId": "news-1"});
    let first = server.post("/api/v1/app/acme/msg", message.clone()).await;
    first.is(202, "");
    for sent in [2, 0] {
        let task = server.post(BROADCAST, message.clone()).await;
        let task = ended(&server, &task.is(202, "").json()).await;
        assert_eq!(task["data"]["messagesSent"], sent);
        assert_eq!(task["data"]["messagesLooked"], 3);
    }
    for app in ["default", "acme", "other"] {
        assert_eq!(messages(&server, app).await.len(), 1, "{app}");
    }
    let other = json!({"eventType": "news.sent", "payload": {}, "eventId": "news-2"});
    let task = server.post(BROADCAST, other).await.is(202, "").json();
    assert_eq!(ended(&server, &task).await["data"]["messagesSent"], 3);
}
