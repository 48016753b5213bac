//! Calls to apps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_egress::{Body, Request, Response, SendError, SendErrorKind, check_url};
use dunlin_engine::{Call, CallReply, Input, MemoKind, Reply};
use dunlin_turn::Input as TurnInput;
use dunlin_types::{Code, Coded, StepId, Timestamp, limits, ulid_for};
use dunlin_wire::call::{CallBody, Memo, MemoKind as WireMemo, call_url};
use dunlin_wire::response::{CallResponse, ensure_error_data, parse_response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::convert;
use crate::failpoint::{CrashPoint, crash_point};
use crate::handle::Shared;

/// Makes the call and brings its reply home, whatever becomes of it.
pub(crate) async fn make(shared: Arc<Shared>, call: Box<Call>) {
    crash_point(CrashPoint::BeforeCall);
    let (id, started) = (call.id, shared.clock.now());
    let sent = send(&shared, call, started).await;
    crash_point(CrashPoint::AfterReply);
    let ended = shared.clock.now();
    let (version, reply) = match sent {
        Ok(response) => understand(&response, ended),
        Err(error) => (None, failed(&error)),
    };
    let reply = CallReply {
        call: id,
        started,
        ended,
        version,
        reply,
    };
    shared.inbox.reply(TurnInput::Engine(Input::Reply(reply)));
}

fn understand(response: &Response, now: Timestamp) -> (Option<i64>, Reply) {
    let parsed = parse_response(
        &CallResponse {
            status: response.status.as_u16(),
            headers: &response.headers,
            body: &response.body,
        },
        now,
    );
    let mut reply = convert::reply(parsed.reply, now);
    if let Reply::Failed(failure) = &mut reply {
        let status = response.status;
        failure.busy =
            status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::SERVICE_UNAVAILABLE;
    }
    (parsed.req_version, reply)
}

fn failed(error: &Coded) -> Reply {
    let failure = dunlin_wire::response::Failure::ours(error.code, &error.detail);
    convert::reply(
        dunlin_wire::response::Reply::Failed(failure),
        Timestamp::ZERO,
    )
}

async fn send(shared: &Shared, call: Box<Call>, now: Timestamp) -> Result<Response, Coded> {
    let policy = &shared.options.app_policy;
    let step = call
        .target
        .as_ref()
        .map_or_else(|| "step".to_owned(), StepId::text);
    let target = check_url(&call_url(&call.url, &step), policy)
        .map_err(|e| Coded::new(Code::CallAddressBlocked, e.detail))?;
    let (headers, body) = message(shared, &call, &step, now)?;
    // The run's state is shared with the engine, which would have to copy it to go on.
    drop(call);
    let request = Request {
        method: Method::POST,
        target,
        headers,
        body: Body::from(body),
        policy: Arc::clone(policy),
        connect_timeout: Duration::from_millis(limits::CONNECT_TIMEOUT_MS),
        deadline: shared.options.call_timeout,
        response_bytes_max: limits::CALL_RESPONSE_BYTES_MAX,
        truncate: false,
        tenant: 0,
        tls: None,
        is_idempotent: false,
    };
    let sending = shared.client.send(request);
    if cfg!(feature = "failpoints") {
        // Polled once, the request is on its way.
        let mut sending = std::pin::pin!(sending);
        tokio::select! {
            biased;
            sent = &mut sending => return sent.map_err(|error| coded(&error)),
            () = tokio::task::yield_now() => crash_point(CrashPoint::CallInFlight),
        }
        return sending.await.map_err(|error| coded(&error));
    }
    sending.await.map_err(|error| coded(&error))
}

/// Why there is no response, in the words of the SDK protocol where it has any.
fn coded(error: &SendError) -> Coded {
    let code = match error.kind {
        SendErrorKind::Blocked => Code::CallAddressBlocked,
        SendErrorKind::Timeout => Code::CallTimedOut,
        SendErrorKind::TooLarge => {
            let why = "Your function's response body exceeds the maximum size limit";
            return Coded::new(Code::CallResponseTooLarge, why);
        }
        SendErrorKind::Aborted | SendErrorKind::Protocol => Code::CallAborted,
        SendErrorKind::Busy | SendErrorKind::Dns | SendErrorKind::Connect | SendErrorKind::Tls => {
            return Coded::new(
                Code::CallUnreachable,
                format!("Unable to reach SDK URL: {}", error.detail),
            );
        }
    };
    Coded::new(code, error.detail.clone())
}

/// Headers and body of a call.
fn message(
    shared: &Shared,
    call: &Call,
    step: &str,
    now: Timestamp,
) -> Result<(HeaderMap, Bytes), Coded> {
    let run_id = call.run_id.to_string();
    let job_id = format!("{run_id}-{}", call.id.item);
    let request_id = ulid_for(
        now,
        dunlin_types::Seq(call.id.item.0 ^ (call.id.generation << 20)),
    );
    let request_id = request_id.to_string();
    let body = body(shared, call, &run_id, &job_id, &request_id);
    let mut headers = HeaderMap::with_capacity(11);
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let texts = [
        ("x-run-id", run_id.as_str()),
        ("x-request-id", &request_id),
        ("x-inngest-job-id", &job_id),
        ("x-inngest-step-id", step),
        ("account-id", "00000000-0000-4000-a000-000000000000"),
    ];
    for (name, text) in texts {
        let value = HeaderValue::from_str(text).map_err(|_| {
            Coded::new(Code::OpBad, format!("the step id cannot be sent in {name}"))
        })?;
        headers.insert(HeaderName::from_static(name), value);
    }
    headers.insert(
        "x-inngest-generation-id",
        HeaderValue::from(call.id.generation),
    );
    headers.insert(
        "x-inngest-req-version",
        HeaderValue::from(i64::from(call.state.version)),
    );
    // SDKs hand it on with the events that a step sends; without a `traceparent` beside it, nobody
    // takes it for the context of a trace of their own.
    let state = HeaderValue::from_str(&format!("dunlin={run_id}"))
        .map_err(|_| Coded::plain(Code::ConfigBad))?;
    headers.insert("tracestate", state);
    if let Some(key) = &shared.options.signing_key {
        let signature = HeaderValue::from_str(&key.sign(&body, now))
            .map_err(|_| Coded::plain(Code::ConfigBad))?;
        headers.insert("x-inngest-signature", signature);
    }
    Ok((headers, body))
}

fn body(shared: &Shared, call: &Call, run_id: &str, job_id: &str, request_id: &str) -> Bytes {
    let canonical = shared.options.signing_key.is_some();
    let go = call.sdk.starts_with("go:");
    let state = &*call.state;
    let events: Vec<Bytes> = call
        .events
        .iter()
        .map(|event| {
            if canonical {
                event.canonical_json()
            } else {
                event.json()
            }
        })
        .collect();
    let event_bytes: usize = events.iter().map(Bytes::len).sum();
    // The Go SDK ignores `use_api` and would start over.
    let use_api = !go && state.bytes + event_bytes > limits::CALL_INLINE_STATE_BYTES_MAX;
    let defers: Vec<(StepId, bool)> = state.defers.keys().map(|id| (id.clone(), true)).collect();
    let errors: Vec<dunlin_types::Payload> = if go { go_errors(call) } else { Vec::new() };
    let mut errors = errors.iter();
    let mut steps: Vec<Memo<'_>> = state
        .memos
        .iter()
        .map(|(id, memo)| {
            let kind = wire_kind(memo.kind);
            let fixed = if memo.kind == MemoKind::Error {
                errors.next()
            } else {
                None
            };
            Memo {
                id,
                kind,
                value: fixed.unwrap_or(&memo.payload),
            }
        })
        .collect();
    if !state.inputs.is_empty() {
        let kind = WireMemo::Input;
        let inputs = state
            .inputs
            .iter()
            .map(|(id, value)| Memo { id, kind, value });
        steps.extend(inputs);
        steps.sort_unstable_by_key(|memo| memo.id);
    }
    CallBody {
        event: events.first().map_or(b"{}".as_slice(), |event| event),
        events: &events,
        steps: &steps,
        defers: &defers,
        stack: &state.stack,
        stack_current: stack_current(call),
        fn_id: &call.function_id,
        run_id,
        step_id: "step",
        attempt: call.attempt.into(),
        max_attempts: call.attempts_max.into(),
        qi_id: job_id,
        request_id,
        generation_id: call.id.generation as i64,
        job_id,
        disable_immediate_execution: call.plan,
        use_api,
        version: state.version.into(),
        canonical,
    }
    .encode()
}

/// The Go SDK needs `data` in every error that it is handed back.
fn go_errors(call: &Call) -> Vec<dunlin_types::Payload> {
    let errors = call
        .state
        .memos
        .values()
        .filter(|memo| memo.kind == MemoKind::Error);
    errors
        .map(|memo| ensure_error_data(&memo.payload))
        .collect()
}

const fn wire_kind(kind: MemoKind) -> WireMemo {
    match kind {
        MemoKind::Data => WireMemo::Data,
        MemoKind::Error => WireMemo::Error,
        MemoKind::Raw => WireMemo::Raw,
        MemoKind::Null => WireMemo::Null,
    }
}

/// The position, from 1, of the step whose end caused this call; 0 for a call that none caused.
fn stack_current(call: &Call) -> usize {
    let Some(cause) = &call.cause else { return 0 };
    let at = call.state.stack.iter().rposition(|id| id == cause);
    at.map_or(0, |index| index + 1)
}
