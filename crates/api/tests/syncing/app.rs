//! An app that syncs as the SDKs do: it checks signatures in production mode, answers with its
//! registration if it may, and sends it otherwise, with the second key when the first is refused.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use bytes::Bytes;
use dunlin_types::Timestamp;
use dunlin_wire::sign::SigningKey;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt as _;

/// How an app is set up.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) mode: &'static str,
    pub(crate) keys: Vec<&'static str>,
    pub(crate) in_band: bool,
    pub(crate) functions: Vec<&'static str>,
    /// The server, if the app can reach it.
    pub(crate) server: Option<Router>,
}

/// An app in development mode that answers in band.
pub(crate) fn dev() -> Setup {
    Setup {
        name: "shop",
        mode: "dev",
        keys: Vec::new(),
        in_band: true,
        functions: vec!["f"],
        server: None,
    }
}

/// An app in production mode with those keys.
pub(crate) fn cloud(keys: &[&'static str]) -> Setup {
    Setup {
        mode: "cloud",
        keys: keys.to_vec(),
        ..dev()
    }
}

/// A running app, whose set-up can be changed as by a deployment.
#[derive(Clone)]
pub(crate) struct App {
    setup: Arc<Mutex<Setup>>,
    pub(crate) url: String,
}

impl App {
    pub(crate) async fn start(setup: Setup) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::at(listener, setup)
    }

    pub(crate) fn at(listener: TcpListener, setup: Setup) -> Self {
        let url = format!("http://{}/api/inngest", listener.local_addr().unwrap());
        let app = Self {
            setup: Arc::new(Mutex::new(setup)),
            url,
        };
        let router = Router::new()
            .route("/api/inngest", any(answer))
            .with_state(app.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        app
    }

    pub(crate) fn deploy(&self, change: impl FnOnce(&mut Setup)) {
        change(&mut self.setup.lock().unwrap());
    }

    fn setup(&self) -> Setup {
        self.setup.lock().unwrap().clone()
    }

    pub(crate) fn functions(&self) -> Value {
        let setup = self.setup();
        let function = |name: &&str| {
            let id = format!("{}-{name}", setup.name);
            json!({
                "id": id, "name": name, "triggers": [{"event": "go"}],
                "steps": {"step": {"id": "step", "name": "step", "runtime": {
                    "type": "http", "url": format!("{}?fnId={id}&stepId=step", self.url),
                }}},
            })
        };
        setup.functions.iter().map(function).collect()
    }

    /// What it sends to register.
    pub(crate) fn registration(&self) -> Value {
        let setup = self.setup();
        json!({"url": self.url, "deployType": "ping", "framework": "nodejs", "appName": setup.name,
            "sdk": "js:v4.24.0", "v": "0.1", "functions": self.functions()})
    }

    fn in_band(&self) -> Value {
        let setup = self.setup();
        json!({"app_id": setup.name, "env": null, "framework": "nodejs", "platform": null,
            "functions": self.functions(), "inspection": {"mode": setup.mode},
            "sdk_author": "inngest", "sdk_language": "js", "sdk_version": "4.24.0",
            "sdk": "js:v4.24.0", "url": self.url})
    }

    /// Sends the registration, and tells what came of it.
    async fn register(&self, headers: &HeaderMap) -> Response {
        let setup = self.setup();
        let relayed = |status: u16, message: &str| {
            let body = json!({"message": message, "modified": status == 200});
            let kind = [("x-inngest-sync-kind", "out_of_band")];
            (kind, respond(status, &body)).into_response()
        };
        let Some(server) = setup.server else {
            return relayed(500, "Failed to register; fetch failed");
        };
        let keys: Vec<Option<SigningKey>> = match setup.keys.is_empty() {
            true => vec![None],
            false => setup.keys.iter().map(|text| Some(key(text))).collect(),
        };
        let mut said = (0, Value::Null);
        for key in keys {
            let mut request = Request::post("/fn/register").header("host", "localhost:8288");
            if let Some(kind) = headers.get("x-inngest-server-kind") {
                request = request.header("x-inngest-expected-server-kind", kind);
            }
            if let Some(key) = key {
                let token = format!("Bearer {}", key.hashed().reveal());
                request = request.header("authorization", token);
            }
            // Blanks are no difference: one SDK puts them in one of the two ways only.
            let body = serde_json::to_string_pretty(&self.registration()).unwrap();
            let body = Body::from(body);
            let response = server.clone().oneshot(request.body(body).unwrap());
            let (parts, body) = response.await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            said = (parts.status.as_u16(), body);
            if said.0 != 401 {
                break;
            }
        }
        let message = said.1["error"]
            .as_str()
            .unwrap_or("Successfully registered");
        relayed(said.0, message)
    }
}

pub(crate) fn key(text: &str) -> SigningKey {
    SigningKey::parse(text).unwrap()
}

fn now() -> Timestamp {
    dunlin_node::Clock::new().now()
}

async fn answer(
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let setup = app.setup();
    let signature = headers.get("x-inngest-signature");
    let signature = signature.map(|value| value.to_str().unwrap());
    let mut keys = setup.keys.iter().map(|text| key(text));
    let used = keys.find(|key| key.verify_response(signature, &body, now()).is_ok());
    let trusted = setup.mode == "dev" || used.is_some();
    let asked_in_band = headers
        .get("x-inngest-sync-kind")
        .is_some_and(|kind| kind == "in_band");
    match method {
        Method::PUT if !(asked_in_band && setup.in_band) => app.register(&headers).await,
        _ if !trusted => {
            let body = json!({"message": "Unauthorized"}).to_string();
            let handled = [("x-inngest-sdk-handled", "true")];
            (StatusCode::UNAUTHORIZED, handled, body).into_response()
        }
        Method::PUT => {
            let body = app.in_band();
            let kind = [("x-inngest-sync-kind", "in_band")];
            let signed = used.map(|key| key.sign(body.to_string().as_bytes(), now()));
            let signed = signed.map(|text| [("x-inngest-signature", text)]);
            match signed {
                Some(signed) => (kind, signed, respond(200, &body)).into_response(),
                None => (kind, respond(200, &body)).into_response(),
            }
        }
        _ => respond(200, &json!("done")),
    }
}

fn respond(status: u16, body: &Value) -> Response {
    let headers = [
        ("content-type", "application/json"),
        ("x-inngest-sdk", "inngest-js:v4.24.0"),
        ("x-inngest-req-version", "2"),
    ];
    let status = StatusCode::from_u16(status).unwrap();
    (status, headers, body.to_string()).into_response()
}
