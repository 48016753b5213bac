//! Recorded traffic of the official SDKs, replayed through the codecs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use dunlin_types::{Code, Payload, StepId, Timestamp};
use dunlin_wire::call::{CallBody, Memo, MemoKind};
use dunlin_wire::duration::{RetryAfter, SleepSpec};
use dunlin_wire::response::{
    CallResponse, OpKind, Parsed, Reply, parse_checkpoint, parse_response,
};
use serde_json::Value;

const NOW: Timestamp = Timestamp::from_ms(1_795_293_500_000);

const RECORDINGS: [(&str, &str); 4] = [
    ("js-v3", include_str!("fixtures/exchanges/js-v3.json")),
    ("js-v4", include_str!("fixtures/exchanges/js-v4.json")),
    (
        "js-v4-checkpointing",
        include_str!("fixtures/exchanges/js-v4-checkpointing.json"),
    ),
    ("python", include_str!("fixtures/exchanges/python.json")),
];

/// One recorded exchange, with the file and function it is from.
struct Exchange {
    file: &'static str,
    function: String,
    value: Value,
}

fn exchanges(direction: &str) -> Vec<Exchange> {
    let mut out = Vec::new();
    for (file, text) in RECORDINGS {
        let recording: Value = serde_json::from_str(text).unwrap();
        for (function, runs) in recording["runs"].as_object().unwrap() {
            for run in runs.as_array().unwrap() {
                for exchange in run["exchanges"].as_array().unwrap() {
                    if exchange["dir"] == direction {
                        out.push(Exchange {
                            file,
                            function: function.clone(),
                            value: exchange.clone(),
                        });
                    }
                }
            }
        }
    }
    out
}

fn parse(response: &Value) -> Parsed {
    let mut headers = http::HeaderMap::new();
    for (name, value) in response["headers"].as_object().unwrap() {
        let name: http::HeaderName = name.parse().unwrap();
        headers.insert(name, value.as_str().unwrap().parse().unwrap());
    }
    let body = Bytes::from(response["body"].to_string());
    let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
    parse_response(
        &CallResponse {
            status,
            headers: &headers,
            body: &body,
        },
        NOW,
    )
}

fn value_of(payload: &Payload) -> Value {
    serde_json::from_slice(payload.bytes()).unwrap()
}

#[test]
fn every_recorded_response_is_understood() {
    let mut counts = BTreeMap::new();
    for Exchange {
        file,
        function,
        value,
    } in exchanges("server->app")
    {
        let response = &value["response"];
        let at = format!("{file} {function}");
        let parsed = parse(response);
        assert!(parsed.sdk.is_some(), "{at}");
        assert!(matches!(parsed.req_version, Some(1 | 2)), "{at}");
        let kind = match parsed.reply {
            Reply::Ops(ops) => {
                assert_eq!(response["status"], 206, "{at}");
                check_ops(&at, &ops, response["body"].as_array().unwrap());
                "ops"
            }
            Reply::Done(result) => {
                assert_eq!(response["status"], 200, "{at}");
                assert_eq!(value_of(&result), response["body"], "{at}");
                "done"
            }
            Reply::Failed(failure) => {
                assert_eq!(failure.code, Code::FunctionError, "{at}");
                let error = value_of(&failure.error);
                for field in ["name", "message", "stack"] {
                    assert_eq!(error[field], response["body"][field], "{at}");
                }
                let header = &response["headers"]["x-inngest-no-retry"];
                assert_eq!(failure.no_retry, *header == "true", "{at}");
                assert_eq!(
                    failure.retry_after.is_some(),
                    !response["headers"]["retry-after"].is_null(),
                    "{at}"
                );
                "failed"
            }
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    assert!(counts.values().all(|n| *n > 10), "{counts:?}");
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn check_ops(at: &str, ops: &[dunlin_wire::response::Op], recorded: &[Value]) {
    assert_eq!(ops.len(), recorded.len(), "{at}");
    for (op, recorded) in ops.iter().zip(recorded) {
        assert_eq!(op.id.text(), recorded["id"], "{at}");
        if let Some(name) = recorded["displayName"].as_str() {
            assert_eq!(op.name, name, "{at}");
        }
        let wire = recorded["op"].as_str().unwrap();
        match &op.kind {
            OpKind::StepRun(data) => {
                assert_eq!(
                    (wire, value_of(data)),
                    ("StepRun", recorded["data"].clone()),
                    "{at}"
                );
            }
            OpKind::RunComplete(data) => {
                assert_eq!(wire, "RunComplete");
                assert_eq!(value_of(data), recorded["data"], "{at}");
            }
            OpKind::StepError {
                error, no_retry, ..
            } => {
                assert_eq!((wire, *no_retry), ("StepError", false), "{at}");
                assert_eq!(
                    value_of(error)["message"],
                    recorded["error"]["message"],
                    "{at}"
                );
            }
            OpKind::StepFailed { error } => {
                assert_eq!(wire, "StepFailed", "{at}");
                assert_eq!(value_of(error)["name"], recorded["error"]["name"], "{at}");
            }
            OpKind::StepPlanned => assert_eq!(wire, "StepPlanned", "{at}"),
            OpKind::Sleep(spec) => {
                assert_eq!(wire, "Sleep", "{at}");
                assert!(
                    matches!(spec, SleepSpec::For { ms: 1.. } | SleepSpec::Until(_)),
                    "{at}: {spec:?}"
                );
            }
            OpKind::WaitForEvent {
                event,
                condition,
                timeout,
            } => {
                assert_eq!((wire, event), ("WaitForEvent", &op.raw_name), "{at}");
                let given = recorded["opts"]["if"].as_str();
                assert_eq!(condition.as_deref(), given, "{at}");
                assert!(matches!(timeout, SleepSpec::For { ms: 1.. }), "{at}");
            }
            OpKind::Invoke { function, data, .. } => {
                let opts = &recorded["opts"];
                assert_eq!(
                    (wire, function),
                    ("InvokeFunction", &text(&opts["function_id"]))
                );
                assert_eq!(value_of(data), opts["payload"]["data"], "{at}");
            }
            OpKind::WaitForSignal { signal, .. } => {
                assert_eq!((wire, signal.as_str()), ("WaitForSignal", "rec-signal"));
            }
            OpKind::Gateway(request) => {
                let opts = &recorded["opts"];
                assert_eq!(
                    wire,
                    if request.ai { "AIGateway" } else { "Gateway" },
                    "{at}"
                );
                assert_eq!(request.url, opts["url"], "{at}");
                let sent: Value = serde_json::from_slice(&request.body).unwrap();
                let given = &opts["body"];
                let given = given
                    .as_str()
                    .map_or(given.clone(), |text| serde_json::from_str(text).unwrap());
                assert_eq!(sent, given, "{at}");
                assert!(!format!("{op:?}").contains("sk-not-a-real-key"), "{at}");
            }
            other => panic!("{at}: {other:?} for {wire}"),
        }
    }
}

#[test]
fn retry_after_of_both_sdks_is_read() {
    let mut seen = Vec::new();
    for exchange in exchanges("server->app") {
        if let Reply::Failed(failure) = parse(&exchange.value["response"]).reply {
            seen.extend(failure.retry_after);
        }
    }
    assert!(seen.contains(&RetryAfter::In { ms: 2000 }));
    assert!(seen.iter().any(|after| matches!(after, RetryAfter::At(_))));
}

#[test]
fn every_recorded_checkpoint_is_understood() {
    let checkpoints = exchanges("app->server");
    let mut seen = 0;
    for exchange in checkpoints {
        let request = &exchange.value["request"];
        if !request["path"]
            .as_str()
            .unwrap()
            .contains("/v1/checkpoint/")
        {
            continue;
        }
        let body = Bytes::from(request["body"].to_string());
        let checkpoint = parse_checkpoint(&body, NOW).unwrap();
        assert_eq!(checkpoint.run_id, request["body"]["run_id"]);
        assert_eq!(checkpoint.qi_id, request["body"]["qi_id"]);
        assert_eq!(checkpoint.generation_id, Some(1));
        assert!(!checkpoint.ops.is_empty());
        seen += 1;
    }
    assert!(seen > 5, "{seen}");
}

/// The dotted paths of all keys outside of user data.
fn key_set(call: &Value) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for (key, value) in call.as_object().unwrap() {
        out.insert(key.clone());
        if key == "ctx" {
            for (inner, value) in value.as_object().unwrap() {
                out.insert(format!("ctx.{inner}"));
                if inner == "stack" {
                    out.extend(value.as_object().unwrap().keys().cloned());
                }
            }
        }
    }
    out
}

#[test]
fn calls_have_the_keys_and_memo_shapes_of_the_recorded_ones() {
    for exchange in exchanges("server->app") {
        let recorded = &exchange.value["request"]["body"];
        let mut memos = Vec::new();
        for (id, memo) in recorded["steps"].as_object().unwrap() {
            let (kind, value) = match memo.as_object() {
                Some(object) if object.len() == 1 && object.contains_key("data") => {
                    (MemoKind::Data, &memo["data"])
                }
                Some(object) if object.len() == 1 && object.contains_key("error") => {
                    (MemoKind::Error, &memo["error"])
                }
                _ if memo.is_null() => (MemoKind::Null, memo),
                _ => (MemoKind::Raw, memo),
            };
            memos.push((StepId::new(id), kind, Payload::from_json(value.to_string())));
        }
        let steps: Vec<Memo<'_>> = memos
            .iter()
            .map(|(id, kind, value)| Memo {
                id,
                kind: *kind,
                value,
            })
            .collect();
        let event = recorded["event"].to_string();
        let events: Vec<Bytes> = recorded["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| Bytes::from(event.to_string()))
            .collect();
        let ctx = &recorded["ctx"];
        let number = |value: &Value| value.as_i64().unwrap();
        let stack: Vec<StepId> = ctx["stack"]["stack"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| StepId::new(id.as_str().unwrap()))
            .collect();
        let built = CallBody {
            event: event.as_bytes(),
            events: &events,
            steps: &steps,
            defers: &[],
            stack: &stack,
            stack_current: number(&ctx["stack"]["current"]) as usize,
            fn_id: &text(&ctx["fn_id"]),
            run_id: &text(&ctx["run_id"]),
            step_id: &text(&ctx["step_id"]),
            attempt: number(&ctx["attempt"]) as u32,
            max_attempts: number(&ctx["max_attempts"]) as u32,
            qi_id: &text(&ctx["qi_id"]),
            request_id: &text(&ctx["request_id"]),
            generation_id: number(&ctx["generation_id"]),
            job_id: &text(&ctx["job_id"]),
            disable_immediate_execution: ctx["disable_immediate_execution"].as_bool().unwrap(),
            use_api: ctx["use_api"].as_bool().unwrap(),
            version: number(&recorded["version"]),
            canonical: false,
        };
        let sent: Value = serde_json::from_slice(&built.encode()).unwrap();
        let at = format!("{} {}", exchange.file, exchange.function);
        assert_eq!(key_set(&sent), key_set(recorded), "{at}");
        assert_eq!(sent, *recorded, "{at}");
    }
}
