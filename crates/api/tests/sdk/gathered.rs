//! What is told of runs that wait for their first call, of batches, and of invocations that a
//! rule of the function holds.

use serde_json::{Value, json};

use crate::flow::{app_with, put, run_id};
use crate::harness::{App, Server, app, server};

/// A server whose function `holds` starts a run for each three events.
async fn with_batch() -> (Server, App, Vec<String>) {
    let server = server().await;
    let rules = json!({"batchEvents": {"maxSize": 3, "timeout": "1h"}});
    let app = app_with(&server, "holds", rules).await;
    let events = [1, 2, 3].map(|n| json!({"name": "shop/holds", "data": {"n": n}}));
    let sent = server.post("/e/key", json!(events)).await.json();
    let ids = sent["ids"].as_array().unwrap().iter();
    let ids = ids.map(|id| id.as_str().unwrap().to_owned()).collect();
    (server, app, ids)
}

/// The numbers that the events of a call or a list carry.
fn numbers(events: &Value) -> Vec<&Value> {
    let events = events.as_array().unwrap().iter();
    events.map(|event| &event["data"]["n"]).collect()
}

#[tokio::test]
async fn the_run_of_a_batch_is_found_from_each_of_its_events_and_names_all() {
    let (server, mut app, ids) = with_batch().await;
    let call = app.held.recv().await.unwrap();
    let run = server.run_of(&ids[0]).await;
    assert_eq!(
        (&run["event_id"], &run["batch_id"]),
        (&json!(ids[0]), &run["run_id"])
    );
    for id in &ids[1..] {
        assert_eq!(server.run_of(id).await, run, "the same from each event");
    }
    let id = run["run_id"].as_str().unwrap();
    let all = server.get(&format!("/v0/runs/{id}/batch")).await.json();
    assert_eq!(numbers(&all), [1, 2, 3]);
    assert_eq!(all, call.body["events"]);
    let trigger = server.get(&format!("/v2/runs/{id}")).await.json()["data"]["trigger"].clone();
    assert_eq!(
        trigger,
        json!({"eventIds": ids, "eventName": "shop/holds", "isBatch": true, "batchId": id})
    );
    let path = format!("/v2/runs/{id}/trace?includeOutput=true");
    let trace = server.get(&path).await.json();
    assert_eq!(numbers(&trace["data"]["rootSpan"]["input"]), [1, 2, 3]);
    call.go_on.notify_one();
}

#[tokio::test]
async fn a_batch_that_is_made_again_has_all_its_events_in_order() {
    let (server, mut app, ids) = with_batch().await;
    let call = app.held.recv().await.unwrap();
    let id = run_id(&server, &ids[0]).await;
    call.go_on.notify_one();
    server.node.idle().await;
    let rerun = server.post(&format!("/v2/runs/{id}/rerun"), "{}").await;
    assert_eq!(rerun.status, 200, "{rerun:?}");
    let again = app.held.recv().await.unwrap();
    assert_eq!(again.body["events"], call.body["events"]);
    again.go_on.notify_one();
    server.node.idle().await;
    server.node.advance(60_000).unwrap();
    let asked = json!({"from": "2020-01-01T00:00:00Z", "status": ["Completed"]});
    let path = "/api/functions/shop-holds/replays";
    let replay = server.post(path, asked).await;
    assert!(replay.status < 300, "{replay:?}");
    for _ in 0..2 {
        let again = app.held.recv().await.unwrap();
        assert_eq!(numbers(&again.body["events"]), [1, 2, 3]);
        again.go_on.notify_one();
    }
}

#[tokio::test]
async fn a_bulk_cancellation_meets_a_batch_by_any_of_its_events() {
    let (server, mut app, ids) = with_batch().await;
    let _call = app.held.recv().await.unwrap();
    let before = server.node.now().plus_ms(1).rfc3339();
    let asked = json!({"app_id": "shop", "function_id": "holds", "started_before": before,
        "if": "event.data.n == 2"});
    let made = server.post("/v1/cancellations", asked).await;
    assert_eq!(made.status, 200, "{made:?}");
    let path = format!("/v1/events/{}/runs", ids[0]);
    let cancelled = |runs: &Value| runs["data"][0]["status"] == "Cancelled";
    server.until(&path, cancelled).await;
}

#[tokio::test]
async fn a_run_is_queued_in_every_reading_until_its_first_call_goes_out() {
    let server = server().await;
    let mut app = app_with(&server, "holds", json!({"concurrency": 1})).await;
    let first = server.send_only("shop/holds").await;
    let holding = app.held.recv().await.unwrap();
    let second = server.send_only("shop/holds").await;
    let told = server.get(&format!("/api/events/{second}/explain")).await;
    let told = told.json()["verdicts"][0]["detail"].clone();
    assert_eq!(told["status"], "Scheduled");
    let first = run_id(&server, &first).await;
    let second = run_id(&server, &second).await;
    let query = "query($id: String!) { run(runID: $id) { status startedAt trace { status } }
        functionRun(query: {functionRunId: $id}) { status } }";
    let words = async |id: &str| {
        let body = json!({"query": query, "variables": {"id": id}});
        let asked = server.post("/v0/gql", body).await.json()["data"].clone();
        let first = server.get(&format!("/v1/runs/{id}")).await.json();
        let waiting = server.get(&format!("/api/runs/{id}/waiting")).await.json();
        let shown = server.get(&format!("/v2/runs/{id}")).await.json();
        let trace = server.get(&format!("/v2/runs/{id}/trace")).await.json();
        let run = &asked["run"];
        assert_eq!(first["data"]["status"], waiting["status"]);
        let same = [
            &run["status"],
            &run["trace"]["status"],
            &asked["functionRun"]["status"],
            &trace["data"]["rootSpan"]["status"],
        ];
        for word in same {
            assert_eq!(word, &shown["data"]["status"], "{asked} {trace}");
        }
        json!([first["data"]["status"], shown["data"]["status"]])
    };
    assert_eq!(words(&first).await, json!(["Running", "RUNNING"]));
    assert_eq!(words(&second).await, json!(["Scheduled", "QUEUED"]));
    let listed = async |status: &str| {
        let list = server
            .get(&format!("/v2/runs?status={status}"))
            .await
            .json();
        let runs = list["data"].as_array().unwrap().iter();
        let ids = runs.map(|run| run["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(listed("QUEUED").await, [second.as_str()]);
    assert_eq!(listed("RUNNING").await, [first.as_str()]);
    assert_eq!(listed("RUNNING,QUEUED").await, [&*second, &*first]);
    holding.go_on.notify_one();
    let begun = app.held.recv().await.unwrap();
    assert_eq!(words(&second).await, json!(["Running", "RUNNING"]));
    begun.go_on.notify_one();
}

#[tokio::test]
async fn a_list_by_status_pages_past_the_runs_that_wait() {
    let server = server().await;
    let mut app = app_with(&server, "holds", json!({"concurrency": 1})).await;
    let first = server.send_only("shop/holds").await;
    let holding = app.held.recv().await.unwrap();
    let events = vec![json!({"name": "shop/holds", "data": {}}); 300];
    assert_eq!(server.post("/e/key", json!(events)).await.status, 200);
    let mut path = "/v2/runs?status=RUNNING&limit=100".to_owned();
    let mut found = Vec::new();
    loop {
        let page = server.get(&path).await.json();
        let runs = page["data"].as_array().unwrap().iter();
        found.extend(runs.map(|run| run["id"].as_str().unwrap().to_owned()));
        if page["page"]["hasMore"] == false {
            break;
        }
        let cursor = page["page"]["cursor"].as_str().unwrap();
        path = format!("/v2/runs?status=RUNNING&limit=100&cursor={cursor}");
    }
    assert_eq!(found, [run_id(&server, &first).await]);
    let mut path = "/v2/runs?status=QUEUED&limit=100".to_owned();
    for _ in 0..3 {
        let page = server.get(&path).await.json();
        assert_eq!(page["data"].as_array().unwrap().len(), 100);
        let cursor = page["page"]["cursor"].as_str().unwrap_or_default();
        path = format!("/v2/runs?status=QUEUED&limit=100&cursor={cursor}");
    }
    server.post("/test/reset", "").await;
    holding.go_on.notify_one();
}

const BY_SLUG: &str = "/invoke/shop-steps";
const BY_APP: &str = "/v2/apps/shop/functions/steps/invoke";

#[tokio::test]
async fn an_invocation_over_the_rate_says_that_it_was_dropped() {
    let server = server().await;
    let rules = json!({"rateLimit": {"limit": 1, "period": "1h"}});
    let _app = app_with(&server, "steps", rules).await;
    assert_eq!(server.post(BY_APP, "{}").await.status, 200);
    let reply = server.post(BY_SLUG, "{}").await;
    let body = reply.json();
    let id = body["id"].as_str().unwrap();
    assert_eq!(
        body,
        json!({"id": id, "status": 200, "outcome": "dropped", "rule": "rateLimit",
            "code": "E0534", "message": "the function's rateLimit is used up"})
    );
    let told = server.get(&format!("/api/events/{id}/explain")).await;
    assert_eq!(told.json()["verdicts"][0]["outcome"], "dropped");
    let reply = server.post(BY_APP, "{}").await;
    assert_eq!((reply.status, reply.code.as_str()), (422, "E0534"));
    let body = reply.json();
    assert_eq!(body["errors"][0]["code"], "rate_limited");
    assert_eq!(body["data"]["rule"], "rateLimit");
}

#[tokio::test]
async fn an_invocation_that_waits_with_others_says_so_and_runs_later() {
    let server = server().await;
    let rules = json!({"debounce": {"period": "10s"}});
    let _app = app_with(&server, "steps", rules).await;
    let body = server.post(BY_SLUG, "{}").await.json();
    assert_eq!(
        (&body["status"], &body["outcome"], &body["rule"]),
        (&json!(200), &json!("gathering"), &json!("debounce"))
    );
    let path = format!("/api/events/{}/explain", body["id"].as_str().unwrap());
    let told = server.get(&path).await.json();
    assert_eq!(told["verdicts"][0]["outcome"], "gathering", "{told}");
    let reply = server.post(BY_APP, "{}").await;
    assert_eq!((reply.status, reply.code.as_str()), (422, "E0534"));
    let later = reply.json();
    assert_eq!(later["errors"][0]["code"], "function_debounced");
    server.node.advance(10_000).unwrap();
    server.node.idle().await;
    let event = later["data"]["eventId"].as_str().unwrap();
    assert_eq!(server.run_of(event).await["status"], "Completed");
}

#[tokio::test]
async fn an_invocation_that_joins_a_batch_is_accepted() {
    let server = server().await;
    let rules = json!({"batchEvents": {"maxSize": 2, "timeout": "1h"}});
    let _app = app_with(&server, "steps", rules).await;
    let reply = server.post(BY_APP, "{}").await;
    assert_eq!((reply.status, reply.code.as_str()), (202, ""));
    let data = reply.json()["data"].clone();
    assert_eq!(
        (&data["outcome"], &data["rule"]),
        (&json!("gathering"), &json!("batchEvents"))
    );
    server.post(BY_SLUG, "{}").await;
    server.node.idle().await;
    let run = server.run_of(data["eventId"].as_str().unwrap()).await;
    assert_eq!(run["status"], "Completed");
    assert_eq!(run["batch_id"], run["run_id"]);
}

#[tokio::test]
async fn an_invocation_of_a_busy_singleton_says_why_it_was_skipped() {
    let server = server().await;
    let mut app = app_with(&server, "holds", json!({"singleton": {"mode": "skip"}})).await;
    assert_eq!(server.post("/invoke/shop-holds", "{}").await.status, 200);
    let holding = app.held.recv().await.unwrap();
    let body = server.post("/invoke/shop-holds", "{}").await.json();
    assert_eq!(
        (&body["outcome"], &body["rule"], &body["code"]),
        (&json!("skipped"), &json!("singleton"), &json!("E0528"))
    );
    let path = "/v2/apps/shop/functions/holds/invoke";
    let reply = server.post(path, "{}").await;
    assert_eq!(reply.status, 422);
    let error = &reply.json()["errors"][0];
    assert_eq!(error["code"], "function_skipped");
    assert!(error["message"].as_str().unwrap().contains("singleton"));
    holding.go_on.notify_one();
    server.node.idle().await;
    server.post("/api/functions/shop-holds/pause", "").await;
    let paused = server.post("/invoke/shop-holds", "{}").await.json();
    assert_eq!(
        (&paused["outcome"], &paused["rule"], &paused["message"]),
        (
            &json!("skipped"),
            &json!(null),
            &json!("the function is paused")
        )
    );
}

#[tokio::test]
async fn there_is_an_end_to_the_limits_of_an_operator() {
    let server = server().await;
    let _app = app(&server).await;
    let host = json!({"host": "api.example.com", "concurrency": 5});
    for n in 0..dunlin_types::limits::OPERATOR_LIMITS_MAX {
        let reply = put(&server, &format!("/api/limits/one-{n}"), host.clone()).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let reply = put(&server, "/api/limits/more", host.clone()).await;
    assert_eq!((reply.status, reply.code.as_str()), (422, "E0100"));
    let known = put(&server, "/api/limits/one-0", host).await;
    assert_eq!(known.status, 200, "one that is there may change: {known:?}");
}
