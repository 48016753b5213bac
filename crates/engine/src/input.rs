//! What the core is told.

use dunlin_types::{Code, NewEvent, Payload, Seq, StepId, Timestamp, Token};

use crate::config::Registration;

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
