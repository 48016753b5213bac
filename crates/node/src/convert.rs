//! From what the wire says to what the engine understands.

use dunlin_engine as engine;
use dunlin_types::{Code, Payload, Timestamp};
use dunlin_wire::duration::{RetryAfter, SleepSpec};
use dunlin_wire::response::{self, OpKind, Reply};

/// A reply in the engine's words.
pub(crate) fn reply(reply: Reply, now: Timestamp) -> engine::Reply {
    match reply {
        Reply::Ops(ops) => engine::Reply::Ops(ops_of(ops, now)),
        Reply::Done(output) => engine::Reply::Done(output),
        Reply::Failed(failure) => engine::Reply::Failed(engine::Failure {
            code: failure.code,
            error: failure.error,
            no_retry: failure.no_retry,
            retry_after_ms: retry_after_ms(failure.retry_after, now),
            busy: false,
        }),
    }
}

fn retry_after_ms(asked: Option<RetryAfter>, now: Timestamp) -> Option<i64> {
    asked.map(|asked| asked.instant(now).since(now))
}

/// Operations in the engine's words.
#[must_use]
pub fn ops_of(ops: Vec<response::Op>, now: Timestamp) -> Vec<engine::Op> {
    ops.into_iter()
        .map(|op| {
            let kind = kind_of(op.kind, &op.name, now);
            engine::Op {
                note: note(op.input, op.metadata, op.step_type),
                id: op.id,
                name: op.name,
                race: op.parallel_race,
                kind,
            }
        })
        .collect()
}

/// What else is told of a step, as the log keeps it. The type alone is not worth a row.
fn note(
    input: Option<Payload>,
    metadata: Option<Payload>,
    step_type: Option<String>,
) -> Option<Payload> {
    if input.is_none() && metadata.is_none() {
        return None;
    }
    let step_type = step_type.and_then(|text| serde_json::to_string(&text).ok());
    let members = [
        ("input", input.as_ref().map(Payload::as_str)),
        ("metadata", metadata.as_ref().map(Payload::as_str)),
        ("type", step_type.as_deref()),
    ];
    let members = members
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)));
    let members: Vec<String> = members
        .map(|(key, value)| format!("\"{key}\":{value}"))
        .collect();
    Some(Payload::from_json(format!("{{{}}}", members.join(","))))
}

fn kind_of(kind: OpKind, name: &str, now: Timestamp) -> engine::OpKind {
    match kind {
        OpKind::None => engine::OpKind::None,
        OpKind::Step(output) => engine::OpKind::Step(output),
        OpKind::StepRun(output) => engine::OpKind::StepRun(output),
        OpKind::StepError {
            error,
            no_retry,
            retry_after,
        } => engine::OpKind::StepError(engine::Failure {
            code: Code::StepError,
            error,
            no_retry,
            retry_after_ms: retry_after_ms(retry_after, now),
            busy: false,
        }),
        OpKind::StepFailed { error } => engine::OpKind::StepFailed(error),
        OpKind::StepPlanned => engine::OpKind::StepPlanned,
        OpKind::Sleep(spec) => sleep(spec),
        OpKind::RunComplete(output) => engine::OpKind::RunComplete(output),
        OpKind::DiscoveryRequest => engine::OpKind::DiscoveryRequest,
        OpKind::Gateway(request) => engine::OpKind::Gateway(request),
        OpKind::SyncRunComplete(_) => not_built("SyncRunComplete"),
        OpKind::DeferAdd {
            function,
            input,
            meta,
        } => engine::OpKind::DeferAdd(deferred(&function, &input, meta.as_ref())),
        OpKind::DeferAbort { target } => engine::OpKind::DeferAbort(target),
        wait => waiting(wait, name, now),
    }
}

/// The operations that wait for something, until an instant.
fn waiting(kind: OpKind, name: &str, now: Timestamp) -> engine::OpKind {
    let (OpKind::WaitForEvent { timeout, .. }
    | OpKind::Invoke { timeout, .. }
    | OpKind::WaitForSignal { timeout, .. }) = &kind
    else {
        return engine::OpKind::None;
    };
    let until = match until(timeout, name, now) {
        Ok(until) => until,
        Err((code, why)) => return engine::OpKind::Refused(code, why),
    };
    match kind {
        OpKind::WaitForEvent {
            event, condition, ..
        } => engine::OpKind::WaitForEvent {
            event,
            condition,
            until,
        },
        OpKind::Invoke {
            function,
            data,
            user,
            v,
            ..
        } => engine::OpKind::Invoke {
            function,
            data,
            user,
            v,
            until,
        },
        OpKind::WaitForSignal {
            signal, replace, ..
        } => engine::OpKind::WaitForSignal {
            signal,
            replace,
            until,
        },
        _ => engine::OpKind::None,
    }
}

fn until(timeout: &SleepSpec, name: &str, now: Timestamp) -> Result<Timestamp, (Code, String)> {
    match timeout {
        SleepSpec::For { ms } => Ok(now.plus_ms(*ms)),
        SleepSpec::Until(at) => Ok(*at),
        SleepSpec::TooLong => {
            let why = format!(
                "The wait-for-event timeout of \"{name}\" expires more than one year in the future"
            );
            Err((Code::WaitTooLong, why))
        }
        SleepSpec::Invalid(text) => {
            let why = format!("the timeout \"{text}\" is neither a duration nor a date");
            Err((Code::OpBad, why))
        }
    }
}

/// What the log keeps of a function to start afterwards.
fn deferred(function: &str, input: &Payload, meta: Option<&Payload>) -> Payload {
    let function = serde_json::to_string(function).unwrap_or_default();
    let meta = meta.map_or("null", Payload::as_str);
    let input = input.as_str();
    Payload::from_json(format!(
        "{{\"fn_slug\":{function},\"input\":{input},\"meta\":{meta}}}"
    ))
}

fn not_built(op: &str) -> engine::OpKind {
    let why = format!("this version of the server does not support the operation {op} yet");
    engine::OpKind::Refused(Code::OpNotBuilt, why)
}

fn sleep(spec: SleepSpec) -> engine::OpKind {
    match spec {
        SleepSpec::For { ms } => engine::OpKind::SleepFor(ms),
        SleepSpec::Until(at) => engine::OpKind::SleepUntil(at),
        SleepSpec::Invalid(text) => {
            let why = format!("the sleep \"{text}\" is neither a duration nor a date");
            engine::OpKind::Refused(Code::OpBad, why)
        }
        SleepSpec::TooLong => {
            let why = "the sleep is longer than 366 days".to_owned();
            engine::OpKind::Refused(Code::SleepTooLong, why)
        }
    }
}
