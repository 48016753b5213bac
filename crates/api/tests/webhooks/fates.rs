//! What became of deliveries: which of them are sent again by it, cancelled or counted, and which
//! payloads are needed no more.

use serde_json::{Value, json};

use crate::harness::{EP, MSG, Server, ended, sent, server};
use crate::receiver::Receiver;

const APP: &str = "/api/v1/app/default";
const HOUR_MS: i64 = 3_600_000;

/// Sends a message that the receiver is to answer so.
async fn asking(server: &Server, answer: u16) -> String {
    sent(server, json!({"payload": {"answer": answer}})).await
}

/// An endpoint `e` that tries once; one message arrived, two were refused, one was cancelled.
async fn world() -> (Server, Receiver) {
    let server = server().await;
    let receiver = Receiver::answering_as_asked().await;
    let fields = json!({"url": receiver.url, "uid": "e", "retrySchedule": []});
    server.endpoint(fields).await;
    for answer in [200, 500, 404] {
        asking(&server, answer).await;
    }
    server.node.idle().await;
    let one = format!("{EP}/e");
    server
        .patch(&one, json!({"paused": true}))
        .await
        .is(200, "");
    asking(&server, 202).await;
    server.node.advance(1000).unwrap();
    cancel(&server, &server.node.now().rfc3339()).await;
    server
        .patch(&one, json!({"paused": false}))
        .await
        .is(200, "");
    server.node.idle().await;
    (server, receiver)
}

async fn cancel(server: &Server, created_before: &str) {
    let fields = json!({"createdBefore": created_before});
    let path = format!("{EP}/e/cancel-msgs");
    assert_eq!(server.post(&path, fields).await.is(204, "").text, "");
}

/// What has come since, by the answer that it asks for.
fn answers(receiver: &Receiver, before: usize) -> Vec<u64> {
    let came = receiver.came();
    let answers = came[before..].iter().map(|came| {
        let body: Value = serde_json::from_str(&came.body).unwrap();
        body["answer"].as_u64().unwrap()
    });
    let mut answers: Vec<u64> = answers.collect();
    answers.sort_unstable();
    answers
}

#[tokio::test]
async fn a_bulk_replay_sends_again_what_ended_as_it_asks() {
    let (server, receiver) = world().await;
    let since = server.node.now().plus_ms(-HOUR_MS).rfc3339();
    for (filter, expected) in [
        (json!({"status": 0}), &[200][..]),
        (json!({"status": 2}), &[404, 500]),
        (json!({"status": 1}), &[]),
        (json!({"statusCodeClass": 200}), &[200]),
        (json!({"statusCodeClass": 400}), &[404]),
        (json!({"statusCodeClass": 500}), &[500]),
        (json!({"statusCodeClass": 300}), &[]),
        (json!({"status": 2, "statusCodeClass": 500}), &[500]),
        (json!({"status": 0, "statusCodeClass": 500}), &[]),
        // From here on it has arrived.
        (json!({"status": 4}), &[202]),
        (json!({"status": 4}), &[]),
        (json!({"statusCodeClass": 200}), &[200, 202]),
        (json!({}), &[200, 202, 404, 500]),
    ] {
        let before = receiver.came().len();
        let mut fields = filter.clone();
        fields["since"] = json!(since);
        let task = server.post(&format!("{EP}/e/bulk-replay"), fields).await;
        let task = ended(&server, &task.is(202, "").json()).await;
        assert_eq!(task["status"], "finished", "{filter}");
        assert_eq!(task["data"]["messagesSent"], expected.len(), "{filter}");
        server.node.idle().await;
        assert_eq!(answers(&receiver, before), expected, "{filter}");
    }
}

#[tokio::test]
async fn a_bulk_replay_by_what_no_delivery_can_come_to_is_refused() {
    let server = server().await;
    server
        .endpoint(json!({"url": "https://a.example/", "uid": "e"}))
        .await;
    for (field, value) in [
        ("status", json!(5)),
        ("statusCodeClass", json!(404)),
        ("statusCodeClass", json!(600)),
    ] {
        let mut fields = json!({"since": server.node.now().rfc3339()});
        fields[field] = value;
        let refused = server.post(&format!("{EP}/e/bulk-replay"), fields).await;
        assert_eq!(refused.is(422, "E0100").place(), format!("body.{field}"));
    }
}

#[tokio::test]
async fn messages_from_before_are_cancelled_and_later_ones_sent() {
    let server = server().await;
    let receiver = Receiver::answering_as_asked().await;
    let fields = json!({"url": receiver.url, "uid": "e", "paused": true});
    server.endpoint(fields.clone()).await;
    let others = json!({"url": receiver.url, "uid": "other", "paused": true});
    server.endpoint(others).await;
    let mut all = vec![asking(&server, 201).await, asking(&server, 202).await];
    server.node.advance(1000).unwrap();
    let before = server.node.now().rfc3339();
    all.push(asking(&server, 203).await);
    cancel(&server, &before).await;
    let standing = async |endpoint: &str| {
        let path = format!("{EP}/{endpoint}/msg?order=ascending&expanded_statuses=true");
        let listed = server.get(&path).await.is(200, "").json();
        let rows = listed["data"].as_array().unwrap().iter();
        let of = |row: &Value| (row["id"].clone(), row["statusText"].clone());
        rows.map(of).collect::<Vec<(Value, Value)>>()
    };
    let expected = |states: [&str; 3]| {
        let rows = all.iter().zip(states);
        rows.map(|(id, state)| (json!(id), json!(state)))
            .collect::<Vec<(Value, Value)>>()
    };
    let cancelled = expected(["canceled", "canceled", "pending"]);
    assert_eq!(standing("e").await, cancelled);
    assert_eq!(standing("other").await, expected(["pending"; 3]));
    server
        .patch(&format!("{EP}/e"), json!({"paused": false}))
        .await
        .is(200, "");
    server.node.idle().await;
    assert_eq!(answers(&receiver, 0), [203]);

    let path = format!("{EP}/e/cancel-msgs");
    for fields in [json!({}), json!({"createdBefore": "yesterday"})] {
        let refused = server.post(&path, fields).await.is(422, "E0100");
        assert_eq!(refused.place(), "body.createdBefore");
    }
    let nobody = format!("{EP}/nobody/cancel-msgs");
    let fields = json!({"createdBefore": before});
    server.post(&nobody, fields).await.is(404, "E0102");
}

#[tokio::test]
async fn attempts_of_all_endpoints_are_counted_by_the_hour() {
    let (server, receiver) = world().await;
    let path = format!("{APP}/stats/attempts");
    let hour = |at: &str| json!(format!("{}:00:00.000Z", &at[..13]));
    let first = hour(&server.node.now().rfc3339());
    let counted = json!({"hour": first, "success": 1, "fail": 2, "canceled": 1,
        "attemptsFailed": 2});
    let told = server.get(&path).await.is(200, "").json();
    assert_eq!(told, json!({"data": [counted]}));

    server.node.advance(2 * HOUR_MS).unwrap();
    let fields = json!({"url": receiver.url, "uid": "other", "retrySchedule": [5]});
    server.endpoint(fields).await;
    asking(&server, 503).await;
    server.node.idle().await;
    let now = server.node.now();
    let later = json!({"hour": hour(&now.rfc3339()), "success": 0, "fail": 1, "canceled": 0,
        "attemptsFailed": 2});
    let told = server.get(&path).await.is(200, "").json();
    assert_eq!(told, json!({"data": [counted, later]}));
    let since = |ms: i64| format!("{path}?since={}", now.plus_ms(-ms).rfc3339());
    let told = server.get(&since(HOUR_MS)).await.is(200, "").json();
    assert_eq!(told, json!({"data": [later]}));
    let refused = server.get(&since(29 * 24 * HOUR_MS)).await.is(422, "E0100");
    assert_eq!(refused.place(), "query.since");
    server
        .get("/api/v1/app/nobody/stats/attempts")
        .await
        .is(404, "E0102");
}

#[tokio::test]
async fn a_payload_goes_once_everybody_has_it_where_the_application_wants_that() {
    let server = server().await;
    let app = json!({"name": "Acme", "uid": "acme", "wipeOnSuccess": true});
    let made = server.post("/api/v1/app", app).await.is(201, "").json();
    assert_eq!(made["wipeOnSuccess"], true);
    let (root, well) = ("/api/v1/app/acme", Receiver::answering(200).await);
    let asked = Receiver::answering_as_asked().await;
    for url in [&well.url, &asked.url] {
        let fields = json!({"url": url, "retrySchedule": []});
        server
            .post(&format!("{root}/endpoint"), fields)
            .await
            .is(201, "");
    }
    let send = async |answer: u16| {
        let body = json!({"eventType": "a.b", "payload": {"answer": answer}});
        let sent = server.post(&format!("{root}/msg"), body).await.is(202, "");
        server.node.idle().await;
        sent.json()["id"].as_str().unwrap().to_owned()
    };
    let payload = async |message: &str| {
        let path = format!("{root}/msg/{message}");
        server.get(&path).await.is(200, "").json()["payload"].clone()
    };
    let gone = json!({"expired": true});
    let arrived = send(200).await;
    assert_eq!(payload(&arrived).await, gone);
    let raw = server.get(&format!("{root}/msg/{arrived}/raw")).await;
    assert_eq!(raw.code, "E0620");
    let given_up = send(500).await;
    assert_eq!(payload(&given_up).await, json!({"answer": 500}));

    server
        .patch(root, json!({"wipeOnSuccess": null}))
        .await
        .is(200, "");
    let kept = send(200).await;
    assert_eq!(payload(&kept).await, json!({"answer": 200}));
    assert_eq!(well.came().len(), 3);
    let elsewhere = asking(&server, 200).await;
    server.node.idle().await;
    let path = format!("{MSG}/{elsewhere}");
    assert_eq!(
        server.get(&path).await.json()["payload"],
        json!({"answer": 200})
    );
}
