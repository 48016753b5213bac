//! One trace from end to end: from a signed webhook over its endpoint's transformation to a run, the
//! event that the run sends, and the run that this starts; whatever one asks for.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use dunlin_types::limits::{JOURNEY_CLIMB_MAX, JOURNEY_GENERATIONS_MAX, JOURNEY_RUNS_MAX};
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::harness::{BODY, Server, server};

/// Ids of steps, as SDKs hash them.
const STEP_A: &str = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8";
const STEP_B: &str = "e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98";

/// The functions of the app and what triggers them.
const FUNCTIONS: [(&str, &str); 5] = [
    ("fulfil", "payment.succeeded"),
    ("ship", "shop/paid"),
    ("loop", "shop/loop"),
    ("calls", "shop/calls"),
    ("rescue", "inngest/function.failed"),
];
/// Functions more that are triggered by `shop/many`.
const MANY: usize = JOURNEY_RUNS_MAX + 3;
/// How often the function `loop` starts itself.
const LOOPS: u64 = 2 + JOURNEY_CLIMB_MAX as u64 / 2;

/// Serves the functions, and registers them.
async fn app(server: &Server) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/inngest", listener.local_addr().unwrap());
    let router = axum::Router::new()
        .route("/api/inngest", any(answer))
        .with_state(server.router());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let function = |(name, trigger): (&str, &str)| {
        json!({
            "id": format!("shop-{name}"),
            "name": name,
            "triggers": [{"event": trigger}],
            "steps": {"step": {"id": "step", "name": "step", "runtime": {
                "type": "http", "url": format!("{url}?fnId=shop-{name}&stepId=step"),
            }, "retries": {"attempts": 1}}},
        })
    };
    let many: Vec<String> = (0..MANY).map(|n| format!("many-{n}")).collect();
    let many = many.iter().map(|name| (name.as_str(), "shop/many"));
    let functions: Vec<Value> = FUNCTIONS.into_iter().chain(many).map(function).collect();
    let registration = json!({"url": url, "deployType": "ping", "framework": "nodejs",
        "appName": "shop", "sdk": "js:v4.24.0", "v": "0.1", "functions": functions});
    server.post("/fn/register", registration).await.is(200, "");
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    fn_id: String,
}

async fn answer(
    State(server): State<axum::Router>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if asked.fn_id.is_empty() {
        return respond(StatusCode::OK, json!({"message": "registered"}));
    }
    let call: Value = serde_json::from_slice(&body).unwrap();
    let done = |id: &str| call["steps"].get(id).is_some();
    match asked.fn_id.as_str() {
        "shop-fulfil" if !done(STEP_A) => {
            ops(json!([{"op": "StepRun", "id": STEP_A, "name": "a", "data": {"a": 1}}]))
        }
        "shop-fulfil" if !done(STEP_B) => {
            let seed = Some("1743130137367,eii2YKXRVTJPuA==");
            let event = json!({"name": "shop/paid", "data": {}});
            let data = send(server, &headers, seed, event).await;
            ops(
                json!([{"op": "StepRun", "id": STEP_B, "name": "sendEvent", "displayName": "tell",
                "opts": {"type": "step.sendEvent"}, "data": data}]),
            )
        }
        "shop-ship" => {
            let error = json!({"name": "TypeError", "message": "no truck", "stack": "at x"});
            let mut response = respond(StatusCode::BAD_REQUEST, error);
            response
                .headers_mut()
                .insert("x-inngest-no-retry", "true".parse().unwrap());
            response
        }
        "shop-loop" if !done(STEP_A) => {
            let n = call["event"]["data"]["n"].as_u64().unwrap();
            let event = json!({"name": "shop/loop", "data": {"n": n + 1}});
            let data = match n < LOOPS {
                true => send(server, &headers, None, event).await,
                false => json!("enough"),
            };
            ops(json!([{"op": "StepRun", "id": STEP_A, "name": "again", "data": data}]))
        }
        "shop-calls" if !done(STEP_A) => ops(json!([{"op": "InvokeFunction", "id": STEP_A,
            "name": "call", "displayName": "call", "opts": {"function_id": "shop-rescue",
            "payload": {"data": {}}, "timeout": "1h"}}])),
        _ => respond(StatusCode::OK, json!("done")),
    }
}

/// Sends an event as SDKs do within a step: they hand on a header of the call, and give the answer
/// as the step's result.
async fn send(
    server: axum::Router,
    headers: &HeaderMap,
    seed: Option<&str>,
    event: Value,
) -> Value {
    let mut request = Request::post("/e/key")
        .header("host", "localhost:8288")
        .header("tracestate", headers["tracestate"].clone());
    if let Some(seed) = seed {
        request = request.header("x-inngest-event-id-seed", seed);
    }
    let request = request.body(Body::from(event.to_string())).unwrap();
    let response = server.oneshot(request).await.unwrap();
    let answer = axum::body::to_bytes(response.into_body(), 4096).await;
    let answer: Value = serde_json::from_slice(&answer.unwrap()).unwrap();
    json!({"ids": answer["ids"]})
}

fn ops(ops: Value) -> Response {
    respond(StatusCode::PARTIAL_CONTENT, ops)
}

fn respond(status: StatusCode, body: Value) -> Response {
    let headers = [
        ("content-type", "application/json"),
        ("x-inngest-sdk", "inngest-js:v4.24.0"),
        ("x-inngest-req-version", "2"),
    ];
    (status, headers, body.to_string()).into_response()
}

/// Sends an event and waits until all that follows has happened; its id.
async fn event(server: &Server, name: &str) -> String {
    let body = json!({"name": name, "data": {"n": 0}});
    let sent = server.post("/e/key", body).await.is(200, "").json();
    server.node.idle().await;
    sent["ids"][0].as_str().unwrap().to_owned()
}

async fn trace(server: &Server, id: &str) -> Value {
    let path = format!("/api/trace/{id}");
    server.get(&path).await.is(200, "").json()
}

/// All nodes below, the node itself included, in the order of the tree.
fn all(node: &Value) -> Vec<&Value> {
    let children = node["children"].as_array().unwrap();
    std::iter::once(node)
        .chain(children.iter().flat_map(all))
        .collect()
}

#[track_caller]
fn of_kind<'a>(tree: &'a Value, kind: &str) -> Vec<&'a Value> {
    all(tree)
        .into_iter()
        .filter(|node| node["kind"] == kind)
        .collect()
}

fn id(node: &Value) -> String {
    node["id"].as_str().unwrap().to_owned()
}

/// Takes the mark off; the kind and id of what had it.
fn unmarked(node: &mut Value) -> Vec<(String, String)> {
    let mut marked = Vec::new();
    if node.as_object_mut().unwrap().remove("asked").is_some() {
        marked.push((node["kind"].as_str().unwrap().to_owned(), id(node)));
    }
    for child in node["children"].as_array_mut().unwrap() {
        marked.extend(unmarked(child));
    }
    marked
}

/// The kinds along the first child of each node.
fn spine(tree: &Value) -> Vec<&str> {
    let mut kinds = vec![tree["kind"].as_str().unwrap()];
    let mut at = tree;
    while let Some(child) = at["children"].as_array().unwrap().last() {
        kinds.push(child["kind"].as_str().unwrap());
        at = child;
    }
    kinds
}

const SCRIPT: &str = "function handler(w) { console.log('on its way'); return w; }";

async fn whole() -> Server {
    let server = server().await;
    server.source().await;
    app(&server).await;
    let card = json!({"integration": "inngest", "description": "card",
        "transformation": {"code": SCRIPT}});
    server.endpoint(card).await;
    server
}

#[tokio::test]
async fn the_tree_is_the_same_from_its_root_whatever_of_it_is_asked_for() {
    let server = whole().await;
    let message = server.webhook("evt-1", BODY).await;
    server.webhook("evt-1", BODY).await;
    server.node.idle().await;
    let tree = trace(&server, &message).await;

    assert_eq!(
        spine(&tree),
        [
            "request", "message", "delivery", "attempt", "event", "run", "step", "event", "run",
            "event", "run"
        ],
        "{tree:#}"
    );
    assert_eq!(
        (&tree["name"], &tree["id"], &tree["explain"]),
        (
            &json!("dodo"),
            &json!("evt-1"),
            &json!(format!("/api/events/{message}/explain"))
        )
    );
    assert_eq!(tree["detail"]["verifiedBy"], "standard-webhooks");
    assert_eq!(tree["detail"]["repeats"], 1);
    let script = of_kind(&tree, "transformation")[0];
    assert_eq!(
        (&script["status"], &script["detail"]["logs"]),
        (&json!("ran"), &json!(["on its way"]))
    );
    let events = of_kind(&tree, "event");
    let names: Vec<_> = events.iter().map(|event| &event["name"]).collect();
    assert_eq!(
        names,
        ["payment.succeeded", "shop/paid", "inngest/function.failed"]
    );
    let origins: Vec<_> = events
        .iter()
        .map(|event| &event["detail"]["origin"])
        .collect();
    assert_eq!(origins, ["webhook", "run", "internal"]);
    let runs = of_kind(&tree, "run");
    let ends: Vec<_> = runs
        .iter()
        .map(|run| (&run["name"], &run["status"]))
        .collect();
    let expected = [
        ("fulfil", "completed"),
        ("ship", "failed"),
        ("rescue", "completed"),
    ];
    let expected = expected.map(|(name, status)| (json!(name), json!(status)));
    assert_eq!(
        ends,
        expected.each_ref().map(|(name, status)| (name, status))
    );
    let steps: Vec<_> = of_kind(runs[0], "step")
        .into_iter()
        .map(|step| &step["name"])
        .collect();
    assert_eq!(steps, ["a", "tell"]);
    let why = runs[1]["reason"].as_str().unwrap();
    assert!(why.contains("no truck") && why.starts_with('E'), "{why}");

    let mut plain = tree.clone();
    assert_eq!(unmarked(&mut plain), [("message".to_owned(), message)]);
    let attempt = of_kind(&tree, "attempt")[0];
    let delivery = of_kind(&tree, "delivery")[0];
    let asked = [attempt, delivery]
        .into_iter()
        .chain(events)
        .chain(runs)
        .chain([&tree]);
    for node in asked {
        let mut again = trace(&server, &id(node)).await;
        let marked = vec![(node["kind"].as_str().unwrap().to_owned(), id(node))];
        assert_eq!(unmarked(&mut again), marked);
        assert_eq!(again, plain, "asked for the {}", node["kind"]);
    }
}

#[tokio::test]
async fn a_failed_attempt_and_a_cancelled_transformation_say_why() {
    let server = server().await;
    server.source().await;
    let with = |code: &str| json!({"integration": "inngest", "transformation": {"code": code}});
    server
        .endpoint(with("function handler(w) { w.cancel = true; return w; }"))
        .await;
    server
        .endpoint(with(
            "function handler(w) {\n  throw new Error('broken');\n}",
        ))
        .await;
    server
        .endpoint(json!({"url": "http://127.0.0.1:9/hooks/secret-path?key=1"}))
        .await;
    let message = server.webhook("evt-1", BODY).await;
    server.node.idle().await;
    let tree = trace(&server, &message).await;
    let deliveries = of_kind(&tree, "delivery");
    let states: Vec<_> = deliveries.iter().map(|one| &one["status"]).collect();
    assert_eq!(states, ["cancelled", "pending", "pending"], "{tree:#}");

    let script = of_kind(deliveries[0], "transformation")[0];
    assert_eq!(script["status"], "cancelled");
    assert_eq!(script["reason"], "the transformation asked not to send it");
    assert!(script["durationMs"].is_number());

    let script = of_kind(deliveries[1], "transformation")[0];
    assert_eq!(
        (&script["status"], &script["code"]),
        (&json!("failed"), &json!("E0605"))
    );
    assert!(
        script["reason"].as_str().unwrap().contains("broken"),
        "{script}"
    );

    let attempt = of_kind(deliveries[2], "attempt")[0];
    assert_eq!(attempt["status"], "failed");
    let code = attempt["code"].as_str().unwrap();
    assert!(
        attempt["reason"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{code}: ")),
        "{attempt}"
    );
    assert_eq!(attempt["detail"]["url"], "http://127.0.0.1:9");
    assert!(deliveries[2]["detail"]["nextAttempt"].is_string());
    assert!(!tree.to_string().contains("secret-path"));
    assert_eq!(of_kind(&tree, "message")[0]["status"], "pending");
}

#[tokio::test]
async fn an_invoked_run_is_below_the_step_that_waits_for_it() {
    let server = whole().await;
    let event = event(&server, "shop/calls").await;
    let tree = trace(&server, &event).await;
    assert_eq!(spine(&tree), ["event", "run", "step", "run"], "{tree:#}");
    assert_eq!(tree["explain"], format!("/api/events/{event}/explain"));
    assert_eq!(tree["detail"]["origin"], "api");
    let (step, run) = (of_kind(&tree, "step")[0], of_kind(&tree, "run")[1]);
    assert_eq!(
        (&step["detail"]["op"], &run["name"]),
        (&json!("invoke"), &json!("rescue"))
    );

    let mut plain = tree.clone();
    unmarked(&mut plain);
    let by = step["detail"]["invocationEventId"].as_str().unwrap();
    for (asked, kind) in [(id(run), "run"), (by.to_owned(), "step")] {
        let mut again = trace(&server, &asked).await;
        assert_eq!(unmarked(&mut again)[0].0, kind);
        assert_eq!(again, plain);
    }
}

#[tokio::test]
async fn what_is_left_out_is_told_and_what_is_asked_for_is_there_all_the_same() {
    let server = whole().await;
    let many = event(&server, "shop/many").await;
    let tree = trace(&server, &many).await;
    assert_eq!(of_kind(&tree, "run").len(), JOURNEY_RUNS_MAX);
    assert_eq!(tree["more"], 1, "at least one more");
    let runs = server.get(&format!("/v1/events/{many}/runs")).await.json();
    let shown: Vec<String> = of_kind(&tree, "run").into_iter().map(id).collect();
    let runs = runs["data"].as_array().unwrap().iter();
    let mut runs = runs.map(|run| run["run_id"].as_str().unwrap());
    let hidden = runs
        .find(|run| !shown.iter().any(|one| one == run))
        .unwrap();
    let mut tree = trace(&server, hidden).await;
    assert_eq!(unmarked(&mut tree), [("run".to_owned(), hidden.to_owned())]);
    assert_eq!(of_kind(&tree, "run").len(), JOURNEY_RUNS_MAX + 1);

    let first = event(&server, "shop/loop").await;
    let tree = trace(&server, &first).await;
    assert_eq!(of_kind(&tree, "run").len(), JOURNEY_GENERATIONS_MAX);
    let last = of_kind(&tree, "event").pop().unwrap();
    assert_eq!((&last["children"], &last["more"]), (&json!([]), &json!(1)));
    let deeper = trace(&server, &id(last)).await;
    assert_eq!(deeper["id"], first, "it begins where everything began");
    let listed = server
        .get("/v1/events?name=shop/loop&limit=50")
        .await
        .json();
    let mut listed: Vec<String> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["internal_id"].as_str().unwrap().to_owned())
        .collect();
    listed.reverse();
    let far = JOURNEY_CLIMB_MAX / 2;
    let mut deep = trace(&server, &listed[far]).await;
    assert_eq!(deep["id"], first);
    assert_eq!(of_kind(&deep, "run").len(), far);
    assert_eq!(deep.get("moreAbove"), None);
    let asked = unmarked(&mut deep);
    assert_eq!(asked, [("event".to_owned(), listed[far].clone())]);
    let deeper = trace(&server, &listed[far + 1]).await;
    assert_eq!(
        (&deeper["id"], &deeper["moreAbove"]),
        (&json!(listed[1]), &json!(true))
    );
}

#[tokio::test]
async fn whoever_names_a_run_that_did_not_send_the_event_is_not_believed() {
    let server = whole().await;
    server.webhook("evt-1", BODY).await;
    server.node.idle().await;
    let tree = trace(&server, "evt-1").await;
    let run = id(of_kind(&tree, "run")[0]);
    let forged = Request::post("/e/key")
        .header("host", "localhost:8288")
        .header("tracestate", format!("other=1, dunlin={run}"))
        .body(Body::from(r#"{"name": "shop/else", "data": {}}"#));
    let sent = server.ask(forged.unwrap()).await.is(200, "").json();
    let event = sent["ids"][0].as_str().unwrap();
    let alone = trace(&server, event).await;
    assert_eq!(
        (&alone["kind"], &alone["id"]),
        (&json!("event"), &json!(event))
    );
    let mut again = trace(&server, "evt-1").await;
    let mut first = tree;
    assert_eq!(unmarked(&mut again), unmarked(&mut first));
    assert_eq!(again, first);
}

#[tokio::test]
async fn a_message_over_the_api_has_its_root_there_and_says_that_nobody_took_it() {
    let server = server().await;
    let body = json!({"eventType": "order.paid", "eventId": "order-7", "payload": {"a": 1}});
    let path = "/api/v1/app/default/msg";
    let made = server.post(path, body).await.is(202, "").json();
    server.node.idle().await;
    let tree = trace(&server, "order-7").await;
    assert_eq!(
        (&tree["kind"], &tree["asked"]),
        (&json!("api"), &json!(true))
    );
    let message = &tree["children"][0];
    assert_eq!(message["id"], made["id"]);
    assert_eq!(message["status"], "unrouted");
    assert_eq!(message["detail"]["application"]["name"], "default");
}

#[tokio::test]
async fn ids_that_name_nothing_are_not_found() {
    let server = server().await;
    for id in [
        "evt-9",
        "01JQDAE4RQF8MBCR55T5AK4KXS",
        "msg_1srOrx2ZWZBpBUvZwXKQmoEYga2",
        "atmpt_1srOrx2ZWZBpBUvZwXKQmoEYga2",
    ] {
        let path = format!("/api/trace/{id}");
        server.get(&path).await.is(404, "E0102");
    }
}
