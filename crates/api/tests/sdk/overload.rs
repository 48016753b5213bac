//! A server that has more to do than it gets done refuses new events, and nothing else.

use std::time::Duration;

use dunlin_node::{NodeOptions, Overload};
use serde_json::{Value, json};

use crate::harness::{App, HeldCall, Reply, Server, app, registration, server_over};

/// So many events that what they are too many is not waited off within this test.
const MANY: usize = 400;

fn many(name: &str) -> Value {
    (0..MANY)
        .map(|n| json!({"name": name, "data": {"n": n}}))
        .collect()
}

/// Has the app hold its only call, and queues many runs behind it.
async fn overloaded(server: &Server) -> (App, HeldCall) {
    let mut app = app(server).await;
    server.send_only("shop/holds").await;
    let held = app.held.recv().await.unwrap();
    let taken = server.post("/e/key", many("shop/sleeps")).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    assert!(server.node.pressure().backlog >= MANY as u64);
    (app, held)
}

#[track_caller]
fn assert_refused(reply: &Reply) {
    assert_eq!((reply.status, reply.code.as_str()), (503, "E0105"));
    let secs: u64 = reply.retry_after.as_ref().unwrap().parse().unwrap();
    assert!((1..=60).contains(&secs), "{reply:?}");
}

#[tokio::test]
async fn beyond_the_backlog_new_events_are_refused_until_it_has_drained() {
    let small = |node: &mut NodeOptions| {
        node.backlog_free_max = 2;
        node.backlog_patience = Duration::ZERO;
        node.calls.calls_per_app_max = 1;
    };
    let server = server_over(small, |_| ()).await;
    let (_app, held) = overloaded(&server).await;
    // What it took is more than the rate allows; the next ones pay for it.
    server.post("/e/key", many("shop/sleeps")).await;
    let event = json!({"name": "shop/sleeps", "data": {}});
    let reply = server.post("/e/key", &event).await;
    assert_refused(&reply);
    assert_eq!(
        (&reply.json()["ids"], &reply.json()["error_code"]),
        (&json!([]), &json!("E0105"))
    );
    // Not even read, so that it costs nothing.
    assert_refused(&server.post("/e/key", "no event at all").await);
    assert_refused(&server.post("/invoke/shop-sleeps", "{}").await);
    assert_refused(&server.post("/v2/events", &event).await);
    assert_refused(&server.post("/in/any", "{}").await);
    let seen = server.node.pressure();
    assert_eq!(seen.overload, Some(Overload::Backlog));
    assert!(seen.refused[Overload::Backlog as usize] >= 5, "{seen:?}");

    assert_eq!(server.get("/health").await.status, 200);
    assert_eq!(server.get("/v1/events").await.status, 200);
    let signal = json!({"signal": "none", "data": 1});
    assert_ne!(server.post("/v1/signals", signal).await.status, 503);

    held.go_on.notify_one();
    server.node.idle().await;
    let reply = server.post("/e/key", &event).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(server.node.pressure().overload, None);
}

#[tokio::test]
async fn runs_that_a_rule_holds_back_refuse_nothing() {
    let server = server_over(
        |node| {
            node.backlog_free_max = 2;
            node.backlog_patience = Duration::ZERO;
            node.backlog_patience = Duration::ZERO;
        },
        |_| (),
    )
    .await;
    let mut app = app(&server).await;
    let mut registration = registration(&app.url);
    for function in registration["functions"].as_array_mut().unwrap() {
        function["concurrency"] = json!([{"limit": 1}]);
    }
    let reply = server.post("/fn/register", registration).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    server.send_only("shop/holds").await;
    let held = app.held.recv().await.unwrap();
    let taken = server.post("/e/key", many("shop/holds")).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    for _ in 0..3 {
        server.send_only("shop/holds").await;
    }
    let seen = server.node.pressure();
    assert!(
        seen.backlog <= 2 && seen.live_runs > MANY as u64,
        "{seen:?}"
    );
    assert_eq!(seen.refused, [0; 4]);
    held.go_on.notify_one();
}

#[tokio::test]
async fn beyond_the_live_runs_no_event_comes_in_until_some_have_ended() {
    let server = server_over(|node| node.live_runs_max = 1, |_| ()).await;
    let mut app = app(&server).await;
    server.send_only("shop/holds").await;
    let held = app.held.recv().await.unwrap();
    let event = json!({"name": "shop/holds", "data": {}});
    assert_refused(&server.post("/e/key", &event).await);
    assert_eq!(server.node.pressure().overload, Some(Overload::LiveRuns));
    held.go_on.notify_one();
    server.node.idle().await;
    assert_eq!(server.post("/e/key", &event).await.status, 200);
}
