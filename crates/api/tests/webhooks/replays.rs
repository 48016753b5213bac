//! What did not arrive is sent again: all of it, and nothing that has arrived meanwhile.

use serde_json::{Value, json};

use crate::harness::{EP, MSG, Server, ended, server};
use crate::receiver::Receiver;

/// More than two slices of a task.
const MANY: u64 = 600;
const NOBODY: &str = "http://127.0.0.1:9/";

/// An endpoint where each message is tried once and nothing arrives.
async fn dead_end(server: &Server, uid: &str) {
    let fields = json!({"url": NOBODY, "uid": uid, "retrySchedule": []});
    server.endpoint(fields).await;
}

async fn pause(server: &Server, uid: &str) {
    let paused = json!({"paused": true});
    server
        .patch(&format!("{EP}/{uid}"), paused)
        .await
        .is(200, "");
}

async fn send(server: &Server, payload: Value) -> String {
    let body = json!({"eventType": "a.b", "payload": payload});
    let made = server.post(MSG, body).await.is(202, "").json();
    made["id"].as_str().unwrap().to_owned()
}

/// What a task came to that is begun so.
async fn done(server: &Server, path: &str, fields: Value) -> Value {
    let task = server.post(path, fields).await.is(202, "").json();
    let task = ended(server, &task).await;
    assert_eq!(task["status"], "finished", "{task}");
    task["data"].clone()
}

fn long_ago(server: &Server) -> String {
    server.node.now().plus_ms(-3_600_000).rfc3339()
}

#[tokio::test]
async fn a_task_reaches_all_messages_however_many_there_are() {
    let server = server().await;
    for uid in ["failed", "failed-too", "disabled"] {
        dead_end(&server, uid).await;
    }
    let disabled = json!({"disabled": true});
    server.patch(&format!("{EP}/disabled"), disabled).await;
    for number in 0..MANY {
        send(&server, json!({"n": number})).await;
    }
    server.node.idle().await;
    dead_end(&server, "new").await;
    // What is sent again stays where it can be counted.
    for uid in ["failed", "failed-too", "disabled", "new"] {
        pause(&server, uid).await;
    }
    let since = long_ago(&server);
    let all = [
        ("failed/recover", json!({"since": since})),
        (
            "failed-too/bulk-replay",
            json!({"since": since, "status": 2}),
        ),
        ("disabled/enable", json!({"recoverSince": since})),
        ("new/replay-missing", json!({"since": since})),
    ];
    for (path, fields) in all {
        let data = done(&server, &format!("{EP}/{path}"), fields).await;
        assert_eq!(data["messagesSent"], MANY, "{path}: {data}");
    }
    let purge = format!("{MSG}/expunge-all-contents");
    let data = done(&server, &purge, json!({})).await;
    assert_eq!(data["messagesPurged"], MANY, "{data}");
}

#[tokio::test]
async fn a_task_reaches_all_messages_however_large_they_are() {
    let server = server().await;
    dead_end(&server, "failed").await;
    let text = "x".repeat(1_000_000);
    for _ in 0..20 {
        send(&server, json!({"text": text})).await;
    }
    server.node.idle().await;
    pause(&server, "failed").await;
    dead_end(&server, "new").await;
    pause(&server, "new").await;
    for path in ["failed/recover", "new/replay-missing"] {
        let fields = json!({"since": long_ago(&server)});
        let data = done(&server, &format!("{EP}/{path}"), fields).await;
        assert_eq!(data["messagesSent"], 20, "{path}: {data}");
    }
}

async fn dead_letters(server: &Server, uid: &str) -> Vec<Value> {
    let listed = server.get(&format!("{EP}/{uid}/dead-letter")).await;
    listed.is(200, "").json()["data"]
        .as_array()
        .unwrap()
        .clone()
}

async fn resend(server: &Server, message: &str, uid: &str) {
    let path = format!("{MSG}/{message}/endpoint/{uid}/resend");
    server.post(&path, json!({})).await.is(202, "");
    server.node.idle().await;
}

/// From now on what is sent there arrives.
async fn repair(server: &Server, uid: &str) -> Receiver {
    let receiver = Receiver::answering(200).await;
    let url = json!({"url": receiver.url});
    server.patch(&format!("{EP}/{uid}"), url).await.is(200, "");
    receiver
}

#[tokio::test]
async fn what_arrived_by_itself_after_it_was_sent_by_hand_in_vain_is_not_sent_again() {
    let server = server().await;
    let fields = json!({"url": NOBODY, "uid": "e", "retrySchedule": [60]});
    server.endpoint(fields).await;
    let message = send(&server, json!({})).await;
    server.node.idle().await;
    resend(&server, &message, "e").await;
    assert_eq!(
        dead_letters(&server, "e").await,
        [0; 0],
        "it is tried again"
    );
    let receiver = repair(&server, "e").await;
    server.node.advance(120_000).unwrap();
    assert_eq!(receiver.bodies(1).await, ["{}"]);
    server.node.idle().await;
    assert_eq!(dead_letters(&server, "e").await, [0; 0]);

    let since = long_ago(&server);
    let all = [
        ("recover", json!({"since": since})),
        ("bulk-replay", json!({"since": since, "status": 2})),
        ("enable", json!({"recoverSince": since})),
    ];
    for (path, fields) in all {
        let data = done(&server, &format!("{EP}/e/{path}"), fields).await;
        assert_eq!(data["messagesSent"], 0, "{path}: {data}");
    }
    server.node.idle().await;
    assert_eq!(receiver.came().len(), 1);
}

#[tokio::test]
async fn what_was_given_up_is_listed_once_and_until_it_arrives() {
    let server = server().await;
    dead_end(&server, "e").await;
    let message = send(&server, json!({})).await;
    server.node.idle().await;
    let first = dead_letters(&server, "e").await;
    assert_eq!((first.len(), &first[0]["msg"]["id"]), (1, &json!(message)));
    resend(&server, &message, "e").await;
    let again = dead_letters(&server, "e").await;
    assert_eq!((again.len(), &again[0]["msg"]["id"]), (1, &json!(message)));
    assert_ne!(first[0]["id"], again[0]["id"], "the last one that failed");

    let receiver = repair(&server, "e").await;
    let fields = json!({"since": long_ago(&server)});
    let data = done(&server, &format!("{EP}/e/recover"), fields.clone()).await;
    assert_eq!(data["messagesSent"], 1, "{data}");
    assert_eq!(receiver.bodies(1).await, ["{}"]);
    server.node.idle().await;
    assert_eq!(dead_letters(&server, "e").await, [0; 0]);
    let data = done(&server, &format!("{EP}/e/recover"), fields).await;
    assert_eq!(data["messagesLooked"], 0, "{data}");
}

#[tokio::test]
async fn a_recovery_does_not_go_through_what_failed_before() {
    let server = server().await;
    dead_end(&server, "e").await;
    for _ in 0..3 {
        send(&server, json!({})).await;
    }
    server.node.idle().await;
    server.node.advance(3_600_000).unwrap();
    let since = server.node.now().rfc3339();
    server.node.advance(1000).unwrap();
    send(&server, json!({})).await;
    server.node.idle().await;
    let data = done(&server, &format!("{EP}/e/recover"), json!({"since": since})).await;
    let (looked, sent) = (&data["messagesLooked"], &data["messagesSent"]);
    assert_eq!((looked, sent), (&json!(1), &json!(1)));
}
