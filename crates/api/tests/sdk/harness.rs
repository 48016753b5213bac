//! A whole node in memory behind the HTTP side, and an app for it to call.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use dunlin_api::{Api, ApiOptions};
use dunlin_node::{Node, NodeOptions};
use dunlin_store::MemoryStore;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tower::ServiceExt as _;

/// Ids of steps, as SDKs hash them.
pub(crate) const STEP_A: &str = "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8";
pub(crate) const STEP_B: &str = "e9d71f5ee7c92d6dc9e92ffdad17b8bd49418f98";

/// A server, asked without a network.
pub(crate) struct Server {
    router: Router,
    pub(crate) node: Node,
}

pub(crate) async fn server() -> Server {
    server_with(|_| ()).await
}

pub(crate) async fn server_with(change: impl FnOnce(&mut ApiOptions)) -> Server {
    server_over(|_| (), change).await
}

pub(crate) async fn server_over(
    change_node: impl FnOnce(&mut NodeOptions),
    change: impl FnOnce(&mut ApiOptions),
) -> Server {
    let mut node = NodeOptions::dev(PathBuf::from("unused"));
    node.test_mode = true;
    node.retry_interval_ms = Some(0);
    change_node(&mut node);
    let mut options = ApiOptions::dev("127.0.0.1:8288".parse().unwrap());
    options.test_mode = true;
    change(&mut options);
    let running = dunlin_node::start(node, Arc::new(MemoryStore::new()))
        .await
        .unwrap();
    let node = running.node();
    let router = dunlin_api::router(Api::new(node.clone(), options));
    Server { router, node }
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) text: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Server {
    pub(crate) async fn ask(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let code = response.headers().get("x-dunlin-error");
        let code = code.map_or("", |code| code.to_str().unwrap()).to_owned();
        let retry_after = response.headers().get("retry-after");
        let retry_after = retry_after.map(|secs| secs.to_str().unwrap().to_owned());
        assert!(response.headers().contains_key("x-inngest-server-kind"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Reply {
            status,
            code,
            retry_after,
            text,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask(request("GET", path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.ask(request("DELETE", path).body(Body::empty()).unwrap())
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: impl ToString) -> Reply {
        let body = Body::from(body.to_string());
        self.ask(request("POST", path).body(body).unwrap()).await
    }

    /// Sends one event and waits until nothing is left to do; its internal id.
    pub(crate) async fn send(&self, name: &str) -> String {
        let id = self.send_only(name).await;
        self.node.idle().await;
        id
    }

    pub(crate) async fn send_only(&self, name: &str) -> String {
        let reply = self
            .post("/e/key", json!({"name": name, "data": {"n": 1}}))
            .await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["ids"][0].as_str().unwrap().to_owned()
    }

    /// Asks until what is answered is as it should be. Jobs go on beside the requests for them.
    pub(crate) async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let asking = async {
            loop {
                let answer = self.get(path).await.json();
                if is_so(&answer) {
                    return answer;
                }
                // Hands over to the node's threads, and to the jobs.
                self.node.read(|reader| reader.apps()).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let time = std::time::Duration::from_secs(10);
        match tokio::time::timeout(time, asking).await {
            Ok(answer) => answer,
            Err(_) => panic!("{path} stays as it is: {}", self.get(path).await.text),
        }
    }

    /// The only run that the event started.
    pub(crate) async fn run_of(&self, event: &str) -> Value {
        let runs = self.get(&format!("/v1/events/{event}/runs")).await.json();
        assert_eq!(runs["data"].as_array().unwrap().len(), 1, "{runs}");
        runs["data"][0].clone()
    }
}

pub(crate) fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:8288")
}

/// A call that the app got and has not answered.
pub(crate) struct HeldCall {
    pub(crate) body: Value,
    pub(crate) go_on: Arc<Notify>,
}

/// An app with a few functions.
pub(crate) struct App {
    pub(crate) url: String,
    /// Calls of the function `holds`.
    pub(crate) held: mpsc::Receiver<HeldCall>,
}

/// Starts the app and registers it.
pub(crate) async fn app(server: &Server) -> App {
    let (calls, held) = mpsc::channel(8);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/inngest", listener.local_addr().unwrap());
    let router = Router::new()
        .route("/api/inngest", any(answer))
        .with_state(calls);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let reply = server.post("/fn/register", registration(&url)).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    App { url, held }
}

pub(crate) fn registration(url: &str) -> Value {
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
    let functions = [
        "steps", "fails", "sleeps", "holds", "signal", "chain", "waits",
    ]
    .map(function);
    json!({"url": url, "deployType": "ping", "framework": "nodejs", "appName": "shop",
        "sdk": "js:v4.24.0", "v": "0.1", "functions": functions})
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    /// Not there when the app is asked to register.
    #[serde(default)]
    fn_id: String,
}

async fn answer(
    State(calls): State<mpsc::Sender<HeldCall>>,
    Query(asked): Query<Asked>,
    body: Bytes,
) -> Response {
    if asked.fn_id.is_empty() {
        return respond(StatusCode::OK, json!({"message": "registered"}));
    }
    let call: Value = serde_json::from_slice(&body).unwrap();
    let done = |id: &str| call["steps"].get(id).is_some();
    match asked.fn_id.as_str() {
        "shop-steps" if !done(STEP_A) && call["ctx"]["attempt"] == 0 => {
            let error = json!({"name": "Error", "message": "not yet"});
            ops(json!([{"op": "StepError", "id": STEP_A, "name": "a", "error": error}]))
        }
        "shop-steps" if !done(STEP_A) => {
            ops(json!([{"op": "StepRun", "id": STEP_A, "name": "a", "data": {"a": 1}}]))
        }
        "shop-steps" => respond(StatusCode::OK, json!({"all": "done"})),
        "shop-fails" => {
            let error = json!({"name": "TypeError", "message": "broken", "stack": "at x"});
            respond(StatusCode::INTERNAL_SERVER_ERROR, error)
        }
        "shop-sleeps" if !done(STEP_B) => {
            ops(json!([{"op": "Sleep", "id": STEP_B, "name": "2h", "displayName": "nap"}]))
        }
        "shop-signal" if !done(STEP_A) => ops(json!([{"op": "WaitForSignal", "id": STEP_A,
            "name": "go", "displayName": "go", "opts": {"signal": "go", "timeout": "1h"}}])),
        "shop-signal" => respond(StatusCode::OK, call["steps"][STEP_A].clone()),
        "shop-waits" if !done(STEP_A) => ops(json!([{"op": "WaitForEvent", "id": STEP_A,
            "name": "shop/never", "opts": {"event": "shop/never", "timeout": "1h"}}])),
        "shop-chain" if !done(STEP_A) => {
            let run = &call["ctx"]["run_id"];
            ops(
                json!([{"op": "StepRun", "id": STEP_A, "name": "a", "displayName": "a", "data": run}]),
            )
        }
        "shop-chain" if call["steps"][STEP_B].get("data").is_none() => {
            let input = &call["steps"][STEP_B]["input"];
            let data = json!({"input": input, "run": call["ctx"]["run_id"]});
            ops(
                json!([{"op": "StepRun", "id": STEP_B, "name": "b", "displayName": "b", "data": data}]),
            )
        }
        "shop-chain" => {
            let steps = &call["steps"];
            respond(
                StatusCode::OK,
                json!([steps[STEP_A]["data"], steps[STEP_B]["data"]]),
            )
        }
        "shop-holds" => {
            let go_on = Arc::new(Notify::new());
            let held = HeldCall {
                body: call,
                go_on: Arc::clone(&go_on),
            };
            calls.send(held).await.unwrap();
            go_on.notified().await;
            ops(json!([{"op": "RunComplete", "id": STEP_B, "data": "held"}]))
        }
        _ => respond(StatusCode::OK, json!("slept")),
    }
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
