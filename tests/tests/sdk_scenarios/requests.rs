//! Requests that the server makes for a step.

use dunlin_tests::{Sdk, Stub, StubAnswer};
use serde_json::{Value, json};

use super::{World, id_of};

const API_KEY: &str = "a-secret-of-the-provider";
const ANSWER: &str = r#"{"answer": "three ducks", "usage": {"total_tokens": 5}}"#;

pub(crate) async fn a_fetch_gives_what_was_answered(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let pond = Stub::start(StubAnswer::Fixed(418, "text/plain", "no ducks here")).await;
    let url = format!("{}/ducks?kind=mallard", pond.base());
    let run = world.run("fetches", json!({ "url": url })).await;
    assert_eq!(
        run["output"],
        json!({ "status": 418, "text": "no ducks here" }),
        "{run}"
    );
    let heard = pond.heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].method, "PUT");
    assert_eq!(heard[0].path, "/ducks?kind=mallard");
    assert_eq!(heard[0].header("x-duck"), Some("mallard"));
    assert_eq!(heard[0].body, r#"{"ducks":3}"#);
}

pub(crate) async fn a_model_is_asked_and_its_key_kept_secret(sdk: Sdk) {
    let world = World::with(sdk, &["--retry-interval", "50ms"]).await;
    let formats = [
        ("openai", "/chat/completions"),
        ("anthropic", "/messages"),
        ("gemini", "/models/a-model:generateContent?"),
    ];
    for (format, path) in formats {
        let provider = Stub::start(StubAnswer::Fixed(200, "application/json", ANSWER)).await;
        let asked = json!({ "format": format, "baseUrl": provider.base() });
        let run = world.run("infers", asked).await;
        let answer: Value = serde_json::from_str(ANSWER).expect("JSON");
        assert_eq!(run["output"], answer, "{format}: {run}");
        let heard = provider.heard();
        assert_eq!(heard.len(), 1, "{format}: {heard:?}");
        assert!(heard[0].path.starts_with(path), "{format}: {heard:?}");
        assert!(
            heard[0].body.contains("How many ducks?"),
            "{format}: {heard:?}"
        );
        let shown = match format {
            "openai" => heard[0].header("authorization") == Some(&format!("Bearer {API_KEY}")),
            "anthropic" => heard[0].header("x-api-key") == Some(API_KEY),
            _ => heard[0].path.contains(&format!("key={API_KEY}")),
        };
        assert!(shown, "{format}: {heard:?}");
        let trace = world.server.trace(id_of(&run)).await;
        assert!(!trace.to_string().contains(API_KEY), "{format}: {trace}");
    }
    assert!(!world.server.said().contains(API_KEY), "a key was logged");
    let files = world.server.data_files();
    assert!(!files.is_empty());
    for (name, bytes) in files {
        let found = bytes
            .windows(API_KEY.len())
            .any(|part| part == API_KEY.as_bytes());
        assert!(!found, "{name} holds the provider's key");
    }
}

pub(crate) async fn a_model_that_refuses_is_an_error_after_retries(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let busy = Stub::start(StubAnswer::Fixed(
        429,
        "application/json",
        r#"{"error":"busy"}"#,
    ))
    .await;
    let asked = json!({ "format": "openai", "baseUrl": busy.base() });
    let run = world.run("infers", asked).await;
    let caught = run["output"]["caught"].as_str();
    assert!(caught.is_some_and(|text| text.contains("429")), "{run}");
    assert_eq!(busy.calls(), 2, "one retry was asked for");
}

pub(crate) async fn a_wrapped_model_is_a_step(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("wraps-a-model", json!({})).await;
    assert_eq!(run["output"], json!({ "text": "4 ducks" }), "{run}");
}
