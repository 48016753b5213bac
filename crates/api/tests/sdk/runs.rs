//! Runs, from the event to the output, and what calls fetch and report meanwhile.

use serde_json::{Value, json};

use crate::harness::{STEP_A, STEP_B, app, server};

#[tokio::test]
async fn a_run_reads_back_with_its_output_in_both_versions() {
    let server = server().await;
    let _app = app(&server).await;
    let event = server.send("shop/steps").await;
    let run = server.run_of(&event).await;
    assert_eq!(
        (&run["status"], &run["output"]),
        (&json!("Completed"), &json!({"all": "done"}))
    );
    assert_eq!(run["event_id"], event);
    let functions = server.get("/v1/apps/shop/functions").await.json();
    let of_app = functions
        .as_array()
        .unwrap()
        .iter()
        .find(|f| f["id"] == "shop-steps")
        .unwrap();
    assert_eq!(run["function_id"], of_app["internal_id"]);
    let id = run["run_id"].as_str().unwrap();
    assert_eq!(
        server.get(&format!("/v1/runs/{id}")).await.json()["data"],
        run
    );
    let second = server
        .get(&format!("/v2/runs/{id}?includeOutput=true"))
        .await
        .json();
    assert_eq!(second["data"]["status"], "COMPLETED");
    assert_eq!(second["data"]["function"]["id"], "steps");
    assert_eq!(second["data"]["app"]["id"], "shop");
    assert_eq!(second["data"]["output"], json!({"all": "done"}));
    assert_eq!(second["data"]["trigger"]["eventIds"], json!([event]));
    let bare = server.get(&format!("/v2/runs/{id}")).await.json();
    assert_eq!(bare["data"].get("output"), None);
}

#[tokio::test]
async fn the_trace_shows_the_attempts_of_a_step() {
    let server = server().await;
    let _app = app(&server).await;
    let event = server.send("shop/steps").await;
    let id = server.run_of(&event).await["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let trace = server
        .get(&format!("/v2/runs/{id}/trace?includeOutput=true"))
        .await
        .json();
    let root = &trace["data"]["rootSpan"];
    assert_eq!(
        (&trace["data"]["runId"], &root["status"]),
        (&json!(id), &json!("COMPLETED"))
    );
    assert_eq!(root["input"]["name"], "shop/steps");
    let steps = root["children"].as_array().unwrap();
    assert_eq!(steps.len(), 1, "{trace}");
    let step = &steps[0];
    assert_eq!(
        (&step["name"], &step["stepId"]),
        (&json!("a"), &json!(STEP_A))
    );
    assert_eq!(
        (&step["status"], &step["output"]),
        (&json!("COMPLETED"), &json!({"a": 1}))
    );
    let attempts: Vec<(&Value, &Value)> = step["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| (&attempt["name"], &attempt["status"]))
        .collect();
    let expected = [("Attempt 1", "FAILED"), ("Attempt 2", "COMPLETED")];
    let expected = expected.map(|(name, status)| (json!(name), json!(status)));
    assert_eq!(
        attempts,
        expected.iter().map(|(n, s)| (n, s)).collect::<Vec<_>>()
    );
    assert_eq!(step["children"][0]["output"]["message"], "not yet");
    let bare = server.get(&format!("/v2/runs/{id}/trace")).await.json();
    assert_eq!(bare["data"]["rootSpan"].get("output"), None);
}

#[tokio::test]
async fn a_failed_run_has_its_error_as_output_and_its_events_are_listed_by_name() {
    let server = server().await;
    let _app = app(&server).await;
    let event = server.send("shop/fails").await;
    let run = server.run_of(&event).await;
    assert_eq!(run["status"], "Failed");
    assert_eq!(run["output"]["message"], "broken");
    let failed = server
        .get("/v1/events?name=inngest/function.failed")
        .await
        .json();
    let failed = &failed["data"][0];
    assert_eq!(failed["id"], run["run_id"]);
    assert_eq!(failed["data"]["run_id"], run["run_id"]);
    assert_eq!(failed["data"]["function_id"], "shop-fails");
    assert_eq!(failed["data"]["error"]["message"], "broken");
    let finished = server
        .get("/v1/events?name=inngest/function.finished")
        .await
        .json();
    assert_eq!(finished["data"].as_array().unwrap().len(), 1);
    let all = server.get("/v1/events").await.json();
    assert_eq!(
        all["data"].as_array().unwrap().len(),
        1,
        "internal ones are left out"
    );
}

#[tokio::test]
async fn a_sleep_ends_when_the_clock_is_moved() {
    let server = server().await;
    let _app = app(&server).await;
    let event = server.send("shop/sleeps").await;
    let run = server.run_of(&event).await;
    assert_eq!(
        (&run["status"], &run["ended_at"]),
        (&json!("Running"), &json!(null))
    );
    let id = run["run_id"].as_str().unwrap();
    let trace = server.get(&format!("/v2/runs/{id}/trace")).await.json();
    let nap = &trace["data"]["rootSpan"]["children"][0];
    assert_eq!(
        (&nap["stepOp"], &nap["status"]),
        (&json!("SLEEP"), &json!("WAITING"))
    );
    let before = server.node.now();
    let moved = server
        .post("/test/clock/advance", json!({"by": "2h"}))
        .await
        .json();
    let now = dunlin_types::Timestamp::parse_rfc3339(moved["now"].as_str().unwrap()).unwrap();
    assert!(now.since(before) >= 2 * 3_600_000);
    assert_eq!(server.get("/test/idle").await.status, 200);
    let run = server.run_of(&event).await;
    assert_eq!(
        (&run["status"], &run["output"]),
        (&json!("Completed"), &json!("slept"))
    );
}

#[tokio::test]
async fn a_run_is_cancelled_once() {
    let server = server().await;
    let _app = app(&server).await;
    for (version, status) in [("v1", 200), ("v0", 204)] {
        let event = server.send("shop/sleeps").await;
        let run = server.run_of(&event).await;
        let path = format!("/{version}/runs/{}", run["run_id"].as_str().unwrap());
        let reply = server.delete(&path).await;
        assert_eq!((reply.status, reply.text.as_str()), (status, ""));
        assert_eq!(server.run_of(&event).await["status"], "Cancelled");
        let again = server.delete(&path).await;
        assert_eq!((again.status, again.code.as_str()), (409, "E0521"));
    }
}

#[tokio::test]
async fn a_checkpoint_is_taken_from_the_call_that_is_in_flight_only() {
    let server = server().await;
    let mut app = app(&server).await;
    let event = server.send_only("shop/holds").await;
    let call = app.held.recv().await.unwrap();
    let ctx = &call.body["ctx"];
    let run = ctx["run_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/checkpoint/{run}/async");
    let good = json!({
        "run_id": run, "fn_id": ctx["fn_id"], "qi_id": ctx["qi_id"],
        "generation_id": ctx["generation_id"], "request_id": ctx["request_id"],
        "steps": [{"op": "StepRun", "id": STEP_A, "name": "a", "data": 7}],
    });
    let changed = |key: &str, value: Value| {
        let mut body = good.clone();
        body[key] = value;
        body
    };
    let sleep = json!([{"op": "Sleep", "id": STEP_B, "name": "1h"}]);
    let other = "01JQDAE4RQF8MBCR55T5AK4KXS";
    for (body, status, code) in [
        (changed("generation_id", json!(99)), 409, "E0520"),
        (
            changed("qi_id", json!(format!("{run}-999999"))),
            409,
            "E0520",
        ),
        (changed("qi_id", json!("other")), 400, "E0100"),
        (changed("run_id", json!(other)), 400, "E0100"),
        (changed("steps", sleep), 400, "E0508"),
    ] {
        let reply = server.post(&path, &body).await;
        assert_eq!(
            (reply.status, reply.code.as_str()),
            (status, code),
            "{body}"
        );
        assert_eq!(reply.json()["data"], json!({"run_id": run}));
    }
    let forged = format!("/v1/checkpoint/{other}/async");
    let reply = server.post(&forged, changed("run_id", json!(other))).await;
    assert_eq!(reply.status, 404);
    let actions = server.get(&format!("/v0/runs/{run}/actions")).await;
    assert_eq!(actions.json(), json!({}), "nothing of all that counts");
    let reply = server.post(&path, &good).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    let actions = server.get(&format!("/v0/runs/{run}/actions")).await.json();
    assert_eq!(actions, json!({ STEP_A: {"data": 7} }));
    let batch = server.get(&format!("/v0/runs/{run}/batch")).await.json();
    assert_eq!(
        (&batch[0]["name"], &batch[0]["id"]),
        (&json!("shop/holds"), &json!(event))
    );
    call.go_on.notify_one();
    server.node.idle().await;
    let ended = server.run_of(&event).await;
    assert_eq!(
        (&ended["status"], &ended["output"]),
        (&json!("Completed"), &json!("held"))
    );
    assert_eq!(server.post(&path, &good).await.status, 409);
    let gone = server.get(&format!("/v0/runs/{run}/actions")).await;
    assert_eq!(gone.status, 410);
    let told = format!("runtime state is no longer available for runID: {run}");
    assert_eq!(gone.json()["error"], told);
}
