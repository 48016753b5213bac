//! Published handlers and locale calls give in the sandbox what they give in V8, to the byte.

use std::collections::BTreeMap;
use std::path::Path;

use dunlin_sandbox::Sandbox;
use serde_json::Value;

use crate::common::{options, request};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[tokio::test]
async fn the_published_handlers_make_of_every_sample_what_v8_makes_of_it() {
    let sandbox = Sandbox::new(options());
    for name in ["basic_event", "dispute_events", "subscription_events"] {
        let code = read(&format!("tests/fixtures/handlers/{name}.js"));
        sandbox.check(&code).await.unwrap();
        let expected: BTreeMap<String, String> =
            serde_json::from_str(&read(&format!("tests/fixtures/expected/{name}.json"))).unwrap();
        assert_eq!(expected.len(), 48);
        for (event_type, text) in expected {
            let sample = read(&format!(
                "../../integrations/dodo/samples/{event_type}.json"
            ));
            let mut request = request(&code, &sample);
            request.event_type = event_type.clone();
            let result = sandbox.run(request).await.result.unwrap();
            assert_eq!(result.payload, text.as_bytes(), "{name} on {event_type}");
            assert_eq!((result.method.as_str(), result.cancel), ("POST", false));
        }
    }
}

#[tokio::test]
async fn locale_calls_read_as_in_v8() {
    let sandbox = Sandbox::new(options());
    let table = read("tests/fixtures/expected/locale.json");
    let expected: BTreeMap<String, String> = serde_json::from_str(&table).unwrap();
    let code = "function handler(webhook) {
        for (const call in webhook.payload) {
            try { webhook.payload[call] = (0, eval)(call); }
            catch (error) { webhook.payload[call] = String(error); }
        }
        return webhook;
    }";
    let result = sandbox.run(request(code, &table)).await.result.unwrap();
    let said: BTreeMap<String, Value> = serde_json::from_slice(&result.payload).unwrap();
    let wrong: Vec<String> = expected
        .iter()
        .filter(|(call, text)| said[*call] != **text)
        .map(|(call, text)| format!("{call}\n   V8 {text:?}\n ours {}", said[call]))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        said.len(),
        wrong.join("\n")
    );
}
