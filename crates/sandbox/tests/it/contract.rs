//! What a handler gets, what it may return, and what each misuse is answered with.

use dunlin_sandbox::{LogLevel, Sandbox, TransformReport};
use dunlin_types::Code;

use crate::common::{options, request, run};

fn body(report: &TransformReport) -> String {
    let payload = report.result.as_ref().unwrap().payload.clone();
    String::from_utf8(payload.to_vec()).unwrap()
}

fn refusal(report: TransformReport) -> (Code, String) {
    let error = report.result.unwrap_err();
    (error.code, error.to_string())
}

#[tokio::test]
async fn a_handler_sees_the_whole_webhook() {
    let sandbox = Sandbox::new(options());
    let report = run(
        &sandbox,
        "return { payload: [webhook.method, webhook.url, webhook.payload, webhook.eventType,
            webhook.env.TOKEN, webhook.channels, webhook.headers,
            webhook.transformationsParams.headers['x-from'], webhook.cancel === undefined] };",
    )
    .await;
    assert_eq!(
        body(&report),
        r#"["POST","https://example.com/hook",{"a":1},"payment.succeeded","t0",["eu"],{},"dodo",true]"#
    );
}

#[tokio::test]
async fn the_five_fields_come_back_and_keys_keep_their_order() {
    let sandbox = Sandbox::new(options());
    let report = run(
        &sandbox,
        "webhook.method = 'PATCH'; webhook.url = 'https://other.example/x?y=1';
        webhook.payload = { z: 1, a: 2, 'é': '😀' };
        webhook.headers = { 'X-Key': 'k', 'x-n': 5, 'x-none': undefined };
        webhook.eventType = 'ignored'; return webhook;",
    )
    .await;
    let result = report.result.unwrap();
    assert_eq!((result.method.as_str(), result.raw_text), ("PATCH", false));
    assert_eq!(result.url, "https://other.example/x?y=1");
    assert_eq!(result.payload, r#"{"z":1,"a":2,"é":"😀"}"#.as_bytes());
    let headers: Vec<_> = result
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(headers, [("x-key", "k"), ("x-n", "5")]);
    assert!(!result.cancel);
}

#[tokio::test]
async fn absent_fields_keep_their_old_values_to_the_byte() {
    let sandbox = Sandbox::new(options());
    let mut request = request("function handler() { return {}; }", r#"{ "a" : 1.0 }"#);
    request.method = "PUT".to_owned();
    let result = sandbox.run(request).await.result.unwrap();
    assert_eq!(result.method, "PUT");
    assert_eq!(result.url, "https://example.com/hook");
    assert_eq!(result.payload, r#"{ "a" : 1.0 }"#);
}

#[tokio::test]
async fn cancel_ends_it_whatever_else_was_returned() {
    let sandbox = Sandbox::new(options());
    let report = run(
        &sandbox,
        "return { cancel: true, payload: 1n, method: 'GET' };",
    )
    .await;
    assert!(report.result.unwrap().cancel);
    let report = run(&sandbox, "return { cancel: 'true' };").await;
    assert!(!report.result.unwrap().cancel);
}

#[tokio::test]
async fn a_string_goes_out_as_it_is_only_under_a_content_type_of_its_own() {
    let sandbox = Sandbox::new(options());
    let form = "return { payload: 'a=1&b=2', headers: { 'Content-Type': 'text/plain' } };";
    let report = run(&sandbox, form).await;
    assert_eq!(body(&report), "a=1&b=2");
    assert!(report.result.unwrap().raw_text);
    let report = run(&sandbox, "return { payload: 'a=1' };").await;
    assert_eq!(body(&report), "\"a=1\"");
    assert!(!report.result.unwrap().raw_text);
}

#[tokio::test]
async fn a_transform_function_returns_the_event_itself() {
    let sandbox = Sandbox::new(options());
    let code = "const transform = (evt, headers, query, raw) =>
        ({ name: 'n', data: [evt.a, headers['x-from'], query, raw] });";
    let report = sandbox.run(request(code, r#"{"a":1}"#)).await;
    assert_eq!(
        body(&report),
        r#"{"name":"n","data":[1,"dodo",{},"{\"a\":1}"]}"#
    );
    let both = format!("{code} function handler() {{ return {{ payload: 'h' }}; }}");
    assert_eq!(body(&sandbox.run(request(&both, "{}")).await), "\"h\"");
}

#[tokio::test]
async fn what_a_handler_may_not_return_is_named() {
    let sandbox = Sandbox::new(options());
    let cases = [
        ("", "returned undefined instead of an object"),
        ("return null;", "returned null instead of an object"),
        ("return 5;", "returned int instead of an object"),
        ("return 'x';", "returned string instead of an object"),
        ("return [webhook];", "returned array instead of an object"),
        (
            "return Promise.resolve(webhook);",
            "async handlers are not supported",
        ),
        (
            "return (async () => webhook)();",
            "async handlers are not supported",
        ),
        (
            "return { method: 'GET' };",
            "method is \"GET\", not POST, PUT or PATCH",
        ),
        ("return { method: 1 };", "method is int, not a string"),
        (
            "return { url: 'nowhere' };",
            "url is \"nowhere\", not an absolute http or https URL",
        ),
        (
            "return { url: 'file:///etc/passwd' };",
            "url is \"file:///etc/passwd\", not an absolute http or https URL",
        ),
        ("return { headers: [] };", "headers is array, not an object"),
        (
            "return { headers: { a: {} } };",
            "headers.a is object, not a string",
        ),
        (
            "return { headers: { 'a b': '1' } };",
            "headers has \"a b\", which is no header name",
        ),
        (
            "return { headers: { a: 'x\\r\\nb: y' } };",
            "headers.a has characters a header may not have",
        ),
        (
            "return { payload: undefined };",
            "payload cannot be JSON: it is undefined",
        ),
        (
            "return { payload: () => 1 };",
            "payload cannot be JSON: it is function",
        ),
        (
            "webhook.payload = 'x'.repeat(1048576); return webhook;",
            "payload has 1048578 bytes, more than 1048576",
        ),
        (
            "let a = []; for (let i = 0; i < 200; i++) a = [a]; return { payload: a };",
            "payload is nested deeper than 128 levels",
        ),
    ];
    for (script, message) in cases {
        let (code, text) = refusal(run(&sandbox, script).await);
        assert_eq!(text, format!("transformation error: {message}"), "{script}");
        assert_eq!(code, Code::TransformReturnBad, "{script}");
    }
    for script in [
        "const a = {}; a.a = a; return { payload: a };",
        "return { payload: { n: 1n } };",
    ] {
        let (code, text) = refusal(run(&sandbox, script).await);
        assert_eq!(code, Code::TransformReturnBad, "{script}");
        assert!(
            text.contains("payload cannot be JSON: TypeError: "),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_a_handler_throws_is_told_with_its_place() {
    let sandbox = Sandbox::new(options());
    let report = run(&sandbox, "\n  return webhook.payload.data.customer;").await;
    let error = report.result.unwrap_err();
    assert_eq!(error.code, Code::TransformThrew);
    assert_eq!(error.line, Some(3));
    assert!(error.message.starts_with("TypeError: "), "{error}");
    let (_, text) = refusal(run(&sandbox, "throw new Error('no stock');").await);
    assert!(
        text.starts_with("transformation error: Error: no stock (2:"),
        "{text}"
    );
    let (_, text) = refusal(run(&sandbox, "throw 'plain';").await);
    assert_eq!(text, "transformation error: plain");
    let (code, _) = refusal(run(&sandbox, "throw { get message() { throw 1 } };").await);
    assert_eq!(code, Code::TransformThrew);
}

#[tokio::test]
async fn console_lines_come_back_cut_at_their_limit() {
    let sandbox = Sandbox::new(options());
    let report = run(
        &sandbox,
        "console.log('a', 1, { b: [2] }, null); console.warn(undefined, () => 1);
        console.error(new TypeError('t')); console.info(Symbol('s')); console.debug(3n);
        throw new Error('after');",
    )
    .await;
    let lines: Vec<_> = report
        .logs
        .iter()
        .map(|line| (line.level, line.text.as_str()))
        .collect();
    assert_eq!(
        lines,
        [
            (LogLevel::Log, "a 1 {\"b\":[2]} null"),
            (LogLevel::Warn, "undefined () => 1"),
            (LogLevel::Error, "TypeError: t"),
            (LogLevel::Info, "Symbol(s)"),
            (LogLevel::Debug, "3"),
        ]
    );
    let flood = "for (let i = 0; i < 1e3; i++) console.log('x'.repeat(1000)); return webhook;";
    let report = run(&sandbox, flood).await;
    assert!(report.result.is_ok());
    let bytes: usize = report.logs.iter().map(|line| line.text.len()).sum();
    assert!((64 * 1024..65 * 1024).contains(&bytes), "{bytes}");
    assert!(report.logs.last().unwrap().text.starts_with("[truncated"));
}

#[tokio::test]
async fn getters_of_the_result_run_once_each() {
    let sandbox = Sandbox::new(options());
    let report = run(
        &sandbox,
        "let n = 0; return { get method() { console.log('m'); return 'PUT'; },
            get payload() { console.log('p'); return { n: ++n }; } };",
    )
    .await;
    assert_eq!(body(&report), r#"{"n":1}"#);
    assert_eq!(report.logs.len(), 2);
}

#[tokio::test]
async fn a_payload_is_data_and_never_code() {
    let sandbox = Sandbox::new(options());
    let payload = r#"{"__proto__":{"polluted":1},"x":"`${1}`</script>\u2028"}"#;
    let code = "function handler(webhook) {
        return { payload: [({}).polluted === undefined, webhook.payload.x.length] }; }";
    let report = sandbox.run(request(code, payload)).await;
    assert_eq!(body(&report), "[true,16]");
    let broken = sandbox.run(request(code, "{")).await;
    assert_eq!(broken.result.unwrap_err().code, Code::TransformReturnBad);
}

#[tokio::test]
async fn no_run_sees_what_another_left_behind() {
    let mut options = options();
    options.workers = 1;
    let sandbox = Sandbox::new(options);
    let script = "const seen = [typeof globalThis.left, Array.prototype.left, ({}).left,
            typeof JSON.stringify, console.left];
        globalThis.left = 1; Array.prototype.left = 2; Object.prototype.left = 3;
        JSON.stringify = null; console.left = 4;
        return { payload: seen.map(String) };";
    for _ in 0..3 {
        let report = run(&sandbox, script).await;
        let fresh = r#"["undefined","undefined","undefined","function","undefined"]"#;
        assert_eq!(body(&report), fresh);
    }
}

#[tokio::test]
async fn nothing_of_the_host_can_be_reached() {
    let sandbox = Sandbox::new(options());
    let report = run(
        &sandbox,
        "const g = webhook.constructor.constructor('return this')();
        return { payload: ['fetch', 'process', 'require', 'setTimeout', 'Deno', 'std', 'os',
            'SharedArrayBuffer', 'Atomics', 'WebAssembly', 'Worker', 'Uint8Array', 'Intl']
            .filter((name) => name in g || eval('typeof ' + name) !== 'undefined') };",
    )
    .await;
    assert_eq!(body(&report), "[]");
}
