//! What people do to runs: cancelling them, one or many, and making them again.

use serde_json::{Value, json};

use crate::harness::{App, Server, app, server};

fn run_id(run: &Value) -> String {
    run["run_id"].as_str().unwrap().to_owned()
}

async fn with_app() -> (Server, App) {
    let server = server().await;
    let app = app(&server).await;
    (server, app)
}

/// Whether the job has nothing left to do.
fn is_over(job: &Value) -> bool {
    !job["endedAt"].is_null()
}

#[tokio::test]
async fn a_signal_reaches_the_run_that_waits_for_it_once() {
    let (server, _app) = with_app().await;
    let event = server.send("shop/signal").await;
    let body = json!({"signal": "go", "data": {"n": 1}});
    let sent = server.post("/v1/signals", &body).await;
    let run = server.run_of(&event).await;
    assert_eq!(
        (sent.status, &sent.json()["data"]["run_id"]),
        (200, &run["run_id"])
    );
    server.node.idle().await;
    let run = server.run_of(&event).await;
    assert_eq!(
        run["output"]["data"],
        json!({"signal": "go", "data": {"n": 1}})
    );
    let again = server.post("/v1/signals", &body).await;
    assert_eq!(
        (again.status, again.json()["error"].as_str()),
        (404, Some("No signal found"))
    );
    assert_eq!(server.post("/v1/signals", "{}").await.status, 400);
}

#[tokio::test]
async fn a_function_is_invoked_by_its_slug_whatever_its_triggers_are() {
    let (server, _app) = with_app().await;
    let reply = server
        .post("/invoke/shop-chain", json!({"data": {"x": 1}}))
        .await;
    let reply = reply.json();
    assert_eq!(reply["status"], 200);
    server.node.idle().await;
    let id = reply["id"].as_str().unwrap();
    assert_eq!(server.run_of(id).await["status"], "Completed");
    let event = server.get(&format!("/v1/events/{id}")).await.json();
    assert_eq!(event["data"]["name"], "inngest/function.invoked");
    assert_eq!(event["data"]["data"]["x"], 1);
    assert_eq!(server.post("/invoke/shop-none", "{}").await.status, 404);
    assert_eq!(
        server
            .post("/invoke/shop-chain", "{\"data\": 1}")
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn an_invocation_is_made_once_for_each_idempotency_key() {
    let (server, _app) = with_app().await;
    let path = "/v2/apps/shop/functions/chain/invoke";
    let body = json!({"data": {}, "idempotencyKey": "k1"});
    let first = server.post(path, &body).await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = server.post(path, &body).await;
    assert_eq!((again.status, again.code.as_str()), (409, "E0103"));
    assert_eq!(again.json()["data"]["runId"], first.json()["data"]["runId"]);
    assert_eq!(again.json()["errors"][0]["code"], "idempotency_conflict");
    server.post("/api/functions/shop-chain/pause", "").await;
    let paused = server.post(path, "").await;
    assert_eq!(paused.json()["errors"][0]["code"], "function_skipped");
    assert_eq!(paused.status, 422);
    let none = server
        .post("/v2/apps/shop/functions/none/invoke", "{}")
        .await;
    assert_eq!(none.status, 404);
}

#[tokio::test]
async fn a_run_is_cancelled_in_every_state_and_has_no_output_then() {
    let (server, mut app) = with_app().await;
    let later = server.node.now().plus_ms(3_600_000).ms();
    let delayed = json!({"name": "shop/steps", "data": {}, "ts": later});
    let delayed = server.post("/e/key", delayed).await.json()["ids"][0].clone();
    let held = server.send_only("shop/holds").await;
    let call = app.held.recv().await.unwrap();
    server.post("/api/functions/shop-chain/pause", "").await;
    let mut events = vec![delayed.as_str().unwrap().to_owned(), held];
    for name in ["shop/sleeps", "shop/waits", "shop/signal"] {
        events.push(server.send_only(name).await);
    }
    for event in &events {
        let of_event = format!("/v1/events/{event}/runs");
        let started = |runs: &Value| {
            let status = &runs["data"][0]["status"];
            status == "Running" || status == "Scheduled"
        };
        let id = run_id(&server.until(&of_event, started).await["data"][0]);
        let jobs = server.get(&format!("/v1/runs/{id}/jobs")).await.json();
        assert_eq!(jobs["data"].as_array().unwrap().len(), 1, "{jobs}");
        let reply = server.post(&format!("/v2/runs/{id}/cancel"), "{}").await;
        assert_eq!(
            (reply.status, &reply.json()["data"]["runId"]),
            (200, &json!(id))
        );
        let run = server.run_of(event).await;
        assert_eq!(
            (&run["status"], &run["reason"]),
            (&json!("Cancelled"), &json!("request"))
        );
        assert_eq!(run.get("output"), None);
        let jobs = server.get(&format!("/v1/runs/{id}/jobs")).await.json();
        assert_eq!(jobs["data"], json!([]));
        let again = server.post(&format!("/v2/runs/{id}/cancel"), "").await;
        assert_eq!((again.status, again.code.as_str()), (409, "E0521"));
        assert_eq!(again.json()["errors"][0]["code"], "run_already_cancelled");
    }
    call.go_on.notify_one();
    server.node.idle().await;
    let run = server.run_of(&events[1]).await;
    assert_eq!(
        run["status"], "Cancelled",
        "what the call brings counts for nothing"
    );
    let done = server.send("shop/steps").await;
    let id = run_id(&server.run_of(&done).await);
    let reply = server.post(&format!("/v2/runs/{id}/cancel"), "").await;
    assert_eq!(reply.json()["errors"][0]["code"], "run_already_ended");
}

#[tokio::test]
async fn a_bulk_cancellation_ends_the_live_runs_that_its_condition_names() {
    let (server, _app) = with_app().await;
    let mut events = Vec::new();
    for n in 0..5 {
        let event = json!({"name": "shop/sleeps", "data": {"n": n}});
        let sent = server.post("/e/key", event).await.json();
        events.push(sent["ids"][0].as_str().unwrap().to_owned());
    }
    let other = server.send("shop/waits").await;
    let asked = |before: String| {
        json!({"app_id": "shop", "function_id": "sleeps", "started_before": before,
            "started_after": "2020-01-01T00:00:00Z", "if": "event.data.n >= 2"})
    };
    let now = server.node.now().plus_ms(1).rfc3339();
    let made = server.post("/v1/cancellations", asked(now)).await;
    assert_eq!(made.status, 200, "{made:?}");
    let made = made.json()["data"].clone();
    assert_eq!(
        (&made["function_id"], &made["if"]),
        (&json!("shop-sleeps"), &json!("event.data.n >= 2"))
    );
    let list = server.until("/v1/cancellations", |list| {
        !list["data"][0]["progress"]["ended_at"].is_null()
    });
    let list = list.await;
    assert_eq!(list["data"][0]["id"], made["id"]);
    let progress = &list["data"][0]["progress"];
    assert_eq!(
        (&progress["state"], &progress["cancelled"]),
        (&json!("done"), &json!(3))
    );
    for (n, event) in events.iter().enumerate() {
        let expected = if n >= 2 { "Cancelled" } else { "Running" };
        assert_eq!(server.run_of(event).await["status"], expected, "{n}");
    }
    assert_eq!(server.run_of(&other).await["status"], "Running");
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        server
            .delete(&format!("/v1/cancellations/{id}"))
            .await
            .status,
        200
    );
    assert_eq!(server.delete("/v1/cancellations/none").await.status, 404);
}

#[tokio::test]
async fn a_bulk_cancellation_that_is_not_whole_is_refused() {
    let (server, _app) = with_app().await;
    let soon = server.node.now().plus_ms(60_000).rfc3339();
    let past = "2020-01-01T00:00:00Z";
    for (body, error) in [
        (json!({}), "app_id is required"),
        (json!({"app_id": "shop"}), "function_id is required"),
        (
            json!({"app_id": "shop", "function_id": "steps"}),
            "started_before is required",
        ),
        (
            json!({"app_id": "shop", "function_id": "steps", "started_before": soon}),
            "started_before must be in the past",
        ),
        (
            json!({"app_id": "shop", "function_id": "steps", "started_before": past,
                "started_after": past}),
            "started_after must be before started_before",
        ),
    ] {
        let reply = server.post("/v1/cancellations", body).await;
        assert_eq!(
            (reply.status, reply.json()["error"].as_str()),
            (400, Some(error))
        );
    }
    let bad = json!({"app_id": "shop", "function_id": "steps", "started_before": past,
        "if": "event.data.n ==="});
    let reply = server.post("/v1/cancellations", bad).await;
    assert_eq!((reply.status, reply.code.as_str()), (400, "E0406"));
    let none = json!({"app_id": "shop", "function_id": "none", "started_before": past});
    assert_eq!(server.post("/v1/cancellations", none).await.status, 404);
}

#[tokio::test]
async fn failed_runs_are_counted_and_then_replayed_once_each() {
    let (server, _app) = with_app().await;
    let from = server.node.now().rfc3339();
    for _ in 0..3 {
        server.send("shop/fails").await;
    }
    server.send("shop/steps").await;
    server
        .post("/test/clock/advance", json!({"by": "1m"}))
        .await;
    let path = "/api/functions/shop-fails/replays";
    let count = |more: Value| {
        let mut body = json!({"from": from, "count_only": true});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        server.post(path, body)
    };
    for (more, expected) in [
        (json!({}), 3),
        (json!({"status": ["Completed"]}), 0),
        (
            json!({"status": ["failed", "completed"], "error_contains": "broken"}),
            3,
        ),
        (json!({"error_contains": "other"}), 0),
        (json!({"until": from}), -1),
    ] {
        let reply = count(more.clone()).await;
        match expected {
            -1 => assert_eq!(reply.status, 400, "{more}"),
            n => assert_eq!(
                reply.json(),
                json!({"count": n, "isComplete": true}),
                "{more}"
            ),
        }
    }
    let made = server
        .post(path, json!({"from": from, "per_second": 1000}))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let job = server.until(&format!("/api/replays/{id}"), is_over).await;
    let seen = ["state", "matched", "started", "failed"].map(|name| &job[name]);
    assert_eq!(seen, [&json!("done"), &json!(3), &json!(3), &json!(0)]);
    server.node.idle().await;
    let runs = server
        .get("/v2/apps/shop/functions/fails/runs")
        .await
        .json();
    let runs = runs["data"].as_array().unwrap();
    assert_eq!(runs.len(), 6);
    let mut originals: Vec<&Value> = runs
        .iter()
        .filter_map(|run| run.get("originalRunId"))
        .collect();
    originals.sort_by_key(|id| id.as_str());
    originals.dedup();
    assert_eq!(originals.len(), 3);
    let list = server.get("/api/replays").await.json();
    assert_eq!(list["data"][0]["id"], id);
}

#[tokio::test]
async fn a_replay_stops_when_it_is_told_to() {
    let (server, _app) = with_app().await;
    let from = server.node.now().rfc3339();
    for _ in 0..5 {
        server.send("shop/fails").await;
    }
    server
        .post("/test/clock/advance", json!({"by": "1m"}))
        .await;
    let body = json!({"from": from, "per_second": 1});
    let made = server
        .post("/api/functions/shop-fails/replays", body)
        .await
        .json();
    let path = format!("/api/replays/{}", made["id"].as_str().unwrap());
    server.until(&path, |job| job["started"] == 1).await;
    assert_eq!(server.delete(&path).await.status, 204);
    let job = server.until(&path, is_over).await;
    assert_eq!(
        (&job["state"], &job["matched"]),
        (&json!("stopped"), &json!(5))
    );
    assert_eq!(job["started"], 1);
    assert_eq!(server.get("/api/replays/none").await.status, 404);
}

#[tokio::test]
async fn a_paused_function_skips_events_and_goes_on_with_its_runs_when_resumed() {
    let (server, _app) = with_app().await;
    let before = server.send("shop/sleeps").await;
    let paused = server
        .post("/api/functions/shop-sleeps/pause", "")
        .await
        .json();
    assert_eq!(
        (&paused["isPaused"], &paused["modified"]),
        (&json!(true), &json!(true))
    );
    let shown = server
        .get("/v2/apps/shop/functions/shop-sleeps")
        .await
        .json();
    assert_eq!(shown["data"]["isPaused"], true, "{shown}");
    let event = server.send("shop/sleeps").await;
    let run = server.run_of(&event).await;
    assert_eq!(
        (&run["status"], &run["reason"]),
        (&json!("Skipped"), &json!("FunctionPaused"))
    );
    assert_eq!(run.get("output"), None);
    let listed = server.get("/v2/runs?status=SKIPPED").await.json();
    assert_eq!(listed["data"][0]["id"], run["run_id"]);
    let told = server
        .get(&format!("/api/events/{event}/explain"))
        .await
        .json();
    let verdict = &told["verdicts"][0];
    assert_eq!(
        (&verdict["outcome"], &verdict["runId"]),
        (&json!("skipped"), &run["run_id"])
    );
    server
        .post("/test/clock/advance", json!({"by": "3h"}))
        .await;
    server.node.idle().await;
    assert_eq!(server.run_of(&before).await["status"], "Running");
    let resumed = server
        .post("/api/functions/shop-sleeps/resume", "")
        .await
        .json();
    assert_eq!(
        (&resumed["isPaused"], &resumed["modified"]),
        (&json!(false), &json!(true))
    );
    server.node.idle().await;
    assert_eq!(server.run_of(&before).await["status"], "Completed");
    assert_eq!(
        server.post("/api/functions/none/pause", "").await.status,
        404
    );
}

#[tokio::test]
async fn a_rerun_is_a_run_of_its_own_that_names_its_original() {
    let (server, _app) = with_app().await;
    let event = server.send("shop/chain").await;
    let original = run_id(&server.run_of(&event).await);
    let reply = server.post(&format!("/v2/runs/{original}/rerun"), "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let id = reply.json()["data"]["runId"].as_str().unwrap().to_owned();
    server.node.idle().await;
    let run = server
        .get(&format!("/v2/runs/{id}?includeOutput=true"))
        .await
        .json();
    assert_eq!(run["data"]["originalRunId"], original);
    assert_eq!(run["data"]["output"][0], id, "its steps ran again");
    let first = server.get(&format!("/v1/runs/{id}")).await.json();
    assert_eq!(first["data"]["original_run_id"], original);
    let unknown = "01JQDAE4RQF8MBCR55T5AK4KXS";
    assert_eq!(
        server
            .post(&format!("/v2/runs/{unknown}/rerun"), "")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_rerun_from_a_step_keeps_what_came_before_it_and_takes_other_arguments() {
    let (server, _app) = with_app().await;
    let event = server.send("shop/chain").await;
    let original = run_id(&server.run_of(&event).await);
    let path = format!("/v2/runs/{original}/rerun");
    let body = json!({"fromStep": {"stepId": "b", "input": [{"n": 2}]}});
    let reply = server.post(&path, body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let id = reply.json()["data"]["runId"].as_str().unwrap().to_owned();
    server.node.idle().await;
    let run = server
        .get(&format!("/v2/runs/{id}?includeOutput=true"))
        .await
        .json();
    let output = &run["data"]["output"];
    assert_eq!(output[0], original, "{run}");
    assert_eq!(output[1], json!({"input": [{"n": 2}], "run": id}));
    for (body, status) in [
        (json!({"fromStep": {"stepId": "nowhere"}}), 400),
        (json!({"fromStep": {}}), 400),
        (json!({"fromStep": {"stepId": "b", "input": {}}}), 400),
        (
            json!({"from_step": {"step_id": crate::harness::STEP_B}}),
            200,
        ),
    ] {
        let reply = server.post(&path, &body).await;
        assert_eq!(reply.status, status, "{body} {reply:?}");
    }
}
