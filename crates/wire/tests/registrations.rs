//! Registrations: the recorded ones, and what is wrong with others.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use dunlin_types::{Code, Timestamp};
use dunlin_wire::duration::SleepSpec;
use dunlin_wire::register::{
    BatchRule, CancelRule, ConcurrencyRule, DebounceRule, FlowRules, FunctionConfig, RateRule,
    Registration, Scope, Timeouts, Trigger, from_in_band, parse_registration,
};
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

fn recorded_flow() -> FlowRules {
    let key = || Some("event.data.k".to_owned());
    let rate = |limit, period_ms, burst| {
        Some(RateRule {
            limit,
            period_ms,
            burst,
            key: key(),
        })
    };
    let at_a_time = |limit, key, scope| ConcurrencyRule { limit, key, scope };
    FlowRules {
        concurrency: vec![
            at_a_time(5, None, Scope::Function),
            at_a_time(2, key(), Scope::Env),
        ],
        throttle: rate(10, 60_000, 2),
        rate_limit: rate(3, 3_600_000, 0),
        debounce: Some(DebounceRule {
            period_ms: 10_000,
            timeout_ms: Some(60_000),
            key: key(),
        }),
        priority: Some("event.data.p ? 100 : 0".to_owned()),
        ..FlowRules::default()
    }
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
        assert_eq!(find("rec-plain").flow, FlowRules::default(), "{file}");
        let batch = BatchRule {
            size_max: 3,
            timeout_ms: 30_000,
            key: None,
            condition: None,
        };
        assert_eq!(find("rec-batch").flow.batch, Some(batch), "{file}");
        assert_eq!(find("rec-all-options").flow, recorded_flow(), "{file}");
        let stop = |timeout| CancelRule {
            event: "rec/stop".to_owned(),
            condition: Some("event.data.k == async.data.k".to_owned()),
            timeout,
        };
        assert_eq!(find("rec-cancelled").cancel, [stop(None)], "{file}");
        let options = find("rec-all-options");
        assert_eq!(options.retries, Some(7), "{file}");
        let hour = Timeouts {
            start_ms: Some(600_000),
            finish_ms: Some(3_600_000),
        };
        assert_eq!(options.timeouts, hour, "{file}");
        if file != "python" {
            let day = SleepSpec::For { ms: 86_400_000 };
            assert_eq!(options.cancel, [stop(Some(day))], "{file}");
        }
        if let Some(cron) = app.functions.iter().find(|f| f.slug == "rec-cron") {
            let monday = Trigger::Cron {
                schedule: "TZ=Asia/Tokyo 0 9 * * 1".to_owned(),
                jitter_ms: None,
            };
            assert_eq!(cron.triggers, [monday], "{file}");
        }
        let failure = find("rec-step-fails-uncaught-failure");
        assert_eq!(
            failure.triggers,
            [Trigger::Event {
                name: "inngest/function.failed".to_owned(),
                expression: Some("event.data.function_id == 'rec-step-fails-uncaught'".to_owned()),
            }],
            "{file}"
        );
        assert_eq!(failure.flow, FlowRules::default(), "{file}");
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

fn only(function: Value) -> FunctionConfig {
    parse(&app(json!([function]))).unwrap().functions.remove(0)
}

#[test]
fn what_go_and_kotlin_leave_out_or_null_is_absent() {
    let mut go = function("go");
    go["timeouts"] = json!({"start": null, "finish": "1d2h"});
    go["cancel"] = json!([{"event": "a/stop", "timeout": null, "if": null}]);
    go["triggers"] =
        json!([{"cron": "0 9 * * *", "jitter": "30s", "event": null, "expression": null}]);
    go["retries"] = 3.into();
    let go = only(go);
    let limits = Timeouts {
        start_ms: None,
        finish_ms: Some(93_600_000),
    };
    assert_eq!((go.timeouts, go.retries), (limits, Some(3)));
    let plain = CancelRule {
        event: "a/stop".to_owned(),
        condition: None,
        timeout: None,
    };
    assert_eq!(go.cancel, [plain]);
    let cron = Trigger::Cron {
        schedule: "0 9 * * *".to_owned(),
        jitter_ms: Some(30_000),
    };
    assert_eq!(go.triggers, [cron]);

    let mut kotlin = function("kotlin");
    for rule in [
        "cancel",
        "timeouts",
        "batchEvents",
        "concurrency",
        "priority",
    ] {
        kotlin[rule] = Value::Null;
    }
    let kotlin = only(kotlin);
    assert_eq!(
        (kotlin.cancel.len(), kotlin.timeouts),
        (0, Timeouts::default())
    );
    let mut zero = function("zero");
    zero["timeouts"] = json!({"start": "0s", "finish": ""});
    zero["Cancel"] = json!([{"EVENT": "a", "Timeout": "2020-01-01T00:00:00Z", "If": "true"}]);
    let zero = only(zero);
    assert_eq!(zero.timeouts, Timeouts::default());
    let then = Timestamp::parse_rfc3339("2020-01-01T00:00:00Z").unwrap();
    assert_eq!(zero.cancel[0].timeout, Some(SleepSpec::Until(then)));
    assert_eq!(zero.cancel[0].condition.as_deref(), Some("true"));
}

#[test]
fn rules_and_time_tables_that_mean_nothing_are_refused() {
    let long = format!("TZ=UTC {}", "0 9 * * * ".repeat(30));
    for (key, rule, reason) in [
        ("cancel", json!({"event": "a"}), "its cancel is no list"),
        ("cancel", json!([5]), "a rule for cancel is no object"),
        (
            "cancel",
            json!([{"if": "true"}]),
            "a rule for cancel has no event",
        ),
        (
            "cancel",
            json!([{"event": "a", "timeout": "soon"}]),
            "the timeout \"soon\" of a rule for cancel is neither a duration nor a date",
        ),
        ("timeouts", json!("1h"), "its timeouts are no object"),
        (
            "timeouts",
            json!({"start": "-1h"}),
            "its timeout \"-1h\" for start is not a duration",
        ),
        (
            "timeouts",
            json!({"finish": 5}),
            "its timeout 5 for finish is not a duration",
        ),
        (
            "triggers",
            json!([{"cron": "* * * * *", "jitter": "6m"}]),
            "the jitter \"6m\" is not within 1s to 5m",
        ),
        (
            "triggers",
            json!([{"cron": "* * * * *", "jitter": "500ms"}]),
            "is not within 1s to 5m",
        ),
        (
            "triggers",
            json!([{"cron": "* * * * *", "jitter": "some"}]),
            "the jitter \"some\" is not a duration",
        ),
        (
            "triggers",
            json!([{"cron": long}]),
            "cron is longer than 255 characters",
        ),
        (
            "triggers",
            json!([{"cron": "* * * * *"}, {"cron": "* * * * *", "jitter": "5s"}]),
            "two of its triggers are the same",
        ),
    ] {
        let mut odd = function("odd");
        odd[key] = rule;
        let (code, detail) = parse(&app(json!([odd]))).unwrap_err();
        assert_eq!(code, Code::FunctionBad);
        assert!(detail.contains(reason), "{reason} in {detail}");
    }
}

#[test]
fn an_app_may_register_in_its_answer() {
    let functions = json!([function("a")]);
    let body = json!({
        "app_id": "app", "appVersion": "7", "capabilities": {"in_band_sync": "v1"}, "env": null,
        "framework": "nextjs", "functions": functions, "inspection": {"x": 1}, "platform": "vercel",
        "sdk_author": "inngest", "sdk_language": "js", "sdk_version": "v4.24.0", "url": "http://h/x",
    });
    let answer = |body: &Value, pairs: &[(&'static str, &'static str)]| {
        let mut headers = http::HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        from_in_band(&Bytes::from(body.to_string()), &headers)
    };
    let in_band = ("x-inngest-sync-kind", "in_band");
    let given = answer(&body, &[in_band]).unwrap().unwrap();
    assert_eq!(
        (given.app_name.as_str(), given.app_version.as_str()),
        ("app", "7")
    );
    assert_eq!(
        (given.sdk.as_str(), given.url.as_str()),
        ("js:v4.24.0", "http://h/x")
    );
    assert_eq!(
        (given.framework.as_str(), given.functions.len()),
        ("nextjs", 1)
    );

    let sent = json!({"appName": "app", "appVersion": "7", "url": "http://h/x", "deployType": "ping",
        "framework": "nextjs", "platform": "vercel", "sdk": "js:v4.24.0", "v": "0.1",
        "functions": functions});
    assert_eq!(given.checksum, parse(&sent).unwrap().checksum);

    let python = json!({"app_id": "app", "functions": functions, "sdk_language": "py",
        "sdk_version": "0.5.19", "url": "http://h/x"});
    let python = answer(&python, &[in_band, ("x-inngest-framework", "fast_api")]);
    let python = python.unwrap().unwrap();
    assert_eq!(
        (python.sdk_language(), python.sdk_version()),
        ("py", "0.5.19")
    );
    assert_eq!(python.framework, "fast_api");
    let mut silent = body.clone();
    silent["sdk_language"] = "".into();
    let silent = answer(&silent, &[in_band, ("x-inngest-sdk", "inngest-js:v4.24.0")]);
    assert_eq!(silent.unwrap().unwrap().sdk, "js:v4.24.0");

    assert!(answer(&json!({"message": "ok"}), &[]).unwrap().is_none());
    let kind = ("x-inngest-sync-kind", "out_of_band");
    assert!(answer(&body, &[kind]).unwrap().is_none());
    let nameless = answer(&json!({"url": "http://h/x"}), &[in_band]).unwrap_err();
    assert_eq!(nameless.code, Code::RegisterBad);
    let mut odd = body;
    odd["functions"][0]["triggers"] = json!([]);
    assert_eq!(
        answer(&odd, &[in_band]).unwrap_err().code,
        Code::FunctionBad
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "\\{\"appName\":\"a\",\"url\":\"http://h\",\"functions\":\\[\\{[\\[\\]{}\":,a-z0-9 ]{0,60}\\}\\]\\}"
                .prop_map(String::into_bytes),
            ("cancel|timeouts|triggers|jitter|concurrency|throttle|batchEvents", "[\\[\\]{}\":,a-z0-9 ]{0,40}").prop_map(|(key, value)| {
                format!("{{\"appName\":\"a\",\"url\":\"http://h\",\"functions\":[{{\"{key}\":[{{\"event\":\"e\",\"timeout\":\"{value}\"}}]}}]}}").into_bytes()
            }),
        ],
        url in "\\PC{0,40}",
    ) {
        let body = Bytes::from(body);
        let mut headers = http::HeaderMap::new();
        headers.insert("x-inngest-sync-kind", "in_band".parse().unwrap());
        let _ = (parse_registration(&body), from_in_band(&body, &headers));
        let _ = dunlin_wire::register::app_identity_url(&url);
    }
}
