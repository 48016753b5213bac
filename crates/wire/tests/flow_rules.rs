//! Rules of flow control: every form in which SDKs send them, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use dunlin_types::Code;
use dunlin_wire::register::{
    BatchRule, ConcurrencyRule, DebounceRule, FlowRules, RateRule, Scope, SingletonMode,
    SingletonRule, parse_registration,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A function with those rules.
fn function(rules: Value) -> Value {
    let mut function = json!({
        "id": "f", "name": "f", "triggers": [{"event": "a/b"}],
        "steps": {"step": {"runtime": {"type": "http", "url": "http://h/x?fnId=a&stepId=step"}}},
    });
    let Value::Object(rules) = rules else {
        panic!("rules are an object");
    };
    function.as_object_mut().unwrap().extend(rules);
    function
}

fn read(rules: Value) -> Result<FlowRules, String> {
    let body = json!({"appName": "app", "url": "http://h/x", "functions": [function(rules)]});
    match parse_registration(&Bytes::from(body.to_string())) {
        Ok(mut app) => Ok(app.functions.remove(0).flow),
        Err(error) => {
            assert_eq!(error.code, Code::FunctionBad);
            Err(error.detail)
        }
    }
}

fn flow(rules: Value) -> FlowRules {
    read(rules).unwrap()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn at_a_time(limit: u32, key: Option<&str>, scope: Scope) -> ConcurrencyRule {
    let key = key.map(str::to_owned);
    ConcurrencyRule { limit, key, scope }
}

#[test]
fn concurrency_comes_in_every_form() {
    let five = || at_a_time(5, None, Scope::Function);
    let of_shop = |scope| at_a_time(2, Some("event.data.shop"), scope);
    for (given, calls, runs) in [
        (json!(5), vec![five()], vec![]),
        (json!(0), vec![], vec![]),
        (json!({"limit": 5}), vec![five()], vec![]),
        (json!({"limit": 0}), vec![], vec![]),
        (json!({"LIMIT": 5, "Scope": "fn"}), vec![five()], vec![]),
        (
            json!([{"limit": 5, "key": null, "scope": null}]),
            vec![five()],
            vec![],
        ),
        (
            json!([{"limit": 5, "key": "", "scope": ""}]),
            vec![five()],
            vec![],
        ),
        (json!([5]), vec![five()], vec![]),
        (
            json!([{"limit": 0}, {"limit": 2, "key": "event.data.shop", "scope": "env"}]),
            vec![of_shop(Scope::Env)],
            vec![],
        ),
        (
            json!([{"limit": 5}, {"limit": 2, "key": "event.data.shop", "scope": "account"}]),
            vec![five(), of_shop(Scope::Account)],
            vec![],
        ),
        // The Go SDK.
        (
            json!({"fn": [{"limit": 5, "hash": ""}],
                "step": [{"limit": 2, "key": "event.data.shop", "scope": "Env", "hash": "1v0bg1"}]}),
            vec![of_shop(Scope::Env)],
            vec![five()],
        ),
        (json!({"fn": [{"limit": 5}]}), vec![], vec![five()]),
        (
            json!({"fn": null, "step": [{"limit": 5}]}),
            vec![five()],
            vec![],
        ),
        (json!({"fn": [], "step": []}), vec![], vec![]),
        (
            json!({"fn": 5, "step": {"limit": 5}}),
            vec![five()],
            vec![five()],
        ),
    ] {
        let read = flow(json!({"concurrency": given}));
        let expected = FlowRules {
            concurrency: calls,
            runs,
            ..FlowRules::default()
        };
        assert_eq!(read, expected, "{given}");
    }
}

#[test]
fn what_npm_sends_is_understood() {
    let read = flow(json!({
        "idempotency": "event.data.order",
        "rateLimit": {"limit": 1, "period": "24h", "key": "event.data.k"},
        "throttle": {"limit": 3, "period": "1m"},
        "concurrency": [{"limit": 1, "key": "'all'", "scope": "account"}],
        "debounce": {"period": "1s"},
        "priority": {"run": "event.data.vip ? 120 : 0"},
        "singleton": {"mode": "cancel", "key": "event.data.user"},
        "timeouts": {"start": "1m"},
    }));
    let expected = FlowRules {
        concurrency: vec![at_a_time(1, Some("'all'"), Scope::Account)],
        runs: Vec::new(),
        throttle: Some(RateRule {
            limit: 3,
            period_ms: 60_000,
            burst: 0,
            key: None,
        }),
        rate_limit: Some(RateRule {
            limit: 1,
            period_ms: 86_400_000,
            burst: 0,
            key: text("event.data.k"),
        }),
        debounce: Some(DebounceRule {
            period_ms: 1_000,
            timeout_ms: None,
            key: None,
        }),
        batch: None,
        priority: text("event.data.vip ? 120 : 0"),
        singleton: Some(SingletonRule {
            key: text("event.data.user"),
            mode: SingletonMode::Cancel,
        }),
        idempotency: text("event.data.order"),
    };
    assert_eq!(read, expected);
}

#[test]
fn what_pypi_sends_is_understood() {
    // It writes the largest unit that is even, leaves nulls out, and says a burst of 1.
    let read = flow(json!({
        "batchEvents": {"maxSize": 10, "timeout": "1d", "key": "event.data.k", "if": "event.data.b"},
        "throttle": {"burst": 1, "limit": 1, "period": "1w"},
        "cancel": [],
        "concurrency": [],
    }));
    let batch = BatchRule {
        size_max: 10,
        timeout_ms: 86_400_000,
        key: text("event.data.k"),
        condition: text("event.data.b"),
    };
    let throttle = RateRule {
        limit: 1,
        period_ms: 7 * 86_400_000,
        burst: 1,
        key: None,
    };
    assert_eq!(
        (read.batch, read.throttle, read.concurrency),
        (Some(batch), Some(throttle), Vec::new())
    );
    let skip = flow(json!({"singleton": {"key": "event.data.k", "mode": "skip"}})).singleton;
    assert_eq!(skip.unwrap().mode, SingletonMode::Skip);
}

#[test]
fn what_go_and_kotlin_send_is_understood() {
    let read = flow(json!({
        "Debounce": {"Period": "1d2h", "timeout": null, "key": ""},
        "throttle": {"limit": 1, "period": "1m30s", "burst": 0, "key": null, "scope": ""},
        "rateLimit": {"limit": 2, "period": "1000ms", "key": null},
        "priority": {"run": null},
        "singleton": {"key": null, "mode": "Skip"},
        "batchEvents": null, "concurrency": null, "idempotency": null,
    }));
    assert_eq!(read.debounce.unwrap().period_ms, 93_600_000);
    assert_eq!(read.throttle.unwrap().period_ms, 90_000);
    assert_eq!(read.rate_limit.unwrap().period_ms, 1_000);
    assert_eq!((read.priority, read.batch), (None, None));
    assert_eq!(read.singleton.unwrap().mode, SingletonMode::Skip);
    let bare = flow(json!({"singleton": {"key": "event.data.k"}})).singleton;
    assert_eq!(bare.unwrap().mode, SingletonMode::Skip);
}

#[test]
fn nothing_asks_for_nothing() {
    for key in [
        "concurrency",
        "throttle",
        "rateLimit",
        "debounce",
        "batchEvents",
        "priority",
        "singleton",
        "idempotency",
    ] {
        for nothing in [
            json!(null),
            json!({}),
            json!([]),
            json!(""),
            json!({"key": null}),
        ] {
            let read = read(json!({key: nothing, "cancel": []}));
            assert_eq!(read, Ok(FlowRules::default()), "{key}: {nothing}");
        }
    }
    let timeout = |timeout: &str| {
        let rule = flow(json!({"debounce": {"period": "1s", "timeout": timeout}})).debounce;
        rule.unwrap().timeout_ms
    };
    assert_eq!(
        [timeout(""), timeout("0s"), timeout("2s")],
        [None, None, Some(2_000)]
    );
    let nothing =
        json!({"batchEvents": {}, "cancel": [{"event": "a"}], "debounce": {"period": "1s"}});
    assert!(flow(nothing).debounce.is_some());
}

#[test]
fn rules_that_mean_nothing_are_refused() {
    for (key, rule, reason) in [
        (
            "concurrency",
            json!("5"),
            "concurrency \"5\" is neither a number nor a rule",
        ),
        (
            "concurrency",
            json!(true),
            "concurrency true is neither a number nor a rule",
        ),
        (
            "concurrency",
            json!(-1),
            "concurrency has the limit -1, 0 to 4294967295 are allowed",
        ),
        (
            "concurrency",
            json!(1.5),
            "concurrency has the limit 1.5, 0 to",
        ),
        (
            "concurrency",
            json!([null]),
            "concurrency null is neither a number nor a rule",
        ),
        (
            "concurrency",
            json!({"key": "event.id"}),
            "concurrency has no limit",
        ),
        (
            "concurrency",
            json!({"limit": "5"}),
            "concurrency has the limit \"5\", 0 to",
        ),
        (
            "concurrency",
            json!([1, 2, 3]),
            "it has 3 rules for concurrency, at most 2 are allowed",
        ),
        (
            "concurrency",
            json!({"fn": [1, 2, 3]}),
            "it has 3 rules for concurrency.fn, at most 2 are allowed",
        ),
        (
            "concurrency",
            json!({"step": [{"limit": 1, "scope": "env"}]}),
            "concurrency.step needs a key, for its scope is more than one function",
        ),
        (
            "concurrency",
            json!({"limit": 0, "scope": "account"}),
            "concurrency needs a key",
        ),
        (
            "concurrency",
            json!({"limit": 1, "scope": "team"}),
            "concurrency has the scope \"team\", fn, env or account is one",
        ),
        (
            "concurrency",
            json!({"limit": 1, "key": 5}),
            "concurrency has the key 5, which is no string",
        ),
        (
            "concurrency",
            json!({"limit": 1, "fn": [{"limit": 1}]}),
            "concurrency has a limit beside fn and step",
        ),
        ("throttle", json!(5), "its throttle is no object"),
        ("throttle", json!({"period": "1s"}), "throttle has no limit"),
        ("throttle", json!({"limit": 1}), "throttle has no period"),
        (
            "throttle",
            json!({"limit": 0, "period": "1s"}),
            "throttle has the limit 0, 1 to 4294967295 are allowed",
        ),
        (
            "throttle",
            json!({"limit": 1, "period": "999ms"}),
            "throttle has the period \"999ms\", 1s to 7d are allowed",
        ),
        (
            "throttle",
            json!({"limit": 1, "period": "8d"}),
            "1s to 7d are allowed",
        ),
        (
            "throttle",
            json!({"limit": 1, "period": 60}),
            "throttle has the period 60, which is no duration",
        ),
        (
            "throttle",
            json!({"limit": 1, "period": "1s", "burst": -1}),
            "throttle has the burst -1, 0 to",
        ),
        (
            "throttle",
            json!({"limit": 1, "period": "1s", "scope": "env", "key": "event.id"}),
            "throttle can count in its function only",
        ),
        (
            "rateLimit",
            json!({"limit": 0, "period": "1m"}),
            "rateLimit has the limit 0, 1 to",
        ),
        (
            "rateLimit",
            json!({"limit": 1, "period": "25h"}),
            "rateLimit has the period \"25h\", 1s to 1d are allowed",
        ),
        (
            "rateLimit",
            json!({"limit": 1, "period": "0.5s"}),
            "1s to 1d are allowed",
        ),
        (
            "debounce",
            json!({"key": "event.id"}),
            "debounce has no period",
        ),
        (
            "debounce",
            json!({"period": "soon"}),
            "debounce has the period \"soon\", which is no",
        ),
        ("debounce", json!({"period": "1ms"}), "1s to 7d are allowed"),
        (
            "debounce",
            json!({"period": "1w1s"}),
            "1s to 7d are allowed",
        ),
        (
            "debounce",
            json!({"period": "1s", "timeout": "-1s"}),
            "debounce has the timeout \"-1s\", 0ms to 366d are allowed",
        ),
        (
            "batchEvents",
            json!({"maxSize": 1, "timeout": "5s"}),
            "batchEvents has the maxSize 1, 2 to 10000 are allowed",
        ),
        (
            "batchEvents",
            json!({"maxSize": 10_001, "timeout": "5s"}),
            "2 to 10000 are allowed",
        ),
        (
            "batchEvents",
            json!({"timeout": "5s"}),
            "batchEvents has no maxSize",
        ),
        (
            "batchEvents",
            json!({"maxSize": 2}),
            "batchEvents has no timeout",
        ),
        (
            "batchEvents",
            json!({"maxSize": 2, "timeout": "0.5s"}),
            "batchEvents has the timeout \"0.5s\", 1s to 7d are allowed",
        ),
        (
            "batchEvents",
            json!({"maxSize": 2, "timeout": "5s", "if": true}),
            "batchEvents has the if true, which is no string",
        ),
        ("priority", json!(100), "its priority is no object"),
        (
            "priority",
            json!({"run": 100}),
            "priority has the run 100, which is no string",
        ),
        ("singleton", json!("skip"), "its singleton is no object"),
        (
            "singleton",
            json!({"mode": "wait"}),
            "singleton has the mode \"wait\", skip or cancel is one",
        ),
        ("idempotency", json!({"key": "event.id"}), "is no string"),
    ] {
        let refused = read(json!({key: rule.clone()})).expect_err(key);
        assert!(refused.contains(reason), "{rule}: {reason} in {refused}");
    }
}

#[test]
fn a_batch_excludes_what_speaks_of_one_event() {
    let batch = json!({"maxSize": 2, "timeout": "5s"});
    for (key, rule) in [
        ("cancel", json!([{"event": "a/stop"}])),
        ("debounce", json!({"period": "5s"})),
        ("singleton", json!({"mode": "skip"})),
        ("priority", json!({"run": "5"})),
    ] {
        let refused = read(json!({key: rule, "batchEvents": batch})).expect_err(key);
        let reason = format!("batchEvents and {key} exclude each other: ");
        assert!(refused.contains(&reason), "{refused}");
    }
    let beside = json!({
        "batchEvents": batch, "concurrency": 1, "throttle": {"limit": 1, "period": "1s"},
        "rateLimit": {"limit": 1, "period": "1s"}, "idempotency": "event.id",
        "priority": {"run": ""}, "timeouts": {"finish": "1h"},
    });
    assert!(flow(beside).batch.is_some());
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let refused = read(json!({
        "triggers": [],
        "concurrency": [{"limit": -1, "scope": "env"}, {"limit": 1, "scope": "team"}],
        "throttle": {"period": "1ms", "burst": "x"},
        "batchEvents": {"maxSize": 1},
        "singleton": {"mode": "wait"},
    }))
    .unwrap_err();
    for reason in [
        "it has no trigger",
        "its concurrency has the limit -1",
        "its concurrency needs a key",
        "its concurrency has the scope \"team\"",
        "its throttle has no limit",
        "its throttle has the period \"1ms\"",
        "its throttle has the burst \"x\"",
        "its batchEvents has the maxSize 1",
        "its batchEvents has no timeout",
        "its singleton has the mode \"wait\"",
        "batchEvents and singleton exclude each other",
    ] {
        assert!(refused.contains(reason), "{reason} in {refused}");
    }
}

proptest! {
    #[test]
    fn whatever_is_accepted_is_within_its_bounds(
        limit in -2..4_i64,
        period in 0..700_000_000_i64,
        size in -1..20_000_i64,
        scope in "fn|env|account|ENV",
        key in prop::option::of("[a-z.]{0,6}"),
    ) {
        let period = format!("{period}ms");
        let one = |key: &str, rule: Value| read(json!({key: rule})).unwrap_or_default();
        let at_a_time = one("concurrency", json!({"limit": limit, "scope": scope, "key": key}));
        for rule in at_a_time.concurrency {
            prop_assert!(rule.limit > 0 && (rule.scope == Scope::Function || rule.key.is_some()));
        }
        let rate = json!({"limit": limit, "period": period, "key": key});
        if let Some(rule) = one("throttle", rate.clone()).throttle {
            prop_assert!(rule.limit > 0 && (1_000..=604_800_000).contains(&rule.period_ms));
        }
        if let Some(rule) = one("rateLimit", rate).rate_limit {
            prop_assert!(rule.limit > 0 && (1_000..=86_400_000).contains(&rule.period_ms));
        }
        if let Some(rule) = one("batchEvents", json!({"maxSize": size, "timeout": period})).batch {
            prop_assert!((2..=10_000).contains(&rule.size_max) && rule.timeout_ms >= 1_000);
        }
    }
}
