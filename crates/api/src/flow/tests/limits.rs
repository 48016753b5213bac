//! What operators may ask for, and what they are told of what they may not.

use dunlin_engine::config::{Limit, LimitTarget, Rate};
use serde_json::{Value, json};

use crate::error::Refused;
use crate::flow::limits::{parse, shown};

fn put(name: &str, body: &Value) -> Result<Limit, Refused> {
    parse(name, body.to_string().as_bytes())
}

#[test]
fn limits_of_hosts_and_steps_read_back_as_they_were_put() {
    let body = json!({"host": "API.Example.com", "concurrency": 5, "rate": null});
    let limit = put("stripe", &body).unwrap();
    let host = LimitTarget::Host("api.example.com".to_owned());
    assert_eq!(
        limit,
        Limit {
            name: "stripe".to_owned(),
            target: host,
            concurrency: Some(5),
            rate: None
        }
    );
    let body = json!({"function": "shop-pay", "step": "charge it",
        "rate": {"limit": 10, "period": "90s"}});
    let limit = put("a.b_c-1", &body).unwrap();
    let rate = Rate {
        limit: 10,
        period_ms: 90_000,
        burst: 0,
    };
    assert_eq!(limit.rate, Some(rate));
    let expected = json!({"name": "a.b_c-1", "function": "shop-pay", "step": "charge it",
        "concurrency": null, "rate": {"limit": 10, "period": "90s", "burst": 0}});
    assert_eq!(shown(&limit), expected);
    assert_eq!(put("a.b_c-1", &shown(&limit)).unwrap(), limit);
}

#[test]
fn periods_are_shown_in_the_unit_that_holds_them_whole() {
    for (given, back) in [
        ("60s", "1m"),
        ("1h30m", "90m"),
        ("24h", "1d"),
        ("1500ms", "1500ms"),
        ("7d", "7d"),
    ] {
        let body = json!({"host": "a", "rate": {"limit": 1, "period": given}});
        assert_eq!(shown(&put("x", &body).unwrap())["rate"]["period"], back);
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let body = json!({
        "host": "https://api.example.com/v1",
        "concurrency": 0,
        "rate": {"limit": "10", "period": "1ms", "burst": -1, "per": 1},
        "conc": 1,
    });
    let refused = put("a b", &body).unwrap_err();
    assert_eq!(refused.status, 422);
    let told = &refused.error.detail;
    for part in [
        "name: ",
        "host: ",
        "concurrency: ",
        "limit: ",
        "period: ",
        "burst: ",
        "\"conc\"",
        "\"per\"",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn odd_bodies_are_refused() {
    let rate = json!({"limit": 1, "period": "1s"});
    for body in [
        json!({"concurrency": 1}),
        json!({"host": "a"}),
        json!({"host": "a", "rate": null}),
        json!({"host": "a", "step": "b", "concurrency": 1}),
        json!({"function": "a", "concurrency": 1}),
        json!({"function": "a", "step": "", "concurrency": 1}),
        json!({"function": 7, "step": "b", "concurrency": 1}),
        json!({"host": "a", "concurrency": 1.5}),
        json!({"host": "a", "concurrency": 4_294_967_296_u64}),
        json!({"host": "a", "rate": 7}),
        json!({"host": "a", "rate": {"limit": 1}}),
        json!({"host": "a", "rate": {"limit": 1, "period": "8d"}}),
        json!({"host": "a", "rate": {"limit": 1, "period": 1}}),
        json!({"host": "a", "name": "other", "rate": rate}),
    ] {
        let refused = put("x", &body).unwrap_err();
        assert_eq!(refused.status, 422, "{body}");
    }
    for host in [
        "",
        "a:80",
        "a/b",
        "http://a",
        "a..b",
        ".a",
        "a.",
        "a b",
        "ü.de",
        "*.a",
        "[::1]",
        &"a".repeat(64),
    ] {
        assert!(
            put("x", &json!({"host": host, "rate": rate})).is_err(),
            "{host}"
        );
    }
    assert_eq!(parse("x", b"[]").unwrap_err().status, 400);
    assert_eq!(parse("x", b"").unwrap_err().status, 400);
    let long = "n".repeat(65);
    for name in ["", "ü", "a/b", &long] {
        assert!(
            put(name, &json!({"host": "a", "rate": rate})).is_err(),
            "{name}"
        );
    }
}
