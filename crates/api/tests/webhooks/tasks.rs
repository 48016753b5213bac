//! What is long begins whole or not at all, and comes to its end whatever happens meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::harness::{EP, MSG, Server, ended, server};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const EXPUNGE_ALL: &str = "/api/v1/app/default/msg/expunge-all-contents";

/// Has every reader wait, and as many reads as may wait for them, until that is set.
async fn keep_readers_busy(server: &Server) -> Arc<AtomicBool> {
    let go = Arc::new(AtomicBool::new(false));
    loop {
        let (node, wait) = (server.node.clone(), Arc::clone(&go));
        let read = tokio::spawn(async move {
            let read = node.read(move |_| {
                while !wait.load(Ordering::Acquire) {
                    std::thread::yield_now();
                }
                Ok(())
            });
            read.await
        });
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        if read.is_finished() {
            assert!(read.await.unwrap().is_err());
            return go;
        }
    }
}

#[tokio::test]
async fn a_task_that_found_the_server_too_busy_goes_on_later() {
    let server = server().await;
    let message = json!({"eventType": "a.b", "payload": {"n": 1}});
    server.post(MSG, message).await.is(202, "");
    let go = keep_readers_busy(&server).await;
    let task = server.post(EXPUNGE_ALL, json!({})).await.is(202, "").json();
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    go.store(true, Ordering::Release);
    let task = ended(&server, &task).await;
    assert_eq!(task["status"], "finished", "{task}");
    assert_eq!(task["data"]["messagesPurged"], 1);
}

#[tokio::test]
async fn what_a_task_did_is_there_once_it_says_that_it_has_ended() {
    let server = server().await;
    for _ in 0..40 {
        let message = json!({"eventType": "a.b", "payload": {"n": 1}});
        let sent = server.post(MSG, message).await.is(202, "").json();
        let task = server.post(EXPUNGE_ALL, json!({})).await.is(202, "").json();
        let path = format!("/api/v1/background-task/{}", task["id"].as_str().unwrap());
        // Asked without a pause, so that one comes while the last commit is being written.
        while server.get(&path).await.json()["status"] == "running" {
            tokio::task::yield_now().await;
        }
        let path = format!("{MSG}/{}", sent["id"].as_str().unwrap());
        let read = server.get(&path).await.json();
        assert_eq!(read["payload"], json!({"expired": true}), "{task}");
    }
}

#[tokio::test]
async fn a_task_goes_on_where_whoever_asked_for_it_hangs_up() {
    let server = server().await;
    let has_begun = async {
        while server.node.config().tasks().next().is_none() {
            tokio::task::yield_now().await;
        }
    };
    // The one that is not through is dropped, as the server does where a connection ends.
    tokio::select! {
        biased;
        () = has_begun => {}
        _ = server.post(EXPUNGE_ALL, json!({})) => {}
    }
    let listed = server.get("/api/v1/background-task").await.json();
    let task = ended(&server, &listed["data"][0]).await;
    assert_eq!(task["status"], "finished");
}

#[tokio::test]
async fn what_samples_hold_goes_with_all_other_contents() {
    let server = server().await;
    let fields = json!({"url": "http://127.0.0.1:9/", "uid": "e", "paused": true});
    server.endpoint(fields).await;
    let body = json!({"eventType": "a.b", "payload": {"n": 1}});
    let sent = server.post(&format!("{EP}/e/send-example"), body).await;
    let sample = sent.json()["id"].as_str().unwrap().to_owned();
    let path = format!("{MSG}/{sample}?with_content=true");
    assert_ne!(server.get(&path).await.json()["payload"]["expired"], true);
    let task = server.post(EXPUNGE_ALL, json!({})).await.is(202, "").json();
    ended(&server, &task).await;
    assert_eq!(server.get(&path).await.json()["payload"]["expired"], true);
}

#[tokio::test]
async fn an_endpoint_is_not_enabled_where_what_it_missed_cannot_be_sent() {
    let server = server().await;
    let url = json!({"url": "http://127.0.0.1:9/", "uid": "e"});
    server.endpoint(url).await;
    let endpoint = format!("{EP}/e");
    let disabled = json!({"disabled": true});
    server.patch(&endpoint, disabled).await.is(200, "");
    server.node.advance(100 * DAY_MS).unwrap();
    let enable = format!("{endpoint}/enable");
    let long_ago = (server.node.now().plus_ms(-99 * DAY_MS)).rfc3339();
    let refused = server.post(&enable, json!({"recoverSince": long_ago}));
    let refused = refused.await;
    assert_eq!(
        (refused.status, refused.place()),
        (422, "body.recoverSince".to_owned())
    );
    assert_eq!(server.get(&endpoint).await.json()["disabled"], true);
    // Longer ago than a task may reach back: it reaches as far as it may.
    let task = server.post(&enable, json!({})).await.is(202, "").json();
    assert_eq!(ended(&server, &task).await["status"], "finished");
    assert_eq!(server.get(&endpoint).await.json()["disabled"], false);
}
