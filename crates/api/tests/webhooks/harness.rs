//! A server that is asked without a network, and webhooks for it.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use dunlin_api::{Api, ApiOptions};
use dunlin_engine::config::{FunctionSpec, Registration, TriggerSpec};
use dunlin_node::{Node, NodeOptions, Running};
use dunlin_store::{MemoryStore, Store};
use dunlin_types::{Payload, Timestamp};
use dunlin_wire::standard_webhooks::WebhookKey;
use http::Request;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
pub(crate) const OTHER_SECRET: &str = "whsec_FxYVFBMSERAPDg0MCwoJCAcGBQQDAgEA";
pub(crate) const EP: &str = "/api/v1/app/default/endpoint";
pub(crate) const MSG: &str = "/api/v1/app/default/msg";
pub(crate) const BODY: &str = r#"{"type":"payment.succeeded","data":{"total_amount":5390}}"#;

pub(crate) struct Server {
    router: Router,
    pub(crate) node: Node,
}

/// What the server answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) text: String,
}

impl Reply {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status, self.code.as_str()),
            (status, code),
            "{}",
            self.text
        );
        self
    }

    /// The field that a 422 names.
    #[track_caller]
    pub(crate) fn place(&self) -> String {
        let place = self.json()["detail"][0]["loc"].clone();
        let parts: Vec<String> = serde_json::from_value(place).unwrap();
        parts.join(".")
    }
}

pub(crate) async fn server() -> Server {
    server_with(|_| ()).await
}

pub(crate) async fn server_with(change: impl FnOnce(&mut NodeOptions)) -> Server {
    let store = Arc::new(MemoryStore::new());
    server_over(store, change).await.0
}

/// A server over a store that others had before, and what stops it.
pub(crate) async fn server_over(
    store: Arc<dyn Store>,
    change: impl FnOnce(&mut NodeOptions),
) -> (Server, Running) {
    let worker = PathBuf::from(env!("CARGO_BIN_EXE_dunlin-api-js-worker"));
    let mut options = NodeOptions::dev(worker);
    options.test_mode = true;
    change(&mut options);
    let running = dunlin_node::start(options, store).await.unwrap();
    let node = running.node();
    let options = ApiOptions::dev("127.0.0.1:8288".parse().unwrap());
    let router = dunlin_api::router(Api::new(node.clone(), options));
    (Server { router, node }, running)
}

impl Server {
    /// For an app that calls back.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let code = response.headers().get("x-dunlin-error");
        let code = code.map_or("", |code| code.to_str().unwrap()).to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        if let Ok(Value::Object(body)) = serde_json::from_str(&text)
            && status >= 400
        {
            assert_eq!(body["error_code"], code);
        }
        Reply { status, code, text }
    }

    /// The headers and the body of the answer.
    pub(crate) async fn whole(&self, request: Request<Body>) -> (http::HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn send(&self, method: &str, path: &str, body: String) -> Reply {
        let request = Request::builder().method(method).uri(path);
        let request = request
            .header("host", "localhost:8288")
            .body(Body::from(body));
        self.ask(request.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, String::new()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, body.to_string()).await
    }

    /// With the header by which a request that comes again is told.
    pub(crate) async fn post_with_key(&self, path: &str, key: &str, body: Value) -> Reply {
        let request = Request::builder()
            .method("POST")
            .uri(path)
            .header("host", "localhost:8288")
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()));
        self.ask(request.unwrap()).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send("PUT", path, body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send("PATCH", path, body.to_string()).await
    }

    /// A source `dodo` with [`SECRET`]; its id.
    pub(crate) async fn source(&self) -> String {
        let body = json!({"name": "dodo", "type": "dodo", "config": {"secret": SECRET}});
        let made = self.post("/ingest/api/v1/source", body).await.is(201, "");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// An endpoint; its id.
    pub(crate) async fn endpoint(&self, fields: Value) -> String {
        let made = self.post(EP, fields).await.is(201, "");
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// Sends a signed webhook to the source `dodo`; the message's id.
    pub(crate) async fn webhook(&self, id: &str, body: &str) -> String {
        let sent = self
            .ask(Webhook::of(id, body, self.node.now()).request("dodo"))
            .await;
        sent.is(200, "").json()["id"].as_str().unwrap().to_owned()
    }

    /// The messages that are stored.
    pub(crate) async fn messages(&self) -> Vec<Value> {
        let listed = self.get(MSG).await.is(200, "").json();
        listed["data"].as_array().unwrap().clone()
    }

    /// Registers one function of the app `shop`, which nobody serves.
    pub(crate) async fn function(&self, trigger: &str, expression: Option<&str>) {
        let url = "http://127.0.0.1:9/api/inngest".to_owned();
        let function = FunctionSpec {
            slug: "shop-fulfil".to_owned(),
            name: "Fulfil".to_owned(),
            triggers: vec![TriggerSpec::Event {
                name: trigger.to_owned(),
                expression: expression.map(str::to_owned),
            }],
            url: url.clone(),
            retries: None,
            cancel: Vec::new(),
            timeouts: dunlin_engine::config::Timeouts::default(),
            flow: Default::default(),
            config: Payload::empty_object(),
        };
        let registration = Registration {
            app: "shop".to_owned(),
            identity_url: url.clone(),
            url,
            sdk: "js:v4".to_owned(),
            framework: "express".to_owned(),
            version: None,
            checksum: [7; 32],
            functions: vec![function],
        };
        let registration = Box::new(registration);
        let register = move |token| dunlin_engine::Input::Register {
            token,
            registration,
        };
        self.node.engine(register).await.unwrap();
    }
}

/// Sends a message; its id.
pub(crate) async fn sent(server: &Server, fields: Value) -> String {
    let mut body = json!({"eventType": "order.paid", "payload": {"n": 1}});
    for (name, value) in fields.as_object().unwrap() {
        body[name] = value.clone();
    }
    let made = server.post(MSG, body).await.is(202, "").json();
    made["id"].as_str().unwrap().to_owned()
}

/// Waits for the end of a task; what it came to.
pub(crate) async fn ended(server: &Server, task: &Value) -> Value {
    let path = format!("/api/v1/background-task/{}", task["id"].as_str().unwrap());
    loop {
        let task = server.get(&path).await.is(200, "").json();
        if task["status"] != "running" {
            return task;
        }
        server.node.idle().await;
        tokio::task::yield_now().await;
    }
}

/// A webhook as a sender makes it.
#[derive(Clone)]
pub(crate) struct Webhook {
    pub(crate) id: Option<Vec<u8>>,
    pub(crate) timestamp: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Webhook {
    /// Signed with [`SECRET`].
    pub(crate) fn of(id: &str, body: &str, at: Timestamp) -> Self {
        Self::signed(SECRET, id, body.as_bytes(), at)
    }

    pub(crate) fn signed(secret: &str, id: &str, body: &[u8], at: Timestamp) -> Self {
        let key = WebhookKey::parse(secret).unwrap();
        Self {
            id: Some(id.as_bytes().to_vec()),
            timestamp: Some(at.secs().to_string()),
            signature: key.sign(id, at, body),
            body: body.to_vec(),
        }
    }

    pub(crate) fn request(&self, source: &str) -> Request<Body> {
        self.request_by(source, "webhook")
    }

    /// With the headers of that family of names.
    pub(crate) fn request_by(&self, source: &str, family: &str) -> Request<Body> {
        let mut request = Request::builder()
            .method("POST")
            .uri(format!("/in/{source}"))
            .header("host", "localhost:8288")
            .header("content-type", "application/json")
            .header("authorization", "Bearer nobody-keeps-this")
            .header("cookie", "nobody=keeps-this");
        if let Some(id) = &self.id {
            request = request.header(format!("{family}-id"), id.as_slice());
        }
        for (name, value) in [
            ("timestamp", &self.timestamp),
            ("signature", &self.signature),
        ] {
            if let Some(value) = value {
                request = request.header(format!("{family}-{name}"), value);
            }
        }
        request.body(Body::from(self.body.clone())).unwrap()
    }
}
