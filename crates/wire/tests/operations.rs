//! Operations that wait for something or ask for something, as each SDK writes them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use dunlin_types::limits::{STEP_INPUT_BYTES_MAX, WAIT_MS_DEFAULT};
use dunlin_types::{Code, OutboundRequest, StepId, Timestamp};
use dunlin_wire::duration::SleepSpec;
use dunlin_wire::response::{CallResponse, Failure, Op, OpKind, Reply, parse_response};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_ms(1_795_293_500_000);
const YEAR: SleepSpec = SleepSpec::For {
    ms: WAIT_MS_DEFAULT,
};

fn reply(body: String) -> Reply {
    let mut headers = http::HeaderMap::new();
    headers.insert("x-inngest-sdk", "inngest-js:v4.24.0".parse().unwrap());
    let body = Bytes::from(body);
    let response = CallResponse {
        status: 206,
        headers: &headers,
        body: &body,
    };
    parse_response(&response, NOW).reply
}

fn op(text: &str) -> Op {
    match reply(format!("[{text}]")) {
        Reply::Ops(mut ops) => ops.remove(0),
        other => panic!("{other:?}"),
    }
}

fn refused(text: &str) -> Failure {
    match reply(format!("[{text}]")) {
        Reply::Failed(failure) => failure,
        other => panic!("{text:.200}: {other:.200?}"),
    }
}

/// An op of that kind with those options.
fn kind(op_: &str, opts: Value) -> OpKind {
    op(&json!({"op": op_, "id": "a", "name": "n", "opts": opts}).to_string()).kind
}

fn request(op: &str, opts: Value) -> OutboundRequest {
    match kind(op, opts) {
        OpKind::Gateway(request) => *request,
        other => panic!("{other:?}"),
    }
}

fn header<'a>(request: &'a OutboundRequest, name: &str) -> Option<&'a str> {
    let mut found = request.headers.iter().filter(|(known, _)| known == name);
    let first = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} is there twice");
    first
}

fn for_ms(ms: i64) -> SleepSpec {
    SleepSpec::For { ms }
}

#[test]
fn a_wait_for_an_event_is_read_from_every_sdk() {
    let js = op(
        r#"{"displayName":"w","op":"WaitForEvent","id":"aff024fe4ab0fece4091de044c58c9ae4233383a",
        "name":"rec/answer","opts":{"timeout":"20s","if":"event.data.k == async.data.k"},
        "userland":{"id":"w"},"data":null}"#,
    );
    let wait = |event: &str, condition: Option<&str>, ms| OpKind::WaitForEvent {
        event: event.to_owned(),
        condition: condition.map(str::to_owned),
        timeout: for_ms(ms),
    };
    let condition = Some("event.data.k == async.data.k");
    assert_eq!(js.kind, wait("rec/answer", condition, 20_000));
    assert_eq!((js.name.as_str(), js.input), ("w", None));

    let python = op(
        r#"{"displayName":"w","id":"aff024fe4ab0fece4091de044c58c9ae4233383a",
        "name":"rec/never","op":"WaitForEvent","opts":{"if":null,"timeout":"2s"},
        "userland":{"id":"w","index":null},"data":null}"#,
    );
    assert_eq!(python.kind, wait("rec/never", None, 2_000));

    let go = op(
        r#"{"op":"WaitForEvent","id":"aff024fe4ab0fece4091de044c58c9ae4233383a","name":"w",
        "opts":{"event":"rec/answer","timeout":"1d2h","if":"event.data.k == async.data.k","name":"w"},"data":null}"#,
    );
    assert_eq!(go.kind, wait("rec/answer", condition, 93_600_000));

    let kotlin = op(
        r#"{"id":"aff024fe4ab0fece4091de044c58c9ae4233383a","name":"w","op":"WaitForEvent",
        "statusCode":"206","opts":{"event":"rec/answer","timeout":"7200s","if":null},"data":null}"#,
    );
    assert_eq!(kotlin.kind, wait("rec/answer", None, 7_200_000));
}

#[test]
fn timeouts_are_spans_dates_or_a_year() {
    for (opts, event_wait, other_waits) in [
        (json!({}), YEAR, YEAR),
        (json!({"timeout": null}), YEAR, YEAR),
        (json!({"timeout": ""}), for_ms(0), YEAR),
        (json!({"timeout": "-5s"}), for_ms(0), for_ms(0)),
        (
            json!({"timeout": "400d"}),
            SleepSpec::TooLong,
            SleepSpec::TooLong,
        ),
        (
            json!({"timeout": "soon"}),
            SleepSpec::Invalid("soon".to_owned()),
            SleepSpec::Invalid("soon".to_owned()),
        ),
        (
            json!({"timeout": 5}),
            SleepSpec::Invalid("5".to_owned()),
            SleepSpec::Invalid("5".to_owned()),
        ),
        (
            json!({"timeout": "2026-11-21T20:40:47.727Z"}),
            SleepSpec::Until(Timestamp::parse_rfc3339("2026-11-21T20:40:47.727Z").unwrap()),
            SleepSpec::Until(Timestamp::parse_rfc3339("2026-11-21T20:40:47.727Z").unwrap()),
        ),
    ] {
        let mut opts = opts;
        for (key, value) in [("event", "a/b"), ("function_id", "f"), ("signal", "s")] {
            opts[key] = value.into();
        }
        for op in ["WaitForEvent", "InvokeFunction", "WaitForSignal"] {
            let (OpKind::WaitForEvent { timeout, .. }
            | OpKind::Invoke { timeout, .. }
            | OpKind::WaitForSignal { timeout, .. }) = kind(op, opts.clone())
            else {
                panic!("{op}")
            };
            let want = if op == "WaitForEvent" {
                &event_wait
            } else {
                &other_waits
            };
            assert_eq!(timeout, *want, "{op} {opts}");
        }
    }
}

#[test]
fn an_invoke_is_read_from_every_sdk() {
    for text in [
        r#"{"displayName":"call","op":"InvokeFunction","id":"bc8d","opts":{"payload":{"data":{"n":21}},"function_id":"rec-child"},"userland":{"id":"call"},"data":null}"#,
        r#"{"displayName":"call","id":"bc8d","name":"call","op":"InvokeFunction","opts":{"function_id":"rec-child","payload":{"data":{"n":21},"v":null},"timeout":null},"userland":{"id":"call","index":null},"data":null}"#,
        r#"{"op":"InvokeFunction","id":"bc8d","name":"call","opts":{"function_id":"rec-child","payload":{"data":{"n":21},"user":null},"timeout":""},"data":null}"#,
    ] {
        let OpKind::Invoke {
            function,
            data,
            user,
            v,
            timeout,
        } = op(text).kind
        else {
            panic!("{text}")
        };
        assert_eq!(
            (function.as_str(), data.as_str()),
            ("rec-child", r#"{"n":21}"#)
        );
        assert_eq!((user, v, timeout), (None, None, YEAR));
    }
    let full = kind(
        "InvokeFunction",
        json!({"function_id": "f", "timeout": "1m", "payload": {
            "data": {"n": 1, "_inngest": {"fn_id": "forged"}}, "user": {"id": "u"}, "v": "2"}}),
    );
    let OpKind::Invoke {
        data,
        user,
        v,
        timeout,
        ..
    } = full
    else {
        panic!("{full:?}")
    };
    assert_eq!(data.as_str(), r#"{"n":1}"#);
    assert_eq!(user.unwrap().as_str(), r#"{"id":"u"}"#);
    assert_eq!((v.as_deref(), timeout), (Some("2"), for_ms(60_000)));
    for opts in [
        json!({"function_id": "f"}),
        json!({"function_id": "f", "payload": null}),
        json!({"function_id": "f", "payload": {"data": null}}),
    ] {
        let OpKind::Invoke { data, .. } = kind("InvokeFunction", opts) else {
            panic!()
        };
        assert_eq!(data.as_str(), "{}");
    }
}

#[test]
fn a_wait_for_a_signal_may_take_the_name_over() {
    let recorded = op(
        r#"{"displayName":"sig","op":"WaitForSignal","id":"b3ed","name":"rec-signal",
        "opts":{"signal":"rec-signal","timeout":"20s"},"userland":{"id":"sig"},"data":null}"#,
    );
    let wait = |replace| OpKind::WaitForSignal {
        signal: "rec-signal".to_owned(),
        replace,
        timeout: for_ms(20_000),
    };
    assert_eq!(recorded.kind, wait(false));
    for (conflict, replace) in [("replace", true), ("fail", false)] {
        let opts = json!({"signal": "rec-signal", "timeout": "20s", "conflict": conflict});
        assert_eq!(kind("WaitForSignal", opts), wait(replace), "{conflict}");
    }
}

#[test]
fn deferred_functions_and_finished_endpoints_are_read() {
    let opts = json!({"fn_slug": "app-later", "input": {"n": 1, "_inngest": 2}, "meta": {"m": 1}});
    let OpKind::DeferAdd {
        function,
        input,
        meta,
    } = kind("DeferAdd", opts)
    else {
        panic!()
    };
    assert_eq!(
        (function.as_str(), input.as_str()),
        ("app-later", r#"{"n":1}"#)
    );
    assert_eq!(meta.unwrap().as_str(), r#"{"m":1}"#);
    assert_eq!(
        kind(
            "DeferAbort",
            json!({"target_hashed_id": "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"})
        ),
        OpKind::DeferAbort {
            target: StepId::new("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8")
        }
    );
    let sync = op(r#"{"op":"SyncRunComplete","id":"a","data":{"data":{"status":200,"body":"x"}}}"#);
    let OpKind::SyncRunComplete(data) = sync.kind else {
        panic!()
    };
    assert_eq!(data.as_str(), r#"{"data":{"status":200,"body":"x"}}"#);
}

#[test]
fn what_a_step_was_given_is_kept_beside_its_result() {
    let wrapped = op(r#"{"op":"StepRun","id":"a","name":"a","data":1,
        "opts":{"type":"step.ai.wrap","input":[{"n":1}]},"metadata":[{"kind":"k","op":"set"}]}"#);
    assert_eq!(
        wrapped.kind,
        OpKind::StepRun(dunlin_types::Payload::from_json("1"))
    );
    assert_eq!(wrapped.input.unwrap().as_str(), r#"[{"n":1}]"#);
    assert_eq!(wrapped.step_type.as_deref(), Some("step.ai.wrap"));
    assert_eq!(
        wrapped.metadata.unwrap().as_str(),
        r#"[{"kind":"k","op":"set"}]"#
    );
    let planned = op(r#"{"op":"StepPlanned","id":"a","opts":{"input":[1],"parallelMode":"race"}}"#);
    assert_eq!(planned.input.unwrap().as_str(), "[1]");
    assert!(planned.parallel_race);
    for opts in ["null", "{}", r#"{"input":null}"#, "5", "[]", r#""text""#] {
        let plain = op(&format!(r#"{{"op":"StepRun","id":"a","opts":{opts}}}"#));
        assert_eq!(
            (plain.input, plain.step_type, plain.metadata),
            (None, None, None),
            "{opts}"
        );
    }
}

#[test]
fn kotlin_sends_events_by_a_plain_step_and_errors_without_a_name() {
    let sent = op(
        r#"{"id":"a","name":"send","op":"Step","statusCode":"206","opts":null,"error":null,
        "data":{"event_ids":["01M7ZXAGFHGABZQTJEA5599H5R"]}}"#,
    );
    let OpKind::Step(data) = sent.kind else {
        panic!()
    };
    assert_eq!(
        data.as_str(),
        r#"{"event_ids":["01M7ZXAGFHGABZQTJEA5599H5R"]}"#
    );
    let failed = op(
        r#"{"id":"a","name":"bad","op":"StepError","statusCode":"500","data":null,
        "error":{"message":"always","cause":null,"stackTrace":[{"lineNumber":1}],"suppressed":[]}}"#,
    );
    let OpKind::StepError { error, .. } = failed.kind else {
        panic!()
    };
    assert_eq!(error.as_str(), r#"{"message":"always","name":"Error"}"#);
    let sleep =
        op(r#"{"id":"a","name":"nap","op":"Sleep","statusCode":"206","opts":{"duration":"30s"}}"#);
    assert_eq!(sleep.kind, OpKind::Sleep(for_ms(30_000)));
}

#[test]
fn a_fetch_goes_out_as_the_app_wrote_it() {
    let recorded = op(
        r#"{"displayName":"step.fetch: 127.0.0.1","op":"Gateway","id":"ea1a",
        "opts":{"url":"http://127.0.0.1:18744/hello","method":"POST","headers":{"content-type":"application/json","x-a":"b"},
        "body":"{\"a\":1}"},"userland":{"id":"step.fetch: 127.0.0.1"},"data":null}"#,
    );
    let OpKind::Gateway(sent) = recorded.kind else {
        panic!()
    };
    assert!(!sent.ai);
    assert_eq!(
        (sent.method.as_str(), sent.url.as_str()),
        ("POST", "http://127.0.0.1:18744/hello")
    );
    assert_eq!(
        (header(&sent, "content-type"), header(&sent, "x-a")),
        (Some("application/json"), Some("b"))
    );
    assert_eq!(sent.headers.len(), 2);
    assert_eq!(sent.body.as_ref(), br#"{"a":1}"#);
    assert_eq!(
        sent.shown.as_str(),
        r#"{"method":"POST","url":"http://127.0.0.1:18744/hello"}"#
    );

    let plain = request(
        "Gateway",
        json!({"url": "https://h/", "body": "plain text"}),
    );
    assert_eq!(
        (plain.method.as_str(), plain.body.as_ref()),
        ("POST", b"plain text".as_slice())
    );
    let object = request(
        "Gateway",
        json!({"url": "https://h/", "method": "put", "body": {"a": 1}}),
    );
    assert_eq!(
        (object.method.as_str(), object.body.as_ref()),
        ("PUT", br#"{"a":1}"#.as_slice())
    );
    let bare = request(
        "Gateway",
        json!({"url": "https://h/", "method": "GET", "body": null, "headers": null}),
    );
    assert!(bare.body.is_empty() && bare.headers.is_empty());
    let lists = request(
        "Gateway",
        json!({"url": "https://h/", "headers": {
        "X-List": ["a", "b"], "X-Number": 5, "X-Null": null, "Host": "other", "Content-Length": "1",
        "transfer-encoding": "chunked", "Accept-Encoding": "br", "Cookie": " a=1 "}}),
    );
    assert_eq!(header(&lists, "x-list"), Some("a, b"));
    assert_eq!(
        (header(&lists, "x-number"), header(&lists, "cookie")),
        (Some("5"), Some("a=1"))
    );
    assert_eq!(lists.headers.len(), 3);
}

#[test]
fn every_provider_gets_its_key_as_it_wants_it() {
    let ask = |format: &str, url: &str| {
        request(
            "AIGateway",
            json!({"type": "step.ai.infer", "url": url, "headers": {}, "format": format,
            "auth_key": "sk-not-a-real-key", "body": {"model": "m", "messages": []}}),
        )
    };
    let url = "http://127.0.0.1:18744/v1/chat/completions";
    for (format, name, value) in [
        ("openai-chat", "authorization", "Bearer sk-not-a-real-key"),
        ("grok", "authorization", "Bearer sk-not-a-real-key"),
        ("azure-openai", "authorization", "Bearer sk-not-a-real-key"),
        ("", "authorization", "Bearer sk-not-a-real-key"),
        ("anthropic", "x-api-key", "sk-not-a-real-key"),
        ("bedrock", "authorization", "sk-not-a-real-key"),
    ] {
        let sent = ask(format, url);
        assert!(sent.ai);
        assert_eq!(
            (sent.method.as_str(), sent.url.as_str()),
            ("POST", url),
            "{format}"
        );
        assert_eq!(header(&sent, name), Some(value), "{format}");
        assert_eq!(header(&sent, "content-type"), Some("application/json"));
        assert_eq!(sent.headers.len(), 2, "{format}");
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(body, json!({"model": "m", "messages": []}));
        let shown: Value = serde_json::from_str(sent.shown.as_str()).unwrap();
        assert_eq!(shown["model"], "m");
        assert_eq!(shown.get("format").is_some(), !format.is_empty());
        assert!(!format!("{sent:?}").contains("sk-"));
    }
    let gemini = ask("gemini", "https://g/v1/m:generate?alt=json&key=old#f");
    assert_eq!(
        gemini.url,
        "https://g/v1/m:generate?alt=json&key=sk-not-a-real-key"
    );
    assert_eq!(gemini.headers.len(), 1);
    assert_eq!(
        gemini.shown.as_str(),
        r#"{"format":"gemini","method":"POST","model":"m","url":"https://g/v1/m:generate"}"#
    );
    let odd = request(
        "AIGateway",
        json!({"url": "https://g", "format": "gemini", "auth_key": "a b&c", "body": {}}),
    );
    assert_eq!(odd.url, "https://g?key=a%20b%26c");
    let own = request(
        "AIGateway",
        json!({"url": "https://h/", "format": "anthropic", "auth_key": "k",
        "headers": {"anthropic-version": "2023-06-01", "X-Api-Key": "mine"}, "body": {}}),
    );
    assert_eq!(
        (header(&own, "x-api-key"), own.headers.len()),
        (Some("mine"), 3)
    );
    let keyless = request(
        "AIGateway",
        json!({"url": "https://h/", "auth_key": "", "body": {}}),
    );
    assert_eq!(header(&keyless, "authorization"), None);
}

#[test]
fn what_is_shown_of_an_address_holds_no_secret() {
    for (url, shown) in [
        (
            "https://user:secret@h:8443/a/b?token=secret#secret",
            "https://h:8443/a/b",
        ),
        ("https://secret@h?secret", "https://h"),
        ("https://a@secret@h#secret", "https://h"),
        ("https://secret@h\\p?secret", "https://h\\p"),
    ] {
        let sent = request("Gateway", json!({"url": url}));
        assert_eq!(sent.url, url);
        assert_eq!(
            serde_json::from_str::<Value>(sent.shown.as_str()).unwrap()["url"],
            shown
        );
    }
}

#[test]
fn operations_that_lack_what_they_need_fail_the_attempt() {
    let url = |url: &str| ("Gateway", json!({"url": url}));
    let many: serde_json::Map<String, Value> =
        (0..200).map(|n| (format!("x-{n}"), json!("v"))).collect();
    let long = "x".repeat(2000);
    for (op, opts) in [
        ("InvokeFunction", json!({})),
        ("InvokeFunction", json!({"function_id": ""})),
        ("InvokeFunction", json!({"function_id": 5})),
        (
            "InvokeFunction",
            json!({"function_id": "f", "payload": {"data": [1]}}),
        ),
        ("WaitForSignal", json!(null)),
        ("WaitForSignal", json!({"signal": ""})),
        ("WaitForSignal", json!({"signal": long})),
        ("WaitForEvent", json!({"event": "x".repeat(513)})),
        ("DeferAdd", json!({"input": {}})),
        ("DeferAdd", json!({"fn_slug": "f", "input": 5})),
        ("DeferAbort", json!({})),
        ("Gateway", json!({})),
        url("ftp://h/secret"),
        url("h/secret"),
        url("http:///secret"),
        url("http://?secret"),
        url("http://h/ secret"),
        url("http://h/\nsecret"),
        url(&format!("http://h/{}", "secret".repeat(2000))),
        ("Gateway", json!({"url": "http://h", "method": "CONNECT"})),
        ("Gateway", json!({"url": "http://h", "method": "G T"})),
        (
            "Gateway",
            json!({"url": "http://h", "headers": {"a b": "secret"}}),
        ),
        (
            "Gateway",
            json!({"url": "http://h", "headers": {"a": "secret\nb"}}),
        ),
        (
            "Gateway",
            json!({"url": "http://h", "headers": {"a": {"secret": 1}}}),
        ),
        (
            "Gateway",
            json!({"url": "http://h", "headers": {"a": "secret".repeat(20_000)}}),
        ),
        ("Gateway", json!({"url": "http://h", "headers": many})),
        (
            "AIGateway",
            json!({"url": "http://h", "auth_key": "secret"}),
        ),
        (
            "AIGateway",
            json!({"url": "http://h", "auth_key": "sec\nret", "body": {}}),
        ),
    ] {
        let text = json!({"op": op, "id": "a", "displayName": "shown", "opts": opts}).to_string();
        let failed = refused(&text);
        assert_eq!(
            (failed.code, failed.no_retry),
            (Code::OpBad, false),
            "{text}"
        );
        let error = failed.error.as_str();
        assert!(
            error.contains("shown") && !error.contains("secret"),
            "{error}"
        );
    }
    let nameless = refused(r#"{"op":"WaitForEvent","id":"a","opts":{"timeout":"1s"}}"#);
    assert_eq!(nameless.code, Code::OpBad);
    let nested = format!(
        r#"{{"op":"InvokeFunction","id":"a","opts":{{"function_id":"f","payload":{{"data":{{"d":{}{}}}}}}}}}"#,
        "[".repeat(130),
        "]".repeat(130)
    );
    assert_eq!(refused(&nested).code, Code::OpBad);
}

#[test]
fn input_over_the_limit_is_refused() {
    let large = "x".repeat(STEP_INPUT_BYTES_MAX);
    let deferred = kind("DeferAdd", json!({"fn_slug": "f", "input": {"a": large}}));
    assert!(matches!(deferred, OpKind::DeferAdd { input, .. } if input.len() > large.len()));
    for (op, opts) in [
        ("StepRun", json!({"input": [large]})),
        ("StepPlanned", json!({"input": [large]})),
        (
            "AIGateway",
            json!({"url": "http://h", "body": {"prompt": large}}),
        ),
        ("Gateway", json!({"url": "http://h", "body": large})),
        (
            "InvokeFunction",
            json!({"function_id": "f", "payload": {"data": {"a": large}}}),
        ),
    ] {
        let failed = refused(&json!({"op": op, "id": "a", "opts": opts}).to_string());
        assert_eq!(
            (failed.code, failed.no_retry),
            (Code::StepInputTooLarge, false),
            "{op}"
        );
        assert!(
            failed
                .error
                .as_str()
                .contains("step input size is greater than the limit")
        );
    }
}

proptest! {
    #[test]
    fn no_options_make_the_parser_panic(
        op in prop_oneof![Just("WaitForEvent"), Just("InvokeFunction"), Just("WaitForSignal"), Just("Gateway"),
            Just("AIGateway"), Just("DeferAdd"), Just("DeferAbort"), Just("StepRun")],
        key in prop_oneof![Just("url"), Just("timeout"), Just("payload"), Just("headers"), Just("format"),
            Just("body"), Just("auth_key"), Just("method"), Just("input")],
        value in prop_oneof!["\\PC{0,30}".prop_map(|text| json!(text).to_string()), "[\\[\\]{}\":,a-z0-9\\\\ ]{0,30}"],
        url in "(https?://)?[a-z@\\\\/?#:é ]{0,12}",
    ) {
        let rest = json!({"event": "e", "function_id": "f", "signal": "s", "url": url, "auth_key": "secret!",
            "format": "gemini", "body": {}, "fn_slug": "f", "target_hashed_id": "t"}).to_string();
        let rest = &rest[1..];
        let text = format!("[{{\"op\":\"{op}\",\"id\":\"a\",\"opts\":{{\"{key}\":{value},{rest}}}]");
        let shown = format!("{:?}", reply(text));
        prop_assert!(!shown.contains("secret!"));
    }
}
