//! `/v0/gql` and `/v2/runs/{id}/trace` over a whole node: what a run did, asked for in both ways.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "sdk/harness.rs"]
#[expect(dead_code, reason = "other tests use the rest of it")]
mod harness;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, post};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use harness::{STEP_A, STEP_B, Server, request, server, server_with};

const STEP_C: &str = "84a516841ba77a5b4648de2cd0dfcb30ea46dbb4";
const STEP_D: &str = "3c363836cf4e16666669a25da280a1865c2d2874";

/// Starts an app whose function `order` does one of each, and registers it.
async fn app(server: &Server) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/api/inngest", any(answer))
        .route("/model", post(model))
        .with_state(base.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let url = format!("{base}/api/inngest");
    let function = |name: &str| {
        json!({
            "id": format!("shop-{name}"),
            "name": name,
            "triggers": [{"event": format!("shop/{name}")}],
            "steps": {"step": {"id": "step", "name": "step", "runtime": {
                "type": "http", "url": format!("{url}?fnId=shop-{name}&stepId=step"),
            }, "retries": {"attempts": 1}}},
        })
    };
    let functions = ["order", "child", "late", "odd"].map(function);
    let registration = json!({"url": url, "deployType": "ping", "framework": "nodejs",
        "appName": "shop", "sdk": "js:v4.24.0", "v": "0.1", "functions": functions});
    let reply = server.post("/fn/register", registration).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    fn_id: String,
}

async fn model() -> axum::Json<Value> {
    axum::Json(json!({"usage": {"prompt_tokens": 3, "completion_tokens": 4}}))
}

async fn answer(State(base): State<String>, Query(asked): Query<Asked>, body: Bytes) -> Response {
    let call: Value = serde_json::from_slice(&body).unwrap();
    let done = |id: &str| call["steps"].get(id).is_some();
    let op = match asked.fn_id.as_str() {
        "shop-order" if !done(STEP_A) => {
            json!({"op": "WaitForEvent", "id": STEP_A, "name": "shop/paid", "displayName": "paid",
                "opts": {"event": "shop/paid", "if": "async.data.n == 1", "timeout": "1h"}})
        }
        "shop-order" if !done(STEP_B) => {
            json!({"op": "InvokeFunction", "id": STEP_B, "displayName": "call",
                "opts": {"function_id": "shop-child", "payload": {"data": {}}, "timeout": "1h"}})
        }
        "shop-order" if !done(STEP_C) => {
            json!({"op": "AIGateway", "id": STEP_C, "displayName": "ask",
                "opts": {"type": "step.ai.infer", "url": format!("{base}/model"),
                    "format": "openai-chat", "auth_key": "hidden", "body": {"model": "m"}}})
        }
        "shop-order" => return respond(StatusCode::OK, &json!({"total": 5})),
        "shop-late" if !done(STEP_D) => {
            json!({"op": "WaitForEvent", "id": STEP_D, "name": "shop/none", "displayName": "none",
                "opts": {"event": "shop/none", "timeout": "1h"}})
        }
        "shop-odd" => json!({"op": "Somersault", "id": STEP_A, "name": "odd"}),
        _ => return respond(StatusCode::OK, &json!("child's")),
    };
    respond(StatusCode::PARTIAL_CONTENT, &json!([op]))
}

fn respond(status: StatusCode, body: &Value) -> Response {
    let headers = [
        ("content-type", "application/json"),
        ("x-inngest-sdk", "inngest-js:v4.24.0"),
        ("x-inngest-req-version", "2"),
    ];
    (status, headers, body.to_string()).into_response()
}

async fn ask(server: &Server, query: &str, variables: Value) -> Value {
    let body = json!({"query": query, "variables": variables});
    let reply = server.post("/v0/gql", body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let answer = reply.json();
    assert_eq!(answer.get("errors"), None, "{answer:#}");
    answer["data"].clone()
}

/// The id of the run that the event started.
async fn run_of(server: &Server, event: &str) -> String {
    let run = server.run_of(event).await;
    run["run_id"].as_str().unwrap().to_owned()
}

/// A run of `order` that has ended, and the event that it waited for.
async fn ordered(server: &Server) -> (String, String) {
    let event = server.send("shop/order").await;
    let paid = server.send("shop/paid").await;
    (run_of(server, &event).await, paid)
}

const TRACE: &str = r#"
    query Trace($run: String!) {
      run(runID: $run) { ...Run trace { ...Span childrenSpans { ...Span stepInfo { ...Info } } } }
    }
    fragment Run on FunctionRunV2 { status output eventName hasAI function { slug } }
    fragment Span on RunTraceSpan { name status stepOp outputID parentRunID parentStepID
      metadata { kind values } }
    fragment Info on StepInfo {
      __typename
      ... on WaitForEventStepInfo { event: eventName expression foundEventID timedOut }
      ... on InvokeStepInfo { functionID triggeringEventID runID returnEventID timedOut }
    }
"#;

#[tokio::test]
async fn a_run_reads_back_with_all_that_its_steps_waited_for() {
    let server = server().await;
    app(&server).await;
    let (id, paid) = ordered(&server).await;
    let run = &ask(&server, TRACE, json!({"run": id})).await["run"];
    assert_eq!(
        (&run["status"], &run["output"], &run["hasAI"]),
        (&json!("COMPLETED"), &json!(r#"{"total":5}"#), &json!(true)),
        "{run:#}"
    );
    let steps = run["trace"]["childrenSpans"].as_array().unwrap();
    let names: Vec<&Value> = steps.iter().map(|step| &step["name"]).collect();
    assert_eq!(names, ["paid", "call", "ask"]);
    assert_eq!(
        steps[0]["stepInfo"],
        json!({
            "__typename": "WaitForEventStepInfo",
            "event": "shop/paid",
            "expression": "async.data.n == 1",
            "foundEventID": paid,
            "timedOut": false,
        })
    );
    assert_eq!(steps[2]["stepOp"], "AI_GATEWAY");
    let values = &steps[2]["metadata"][0]["values"];
    assert_eq!(
        (&values["model"], &values["input_tokens"]),
        (&json!("m"), &json!(3))
    );
    assert!(!run.to_string().contains("hidden"));
}

#[tokio::test]
async fn an_invoked_run_and_the_step_that_waits_for_it_lead_to_each_other() {
    let server = server().await;
    app(&server).await;
    let (id, _) = ordered(&server).await;
    let run = &ask(&server, TRACE, json!({"run": id})).await["run"];
    let info = &run["trace"]["childrenSpans"][1]["stepInfo"];
    assert_eq!(info["functionID"], "shop-child");
    assert_eq!(info["timedOut"], false);
    let child = ask(&server, TRACE, json!({"run": info["runID"]})).await;
    let root = &child["run"]["trace"];
    assert_eq!(
        (&root["parentRunID"], &root["parentStepID"]),
        (&json!(id), &json!(STEP_B))
    );
    let events = "query($started: ULID!, $ended: ULID!) {
        started: eventV2(id: $started) { name runs { id } } ended: eventV2(id: $ended) { name } }";
    let asked = json!({"started": info["triggeringEventID"], "ended": info["returnEventID"]});
    assert_eq!(
        ask(&server, events, asked).await,
        json!({
            "started": {"name": "inngest/function.invoked", "runs": [{"id": info["runID"]}]},
            "ended": {"name": "inngest/function.finished"},
        })
    );
    let output =
        "query($id: String!) { runTraceSpanOutputByID(outputID: $id) { data error { code } } }";
    let of = json!({"id": run["trace"]["childrenSpans"][1]["outputID"]});
    assert_eq!(
        ask(&server, output, of).await["runTraceSpanOutputByID"],
        json!({"data": "\"child's\"", "error": null})
    );
}

#[tokio::test]
async fn a_wait_is_seen_waiting_and_then_run_out() {
    let server = server().await;
    app(&server).await;
    let event = server.send("shop/late").await;
    let id = run_of(&server, &event).await;
    let seen = || async {
        let data = ask(&server, TRACE, json!({"run": id})).await;
        let step = &data["run"]["trace"]["childrenSpans"][0];
        json!([
            data["run"]["status"],
            step["status"],
            step["stepInfo"]["timedOut"]
        ])
    };
    assert_eq!(seen().await, json!(["RUNNING", "WAITING", null]));
    server.node.advance(3_600_000).unwrap();
    server.node.idle().await;
    assert_eq!(seen().await, json!(["COMPLETED", "COMPLETED", true]));
}

#[tokio::test]
async fn the_trace_of_the_second_version_tells_the_same() {
    let server = server().await;
    app(&server).await;
    let (id, paid) = ordered(&server).await;
    let path = format!("/v2/runs/{id}/trace?includeOutput=true");
    let trace = server.get(&path).await.json();
    let steps = trace["data"]["rootSpan"]["children"].as_array().unwrap();
    assert_eq!(steps[0]["stepInfo"]["foundEventId"], paid, "{trace:#}");
    assert_eq!(steps[0]["output"]["name"], "shop/paid");
    let asked = &steps[2]["stepInfo"];
    assert_eq!(
        (&asked["model"], &asked["outputTokens"]),
        (&json!("m"), &json!(4))
    );
    let child = steps[1]["stepInfo"]["runId"].as_str().unwrap();
    let child = server.get(&format!("/v2/runs/{child}/trace")).await.json();
    assert_eq!(
        child["data"]["parent"],
        json!({"runId": id, "stepId": STEP_B})
    );
}

#[tokio::test]
async fn every_error_has_its_code() {
    let server = server().await;
    app(&server).await;
    let event = server.send("shop/odd").await;
    let id = run_of(&server, &event).await;
    let trace = server.get(&format!("/v2/runs/{id}/trace")).await.json();
    assert_eq!(
        trace["data"]["rootSpan"]["error"]["code"], "E0506",
        "{trace:#}"
    );
    let query = "query($id: String!) { runTrace(runID: $id) { status error { code message } } }";
    let found = ask(&server, query, json!({"id": id})).await;
    assert_eq!(found["runTrace"]["error"]["code"], "E0506");
    assert_eq!(found["runTrace"]["status"], "FAILED");
}

#[tokio::test]
async fn the_newest_runs_and_events_are_listed() {
    let server = server().await;
    app(&server).await;
    let (id, paid) = ordered(&server).await;
    let query = "query($runs: RunsFilterV2!, $events: EventsFilter!) {
        runs(first: 1, orderBy: [{field: QUEUED_AT, direction: ASC}], filter: $runs) {
          edges { node { id function { name } } } totalCount pageInfo { hasNextPage } }
        eventsV2(filter: $events) { edges { node { id } } totalCount }
        all: eventsV2(filter: {from: \"2020-01-01T00:00:00Z\", includeInternalEvents: true}) {
          totalCount } }";
    let from = "2020-01-01T00:00:00Z";
    let runs = json!({"from": from, "status": ["COMPLETED"], "query": "output.total == 5"});
    let events = json!({"from": from, "eventNames": ["shop/paid"]});
    let found = ask(&server, query, json!({"runs": runs, "events": events})).await;
    assert_eq!(
        found["runs"],
        json!({
            "edges": [{"node": {"id": id, "function": {"name": "order"}}}],
            "totalCount": 1,
            "pageInfo": {"hasNextPage": false},
        })
    );
    assert_eq!(
        found["eventsV2"],
        json!({"edges": [{"node": {"id": paid}}], "totalCount": 1})
    );
    // Two from outside, one that invoked, and two that told of ends.
    assert_eq!(found["all"]["totalCount"], 5);
}

#[tokio::test]
async fn invalid_documents_and_bodies_are_refused_with_a_code() {
    let server = server().await;
    for (body, status) in [
        (json!({"query": "{ nothing }"}), 422),
        (json!({"query": "{"}), 422),
        (json!({}), 422),
        (json!([]), 400),
        (json!({"query": "{ apps { id } }", "variables": 5}), 400),
    ] {
        let reply = server.post("/v0/gql", &body).await;
        assert_eq!(
            (reply.status, reply.code.as_str()),
            (status, "E0100"),
            "{body}"
        );
    }
    let unknown = "{ run(runID: \"01JQDAE4RQF8MBCR55T5AK4KXS\") { id } }";
    let reply = server.post("/v0/gql", json!({"query": unknown})).await;
    assert_eq!(
        (reply.status, &reply.json()["data"]),
        (200, &json!({"run": null}))
    );
    assert_eq!(reply.json()["errors"][0]["message"], "not found");
}

#[tokio::test]
async fn it_is_asked_with_a_key_where_keys_are_asked_for() {
    let server = server_with(|options| {
        options.kind = dunlin_node::ServerKind::Cloud;
        options.admin_token = Some(dunlin_types::Secret::new("operator".to_owned()));
    })
    .await;
    let body = || Body::from(json!({"query": "{ apps { id } }"}).to_string());
    let plain = server
        .ask(request("POST", "/v0/gql").body(body()).unwrap())
        .await;
    assert_eq!((plain.status, plain.code.as_str()), (401, "E0101"));
    let asked = request("POST", "/v0/gql").header("authorization", "Bearer operator");
    assert_eq!(server.ask(asked.body(body()).unwrap()).await.status, 200);
}
