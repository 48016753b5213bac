//! What becomes of the requests that steps ask for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use dunlin_types::Code;
use dunlin_types::limits::STEP_OUTPUT_BYTES_MAX;
use dunlin_wire::response::{gateway_failure, gateway_result};
use http::HeaderMap;
use proptest::prelude::*;
use serde_json::{Value, json};

const URL: &str = "http://127.0.0.1:18744/hello";

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, value.parse().unwrap());
    }
    map
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn any_answer_to_a_fetch_is_its_value() {
    let given = headers(&[
        ("content-length", "16"),
        ("content-type", "application/json"),
        ("x-many", "a"),
        ("x-many", "b"),
    ]);
    for status in [200, 301, 404, 503] {
        let body = Bytes::from_static(br#"{"got":"/hello"}"#);
        let value = gateway_result(false, URL, status, &given, &body).unwrap();
        assert_eq!(
            json_of(value.as_str()),
            json!({"body": "{\"got\":\"/hello\"}", "status_code": status, "url": URL, "headers": {
                "Content-Length": "16", "Content-Type": "application/json", "X-Many": "a,b"}})
        );
    }
    let binary = Bytes::from_static(b"\xff\x00");
    let value = gateway_result(false, URL, 200, &HeaderMap::new(), &binary).unwrap();
    assert_eq!(json_of(value.as_str())["body"], "\u{fffd}\0");
}

#[test]
fn javascript_can_rebuild_every_answer() {
    let none = gateway_result(false, URL, 204, &HeaderMap::new(), &Bytes::new()).unwrap();
    assert_eq!(json_of(none.as_str())["body"], Value::Null);
    let empty = gateway_result(false, URL, 200, &HeaderMap::new(), &Bytes::new()).unwrap();
    assert_eq!(json_of(empty.as_str())["body"], "");
    let mut odd = HeaderMap::new();
    odd.insert("x-a", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
    let value = gateway_result(false, URL, 200, &odd, &Bytes::new()).unwrap();
    assert_eq!(json_of(value.as_str())["headers"]["X-A"], "caf\u{e9}");
}

#[test]
fn a_model_s_answer_is_its_json() {
    let body = Bytes::from_static(b" {\"id\":\"c1\",\"usage\":{\"prompt_tokens\":3}} \n");
    let value = gateway_result(true, URL, 200, &HeaderMap::new(), &body).unwrap();
    assert_eq!(value.as_str(), r#"{"id":"c1","usage":{"prompt_tokens":3}}"#);
    for body in ["", "<html>", "{}{}"] {
        let failed =
            gateway_result(true, URL, 200, &HeaderMap::new(), &Bytes::from(body)).unwrap_err();
        assert_eq!(failed.code, Code::OutboundFailed);
        let error = json_of(failed.error.as_str());
        assert_eq!(
            error["message"],
            "Error making AI request: the response is not JSON"
        );
    }
}

#[test]
fn a_model_that_refuses_is_an_error_with_what_it_said() {
    let body = Bytes::from(format!(r#"{{"error":"slow down"}}{}"#, "x".repeat(20_000)));
    let failed =
        gateway_result(true, URL, 429, &headers(&[("retry-after", "7")]), &body).unwrap_err();
    assert_eq!(
        (failed.code, failed.no_retry),
        (Code::OutboundFailed, false)
    );
    assert!(failed.retry_after.is_some());
    let error = json_of(failed.error.as_str());
    assert_eq!(error["name"], "AIGatewayError");
    assert_eq!(
        error["message"],
        "Error making AI request: unsuccessful status code: 429"
    );
    let stack = error["stack"].as_str().unwrap();
    assert!(stack.starts_with(r#"{"error":"slow down"}"#) && stack.len() < 9000);
    assert_eq!(error["code"], "E0526");
}

#[test]
fn a_request_without_an_answer_is_an_error() {
    for (ai, name, message) in [
        (
            true,
            "AIGatewayError",
            "Error making AI request: the name has no address",
        ),
        (
            false,
            "GatewayError",
            "Error making gateway request: the name has no address",
        ),
    ] {
        let failed = gateway_failure(ai, "the name has no address");
        assert_eq!(
            (failed.code, failed.no_retry),
            (Code::OutboundFailed, false)
        );
        let error = json_of(failed.error.as_str());
        assert_eq!(
            (&error["name"], &error["message"]),
            (&json!(name), &json!(message))
        );
    }
}

#[test]
fn an_answer_over_the_limit_is_an_error() {
    let large = Bytes::from(format!("\"{}\"", "x".repeat(STEP_OUTPUT_BYTES_MAX)));
    for ai in [true, false] {
        let failed = gateway_result(ai, URL, 200, &HeaderMap::new(), &large).unwrap_err();
        assert_eq!(
            (failed.code, failed.no_retry),
            (Code::StepOutputTooLarge, false)
        );
        assert!(
            failed
                .error
                .as_str()
                .contains("step output size is greater than the limit")
        );
    }
}

proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(ai in any::<bool>(), status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..60)) {
        let outcome = gateway_result(ai, URL, status, &HeaderMap::new(), &Bytes::from(body));
        if let Ok(value) = outcome {
            json_of(value.as_str());
        }
    }
}
