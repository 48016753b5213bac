//! What the core is told.

use std::sync::Arc;

use dunlin_types::{
    Code, Event, NewEvent, OutboundRequest, Payload, Seq, StepId, Timestamp, Token,
};

use crate::config::{Limit, Registration};
use crate::look::Look;
use crate::step::StepKind;

/// Everything that can happen to the engine.
#[derive(Clone, Debug)]
pub enum Input {
    /// Events to append.
    Events {
        /// Who waits for their ids.
        token: Token,
        /// The events, in order.
        events: Vec<NewEvent>,
    },
    /// A call came back, one way or another.
    Reply(CallReply),
    /// An app reports steps while its call goes on.
    Checkpoint(Checkpoint),
    /// A timer of a run came due.
    Due {
        /// The run.
        run: Seq,
        /// The item whose timer it was.
        item: Seq,
    },
    /// The ledger of a run that is to be called has been loaded.
    Fetched {
        /// The run.
        run: Seq,
    },
    /// Somebody wants a run cancelled.
    Cancel {
        /// Who waits.
        token: Token,
        /// The run.
        run: Seq,
        /// The creation time its id carries, which must be the run's.
        created: Timestamp,
    },
    /// Somebody sends a signal.
    Signal {
        /// Who waits.
        token: Token,
        /// Its name.
        name: String,
        /// What goes with it, as JSON.
        data: Payload,
    },
    /// Somebody starts a function directly, whatever its triggers say.
    Invoke {
        /// Who waits.
        token: Token,
        /// The function, by its composite id or its UUID.
        function: String,
        /// The event that it gets; its name is `inngest/function.invoked`.
        event: Box<NewEvent>,
    },
    /// Somebody wants a run made again.
    Rerun {
        /// Who waits.
        token: Token,
        /// What to make.
        rerun: Box<Rerun>,
    },
    /// Somebody pauses a function, or has it go on.
    Pause {
        /// Who waits.
        token: Token,
        /// The function's number.
        function: u32,
        /// Which of the two.
        paused: bool,
    },
    /// A function is to have limits of its own, until the process ends.
    Limit {
        /// Who waits.
        token: Token,
        /// The function's number.
        function: u32,
        /// Steps of one run; none for the limit of all functions.
        steps: Option<usize>,
        /// Bytes of one run's results; none for the limit of all functions.
        state_bytes: Option<usize>,
    },
    /// All live runs are to be stopped.
    StopAll {
        /// Who waits.
        token: Token,
    },
    /// A tick of a time table came due.
    Tick {
        /// The function.
        function: u32,
        /// The time table's text.
        schedule: String,
        /// The tick.
        at: Timestamp,
    },
    /// A slice of what an event matches is to be resumed.
    Resume {
        /// The event.
        event: Seq,
    },
    /// Somebody wants to see what waits.
    Look {
        /// Who waits.
        token: Token,
        /// What for.
        look: Look,
    },
    /// An operator puts a limit.
    PutLimit {
        /// Who waits.
        token: Token,
        /// The limit; one of its name is replaced.
        limit: Box<Limit>,
    },
    /// An operator removes a limit.
    RemoveLimit {
        /// Who waits.
        token: Token,
        /// Its name.
        name: String,
    },
    /// What a rule held back may go: slots are handed out anew.
    Dispatch,
    /// A debounce or a batch is to become a run.
    Gathered {
        /// Its place.
        gather: Seq,
    },
    /// An app registers.
    Register {
        /// Who waits.
        token: Token,
        /// What it registers.
        registration: Box<Registration>,
    },
    /// A URL is to be an app (`--sdk-url`), or was asked to sync and did not.
    AppSeen {
        /// Its URL, to dial.
        url: String,
        /// Its URL as compared.
        identity_url: String,
        /// Why it could not be synced; none if it answered.
        error: Option<(Code, String)>,
    },
}

/// A run to make again, with what is kept of it.
#[derive(Clone, Debug)]
pub struct Rerun {
    /// The run.
    pub original: Seq,
    /// Its function.
    pub function: u32,
    /// The events that started it.
    pub events: Vec<Arc<Event>>,
    /// The protocol version that it spoke; none if that was not known.
    pub version: Option<i64>,
    /// Results that the new run begins with, in the order in which they came.
    pub results: Vec<KeptResult>,
    /// The step to run first, its name, and its arguments if they are to be others.
    pub from: Option<(StepId, String, Option<Payload>)>,
}

/// A step's result that a repeated run begins with.
#[derive(Clone, Debug)]
pub struct KeptResult {
    /// The step.
    pub id: StepId,
    /// The name users see.
    pub name: String,
    /// One of the kinds that complete a step.
    pub kind: StepKind,
    /// Output or error.
    pub payload: Payload,
}

/// What names one dispatch of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId {
    /// The run.
    pub run: Seq,
    /// The item.
    pub item: Seq,
    /// Counts the dispatches, over restarts too.
    pub generation: u64,
    /// The app whose slot the call holds.
    pub app: u32,
    /// The queue whose slots the call holds.
    pub lane: u32,
}

/// The answer to a call.
#[derive(Clone, Debug)]
pub struct CallReply {
    /// Which call.
    pub call: CallId,
    /// When it went out.
    pub started: Timestamp,
    /// When the answer was there.
    pub ended: Timestamp,
    /// The protocol version that the app named.
    pub version: Option<i64>,
    /// What it said.
    pub reply: Reply,
}

/// What an app said to a call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It reports operations.
    Ops(Vec<Op>),
    /// The function returned this.
    Done(Payload),
    /// The attempt failed.
    Failed(Failure),
}

impl Reply {
    /// Whether the app has too much to do, and the pause that it asks for, in milliseconds.
    pub(crate) fn is_busy(&self) -> Option<Option<i64>> {
        match self {
            Self::Failed(failure) if failure.busy => Some(failure.retry_after_ms),
            _ => None,
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// The error object that SDKs and users see.
    pub error: Payload,
    /// Whether trying again is pointless.
    pub no_retry: bool,
    /// What the app asked for: milliseconds from now.
    pub retry_after_ms: Option<i64>,
    /// Whether the app has too much to do (429 or 503), so that it is to be called less.
    pub busy: bool,
}

/// One operation that an app reports.
#[derive(Clone, Debug)]
pub struct Op {
    /// The step.
    pub id: StepId,
    /// The name users see.
    pub name: String,
    /// Whether its end is to be discovered at once.
    pub race: bool,
    /// What else the SDK tells of the step, for traces: `{"input"?, "metadata"?}`.
    pub note: Option<Payload>,
    /// What happened or is wanted.
    pub kind: OpKind,
}

/// What an operation is.
#[derive(Clone, Debug)]
pub enum OpKind {
    /// Nothing on this branch.
    None,
    /// A step ran.
    StepRun(Payload),
    /// A step of the old form ran.
    Step(Payload),
    /// A step threw and may be tried again.
    StepError(Failure),
    /// A step failed for good.
    StepFailed(Payload),
    /// A step is to be called on its own.
    StepPlanned,
    /// The run sleeps until then.
    SleepUntil(Timestamp),
    /// The run sleeps that long, in milliseconds.
    SleepFor(i64),
    /// The function returned this.
    RunComplete(Payload),
    /// The run waits for an event.
    WaitForEvent {
        /// The event's name.
        event: String,
        /// Text of the expression over the run's `event` and the incoming `async`.
        condition: Option<String>,
        /// When it gives up.
        until: Timestamp,
    },
    /// Another function is to run, and its result is this step's.
    Invoke {
        /// The function, by its composite id or its UUID.
        function: String,
        /// The data of the event that it gets: a JSON object.
        data: Payload,
        /// The event's user.
        user: Option<Payload>,
        /// The event's schema version.
        v: Option<String>,
        /// When it gives up.
        until: Timestamp,
    },
    /// The run waits for a signal.
    WaitForSignal {
        /// Its name.
        signal: String,
        /// Whether it takes the place of another run that waits for it.
        replace: bool,
        /// When it gives up.
        until: Timestamp,
    },
    /// The server is to make this request.
    Gateway(Box<OutboundRequest>),
    /// A function is to be started when the run has ended; the payload says which and with what.
    DeferAdd(Payload),
    /// It is not.
    DeferAbort(StepId),
    /// The app wants another call.
    DiscoveryRequest,
    /// Something that ends the run: not supported, or not valid.
    Refused(Code, String),
}

/// Steps reported while a call goes on.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Who waits.
    pub token: Token,
    /// The run.
    pub run: Seq,
    /// The creation time its id carries.
    pub created: Timestamp,
    /// The item whose call reports.
    pub item: Seq,
    /// The dispatch that reports, where the SDK tells.
    pub generation: Option<u64>,
    /// When the steps began, as the SDK tells, or the call did.
    pub started: Timestamp,
    /// What it reports.
    pub ops: Vec<Op>,
}
