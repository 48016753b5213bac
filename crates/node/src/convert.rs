//! From what the wire says to what the engine understands.

use dunlin_engine as engine;
use dunlin_types::{Code, Timestamp};
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
            let kind = kind_of(op.kind, now);
            engine::Op {
                id: op.id,
                name: op.name,
                race: op.parallel_race,
                kind,
            }
        })
        .collect()
}

fn kind_of(kind: OpKind, now: Timestamp) -> engine::OpKind {
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
        }),
        OpKind::StepFailed { error } => engine::OpKind::StepFailed(error),
        OpKind::StepPlanned => engine::OpKind::StepPlanned,
        OpKind::Sleep(spec) => sleep(spec),
        OpKind::RunComplete(output) => engine::OpKind::RunComplete(output),
        OpKind::DiscoveryRequest => engine::OpKind::DiscoveryRequest,
        OpKind::WaitForEvent { .. } => not_built("WaitForEvent"),
        OpKind::Invoke { .. } => not_built("InvokeFunction"),
        OpKind::WaitForSignal { .. } => not_built("WaitForSignal"),
        OpKind::Gateway(request) if request.ai => not_built("AIGateway"),
        OpKind::Gateway(_) => not_built("Gateway"),
        OpKind::SyncRunComplete(_) => not_built("SyncRunComplete"),
        OpKind::DeferAdd { .. } => not_built("DeferAdd"),
        OpKind::DeferAbort { .. } => not_built("DeferAbort"),
    }
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
