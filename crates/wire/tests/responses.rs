//! Responses that the recordings do not hold: streams, strangers, and what is plainly wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use dunlin_types::{Code, Timestamp};
use dunlin_wire::response::{
    CallResponse, Failure, Op, OpKind, Parsed, Reply, ensure_error_data, parse_checkpoint,
    parse_response,
};
use proptest::prelude::*;
use serde_json::Value;

const NOW: Timestamp = Timestamp::from_ms(1_795_293_500_000);
const JS: &[(&str, &str)] = &[("x-inngest-sdk", "inngest-js:v4.24.0")];

fn parse(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Parsed {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    let body = body.into();
    let response = CallResponse {
        status,
        headers: &map,
        body: &body,
    };
    parse_response(&response, NOW)
}

fn ops(body: &'static str) -> Vec<Op> {
    match parse(206, JS, body).reply {
        Reply::Ops(ops) => ops,
        other => panic!("{other:?}"),
    }
}

fn failure(parsed: Parsed) -> Failure {
    match parsed.reply {
        Reply::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

fn done(body: impl Into<Bytes>) -> String {
    match parse(200, JS, body).reply {
        Reply::Done(payload) => payload.as_str().to_owned(),
        other => panic!("{other:?}"),
    }
}

fn json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn a_result_is_json_text_or_nothing() {
    for (body, want) in [
        ("", "null"),
        ("  ", "null"),
        ("null", "null"),
        (" {\"a\": 1} ", "{\"a\": 1}"),
        ("\"done\"", "\"done\""),
        (r#""{\"a\":1}""#, r#"{"a":1}"#),
        (r#""{not json""#, r#""{not json""#),
        (r#""[1]""#, r#""[1]""#),
        ("hello \"you\"", r#""hello \"you\"""#),
    ] {
        assert_eq!(done(body), want, "{body}");
    }
    assert_eq!(done(vec![0xff, b'a']), "\"\u{fffd}a\"");
}

#[test]
fn other_success_statuses_are_results() {
    assert!(matches!(parse(204, JS, "").reply, Reply::Done(_)));
    assert!(matches!(parse(202, JS, "1").reply, Reply::Done(_)));
}

#[test]
fn success_from_a_stranger_is_a_failed_attempt() {
    for status in [200, 206, 201] {
        let body = r#"{"status":200,"body":"1"}"#;
        let failed = failure(parse(status, &[], body));
        assert_eq!(failed.code, Code::CallNotSdk);
        assert!(!failed.no_retry);
        let error = json(failed.error.bytes());
        assert_eq!(error["code"], "E0502");
        assert_eq!(
            error["message"],
            "The response did not come from an Inngest SDK"
        );
    }
}

#[test]
fn an_error_from_a_stranger_shows_the_beginning_of_its_body() {
    let page = format!("<html>Bad gateway{}</html>", "x".repeat(10_000));
    let failed = failure(parse(502, &[("retry-after", "7")], page));
    assert_eq!(failed.code, Code::CallHttpError);
    assert!(failed.retry_after.is_some() && !failed.no_retry);
    let error = json(failed.error.bytes());
    assert_eq!(error["code"], "E0505");
    assert_eq!(error["name"], "Server returned a fatal error");
    assert_eq!(
        error["message"],
        "Your server returned HTTP 502 before the SDK responded."
    );
    let stack = error["stack"].as_str().unwrap();
    assert!(stack.contains("<html>Bad gateway") && stack.len() < 9000);
}

#[test]
fn function_errors_of_every_shape_become_one() {
    let nested = r#"{"error":"{\"name\":\"E\",\"message\":\"m\",\"cause\":{\"c\":1}}"}"#;
    for (body, name, message) in [
        (r#"{"name":"E","message":"m","stack":"s"}"#, "E", "m"),
        (nested, "E", "m"),
        (r#"{"body":{"name":"E","message":"m"}}"#, "E", "m"),
        (r#""{\"name\":\"E\",\"message\":\"m\"}""#, "E", "m"),
        (r#"{"message":"go says"}"#, "Error", "go says"),
        (
            r#"{"name":"","message":null}"#,
            "Error",
            "invalid status code: 500",
        ),
        ("plain text", "Error", "plain text"),
        ("\"a string\"", "Error", "a string"),
        ("[1]", "Error", "[1]"),
        ("", "Error", "invalid status code: 500"),
    ] {
        let failed = failure(parse(500, JS, body));
        let error = json(failed.error.bytes());
        assert_eq!(failed.code, Code::FunctionError, "{body}");
        assert_eq!(
            (&error["name"], &error["message"]),
            (&name.into(), &message.into()),
            "{body}"
        );
        assert_eq!(error["error"], "invalid status code: 500", "{body}");
    }
    let final_ = [JS[0], ("x-inngest-no-retry", "true")];
    let failed = failure(parse(400, &final_, r#"{"message":"m"}"#));
    assert!(failed.no_retry);
    assert_eq!(json(failed.error.bytes())["error"], "NonRetriableError");
    assert_eq!(json(failed.raw.unwrap().bytes())["message"], "m");
}

#[test]
fn a_stream_of_javascript_or_python_holds_text_and_headers() {
    let js = r#"   {"status":206,"headers":{"x-inngest-sdk":"inngest-js:v4.24.0","x-inngest-req-version":"2"},"body":"[{\"op\":\"StepRun\",\"id\":\"a\",\"data\":{\"n\":1}}]"}"#;
    let parsed = parse(201, &[], js);
    assert_eq!(parsed.req_version, Some(2));
    assert_eq!(parsed.sdk.as_deref(), Some("inngest-js:v4.24.0"));
    let Reply::Ops(found) = parsed.reply else {
        panic!("{parsed:?}")
    };
    assert!(matches!(&found[0].kind, OpKind::StepRun(data) if data.as_str() == "{\"n\":1}"));

    let py = r#" {"body":"{\"code\":\"unknown\",\"message\":\"later\",\"name\":\"RetryAfterError\",\"stack\":null}","headers":{"retry-after":"5","x-inngest-no-retry":"false","x-inngest-sdk":"inngest-py:v0.5.19"},"status":500}"#;
    let failed = failure(parse(201, &[("x-inngest-no-retry", "true")], py));
    assert!(!failed.no_retry && failed.retry_after.is_some());
    assert_eq!(json(failed.error.bytes())["name"], "RetryAfterError");
    let done = parse(201, JS, r#"{"status":200,"headers":{},"body":"\"ok\""}"#);
    assert!(matches!(done.reply, Reply::Done(result) if result.as_str() == "\"ok\""));
}

#[test]
fn a_stream_of_go_holds_json_and_says_itself_when_to_retry() {
    const GO: &[(&str, &str)] = &[("x-inngest-sdk", "go:v0.15.1")];
    let failing = r#"  {"status":500,"body":{"message":"no"},"retryAt":"2026-11-21T20:40:19Z","noRetry":true}"#;
    let failed = failure(parse(201, GO, failing));
    assert!(failed.no_retry && failed.retry_after.is_some());
    assert_eq!(json(failed.error.bytes())["message"], "no");

    let working = r#"     {"status":206,"body":[{"op":"StepRun","id":"a","name":"a","opts":null,"data":{"n":1}}],"retryAt":null,"noRetry":false}"#;
    let parsed = parse(201, GO, working);
    assert_eq!(parsed.sdk.as_deref(), Some("go:v0.15.1"));
    let Reply::Ops(found) = parsed.reply else {
        panic!("{parsed:?}")
    };
    assert!(matches!(&found[0].kind, OpKind::StepRun(data) if data.as_str() == "{\"n\":1}"));
}

#[test]
fn a_stream_that_broke_is_a_failed_attempt() {
    let failed = failure(parse(201, JS, r#"  {"error":"boom"}"#));
    assert_eq!((failed.code, failed.no_retry), (Code::FunctionError, false));
    assert_eq!(json(failed.error.bytes())["message"], "boom");
    for broken in [
        "",
        "   ",
        "{",
        "[]",
        r#"{"headers":{}}"#,
        r#"{"status":"x"}"#,
    ] {
        let failed = failure(parse(201, JS, broken));
        assert_eq!(
            (failed.code, failed.no_retry),
            (Code::CallResponseBad, false),
            "{broken}"
        );
    }
}

#[test]
fn what_cannot_be_understood_has_a_code() {
    for (body, code) in [
        ("", Code::CallResponseBad),
        ("[", Code::CallResponseBad),
        ("\"a\"", Code::CallResponseBad),
        ("[null]", Code::CallResponseBad),
        ("[{\"op\":5,\"id\":\"a\"}]", Code::CallResponseBad),
        ("[{\"op\":\"Dance\",\"id\":\"a\"}]", Code::OpUnknown),
        ("[{\"id\":\"a\"}]", Code::OpUnknown),
        ("[{\"op\":\"StepRun\"}]", Code::OpBad),
        ("[{\"op\":\"StepError\",\"id\":\"a\"}]", Code::OpBad),
        (
            "[{\"op\":\"StepFailed\",\"id\":\"a\",\"error\":null}]",
            Code::OpBad,
        ),
    ] {
        let failed = failure(parse(206, JS, body));
        assert_eq!((failed.code, failed.no_retry), (code, false), "{body}");
    }
    assert!(ops("[]").is_empty());
    assert_eq!(
        failure(parse(206, JS, vec![0xff])).code,
        Code::CallResponseBad
    );
}

#[test]
fn too_many_operations_or_bytes_are_refused() {
    let many = |n| {
        format!(
            "[{}]",
            vec![r#"{"op":"StepPlanned","id":"a"}"#; n].join(",")
        )
    };
    assert!(matches!(parse(206, JS, many(1000)).reply, Reply::Ops(ops) if ops.len() == 1000));
    let failed = failure(parse(206, JS, many(1001)));
    assert_eq!((failed.code, failed.no_retry), (Code::TooManyOps, true));

    let large = format!(
        r#"[{{"op":"StepRun","id":"a","data":"{}"}}]"#,
        "x".repeat(4 * 1024 * 1024)
    );
    let failed = failure(parse(206, JS, large.clone()));
    assert_eq!(failed.code, Code::StepOutputTooLarge);
    let checkpoint = format!(r#"{{"run_id":"r","steps":{large}}}"#);
    let refused = parse_checkpoint(&Bytes::from(checkpoint), NOW).unwrap_err();
    assert_eq!(refused.code, Code::StepOutputTooLarge);
}

#[test]
fn operations_of_every_kind_are_read() {
    let found = ops(r#"[
        {"op":"None","id":""},
        {"op":"Step","id":"a","name":"send","data":{"event_ids":["1"]}},
        {"op":"StepRun","id":"b","name":"n","displayName":"shown","opts":{"parallelMode":"race"}},
        {"op":"Sleep","id":"c","name":"c","opts":{"duration":"2s"}},
        {"op":"Sleep","id":"d","name":"400d","opts":null},
        {"op":"StepError","id":"e","error":{"message":"m","noRetry":true,"__serialized":true}},
        {"op":"StepFailed","id":"f","error":{"message":"m","stackTrace":[1],"cause":{"x":1},"data":null}},
        {"op":"DiscoveryRequest","id":"g"},
        {"op":"WaitForEvent","id":"h","name":"a/b","opts":{"timeout":"1h"}},
        {"op":"RunComplete","id":"i"}]"#);
    let kinds: Vec<String> = found.iter().map(|op| format!("{:?}", op.kind)).collect();
    assert_eq!(
        kinds,
        [
            "None",
            r#"Step({"event_ids":["1"]})"#,
            "StepRun(null)",
            "Sleep(For { ms: 2000 })",
            "Sleep(TooLong)",
            r#"StepError { error: {"message":"m","name":"Error"}, no_retry: true, retry_after: None }"#,
            r#"StepFailed { error: {"cause":{"x":1},"message":"m","name":"Error"} }"#,
            "DiscoveryRequest",
            r#"WaitForEvent { event: "a/b", condition: None, timeout: For { ms: 3600000 } }"#,
            "RunComplete(null)",
        ]
    );
    let shown: Vec<_> = found.iter().map(|op| op.name.as_str()).collect();
    assert_eq!(shown[1..4], ["send", "shown", "c"]);
    assert_eq!(
        (found[2].parallel_race, found[3].parallel_race),
        (true, false)
    );
    assert_eq!(found[4].raw_name, "400d");
    let single = ops(r#"{"op":"StepPlanned","id":"a"}"#);
    assert_eq!(single[0].kind, OpKind::StepPlanned);
}

#[test]
fn retry_after_of_a_response_reaches_its_failed_step() {
    let headers = [JS[0], ("retry-after", "5")];
    let body =
        r#"[{"op":"StepError","id":"a","error":{"name":"RetryAfterError","message":"later"}}]"#;
    let Reply::Ops(found) = parse(206, &headers, body).reply else {
        panic!()
    };
    assert!(matches!(
        &found[0].kind,
        OpKind::StepError {
            retry_after: Some(_),
            ..
        }
    ));
}

#[test]
fn a_large_body_is_not_kept_alive_for_a_small_value() {
    let body = format!(
        r#"[{{"op":"StepRun","id":"a","data":1,"userland":{{"id":"{}"}}}}]"#,
        "x".repeat(10_000)
    );
    let body = Bytes::from(body);
    let range = body.as_ptr_range();
    let Reply::Ops(found) = parse(206, JS, body.clone()).reply else {
        panic!()
    };
    let OpKind::StepRun(data) = &found[0].kind else {
        panic!()
    };
    assert!(!range.contains(&data.bytes().as_ptr()));
    let small = Bytes::from_static(br#"[{"op":"StepRun","id":"a","data":{"n":1}}]"#);
    let Reply::Ops(found) = parse(206, JS, small.clone()).reply else {
        panic!()
    };
    let OpKind::StepRun(data) = &found[0].kind else {
        panic!()
    };
    assert!(small.as_ptr_range().contains(&data.bytes().as_ptr()));
}

#[test]
fn checkpoints_take_only_what_may_be_checkpointed() {
    let checkpoint = |steps: &str| {
        let body = format!(r#"{{"run_id":"r","fn_id":"f","qi_id":"q","steps":{steps}}}"#);
        parse_checkpoint(&Bytes::from(body), NOW)
    };
    let fine = checkpoint(
        r#"[{"op":"StepRun","id":"a","data":1},{"op":"Step","id":"b","data":{"event_ids":[]}},
            {"op":"StepPlanned","id":"c"},{"op":"DeferAdd","id":"d","opts":{"fn_slug":"app-later"}},
            {"op":"DeferAbort","id":"e","opts":{"target_hashed_id":"d"}}]"#,
    )
    .unwrap();
    assert_eq!((fine.ops.len(), fine.generation_id), (5, None));
    assert_eq!(fine.request_id, None);
    let opts = r#"{"event":"a","timeout":"1s","signal":"s","function_id":"f","url":"http://h/",
        "body":{}}"#;
    for op in [
        "None",
        "Sleep",
        "RunComplete",
        "SyncRunComplete",
        "WaitForEvent",
        "WaitForSignal",
        "InvokeFunction",
        "Gateway",
        "AIGateway",
        "DiscoveryRequest",
        "StepError",
        "StepFailed",
    ] {
        let op_ = format!(r#"[{{"op":"{op}","id":"a","error":{{}},"opts":{opts}}}]"#);
        let refused = checkpoint(&op_).unwrap_err();
        assert_eq!(refused.code, Code::OpBad, "{op}");
        assert!(refused.detail.ends_with("cannot be checkpointed"), "{op}");
    }
    let empty = Bytes::from_static(b"{}");
    assert_eq!(
        parse_checkpoint(&empty, NOW).unwrap_err().code,
        Code::CallResponseBad
    );
}

#[test]
fn go_gets_data_in_every_error() {
    for (error, want) in [
        (r#"{"message":"m"}"#, r#"{"data":null,"message":"m"}"#),
        (r#"{"data":1,"message":"m"}"#, r#"{"data":1,"message":"m"}"#),
        ("{}", r#"{"data":null}"#),
        (" { } ", r#"{"data":null }"#),
    ] {
        let payload = dunlin_types::Payload::from_json(error);
        assert_eq!(ensure_error_data(&payload).as_str(), want, "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        status in prop_oneof![Just(200_u16), Just(201), Just(206), Just(400), Just(500)],
        sdk in any::<bool>(),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "[\\[\\]{}\":,a-z0-9\\\\ ]{0,80}".prop_map(String::into_bytes),
            "\\[\\{\"op\":\"(StepRun|StepError|Sleep)\",\"id\":\"a\",\"(data|error|opts|name)\":[\\[\\]{}\":,a-z0-9 ]{0,20}\\}\\]"
                .prop_map(String::into_bytes),
        ],
    ) {
        let _ = parse(status, if sdk { JS } else { &[] }, body.clone());
        let _ = parse_checkpoint(&Bytes::from(body), NOW);
    }
}
