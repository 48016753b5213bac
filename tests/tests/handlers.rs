//! The users' three handlers over all 48 sample events, through the HTTP API of the real binary:
//! signed webhooks in, transformed bodies out to a receiver, and the same by `simulate`. What comes
//! out must be what V8 makes of it (the expected results were made by Node).
#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dunlin_tests::{Client, Server, listen, text, until};
use dunlin_types::Timestamp;
use dunlin_wire::standard_webhooks::WebhookKey;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const HANDLERS: [&str; 3] = ["basic_event", "dispute_events", "subscription_events"];

/// Bodies received, by (handler, event type).
type Received = Arc<Mutex<BTreeMap<(String, String), Bytes>>>;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn handler(name: &str) -> String {
    let path = format!("crates/sandbox/tests/fixtures/handlers/{name}.js");
    std::fs::read_to_string(workspace().join(path)).unwrap()
}

/// What V8 makes of each sample.
fn expected(name: &str) -> BTreeMap<String, Value> {
    let path = format!("crates/sandbox/tests/fixtures/expected/{name}.json");
    let text = std::fs::read_to_string(workspace().join(path)).unwrap();
    let all: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    all.into_iter()
        .map(|(kind, body)| (kind, serde_json::from_str(&body).unwrap()))
        .collect()
}

fn samples() -> BTreeMap<String, Bytes> {
    let folder = workspace().join("integrations/dodo/samples");
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let samples: BTreeMap<String, Bytes> = files
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| {
            let kind = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (kind, std::fs::read(&path).unwrap().into())
        })
        .collect();
    assert_eq!(samples.len(), 48);
    samples
}

/// Takes deliveries at `/<handler>` and keeps them by the envelope's webhook id, which the test
/// makes of the event type.
async fn receive(received: Received, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let id = head.headers["webhook-id"].to_str().unwrap().to_owned();
    let kind = id.trim_start_matches("msg_").replace('-', ".");
    let body = body.collect().await.unwrap().to_bytes();
    let handler = head.uri.path().trim_start_matches('/').to_owned();
    received.lock().unwrap().insert((handler, kind), body);
    Response::new(Full::default())
}

async fn receiver() -> (String, Received) {
    let received = Received::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let kept = Arc::clone(&received);
    let take = move |request| receive(Arc::clone(&kept), request);
    tokio::spawn(listen(listener, Arc::new(AtomicUsize::new(0)), take));
    (url, received)
}

async fn make_endpoint(client: &Client, url: &str, code: &str) -> String {
    let wanted = json!({ "url": url, "transformation": { "code": code, "enabled": true } });
    let made = client.post("/api/v1/app/default/endpoint", &wanted).await;
    assert_eq!(made.status, 201, "{}", made.text());
    text(&made.json()["id"])
}

/// Sends the webhook as the provider would.
async fn send(client: &Client, key: &WebhookKey, kind: &str, body: &Bytes) {
    let id = format!("msg_{}", kind.replace('.', "-"));
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    let at = Timestamp::from_ms(since.as_millis() as i64);
    let signature = key.sign(&id, at, body).unwrap();
    let headers = [
        ("webhook-id", id.as_str()),
        ("webhook-timestamp", &at.secs().to_string()),
        ("webhook-signature", &signature),
    ];
    let reply = client
        .send(Method::POST, "/in/dodo", &headers, body.clone())
        .await;
    assert_eq!(reply.status, 200, "{kind}: {}", reply.text());
}

#[tokio::test]
async fn signed_webhooks_reach_receivers_as_v8_would_have_transformed_them() {
    let server = Server::dev(["--no-discovery", "--memory"]).await;
    let client = server.client();
    let (url, received) = receiver().await;
    for name in HANDLERS {
        make_endpoint(client, &format!("{url}/{name}"), &handler(name)).await;
    }
    let secret = client.get("/ingest/api/v1/source/dodo/secret").await.json();
    let key = WebhookKey::parse(&text(&secret["key"])).unwrap();
    for (kind, body) in samples() {
        send(client, &key, &kind, &body).await;
    }
    until("144 deliveries", async || {
        (received.lock().unwrap().len() == 144).then_some(())
    })
    .await;
    for name in HANDLERS {
        for (kind, wanted) in expected(name) {
            let all = received.lock().unwrap();
            let got: Value =
                serde_json::from_slice(&all[&(name.to_owned(), kind.clone())]).unwrap();
            assert_eq!(got, wanted, "{name} on {kind}");
        }
    }
}

#[tokio::test]
async fn simulate_gives_all_144_results_that_v8_gives() {
    let server = Server::dev(["--no-discovery", "--memory"]).await;
    let client = server.client();
    let endpoint = make_endpoint(client, "https://example.com/hook", &handler("basic_event")).await;
    let path = format!("/api/v1/app/default/endpoint/{endpoint}/transformation/simulate");
    let mut results = 0;
    for name in HANDLERS {
        let wanted = expected(name);
        for (kind, body) in samples() {
            let payload: Value = serde_json::from_slice(&body).unwrap();
            let ask = json!({ "code": handler(name), "eventType": kind, "payload": payload });
            let reply = client.post(&path, &ask).await;
            assert_eq!(reply.status, 200, "{name} on {kind}: {}", reply.text());
            let got: Value = serde_json::from_str(&text(&reply.json()["payload"])).unwrap();
            assert_eq!(got, wanted[&kind], "{name} on {kind}");
            results += 1;
        }
    }
    assert_eq!(results, 144);
}
