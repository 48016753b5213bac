//! Requests that steps ask the server to make. Their outcome comes back as if the app had reported it.

use std::sync::Arc;
use std::time::Duration;

use dunlin_egress::{Body, Request, Response, SendErrorKind, check_url};
use dunlin_engine as engine;
use dunlin_engine::{CallReply, Input};
use dunlin_turn::Input as TurnInput;
use dunlin_types::{Code, Coded, OutboundRequest, Payload, limits};
use dunlin_wire::response::{Failure, gateway_failure, gateway_result};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::failpoint::{CrashPoint, crash_point};
use crate::handle::Shared;

/// Makes the request, and tells what came of it.
pub(crate) async fn make(shared: Arc<Shared>, request: Box<engine::Request>) {
    let started = shared.clock.now();
    let outbound = &request.request;
    let sent = send(&shared, outbound).await;
    crash_point(CrashPoint::AfterReply);
    let ended = shared.clock.now();
    let outcome = match sent {
        Ok(response) => gateway_result(
            outbound.ai,
            &outbound.url,
            response.status.as_u16(),
            &response.headers,
            &response.body,
        ),
        Err(error) => Err(gateway_failure(outbound.ai, &error.detail)),
    };
    let op = engine::Op {
        id: request.step.clone(),
        name: request.name.clone(),
        race: false,
        note: None,
        kind: kind_of(outcome),
    };
    let reply = CallReply {
        call: request.id,
        started,
        ended,
        version: None,
        reply: engine::Reply::Ops(vec![op]),
    };
    shared.inbox.reply(TurnInput::Engine(Input::Reply(reply)));
}

fn kind_of(outcome: Result<Payload, Failure>) -> engine::OpKind {
    match outcome {
        Ok(value) => engine::OpKind::StepRun(value),
        Err(failure) => engine::OpKind::StepError(engine::Failure {
            busy: false,
            code: failure.code,
            error: failure.error,
            no_retry: failure.no_retry,
            retry_after_ms: None,
        }),
    }
}

async fn send(shared: &Shared, outbound: &OutboundRequest) -> Result<Response, Coded> {
    let policy = &shared.options.endpoint_policy;
    let target = check_url(&outbound.url, policy)?;
    let method = Method::from_bytes(outbound.method.as_bytes())
        .map_err(|_| Coded::new(Code::OutboundFailed, "the method is not valid"))?;
    let request = Request {
        method,
        target,
        headers: headers(outbound),
        body: Body::from(outbound.body.clone()),
        policy: Arc::clone(policy),
        connect_timeout: Duration::from_millis(limits::CONNECT_TIMEOUT_MS),
        deadline: shared.options.call_timeout,
        response_bytes_max: limits::STEP_OUTPUT_BYTES_MAX,
        truncate: false,
        tenant: 0,
        tls: None,
        is_idempotent: false,
    };
    let sent = shared.client.send(request).await;
    sent.map_err(|error| {
        let code = match error.kind {
            SendErrorKind::Blocked => Code::AddressBlocked,
            _ => Code::OutboundFailed,
        };
        Coded::new(code, error.detail)
    })
}

/// Headers as the step gave them; what cannot be sent was left out when they were read.
fn headers(outbound: &OutboundRequest) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(outbound.headers.len());
    for (name, value) in &outbound.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(value)) {
            value.set_sensitive(true);
            headers.append(name, value);
        }
    }
    headers
}
