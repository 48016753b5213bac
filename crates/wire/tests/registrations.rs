//! Registrations: the recorded ones, and what is wrong with others.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use dunlin_types::Code;
use dunlin_wire::register::{Registration, Trigger, parse_registration};
use proptest::prelude::*;
use serde_json::{Value, json};

const RECORDINGS: [(&str, &str); 4] = [
    ("js-v3", include_str!("fixtures/exchanges/js-v3.json")),
    ("js-v4", include_str!("fixtures/exchanges/js-v4.json")),
    (
        "js-v4-checkpointing",
        include_str!("fixtures/exchanges/js-v4-checkpointing.json"),
    ),
    ("python", include_str!("fixtures/exchanges/python.json")),
];

fn parse(body: &Value) -> Result<Registration, (Code, String)> {
    parse_registration(&Bytes::from(body.to_string())).map_err(|e| (e.code, e.detail))
}

fn recorded(text: &str) -> Value {
    let recording: Value = serde_json::from_str(text).unwrap();
    let sync = recording["sync"].as_array().unwrap();
    let register = |exchange: &&Value| exchange["request"]["path"] == "/fn/register";
    sync.iter().find(register).unwrap()["request"]["body"].clone()
}

fn function(id: &str) -> Value {
    json!({
        "id": id, "name": id, "triggers": [{"event": "a/b"}],
        "steps": {"step": {"runtime": {"type": "http", "url": "http://h/x?fnId=a&stepId=step"}}},
    })
}

fn app(functions: Value) -> Value {
    json!({"appName": "app", "url": "http://h/x", "sdk": "js:v4.24.0", "functions": functions})
}

#[test]
fn every_recorded_registration_is_understood() {
    for (file, text) in RECORDINGS {
        let body = recorded(text);
        let app = parse(&body).unwrap();
        assert_eq!(app.app_name, "rec", "{file}");
        assert_eq!(app.deploy_type, "ping", "{file}");
        assert_eq!(app.url, body["url"], "{file}");
        let recorded = body["functions"].as_array().unwrap();
        assert_eq!(app.functions.len(), recorded.len(), "{file}");
        for (function, raw) in app.functions.iter().zip(recorded) {
            assert_eq!(function.slug, raw["id"], "{file}");
            let step = &raw["steps"]["step"];
            assert_eq!(function.url, step["runtime"]["url"], "{file}");
            let retries = step["retries"]["attempts"].as_u64();
            assert_eq!(function.retries.map(u64::from), retries, "{file}");
            assert!(!function.triggers.is_empty());
        }
        let find = |slug: &str| app.functions.iter().find(|f| f.slug == slug).unwrap();
        assert_eq!(find("rec-plain").unbuilt, [""; 0], "{file}");
        assert_eq!(find("rec-batch").unbuilt, ["batchEvents"], "{file}");
        assert_eq!(find("rec-cancelled").unbuilt, ["cancelOn"], "{file}");
        assert_eq!(find("rec-all-options").retries, Some(7), "{file}");
        let failure = find("rec-step-fails-uncaught-failure");
        assert_eq!(
            failure.triggers,
            [Trigger::Event {
                name: "inngest/function.failed".to_owned(),
                expression: Some("event.data.function_id == 'rec-step-fails-uncaught'".to_owned()),
            }],
            "{file}"
        );
        assert_eq!(failure.unbuilt, [""; 0], "{file}");
    }
}

#[test]
fn the_sdk_is_told_apart() {
    for (sdk, language, version) in [
        ("js:v4.24.0", "js", "4.24.0"),
        ("inngest-kt:0.2.0", "kt", "0.2.0"),
        ("go:v0.15.1", "go", "0.15.1"),
        ("", "", ""),
    ] {
        let mut body = app(json!([]));
        body["sdk"] = sdk.into();
        let app = parse(&body).unwrap();
        assert_eq!((app.sdk_language(), app.sdk_version()), (language, version));
    }
}

#[test]
fn keys_are_read_in_any_case() {
    let body = json!({"APPNAME": "a", "appversion": "7", "URL": "http://h", "deploy_type": "ping",
        "headers": {"platform": "vercel"}, "functions": null});
    let app = parse(&body).unwrap();
    assert_eq!(
        (app.app_name.as_str(), app.app_version.as_str()),
        ("a", "7")
    );
    assert_eq!(
        (app.deploy_type.as_str(), app.platform.as_str()),
        ("ping", "vercel")
    );
    assert!(app.functions.is_empty());
}

#[test]
fn telemetry_does_not_change_the_checksum() {
    let mut body = app(json!([function("a")]));
    let plain = parse(&body).unwrap().checksum;
    body["featureObservations"] = json!({"x": 1});
    assert_eq!(parse(&body).unwrap().checksum, plain);
    body["functions"][0]["name"] = "b".into();
    assert_ne!(parse(&body).unwrap().checksum, plain);
}

#[test]
fn registrations_that_are_none_are_refused() {
    let refused = |body: Value| parse(&body).unwrap_err();
    assert_eq!(
        refused(json!({"url": "http://h"})),
        (Code::RegisterBad, "App ID required".to_owned())
    );
    assert_eq!(
        refused(json!({"appName": "a", "url": "ftp://h"})).0,
        Code::RegisterBad
    );
    assert_eq!(
        refused(json!({"appName": "a", "url": "http://h", "functions": {}})).0,
        Code::RegisterBad
    );
    for text in ["", "[]", "{", "null"] {
        let refused = parse_registration(&Bytes::from(text)).unwrap_err();
        assert!(refused.detail.starts_with("Invalid request: "), "{text}");
    }
}

#[test]
fn all_that_is_wrong_with_functions_is_said_at_once() {
    let mut nameless = function("nameless");
    nameless["name"] = "".into();
    nameless["triggers"] = json!([]);
    let mut eager = function("eager");
    eager["steps"]["step"]["retries"] = json!({"attempts": 21});
    eager["cancel"] = json!([{}, {}, {}, {}, {}, {}]);
    let mut odd = function("odd");
    odd["triggers"] =
        json!([{"event": "a"}, {"event": "a"}, {}, {"cron": "* * * * *", "event": "x"}]);
    odd["steps"] = json!({});
    let (code, detail) = parse(&app(json!([
        nameless,
        eager,
        odd,
        function("twin"),
        function("twin"),
        5
    ])))
    .unwrap_err();
    assert_eq!(code, Code::FunctionBad);
    for reason in [
        "At least one function is invalid: nameless: name is missing, it has no trigger",
        "eager: its retries are 21, 0 to 20 are allowed, it has 6 rules for cancel, at most 5 are",
        "odd: two of its triggers are the same, a trigger has neither event nor cron, a trigger has \
         both event and cron, it has 0 steps instead of one",
        "twin: the id occurs twice",
        "function 6: it is no object",
    ] {
        assert!(detail.contains(reason), "{reason} in {detail}");
    }
}

#[test]
fn rules_that_are_not_enforced_are_named() {
    let mut asks = function("asks");
    for rule in [
        "batchEvents",
        "rateLimit",
        "throttle",
        "debounce",
        "priority",
        "singleton",
        "timeouts",
    ] {
        asks[rule] = json!({"limit": 1});
    }
    asks["concurrency"] = 5.into();
    asks["cancel"] = json!([{"event": "a"}]);
    asks["idempotency"] = "event.data.x".into();
    asks["triggers"] = json!([{"cron": "TZ=Europe/Oslo 0 9 * * *"}]);
    let app_ = parse(&app(json!([asks]))).unwrap();
    assert_eq!(
        app_.functions[0].unbuilt,
        [
            "concurrency",
            "batchEvents",
            "rateLimit",
            "throttle",
            "debounce",
            "priority",
            "singleton",
            "cancelOn",
            "idempotency",
            "timeouts",
            "cron triggers"
        ]
    );
    let mut asks_nothing = function("nothing");
    asks_nothing["concurrency"] = json!([]);
    asks_nothing["cancel"] = Value::Null;
    asks_nothing["retries"] = 3.into();
    let app_ = parse(&app(json!([asks_nothing]))).unwrap();
    assert_eq!(app_.functions[0].unbuilt, [""; 0]);
    assert_eq!(app_.functions[0].retries, Some(3));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "\\{\"appName\":\"a\",\"url\":\"http://h\",\"functions\":\\[\\{[\\[\\]{}\":,a-z0-9 ]{0,60}\\}\\]\\}"
                .prop_map(String::into_bytes),
        ],
        url in "\\PC{0,40}",
    ) {
        let _ = parse_registration(&Bytes::from(body));
        let _ = dunlin_wire::register::app_identity_url(&url);
    }
}
