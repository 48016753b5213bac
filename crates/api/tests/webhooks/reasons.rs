//! What a message waits for that has not been delivered, and who cancelled one that will not be.

use serde_json::{Value, json};

use crate::harness::{EP, MSG, Server, server};
use crate::receiver::Receiver;

const HOUR_MS: i64 = 3_600_000;

/// Sends a message; its id.
async fn send(server: &Server, fields: Value) -> String {
    let mut body = json!({"eventType": "order.paid", "payload": {"order": 7}});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    let made = server.post(MSG, body).await.is(202, "").json();
    made["id"].as_str().unwrap().to_owned()
}

/// The only verdict on a message.
async fn verdict(server: &Server, message: &str) -> Value {
    let path = format!("/api/events/{message}/explain");
    let told = server.get(&path).await.is(200, "").json();
    assert_eq!(told["verdicts"].as_array().unwrap().len(), 1, "{told}");
    told["verdicts"][0].clone()
}

/// What a message waits for that was not tried.
async fn waits_for(server: &Server, message: &str) -> Value {
    let verdict = verdict(server, message).await;
    assert_eq!(verdict["outcome"], "pending", "{verdict}");
    let waits = verdict["detail"]["waitsFor"].clone();
    assert_eq!(verdict["reason"], waits["message"], "{verdict}");
    waits
}

/// An endpoint that does not get anything for now.
async fn paused(server: &Server) -> String {
    let fields = json!({"url": "http://127.0.0.1:9/", "paused": true});
    server.endpoint(fields).await
}

#[tokio::test]
async fn a_message_at_a_paused_endpoint_says_so_instead_of_a_time_in_the_past() {
    let server = server().await;
    paused(&server).await;
    let message = send(&server, json!({})).await;
    server.node.advance(HOUR_MS).unwrap();
    server.node.idle().await;
    let waits = waits_for(&server, &message).await;
    let because = json!({"kind": "paused", "message": "the endpoint is paused"});
    assert_eq!(waits, because);
    let verdict = verdict(&server, &message).await;
    assert_eq!(verdict["detail"]["nextAttempt"], Value::Null);
}

#[tokio::test]
async fn a_message_that_its_sender_holds_back_says_until_when() {
    let server = server().await;
    let endpoint = server.endpoint(json!({"url": "http://127.0.0.1:9/"})).await;
    let at = server.node.now().plus_ms(HOUR_MS).rfc3339();
    let message = send(&server, json!({"deliverAt": at})).await;
    let waits = waits_for(&server, &message).await;
    assert_eq!(
        (&waits["kind"], &waits["until"]),
        (&json!("time"), &json!(at))
    );
    let said = waits["message"].as_str().unwrap();
    assert_eq!(said, format!("it is not sent before {at}"));
    let one = format!("{EP}/{endpoint}");
    server
        .patch(&one, json!({"disabled": true}))
        .await
        .is(200, "");
    let waits = waits_for(&server, &message).await;
    let said = waits["message"].as_str().unwrap();
    assert_eq!(
        said,
        format!("the endpoint is disabled: it is given up at {at}")
    );
}

#[tokio::test]
async fn a_message_that_exceeds_the_endpoints_rate_says_when_the_next_one_goes() {
    let server = server().await;
    let receiver = Receiver::answering(200).await;
    let fields = json!({"url": receiver.url, "throttleRate": 1});
    server.endpoint(fields).await;
    let mut last = String::new();
    for _ in 0..9 {
        last = send(&server, json!({})).await;
    }
    let before = server.node.now().rfc3339();
    let waits = waits_for(&server, &last).await;
    assert_eq!(waits["kind"], "rate", "{waits}");
    assert!(waits["until"].as_str() > Some(before.as_str()), "{waits}");
    let said = waits["message"].as_str().unwrap();
    assert!(said.starts_with("the endpoint's rate is used up"), "{said}");
}

#[tokio::test]
async fn a_message_behind_a_429_says_for_how_long_the_receiver_is_left_alone() {
    let server = server().await;
    let receiver = Receiver::answering(429).await;
    server.endpoint(json!({"url": receiver.url})).await;
    let refused = send(&server, json!({})).await;
    server.node.idle().await;
    let behind = send(&server, json!({})).await;
    let soon = server.node.now().plus_ms(30_000).rfc3339();
    let waits = waits_for(&server, &behind).await;
    assert_eq!(waits["kind"], "receiver", "{waits}");
    assert!(waits["until"].as_str() > Some(soon.as_str()), "{waits}");
    let first = verdict(&server, &refused).await;
    let detail = &first["detail"];
    assert_eq!(detail["waitsFor"]["kind"], "time", "{first}");
    assert_eq!(detail["waitsFor"]["until"], detail["nextAttempt"]);
    assert_eq!(detail["status"], 429);
    let said = first["reason"].as_str().unwrap();
    assert!(said.starts_with("the last attempt failed"), "{said}");
}

#[tokio::test]
async fn a_message_for_an_endpoint_that_hangs_says_that_its_places_are_taken() {
    let server = server().await;
    let receiver = Receiver::hanging().await;
    server.endpoint(json!({"url": receiver.url})).await;
    let first = send(&server, json!({})).await;
    send(&server, json!({})).await;
    let third = send(&server, json!({})).await;
    let under_way = json!({"kind": "inFlight", "message": "attempt 1 is under way", "attempt": 1});
    assert_eq!(waits_for(&server, &first).await, under_way);
    let waits = waits_for(&server, &third).await;
    assert_eq!(
        (&waits["kind"], &waits["used"], &waits["limit"]),
        (&json!("endpointFull"), &json!(2), &json!(2))
    );
}

#[tokio::test]
async fn a_message_behind_another_of_its_key_names_that_and_what_it_waits_for() {
    let server = server().await;
    let receiver = Receiver::answering(500).await;
    let fields = json!({"url": receiver.url, "orderingKey": "order", "retrySchedule": [3600]});
    server.endpoint(fields).await;
    let first = send(&server, json!({})).await;
    server.node.idle().await;
    let second = send(&server, json!({})).await;
    let waits = waits_for(&server, &second).await;
    assert_eq!(waits["kind"], "order", "{waits}");
    let behind = &waits["behind"];
    assert_eq!(
        (&behind["messageId"], &behind["attempts"]),
        (&json!(first), &json!(1))
    );
    let head = verdict(&server, &first).await;
    assert_eq!(behind["deliveryId"], head["deliveryId"]);
    assert_eq!(behind["waitsFor"]["kind"], "time");
    assert_eq!(behind["waitsFor"]["until"], head["detail"]["nextAttempt"]);
    let said = waits["message"].as_str().unwrap();
    assert!(
        said.starts_with(&format!(
            "it must not overtake {first}, which was tried once"
        )),
        "{said}"
    );
}

/// Who cancelled the only delivery of a message, and the sentence about it.
async fn cancelled(server: &Server, message: &str) -> (String, String) {
    server.node.idle().await;
    let verdict = verdict(server, message).await;
    assert_eq!(verdict["outcome"], "cancelled", "{verdict}");
    let by = verdict["detail"]["by"].as_str().unwrap();
    let said = verdict["reason"].as_str().unwrap();
    let trace = server.get(&format!("/api/trace/{message}")).await.json();
    assert!(trace.to_string().contains(said), "the trace says the same");
    (by.to_owned(), said.to_owned())
}

#[tokio::test]
async fn a_delivery_that_somebody_cancelled_says_so() {
    let server = server().await;
    let endpoint = paused(&server).await;
    let message = send(&server, json!({})).await;
    let before = server.node.advance(1_000).unwrap().rfc3339();
    let path = format!("{EP}/{endpoint}/cancel-msgs");
    let body = json!({"createdBefore": before});
    server.post(&path, body).await.is(204, "");
    let (by, said) = cancelled(&server, &message).await;
    assert_eq!(by, "owner");
    assert_eq!(said, "somebody cancelled what waited for the endpoint");
}

#[tokio::test]
async fn a_delivery_whose_payload_was_expunged_says_so() {
    let server = server().await;
    paused(&server).await;
    let message = send(&server, json!({})).await;
    let content = format!("{MSG}/{message}/content");
    server.delete(&content).await.is(204, "");
    let (by, said) = cancelled(&server, &message).await;
    assert_eq!(by, "expunge");
    assert_eq!(said, "the message's payload was taken away while it waited");
}

#[tokio::test]
async fn a_delivery_to_an_endpoint_that_was_deleted_says_so() {
    let server = server().await;
    let endpoint = paused(&server).await;
    let message = send(&server, json!({})).await;
    server.delete(&format!("{EP}/{endpoint}")).await.is(204, "");
    let (by, said) = cancelled(&server, &message).await;
    assert_eq!(by, "deletion");
    assert_eq!(said, "the endpoint was deleted");
}
