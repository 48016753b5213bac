//! The server with apps that answer as the SDKs for Go and Kotlin do. Those are not run here: what they
//! send was written down from their reference, with what sets them apart.

use bytes::Bytes;
use dunlin_tests::{
    Answer, Call, Client, Server, StandIn, Stub, StubAnswer, free_port, registration, step_id,
    text, until,
};
use http::Response;
use http_body_util::Full;
use serde_json::{Value, json};

const SIGNING_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Who answers.
#[derive(Clone, Copy)]
enum Sdk {
    Go,
    Kotlin,
}

impl Sdk {
    fn name(self) -> &'static str {
        match self {
            Self::Go => "go:v0.15.1",
            Self::Kotlin => "inngest-kt:0.2.0",
        }
    }

    fn answer(self, status: u16, body: impl Into<Bytes>) -> Answer {
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .header("x-inngest-sdk", self.name())
            .header("x-inngest-req-version", "2");
        response.body(Full::new(body.into())).expect("a response")
    }

    /// A step as this SDK reports it.
    fn op(self, op: &str, step: &str, more: Value) -> Value {
        let mut all = match self {
            Self::Go => json!({ "displayName": step, "opts": null, "userland": { "id": step } }),
            Self::Kotlin => json!({ "displayName": step, "opts": null, "statusCode": "206" }),
        };
        merge(
            &mut all,
            json!({ "op": op, "id": step_id(step), "name": step }),
        );
        merge(&mut all, more);
        all
    }

    /// A function's registration, with the nulls that this SDK writes for what is not set.
    fn function(self, url: &str, id: &str, more: Value) -> Value {
        let slug = format!("app-{id}");
        let retries = match self {
            Self::Go => Value::Null,
            Self::Kotlin => json!({ "attempts": 3 }),
        };
        let mut all = json!({
            "id": slug, "name": id, "batchEvents": null, "concurrency": null, "debounce": null,
            "idempotency": null, "priority": null, "rateLimit": null, "throttle": null,
            "cancel": null, "singleton": null, "timeouts": null,
            "triggers": [{ "event": format!("app/{id}"), "expression": null }],
            "steps": { "step": {
                "id": "step", "name": "step", "retries": retries,
                "runtime": { "type": "http", "url": format!("{url}?fnId={slug}&stepId=step") },
            } },
        });
        merge(&mut all, more);
        all
    }

    /// Registers functions with a server: ids and what is not usual about them.
    async fn register(self, server: &Server, app: &StandIn, functions: &[(&str, Value)]) {
        let url = app.url();
        let made = functions
            .iter()
            .map(|(id, more)| self.function(&url, id, more.clone()));
        let mut body = registration("app", &url, &made.collect::<Vec<_>>());
        merge(
            &mut body,
            json!({ "sdk": self.name(), "framework": "", "v": "1" }),
        );
        let reply = server.client().post("/fn/register", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// A function that does these steps one after the other and returns what each left.
    fn follow(self, steps: &[Value], call: &Call) -> Answer {
        for step in steps {
            if !call.memos().contains_key(&text(&step["id"])) {
                return self.answer(206, json!([step]).to_string());
            }
        }
        let names = steps.iter().map(|step| text(&step["displayName"]));
        let left = names.map(|name| (name.clone(), call.memo(&name).cloned().unwrap_or_default()));
        self.answer(200, Value::Object(left.collect()).to_string())
    }
}

fn merge(into: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    into.as_object_mut().expect("an object").extend(more);
}

async fn server() -> Server {
    let flags = [
        "--memory",
        "--test-mode",
        "--no-discovery",
        "--retry-interval",
        "50ms",
    ];
    Server::dev(flags).await
}

/// A server and an app of functions that all follow the same steps.
async fn world(sdk: Sdk, steps: Vec<Value>, functions: &[(&str, Value)]) -> (Server, StandIn) {
    let server = server().await;
    let app = StandIn::start(move |call| {
        let answer = sdk.follow(&steps, &call);
        async { answer }
    })
    .await;
    sdk.register(&server, &app, functions).await;
    (server, app)
}

async fn begin(server: &Server, name: &str, data: Value) -> String {
    let event = server.send_event(name, data).await;
    let run = server.run_of(&event).await;
    server.idle().await;
    run
}

async fn steps_of_every_kind(sdk: Sdk, sent: Value) {
    let invoked = json!({ "function_id": "app-child", "payload": { "data": { "n": 2 } } });
    let steps = vec![
        sdk.op("StepRun", "run", json!({ "data": { "n": 1 } })),
        sdk.op("Sleep", "nap", json!({ "opts": { "duration": "3600s" } })),
        sdk.op(
            "WaitForEvent",
            "wait",
            json!({ "opts": {
            "event": "app/answer", "if": "event.data.order == async.data.order", "timeout": "7200s",
        } }),
        ),
        sdk.op(
            "WaitForEvent",
            "wait in vain",
            json!({ "opts": {
            "event": "app/never", "if": null, "timeout": "60s",
        } }),
        ),
        sdk.op("InvokeFunction", "call", json!({ "opts": invoked })),
        sent.clone(),
    ];
    let server = server().await;
    let app = StandIn::start(move |call| {
        let answer = match call.function.as_str() {
            "app-child" => sdk.answer(200, r#"{"doubled":4}"#),
            _ => sdk.follow(&steps, &call),
        };
        async { answer }
    })
    .await;
    sdk.register(&server, &app, &[("all", json!({})), ("child", json!({}))])
        .await;
    let run = begin(&server, "app/all", json!({ "order": 7 })).await;
    server.advance("50m").await;
    assert_eq!(app.calls().len(), 2, "it sleeps for an hour");
    server.advance("11m").await;
    for (order, answer) in [(8, "another's"), (7, "yes")] {
        server
            .send_event("app/answer", json!({ "order": order, "answer": answer }))
            .await;
    }
    server.idle().await;
    server.advance("2m").await;

    let ended = server.ended(&run).await;
    assert_eq!(ended["status"], "Completed", "{ended}");
    let left = &ended["output"];
    assert_eq!(left["run"], json!({ "data": { "n": 1 } }));
    assert!(
        left["nap"].is_null() && left["wait in vain"].is_null(),
        "{left}"
    );
    assert_eq!(left["wait"]["name"], "app/answer", "{left}");
    assert_eq!(left["wait"]["data"]["answer"], "yes", "{left}");
    assert_eq!(left["call"], json!({ "data": { "doubled": 4 } }));
    let expected = if sent["op"] == "Step" {
        sent["data"].clone()
    } else {
        json!({ "data": sent["data"] })
    };
    assert_eq!(left[text(&sent["name"])], expected);
    for call in app.calls() {
        assert_eq!(
            call.headers["x-run-id"],
            text(&call.body["ctx"]["run_id"]).as_str()
        );
        assert!(call.body["ctx"]["env"].is_string(), "{}", call.body);
        assert!(call.body["event"]["data"].is_object(), "{}", call.body);
    }
}

#[tokio::test]
async fn go_does_steps_of_every_kind() {
    let sent = Sdk::Go.op(
        "StepRun",
        "send",
        json!({ "data": "01M80000000000000000000000" }),
    );
    steps_of_every_kind(Sdk::Go, sent).await;
}

#[tokio::test]
async fn kotlin_does_steps_of_every_kind() {
    let data = json!({ "event_ids": ["01M80000000000000000000000"] });
    let sent = Sdk::Kotlin.op("Step", "send", json!({ "data": data }));
    steps_of_every_kind(Sdk::Kotlin, sent).await;
}

#[tokio::test]
async fn a_step_that_fails_in_go_has_data_in_its_error() {
    let server = server().await;
    let app = StandIn::start(|call| {
        let error = json!({ "error": { "name": "Step failed", "message": "no luck" } });
        let last = call.attempt() + 1 >= call.body["ctx"]["max_attempts"].as_u64().unwrap_or(0);
        let op = if last { "StepFailed" } else { "StepError" };
        let answer = match call.memo("risky") {
            None => Sdk::Go.answer(206, json!([Sdk::Go.op(op, "risky", error)]).to_string()),
            Some(memo) => Sdk::Go.answer(200, memo.to_string()),
        };
        async { answer }
    })
    .await;
    let retries = json!({ "retries": 1 });
    let mut two = Sdk::Go.function(&app.url(), "f", retries);
    two["steps"]["step"]["retries"] = json!({ "attempts": 1 });
    Sdk::Go.register(&server, &app, &[("f", two)]).await;
    let run = begin(&server, "app/f", json!({})).await;
    let ended = server.ended(&run).await;
    let error = &ended["output"]["error"];
    assert_eq!(error["message"], "no luck", "{ended}");
    assert_eq!(
        error.get("data"),
        Some(&Value::Null),
        "Go reads it as JSON: {ended}"
    );
    assert_eq!(app.calls().len(), 3, "two attempts, then the function");
}

#[tokio::test]
async fn an_exception_of_kotlin_needs_no_name() {
    let error = json!({ "error": {
        "message": "no luck", "stackTrace": [{ "lineNumber": 7 }], "cause": { "message": "why" },
    } });
    let steps = vec![Sdk::Kotlin.op("StepFailed", "risky", error)];
    let (server, _app) = world(Sdk::Kotlin, steps, &[("f", json!({}))]).await;
    let run = begin(&server, "app/f", json!({})).await;
    let ended = server.ended(&run).await;
    let error = &ended["output"]["risky"]["error"];
    assert_eq!(
        (&error["message"], &error["name"]),
        (&json!("no luck"), &json!("Error")),
        "{ended}"
    );
}

async fn parallel_steps(sdk: Sdk) {
    let server = server().await;
    let app = StandIn::start(move |call| {
        let answer = match (&call.target, call.memo("a"), call.memo("b")) {
            (Some(id), ..) => {
                let name = if *id == step_id("a") { "a" } else { "b" };
                sdk.answer(
                    206,
                    json!([sdk.op("StepRun", name, json!({ "data": name }))]).to_string(),
                )
            }
            (None, Some(a), Some(b)) => sdk.answer(200, json!([a["data"], b["data"]]).to_string()),
            _ => {
                let plan = |name| sdk.op("StepPlanned", name, json!({}));
                sdk.answer(206, json!([plan("a"), plan("b")]).to_string())
            }
        };
        async { answer }
    })
    .await;
    sdk.register(&server, &app, &[("f", json!({}))]).await;
    let run = begin(&server, "app/f", json!({})).await;
    let ended = server.ended(&run).await;
    assert_eq!(ended["output"], json!(["a", "b"]), "{ended}");
    assert_eq!(
        app.calls().len(),
        4,
        "a plan, two steps, and one call when both are done"
    );
}

#[tokio::test]
async fn go_runs_steps_side_by_side() {
    parallel_steps(Sdk::Go).await;
}

#[tokio::test]
async fn go_streams_its_answers() {
    let server = server().await;
    let app = StandIn::start(|call| {
        let step = Sdk::Go.op("StepRun", "a", json!({ "data": "ran" }));
        let told = match call.memo("a") {
            None if call.attempt() == 0 => {
                json!({ "status": 500, "body": { "message": "not yet" }, "retryAt": null, "noRetry": false })
            }
            None => json!({ "status": 206, "body": [step], "retryAt": null, "noRetry": false }),
            Some(memo) => json!({ "status": 200, "body": memo["data"], "retryAt": null, "noRetry": false }),
        };
        let answer = Sdk::Go.answer(201, format!("   {told}\n"));
        async { answer }
    })
    .await;
    Sdk::Go.register(&server, &app, &[("f", json!({}))]).await;
    let run = begin(&server, "app/f", json!({})).await;
    let ended = server.ended(&run).await;
    assert_eq!(ended["output"], "ran", "{ended}");
    assert_eq!(app.calls().len(), 3);
}

#[tokio::test]
async fn go_streams_that_a_retry_makes_no_sense_or_comes_later() {
    let server = server().await;
    let app = StandIn::start(|call| {
        let mut told = json!({
            "status": 500, "body": { "message": "no luck" }, "retryAt": null, "noRetry": true,
        });
        if call.function == "app-later" {
            // Long past: at once, though no sooner than a server may.
            merge(
                &mut told,
                json!({ "retryAt": "2026-01-01T00:00:00Z", "noRetry": false }),
            );
            if call.attempt() > 0 {
                told = json!({ "status": 200, "body": "then" });
            }
        }
        let answer = Sdk::Go.answer(201, format!(" {told}"));
        async { answer }
    })
    .await;
    Sdk::Go
        .register(&server, &app, &[("never", json!({})), ("later", json!({}))])
        .await;
    let never = begin(&server, "app/never", json!({})).await;
    let ended = server.ended(&never).await;
    assert_eq!(ended["status"], "Failed", "{ended}");
    assert!(ended["output"].to_string().contains("no luck"), "{ended}");
    let later = begin(&server, "app/later", json!({})).await;
    server.advance("2s").await;
    assert_eq!(server.ended(&later).await["output"], "then");
    assert_eq!(app.calls().len(), 3);
}

async fn errors_of_the_function(sdk: Sdk, error: Value, content_type: &'static str) {
    let server = server().await;
    let app = StandIn::start(move |call| {
        let mut answer = sdk.answer(500, error.to_string());
        let headers = answer.headers_mut();
        headers.insert("content-type", http::HeaderValue::from_static(content_type));
        if call.function == "app-later" && call.attempt() == 0 {
            headers.insert("retry-after", http::HeaderValue::from_static("3600"));
        } else if call.function == "app-later" {
            answer = sdk.answer(200, "\"then\"");
        } else {
            headers.insert("x-inngest-no-retry", http::HeaderValue::from_static("true"));
        }
        async { answer }
    })
    .await;
    let told = json!({ "triggers": [{
        "event": "inngest/function.failed", "expression": "event.data.function_id == 'app-never'",
    }] });
    let functions = [
        ("never", json!({})),
        ("later", json!({})),
        ("never-failure", told),
    ];
    sdk.register(&server, &app, &functions).await;
    let later = begin(&server, "app/later", json!({})).await;
    let never = begin(&server, "app/never", json!({})).await;
    let ended = server.ended(&never).await;
    assert_eq!(ended["status"], "Failed", "{ended}");
    assert!(ended["output"].to_string().contains("no luck"), "{ended}");
    let failures = app
        .calls()
        .into_iter()
        .filter(|call| call.function == "app-never-failure");
    let told: Vec<Call> = failures.collect();
    assert_eq!(told.len(), 1, "who asked is told once");
    let data = &told[0].body["event"]["data"];
    assert_eq!(data["run_id"], never.as_str());
    assert_eq!(data["error"]["message"], "no luck", "{data}");

    server.advance("50m").await;
    assert_eq!(server.read_run(&later).await["status"], "Running");
    server.advance("11m").await;
    assert_eq!(server.ended(&later).await["output"], "then");
}

#[tokio::test]
async fn go_says_when_not_to_retry() {
    let error = json!({ "message": "no luck" });
    errors_of_the_function(Sdk::Go, error, "text/plain; charset=utf-8").await;
}

#[tokio::test]
async fn kotlin_says_when_not_to_retry() {
    let error = json!({
        "name": "com.example.Broken", "message": "no luck", "stack": "at f", "__serialized": true,
    });
    errors_of_the_function(Sdk::Kotlin, error, "application/json").await;
}

async fn events_and_time_cancel(sdk: Sdk) {
    let nap = sdk.op("Sleep", "nap", json!({ "opts": { "duration": "86400s" } }));
    let stops = json!({ "cancel": [
        { "event": "app/stop", "if": "event.data.order == async.data.order", "timeout": null },
    ] });
    let short = json!({ "timeouts": { "start": null, "finish": "1h" } });
    let functions = [("stops", stops), ("short", short)];
    let (server, app) = world(sdk, vec![nap], &functions).await;
    let stopped = begin(&server, "app/stops", json!({ "order": 1 })).await;
    let spared = begin(&server, "app/stops", json!({ "order": 2 })).await;
    let short = begin(&server, "app/short", json!({})).await;
    server.send_event("app/stop", json!({ "order": 1 })).await;
    assert_eq!(server.ended(&stopped).await["status"], "Cancelled");
    server.advance("61m").await;
    assert_eq!(server.ended(&short).await["status"], "Cancelled");
    server.advance("23h").await;
    assert_eq!(server.ended(&spared).await["status"], "Completed");
    assert_eq!(app.calls().len(), 4);
}

#[tokio::test]
async fn go_runs_are_cancelled_by_events_and_time() {
    events_and_time_cancel(Sdk::Go).await;
}

#[tokio::test]
async fn kotlin_runs_are_cancelled_by_events() {
    events_and_time_cancel(Sdk::Kotlin).await;
}

async fn time_tables(sdk: Sdk) {
    let daily = json!({ "triggers": [{ "cron": "TZ=Europe/Oslo 0 9 * * *" }] });
    let (server, app) = world(sdk, Vec::new(), &[("daily", daily)]).await;
    for day in 1..=2 {
        server.advance("24h").await;
        assert_eq!(app.calls().len(), day);
    }
    assert_eq!(
        app.calls()[0].body["event"]["name"],
        "inngest/scheduled.timer"
    );
}

#[tokio::test]
async fn go_and_kotlin_have_time_tables() {
    time_tables(Sdk::Go).await;
    time_tables(Sdk::Kotlin).await;
}

#[tokio::test]
async fn go_waits_for_signals_and_has_requests_made() {
    let page = StubAnswer::Fixed(200, "application/json", r#"{"ducks":3}"#);
    let pond = Stub::start(page).await;
    let asks = json!({
        "type": "step.ai.infer", "url": format!("{}/v1/chat/completions", pond.base()),
        "auth_key": "a-secret", "format": "openai-chat", "headers": null, "body": { "model": "m" },
    });
    let steps = vec![
        Sdk::Go.op(
            "WaitForSignal",
            "signal",
            json!({ "opts": {
            "signal": "go on", "timeout": "3600s", "conflict": "fail",
        } }),
        ),
        Sdk::Go.op(
            "Gateway",
            "fetch",
            json!({ "opts": {
            "url": format!("{}/ducks", pond.base()), "method": "GET", "headers": null, "body": "",
        } }),
        ),
        Sdk::Go.op("AIGateway", "ask", json!({ "opts": asks })),
    ];
    let (server, _app) = world(Sdk::Go, steps, &[("f", json!({}))]).await;
    let run = begin(&server, "app/f", json!({})).await;
    let signal = json!({ "signal": "go on", "data": { "n": 1 } });
    let reply = server.client().post("/v1/signals", &signal).await;
    assert_eq!(
        reply.json()["data"]["run_id"],
        run.as_str(),
        "{}",
        reply.text()
    );
    let left = server.ended(&run).await["output"].clone();
    assert_eq!(left["signal"], json!({ "data": signal }), "{left}");
    assert_eq!(left["fetch"]["data"]["status_code"], 200, "{left}");
    assert_eq!(left["fetch"]["data"]["body"], r#"{"ducks":3}"#, "{left}");
    assert_eq!(left["ask"], json!({ "data": { "ducks": 3 } }), "{left}");
    let heard = pond.heard();
    assert_eq!(
        (heard[0].method.as_str(), heard[0].path.as_str()),
        ("GET", "/ducks")
    );
    assert_eq!(heard[1].header("authorization"), Some("Bearer a-secret"));
}

#[tokio::test]
async fn all_of_a_large_state_goes_to_go_inline() {
    let part = |name: &str| {
        let data = "x".repeat(1_048_576);
        Sdk::Go.op("StepRun", name, json!({ "data": data }))
    };
    let mut steps: Vec<Value> = ["a", "b", "c", "d", "e", "f"].map(part).into();
    steps.push(Sdk::Go.op("Sleep", "nap", json!({ "opts": { "duration": "1h0m0s" } })));
    let server = server().await;
    let app = StandIn::start(move |call| {
        let answer = match call.memos().len() {
            7 => Sdk::Go.answer(200, "\"done\""),
            _ => Sdk::Go.follow(&steps, &call),
        };
        async { answer }
    })
    .await;
    Sdk::Go.register(&server, &app, &[("f", json!({}))]).await;
    let run = begin(&server, "app/f", json!({})).await;
    server.advance("61m").await;
    assert_eq!(server.ended(&run).await["output"], "done");
    let last = app.calls().pop().expect("calls");
    assert!(last.bytes > 6 * 1_048_576, "{} bytes", last.bytes);
    assert_eq!(
        (&last.body["use_api"], &last.body["ctx"]["use_api"]),
        (&json!(false), &json!(false))
    );
}

#[tokio::test]
async fn go_checkpoints_with_its_key_as_it_is() {
    let port = free_port();
    let api = Client::new(&format!("http://127.0.0.1:{port}")).with_bearer(SIGNING_KEY);
    let app = StandIn::start(move |call| checkpoint(api.clone(), call)).await;
    let url = app.url();
    let flags = [
        "--signing-key",
        SIGNING_KEY,
        "--event-key",
        "events-of-the-shop",
    ];
    let flags = flags
        .into_iter()
        .chain(["--admin-token", "the-operator-is-here-and-reads"]);
    let flags = flags.chain(["--sdk-url", &url]);
    let server = Server::start("start", port, flags)
        .await
        .with_bearer(SIGNING_KEY);
    let checkpoints =
        json!({ "checkpoint": { "batch_steps": 1, "max_runtime": 10_000_000_000_u64 } });
    Sdk::Go.register(&server, &app, &[("f", checkpoints)]).await;
    let event = json!({ "name": "app/f", "data": {} });
    let reply = server.client().post("/e/events-of-the-shop", &event).await;
    let ended = server.ended_run_of(&text(&reply.json()["ids"][0])).await;
    assert_eq!(ended["output"], "done", "{ended}");
    assert!(
        app.calls()
            .iter()
            .all(|call| call.headers.contains_key("x-inngest-signature"))
    );
    let trace = until("span of the step", async || {
        let trace = server.trace(&text(&ended["run_id"])).await.to_string();
        trace.contains("first").then_some(trace)
    })
    .await;
    assert!(trace.contains("COMPLETED"), "{trace}");
}

/// Reports a step while the call goes on, as that SDK does, then ends the run.
async fn checkpoint(api: Client, call: Call) -> Answer {
    let context = &call.body["ctx"];
    let run = text(&context["run_id"]);
    let first = Sdk::Go.op("StepRun", "first", json!({ "data": 1 }));
    let body = json!({
        "run_id": run, "fn_id": context["fn_id"], "qi_id": context["qi_id"], "steps": [first],
    });
    let reply = api
        .post(&format!("/v1/checkpoint/{run}/async"), &body)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let complete = json!({ "data": "done" });
    let ops = json!([first, Sdk::Go.op("RunComplete", "complete", complete)]);
    Sdk::Go.answer(206, ops.to_string())
}
