//! Attempts of deliveries: the transformation, then the receiver or this server's own event log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use dunlin_delivery::{
    AboutMessage, AttemptEffect, AttemptHeaders, AttemptOutcome, Attempted, Control, Endpoint,
    Input, Message,
};
use dunlin_egress::{Body, Request, Response, SendError, SendErrorKind, check_header, check_url};
use dunlin_sandbox::{ScriptError, TransformRequest, Transformed};
use dunlin_turn::Input as TurnInput;
use dunlin_types::{Code, Coded, EventOrigin, Seq, Timestamp, limits};
use dunlin_wire::duration::parse_retry_after;
use dunlin_wire::ingest::{CardMessage, card_event};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::failpoint::{CrashPoint, crash_point};
use crate::given::Given;
use crate::handle::Shared;
use crate::kept;
use crate::prepared::Prepared;

/// What is to be sent, after the transformation.
struct Outgoing {
    method: String,
    url: String,
    body: Bytes,
    /// The sender's, then the transformation's.
    headers: Vec<(String, String)>,
    cancel: bool,
}

/// Where it goes.
#[derive(Clone, Copy)]
struct Place<'a> {
    endpoint: &'a Endpoint,
    prepared: &'a Prepared,
    /// The result is an event for this server's own log.
    in_process: bool,
}

/// What is noted on the way.
#[derive(Default)]
struct Notes {
    url: String,
    headers: AttemptHeaders,
    logs: Vec<String>,
}

/// Makes the attempt and brings home what came of it.
pub(crate) async fn make(shared: Arc<Shared>, effect: Box<AttemptEffect>) {
    shared.counters.attempts.fetch_add(1, Ordering::SeqCst);
    let started = shared.clock.now();
    let mut notes = Notes {
        url: own_url(&effect.endpoint),
        ..Notes::default()
    };
    let message = message(&shared, &effect).await;
    let outcome = match &message {
        Ok(message) => {
            let policy = &shared.options.endpoint_policy;
            let place = Place {
                endpoint: &effect.endpoint,
                prepared: &shared.prepared.of(&effect.endpoint, policy),
                in_process: effect.in_process,
            };
            attempt(&shared, place, message, started, &mut notes).await
        }
        Err(error) => failed(error.clone()),
    };
    let at_once = effect.attempt_no == 1 && is_success(&outcome);
    let about = message
        .ok()
        .filter(|_| !at_once)
        .map(|message| AboutMessage {
            event_type: message.event_type.clone(),
            at: message.at,
            provider_id: message.provider_id.clone(),
        });
    crash_point(CrashPoint::AfterTransform);
    let ended = shared.clock.now();
    let attempted = Attempted {
        delivery: effect.delivery,
        attempt_no: effect.attempt_no,
        endpoint_version: effect.endpoint.version,
        outcome,
        url: notes.url,
        started,
        ended,
        headers: notes.headers,
        logs: notes.logs,
        about,
    };
    shared
        .inbox
        .reply(TurnInput::Delivery(Input::Attempted(Box::new(attempted))));
    shared.counters.attempts.fetch_sub(1, Ordering::SeqCst);
}

fn is_success(outcome: &AttemptOutcome) -> bool {
    matches!(outcome, AttemptOutcome::Sent { status, .. } if (200..300).contains(status))
}

async fn message(shared: &Shared, effect: &AttemptEffect) -> Result<Arc<Message>, Coded> {
    if let Some(message) = &effect.message_inline {
        return Ok(Arc::clone(message));
    }
    // One that is gone altogether has no payload either.
    match stored(shared, effect.message).await? {
        Some(message) if !message.expired => Ok(message),
        _ => Err(Coded::plain(Code::PayloadExpired)),
    }
}

/// Reads a message. That others read much at the moment is no fault of the receiver's, so it waits
/// for its turn instead of using up one of the delivery's tries.
async fn stored(shared: &Shared, seq: Seq) -> Result<Option<Arc<Message>>, Coded> {
    for _ in 1..limits::ATTEMPT_READS_MAX {
        match shared.readers.read(move |reader| reader.message(seq)).await {
            Err(error) if error.code == Code::Overloaded => {
                let pause = Duration::from_millis(limits::ATTEMPT_READ_PAUSE_MS);
                tokio::time::sleep(pause).await;
            }
            read => return read,
        }
    }
    shared.readers.read(move |reader| reader.message(seq)).await
}

/// What comes of a message that is tried and belongs to no delivery.
pub(crate) async fn tried(shared: &Shared, endpoint: &Endpoint, message: &Message) -> Attempted {
    let started = shared.clock.now();
    let mut notes = Notes {
        url: own_url(endpoint),
        ..Notes::default()
    };
    let place = Place {
        endpoint,
        prepared: &Prepared::new(endpoint, &shared.options.endpoint_policy),
        in_process: false,
    };
    let outcome = attempt(shared, place, message, started, &mut notes).await;
    Attempted {
        delivery: Seq(0),
        attempt_no: 1,
        endpoint_version: endpoint.version,
        outcome,
        url: notes.url,
        started,
        ended: shared.clock.now(),
        headers: notes.headers,
        logs: notes.logs,
        about: None,
    }
}

/// The endpoint's URL as attempts are shown with it.
fn own_url(endpoint: &Endpoint) -> String {
    let own = &endpoint.config.url;
    kept::url(own, own, [])
}

/// Makes an attempt at an endpoint.
async fn attempt(
    shared: &Shared,
    place: Place<'_>,
    message: &Message,
    now: Timestamp,
    notes: &mut Notes,
) -> AttemptOutcome {
    let logs = &mut notes.logs;
    let outgoing = match transformed(shared, place.endpoint, message, logs).await {
        Ok(outgoing) => outgoing,
        Err(error) => return failed(error),
    };
    let config = &place.endpoint.config;
    let script = config.transformation.iter();
    let variables = script.flat_map(|script| script.variables.values());
    notes.url = kept::url(&outgoing.url, &config.url, variables);
    if outgoing.cancel {
        AttemptOutcome::Cancelled
    } else if place.in_process {
        event(message, &outgoing.body, now)
    } else {
        deliver(shared, place, message, outgoing, notes).await
    }
}

/// The message as the endpoint's transformation leaves it.
async fn transformed(
    shared: &Shared,
    endpoint: &Endpoint,
    message: &Message,
    logs: &mut Vec<String>,
) -> Result<Outgoing, Coded> {
    let config = &endpoint.config;
    let Given {
        raw_payload,
        mut headers,
    } = Given::of(message);
    let Some(script) = config
        .transformation
        .as_ref()
        .filter(|script| script.enabled)
    else {
        return Ok(Outgoing {
            method: "POST".to_owned(),
            url: config.url.clone(),
            body: raw_payload.map_or_else(|| message.body.clone(), Bytes::from),
            headers,
            cancel: false,
        });
    };
    let report = shared
        .sandbox
        .run(TransformRequest {
            code: Arc::clone(&script.code),
            method: "POST".to_owned(),
            url: config.url.clone(),
            event_type: message.event_type.clone(),
            payload: message.body.clone(),
            variables: script.variables.clone(),
            channels: message.channels.clone(),
            params_headers: message.headers.iter().cloned().collect(),
            params: message.params.clone(),
        })
        .await;
    logs.extend(report.logs.into_iter().map(|line| line.text));
    let made: Transformed = report.result.map_err(|error| script_error(&error))?;
    headers.extend(made.headers);
    Ok(Outgoing {
        method: made.method,
        url: made.url,
        body: made.payload,
        headers,
        cancel: made.cancel,
    })
}

fn script_error(error: &ScriptError) -> Coded {
    Coded::new(error.code, error.to_string())
}

/// The event that the transformed message is.
fn event(message: &Message, body: &Bytes, now: Timestamp) -> AttemptOutcome {
    let about = CardMessage {
        event_type: &message.event_type,
        webhook_id: &message.webhook_id(),
        envelope_ts: envelope_ts(&message.body),
        origin: EventOrigin::Message(message.seq),
    };
    match card_event(body, about, now) {
        Ok(made) => AttemptOutcome::Event {
            event: made.event,
            name_set_by_script: made.named,
        },
        Err(error) => failed(error),
    }
}

/// The provider's own time of the message, if the envelope has one.
fn envelope_ts(body: &[u8]) -> Option<Timestamp> {
    let envelope: serde_json::Value = serde_json::from_slice(body).ok()?;
    Timestamp::parse_rfc3339(envelope.get("timestamp")?.as_str()?)
}

async fn deliver(
    shared: &Shared,
    place: Place<'_>,
    message: &Message,
    outgoing: Outgoing,
    notes: &mut Notes,
) -> AttemptOutcome {
    // Of now, not of when the script began to wait for its turn: the receiver checks it.
    let now = shared.clock.wall();
    let request = match request(shared, place, message, outgoing, now) {
        Ok(request) => request,
        Err(error) => return failed(error),
    };
    notes.headers.sent = kept::sent(&request.headers);
    match shared.client.send(request).await {
        Ok(response) => {
            notes.headers.received = kept::received(&response.headers);
            sent(&response, shared.clock.wall())
        }
        Err(error) => unsent(&error),
    }
}

fn request(
    shared: &Shared,
    Place {
        endpoint, prepared, ..
    }: Place<'_>,
    message: &Message,
    outgoing: Outgoing,
    now: Timestamp,
) -> Result<Request, Coded> {
    if outgoing.body.len() > limits::DELIVERY_BODY_BYTES_MAX {
        return Err(Coded::new(
            Code::TransformReturnBad,
            "the transformed body is over 1 MiB",
        ));
    }
    let policy = &shared.options.endpoint_policy;
    let method = Method::from_bytes(outgoing.method.as_bytes())
        .map_err(|_| Coded::new(Code::TransformReturnBad, "the method is not valid"))?;
    let target = match outgoing.url == endpoint.config.url {
        true => prepared.target.clone()?,
        false => check_url(&outgoing.url, policy)?,
    };
    let headers = headers(prepared, message, &outgoing, now)?;
    Ok(Request {
        method,
        target,
        headers,
        body: Body::from(outgoing.body),
        policy: Arc::clone(policy),
        connect_timeout: Duration::from_millis(limits::CONNECT_TIMEOUT_MS),
        deadline: Duration::from_millis(limits::DELIVERY_TIMEOUT_MS),
        response_bytes_max: limits::DELIVERY_RESPONSE_KEPT_BYTES_MAX,
        truncate: true,
        tenant: endpoint.config.app.0.saturating_add(1),
        tls: prepared.tls.clone()?,
        is_idempotent: true,
    })
}

/// The endpoint's headers, then the sender's and the transformation's, then the signature, which
/// wins.
fn headers(
    prepared: &Prepared,
    message: &Message,
    outgoing: &Outgoing,
    now: Timestamp,
) -> Result<HeaderMap, Coded> {
    let mut headers = prepared.headers.clone()?;
    for (name, value) in &outgoing.headers {
        let (name, value) = check_header(name, value)?;
        headers.insert(name, value);
    }
    let id = message.webhook_id();
    let signatures: Vec<String> = prepared
        .keys(now)
        .filter_map(|key| key.sign(&id, now, &outgoing.body))
        .collect();
    let signed = [
        ("webhook-id", id),
        ("webhook-timestamp", now.secs().to_string()),
        ("webhook-signature", signatures.join(" ")),
    ];
    for (name, text) in signed {
        let value = HeaderValue::from_str(&text)
            .map_err(|_| Coded::new(Code::WebhookIdBad, "the message id cannot be a header"))?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}

fn sent(response: &Response, now: Timestamp) -> AttemptOutcome {
    let text = |name: &str| {
        response
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let control = match text("webhook-delivery") {
        Some("disable") => Control::Disable,
        Some("abort-message") => Control::Abort,
        _ => Control::None,
    };
    let retry_after_ms = text("retry-after")
        .and_then(parse_retry_after)
        .map(|asked| asked.instant(now).since(now));
    let status = response.status.as_u16();
    AttemptOutcome::Sent {
        status,
        response: response.body.clone(),
        retry_after_ms,
        control,
    }
}

fn unsent(error: &SendError) -> AttemptOutcome {
    let code = match error.kind {
        SendErrorKind::Blocked => Code::AddressBlocked,
        SendErrorKind::Timeout => Code::DeliveryTimedOut,
        SendErrorKind::Busy => Code::LookupsBusy,
        SendErrorKind::Dns | SendErrorKind::Connect | SendErrorKind::Tls => {
            Code::DeliveryUnreachable
        }
        SendErrorKind::TooLarge | SendErrorKind::Aborted | SendErrorKind::Protocol => {
            Code::DeliveryFailed
        }
    };
    failed(Coded::new(code, error.detail.clone()))
}

fn failed(error: Coded) -> AttemptOutcome {
    AttemptOutcome::Failed {
        code: error.code,
        detail: error.detail,
        status: None,
        response: Bytes::new(),
        retry_after_ms: None,
        timed_out: error.code == Code::DeliveryTimedOut,
    }
}
