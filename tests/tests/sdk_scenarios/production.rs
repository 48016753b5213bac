//! `dunlin start`: keys on everything.

use dunlin_tests::{Sdk, SdkApp, Server, free_port, text};
use serde_json::json;

const SIGNING_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OLD_KEY: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
const EVENT_KEY: &str = "events-of-the-shop";
const ADMIN_TOKEN: &str = "the-operator-is-here-and-reads";

pub(crate) async fn only_signed_requests_are_taken(sdk: Sdk) {
    let (server, app) = start(sdk).await;
    let (open, path) = (server.client().clone(), format!("/e/{EVENT_KEY}"));
    let event = json!({ "name": "sdk/sequential", "data": { "n": 1 } });

    let unsigned = open
        .post("/fn/register", &json!({ "appName": "x", "functions": [] }))
        .await;
    assert_eq!(unsigned.status, 401, "{}", unsigned.text());
    assert_eq!(open.post("/e/another-key", &event).await.status, 401);
    assert_eq!(open.get("/v1/apps/sdk/functions").await.status, 401);
    let forged = app
        .client()
        .post("/api/inngest?fnId=sdk-plain&stepId=step", &json!({}))
        .await;
    assert!(forged.status >= 400, "the app takes unsigned calls");
    assert_eq!(open.get("/test/idle").await.status, 404);

    let server = server.with_bearer(SIGNING_KEY);
    server.synced("sdk").await;
    let taken = open.post(&path, &event).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    let id = text(&taken.json()["ids"][0]);
    let run = server.ended_run_of(&id).await;
    assert_eq!(run["status"], "Completed", "{run}");
    assert_eq!(run["output"]["a"], 2);
    let fanned = open
        .post(&path, &json!({ "name": "sdk/fan-out", "data": {} }))
        .await;
    let id = text(&fanned.json()["ids"][0]);
    let run = server.ended_run_of(&id).await;
    assert_eq!(
        run["output"]["ids"].as_array().map(Vec::len),
        Some(3),
        "{run}"
    );
}

/// While keys are exchanged, the app knows the old one first and the server the new one.
pub(crate) async fn a_signing_key_is_exchanged(sdk: Sdk) {
    let old_first = [
        ("INNGEST_SIGNING_KEY", OLD_KEY),
        ("INNGEST_SIGNING_KEY_FALLBACK", SIGNING_KEY),
    ];
    let both = ["--signing-key-fallback", OLD_KEY];
    let (server, _app) = start_with(sdk, &old_first, &both).await;
    let server = server.with_bearer(OLD_KEY);
    server.synced("sdk").await;
    let event = json!({ "name": "sdk/sequential", "data": { "n": 1 } });
    let taken = server
        .client()
        .post(&format!("/e/{EVENT_KEY}"), &event)
        .await;
    let run = server.ended_run_of(&text(&taken.json()["ids"][0])).await;
    assert_eq!(run["status"], "Completed", "{run}");
}

async fn start(sdk: Sdk) -> (Server, SdkApp) {
    start_with(sdk, &[("INNGEST_SIGNING_KEY", SIGNING_KEY)], &[]).await
}

async fn start_with(sdk: Sdk, keys: &[(&str, &str)], more: &[&str]) -> (Server, SdkApp) {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let mut variables = vec![
        ("INNGEST_DEV", "0"),
        ("INNGEST_BASE_URL", url.as_str()),
        ("INNGEST_EVENT_KEY", EVENT_KEY),
    ];
    variables.extend(keys);
    let app = SdkApp::start(sdk, "sdk", &variables).await;
    let serve = app.url();
    let keys = [
        "--signing-key",
        SIGNING_KEY,
        "--event-key",
        EVENT_KEY,
        "--admin-token",
        ADMIN_TOKEN,
    ];
    let flags = keys
        .into_iter()
        .chain(["--poll-interval", "1s", "--sdk-url", &serve])
        .chain(more.iter().copied());
    let server = Server::start("start", port, flags).await;
    (server, app)
}
