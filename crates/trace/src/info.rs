//! What steps of each kind have to tell, from the row that opened them and the one that ended them.

use dunlin_engine::step::{Source, StepKind, StepRow};
use dunlin_types::{Code, Payload, Timestamp, Ulid};
use serde_json::Value;

use crate::error::SpanError;
use crate::links::Links;

/// The kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOp {
    /// The app ran it.
    Run,
    /// A sleep.
    Sleep,
    /// A wait for an event.
    WaitForEvent,
    /// A wait for a signal.
    WaitForSignal,
    /// Another function ran for it.
    Invoke,
    /// The server asked a model for it.
    AiGateway,
    /// The server made another request for it.
    Fetch,
}

impl StepOp {
    /// The word for it in the reading APIs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Run | Self::Fetch => "RUN",
            Self::Sleep => "SLEEP",
            Self::WaitForEvent => "WAIT_FOR_EVENT",
            Self::WaitForSignal => "WAIT_FOR_SIGNAL",
            Self::Invoke => "INVOKE",
            Self::AiGateway => "AI_GATEWAY",
        }
    }

    /// Whether it is called or requested, so that it can be queued and tried again.
    #[must_use]
    pub const fn is_called(self) -> bool {
        matches!(self, Self::Run | Self::AiGateway | Self::Fetch)
    }
}

/// What a step has to tell beside its result.
#[derive(Clone, Debug, PartialEq)]
pub enum StepInfo {
    /// The app ran it; which of the SDK's tools it was, where that is known.
    Run(Option<String>),
    /// It sleeps until then.
    Sleep(Timestamp),
    /// It waits for an event.
    Event(EventWait),
    /// It waits for a signal.
    Signal(SignalWait),
    /// It waits for another run.
    Invoke(Invocation),
    /// It waits for the answer to a request.
    Request(ServerRequest),
}

/// A wait for an event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventWait {
    /// The event's name.
    pub event: String,
    /// What must hold of it.
    pub expression: Option<String>,
    /// Until when.
    pub timeout: Timestamp,
    /// The internal id of the event that came.
    pub found: Option<Ulid>,
    /// Whether none came in time; unknown while it waits.
    pub timed_out: Option<bool>,
    /// Whether the expression can hold for no event at all.
    pub never: bool,
}

/// A wait for a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalWait {
    /// The signal's name.
    pub signal: String,
    /// Until when.
    pub timeout: Timestamp,
    /// Whether it did not come in time; unknown while it waits.
    pub timed_out: Option<bool>,
}

/// A function that was invoked.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// Its composite id.
    pub function: String,
    /// The event that started it.
    pub event: Option<Ulid>,
    /// The run that was started.
    pub run: Option<Ulid>,
    /// The event that told of the run's end.
    pub returned: Option<Ulid>,
    /// Until when its end is waited for.
    pub timeout: Timestamp,
    /// Whether it did not end in time; unknown while it runs.
    pub timed_out: Option<bool>,
}

/// A request that the server makes, without its secrets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerRequest {
    /// Where to.
    pub url: String,
    /// How.
    pub method: String,
    /// The provider's format, where a model is asked.
    pub format: Option<String>,
    /// The model that is asked.
    pub model: Option<String>,
    /// What the answer says it took.
    pub usage: Option<Usage>,
}

/// What a model's answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the question.
    pub input_tokens: Option<u64>,
    /// Tokens of the answer.
    pub output_tokens: Option<u64>,
}

impl StepInfo {
    /// Of the row that opens a step.
    pub(crate) fn opened(row: &StepRow, links: &Links) -> Self {
        let value = value_of(&row.payload);
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let timeout = row.mark.due;
        match row.mark.kind {
            StepKind::Slept => Self::Sleep(timeout),
            StepKind::Waited => Self::Event(EventWait {
                event: text("event").unwrap_or_default(),
                expression: text("if"),
                timeout,
                found: None,
                timed_out: None,
                never: value.get("never").is_some(),
            }),
            StepKind::AwaitedSignal => Self::Signal(SignalWait {
                signal: text("signal").unwrap_or_default(),
                timeout,
                timed_out: None,
            }),
            StepKind::Invoked => Self::Invoke(Invocation {
                function: text("function_id").unwrap_or_default(),
                event: links.event_of(row),
                run: links.run_of(row),
                returned: None,
                timeout,
                timed_out: None,
            }),
            StepKind::Requested => Self::Request(ServerRequest {
                url: text("url").unwrap_or_default(),
                method: text("method").unwrap_or_default(),
                format: text("format"),
                model: text("model"),
                usage: None,
            }),
            _ => Self::Run(None),
        }
    }

    /// What kind of step it is.
    #[must_use]
    pub const fn op(&self) -> StepOp {
        match self {
            Self::Run(_) => StepOp::Run,
            Self::Sleep(_) => StepOp::Sleep,
            Self::Event(_) => StepOp::WaitForEvent,
            Self::Signal(_) => StepOp::WaitForSignal,
            Self::Invoke(_) => StepOp::Invoke,
            Self::Request(request) if request.format.is_some() => StepOp::AiGateway,
            Self::Request(_) => StepOp::Fetch,
        }
    }

    /// Takes in the row that ended the step.
    pub(crate) fn ended(&mut self, row: &StepRow, error: Option<&SpanError>, links: &Links) {
        let ran_out = row.mark.kind == StepKind::Woke;
        match self {
            Self::Run(_) | Self::Sleep(_) => {}
            Self::Event(wait) => {
                wait.timed_out = Some(ran_out);
                if let Some(Source::Event(seq)) = row.source {
                    wait.found = links.event(seq);
                }
            }
            Self::Signal(wait) => wait.timed_out = Some(ran_out),
            Self::Invoke(invocation) => {
                let code = error.map(|error| error.code);
                invocation.timed_out = Some(code == Some(Code::InvokeTimedOut));
                invocation.returned = links.returned(row);
            }
            Self::Request(request) => request.usage = usage_of(&row.payload),
        }
    }
}

fn value_of(payload: &Payload) -> Value {
    serde_json::from_slice(payload.bytes()).unwrap_or(Value::Null)
}

/// The two spellings that providers have.
fn usage_of(answer: &Payload) -> Option<Usage> {
    let value = value_of(answer);
    let usage = value.get("usage")?;
    let count = |a: &str, b: &str| usage.get(a).or_else(|| usage.get(b))?.as_u64();
    let usage = Usage {
        input_tokens: count("prompt_tokens", "input_tokens"),
        output_tokens: count("completion_tokens", "output_tokens"),
    };
    (usage != Usage::default()).then_some(usage)
}
