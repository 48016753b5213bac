//! What an app answered to a call: operations, a result, or a failure that says what went wrong.

mod error;
mod gateway;
mod head;
mod ops;
mod opts;
mod outbound;
mod stream;

use bytes::Bytes;
use dunlin_types::limits::STEP_OUTPUT_BYTES_MAX;
use dunlin_types::{Code, Coded, OutboundRequest, Payload, StepId, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::duration::{RetryAfter, SleepSpec};
use crate::json;
use head::Head;

pub use error::{ensure_error_data, standard_error};
pub use gateway::{gateway_failure, gateway_result};

/// An app's answer to a call.
pub struct CallResponse<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The response headers.
    pub headers: &'a http::HeaderMap,
    /// The whole body, decompressed.
    pub body: &'a Bytes,
}

/// A response that was read.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What it says.
    pub reply: Reply,
    /// `x-inngest-req-version`.
    pub req_version: Option<i64>,
    /// `x-inngest-sdk`, such as `inngest-js:v4.24.0`.
    pub sdk: Option<String>,
}

/// What a response says.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Steps were found, done or planned; may be empty.
    Ops(Vec<Op>),
    /// The function returned this.
    Done(Payload),
    /// The attempt failed.
    Failed(Failure),
}

/// A failed attempt.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Why.
    pub code: Code,
    /// `{error, name, message, stack?, cause?}`.
    pub error: Payload,
    /// The app's own words, as JSON.
    pub raw: Option<Payload>,
    /// Whether another attempt would be pointless.
    pub no_retry: bool,
    /// When the app wants the next attempt.
    pub retry_after: Option<RetryAfter>,
}

impl Failure {
    /// A failure that is our own finding rather than the app's words.
    #[must_use]
    pub fn ours(code: Code, message: &str) -> Self {
        Self {
            code,
            error: standard_error(code, "Error", message, None),
            raw: None,
            no_retry: false,
            retry_after: None,
        }
    }
}

/// One operation of a response.
#[derive(Clone, Debug)]
pub struct Op {
    /// What it is.
    pub kind: OpKind,
    /// The SDK's id of the step.
    pub id: StepId,
    /// What people call the step.
    pub name: String,
    /// The field `name`, whose meaning depends on the kind.
    pub raw_name: String,
    /// Whether its completion is reported at once although siblings are open.
    pub parallel_race: bool,
    /// The arguments that the step was given, to be shown.
    pub input: Option<Payload>,
    /// Which of the SDK's tools it is, such as `step.sendEvent`, where the SDK says so.
    pub step_type: Option<String>,
    /// What the SDK tells of the step beside it, to be shown.
    pub metadata: Option<Payload>,
}

/// The kinds of operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// Nothing to do on this branch.
    None,
    /// A step's value, to be kept unwrapped.
    Step(Payload),
    /// A step's result.
    StepRun(Payload),
    /// A step threw, and may be tried again.
    StepError {
        /// `{name, message, stack?, data?, cause?}`.
        error: Payload,
        /// Whether the error itself says that trying again is pointless.
        no_retry: bool,
        /// When the app wants the next attempt.
        retry_after: Option<RetryAfter>,
    },
    /// A step failed for good.
    StepFailed {
        /// `{name, message, stack?, data?, cause?}`.
        error: Payload,
    },
    /// A step is to be run by a call of its own.
    StepPlanned,
    /// A sleep.
    Sleep(SleepSpec),
    /// The function returned this.
    RunComplete(Payload),
    /// The app wants to be called again.
    DiscoveryRequest,
    /// The run waits for an event.
    WaitForEvent {
        /// The event's name.
        event: String,
        /// Only events for which this is true.
        condition: Option<String>,
        /// How long.
        timeout: SleepSpec,
    },
    /// Another function is to run, and its result is this step's.
    Invoke {
        /// Its composite id or its UUID.
        function: String,
        /// The data of the event that it gets: an object, without what is ours to set in it.
        data: Payload,
        /// The event's user.
        user: Option<Payload>,
        /// The event's version.
        v: Option<String>,
        /// How long its result is waited for.
        timeout: SleepSpec,
    },
    /// The run waits for a signal.
    WaitForSignal {
        /// Its name.
        signal: String,
        /// Whether this wait takes the name from another that has it.
        replace: bool,
        /// How long.
        timeout: SleepSpec,
    },
    /// A request that this server is to make for the app.
    Gateway(Box<OutboundRequest>),
    /// A durable endpoint answered: `{"data": {status, headers, body, duration}}`.
    SyncRunComplete(Payload),
    /// Another function of the app is to run after this run has ended.
    DeferAdd {
        /// Its composite id.
        function: String,
        /// What it gets: an object, without what is ours to set in it.
        input: Payload,
        /// What goes beside it.
        meta: Option<Payload>,
    },
    /// A deferred function is not to run after all.
    DeferAbort {
        /// The id of the op that deferred it.
        target: StepId,
    },
}

const NOT_SDK: &str = "The response did not come from an Inngest SDK";

/// Reads an app's answer to a call. Never fails: what cannot be understood is a [`Failure`].
#[must_use]
pub fn parse_response(response: &CallResponse<'_>, now: Timestamp) -> Parsed {
    let mut head = Head::of(response.headers);
    let (status, body) = match response.status {
        201 => match stream::unwrap(response.body, &mut head) {
            Ok(inner) => inner,
            Err(failure) => return head.parsed(Reply::Failed(failure)),
        },
        status => (status, response.body.clone()),
    };
    let reply = read(status, &body, &head, now);
    head.parsed(reply)
}

fn read(status: u16, body: &Bytes, head: &Head, now: Timestamp) -> Reply {
    if !(200..300).contains(&status) {
        return Reply::Failed(error::of_status(status, body, head));
    }
    if head.sdk.is_none() {
        return Reply::Failed(Failure::ours(Code::CallNotSdk, NOT_SDK));
    }
    if status != 206 {
        return Reply::Done(result(body));
    }
    match ops::parse(body, head.retry_after, now) {
        Ok(ops) => Reply::Ops(ops),
        Err(bad) => Reply::Failed(Failure {
            // More operations than allowed will not become fewer by asking again.
            no_retry: bad.code == Code::TooManyOps,
            ..Failure::ours(bad.code, &bad.detail)
        }),
    }
}

/// The value a function returned: JSON, JSON within a JSON string where that is an object, or plain
/// text. Nothing is `null`.
fn result(body: &Bytes) -> Payload {
    let Ok(text) = std::str::from_utf8(body) else {
        return Payload::from_json(json::quote(&String::from_utf8_lossy(body)));
    };
    let text = text.trim_ascii();
    if text.is_empty() {
        return Payload::null();
    }
    let Ok(value) = serde_json::from_str::<&RawValue>(text) else {
        return Payload::from_json(json::quote(text));
    };
    let value = value.get();
    if value.starts_with(r#""{"#)
        && let Some(inner) = json::string(value)
        && serde_json::from_str::<&RawValue>(&inner).is_ok()
    {
        return Payload::from_json(inner.trim_ascii().to_owned());
    }
    Payload::from_json(body.slice_ref(value.as_bytes()))
}

/// Steps that an app reports while its function keeps running.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The run.
    pub run_id: String,
    /// The function's id; empty when not given.
    pub fn_id: String,
    /// The queue item whose call is in flight.
    pub qi_id: String,
    /// The request that is being answered; not every SDK says it.
    pub request_id: Option<String>,
    /// The dispatch that is being answered; not every SDK says it.
    pub generation_id: Option<i64>,
    /// What was done.
    pub ops: Vec<Op>,
}

#[derive(Deserialize)]
struct RawCheckpoint<'a> {
    #[serde(borrow, default)]
    run_id: json::Text<'a>,
    #[serde(borrow, default)]
    fn_id: json::Text<'a>,
    #[serde(borrow, default)]
    qi_id: json::Text<'a>,
    #[serde(borrow, default)]
    request_id: json::Text<'a>,
    #[serde(default)]
    generation_id: Option<i64>,
    #[serde(borrow)]
    steps: Option<&'a RawValue>,
}

/// Reads the body of a checkpoint.
///
/// # Errors
/// [`Code::CallResponseBad`] when it is not one, [`Code::OpBad`] when it holds an operation that may
/// not be checkpointed, and the codes of operations in a response.
pub fn parse_checkpoint(body: &Bytes, now: Timestamp) -> Result<Checkpoint, Coded> {
    let bad = |detail: String| Coded::new(Code::CallResponseBad, detail);
    let text = std::str::from_utf8(body).map_err(|_| bad("the body is not UTF-8".to_owned()))?;
    let raw: RawCheckpoint<'_> =
        serde_json::from_str(text).map_err(|e| bad(format!("not a checkpoint: {e}")))?;
    if raw.run_id.0.is_empty() {
        return Err(bad("run_id is missing".to_owned()));
    }
    let ops = match raw.steps {
        Some(steps) => ops::parse_text(body, steps.get(), None, now)?,
        None => Vec::new(),
    };
    if let Some(op) = ops.iter().find(|op| !may_be_checkpointed(&op.kind)) {
        return Err(Coded::new(
            Code::OpBad,
            format!("the step {:?} cannot be checkpointed", op.name),
        ));
    }
    let given = |text: json::Text<'_>| text.0.into_owned();
    Ok(Checkpoint {
        run_id: given(raw.run_id),
        fn_id: given(raw.fn_id),
        qi_id: given(raw.qi_id),
        request_id: Some(given(raw.request_id)).filter(|id| !id.is_empty()),
        generation_id: raw.generation_id,
        ops,
    })
}

const fn may_be_checkpointed(kind: &OpKind) -> bool {
    matches!(
        kind,
        OpKind::Step(_)
            | OpKind::StepRun(_)
            | OpKind::StepPlanned
            | OpKind::DeferAdd { .. }
            | OpKind::DeferAbort { .. }
    )
}

/// Whether a step's data or error is over the limit.
fn check_output(name: &str, bytes: usize) -> Result<(), Coded> {
    if bytes <= STEP_OUTPUT_BYTES_MAX {
        return Ok(());
    }
    Err(Coded::new(
        Code::StepOutputTooLarge,
        format!("step output size is greater than the limit: {name:?} has {bytes} bytes"),
    ))
}
