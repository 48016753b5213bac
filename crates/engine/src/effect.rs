//! What the core wants done after its rows are committed.

use std::sync::Arc;

use dunlin_types::{Code, Event, OutboundRequest, Seq, StepId, Timestamp, Token, Ulid};

use crate::catalog::Changes;
use crate::input::CallId;
use crate::ledger::RunState;

/// One thing to do. Each follows from committed rows, or may be lost (an answer).
#[derive(Clone, Debug)]
pub enum Effect {
    /// Call the app.
    Call(Box<Call>),
    /// Make a request for a run.
    Request(Box<Request>),
    /// Load the ledger of a run and come back with [`crate::Input::Fetched`].
    Fetch(Seq),
    /// Answer somebody who waits.
    Answer(Token, Answer),
    /// The set of apps has changed.
    AppsChanged,
}

/// A request to make for a run. Its outcome comes back as the reply to a call that reports the step.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its name.
    pub id: CallId,
    /// The run's public id.
    pub run_id: Ulid,
    /// The step it is for.
    pub step: StepId,
    /// The name users see.
    pub name: String,
    /// Of this item, from 0.
    pub attempt: u8,
    /// What to send.
    pub request: Arc<OutboundRequest>,
    /// The commit that it follows from; it may go out once that is durable.
    pub after: u64,
}

/// A call to make.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name.
    pub id: CallId,
    /// The run's public id.
    pub run_id: Ulid,
    /// The function, by number.
    pub function: u32,
    /// Where to.
    pub url: Arc<str>,
    /// The SDK of the app, such as `js:v4.24.0`.
    pub sdk: Arc<str>,
    /// The function's public id.
    pub function_id: Arc<str>,
    /// The step to run; none for a discovery.
    pub target: Option<StepId>,
    /// The step whose end caused this call; none for the first.
    pub cause: Option<StepId>,
    /// Of this item, from 0.
    pub attempt: u8,
    /// Attempts that this item has in all.
    pub attempts_max: u8,
    /// The events of the run.
    pub events: Arc<[Arc<Event>]>,
    /// Results so far.
    pub state: Arc<RunState>,
    /// Whether the SDK is to plan every step, so that each is a call of its own.
    pub plan: bool,
    /// The commit that it follows from; it may go out once that is durable.
    pub after: u64,
}

/// What somebody who waits is told.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The events are in the log.
    Events(Vec<Ulid>),
    /// The registration is in force.
    Registered {
        /// Whether anything changed.
        modified: bool,
        /// The app's number.
        app: u32,
        /// What it asked for and will not get.
        warnings: Vec<String>,
        /// What is other than before.
        changes: Changes,
    },
    /// The registration is not valid.
    RegisterRefused(Code, String),
    /// The checkpoint is committed.
    Checkpointed,
    /// The checkpoint changes nothing, for this reason.
    CheckpointRefused(Code, String),
    /// The run is cancelled.
    Cancelled,
    /// There is no such run.
    NoSuchRun,
    /// The run had ended before.
    HadEnded,
    /// The signal was handed to this run.
    Signalled(Seq),
    /// Nobody waits for that signal.
    NoSuchSignal,
    /// A new run was made.
    Started {
        /// Its id.
        run: Ulid,
        /// The internal id of the event that started it.
        event: Ulid,
    },
    /// That event has started the function before, as this run.
    StartedBefore(Seq),
    /// The function is paused: the event of this id is in the log, and the run is recorded as skipped.
    Skipped(Ulid),
    /// A rule of the function keeps the event from starting it: the event of this id is in the log.
    Held {
        /// Its id.
        event: Ulid,
        /// The rule.
        rule: crate::config::Rule,
        /// Whether it will start nothing; else it is gathered with others.
        dropped: bool,
    },
    /// What was asked for is done.
    Done,
    /// There is no such function.
    NoSuchFunction,
    /// What there is to see.
    Looked(Box<crate::look::Looked>),
    /// There is no limit of that name.
    NoSuchLimit,
    /// There are as many limits as there may be.
    TooManyLimits,
    /// The function is paused, or goes on.
    Paused {
        /// Whether that was news.
        modified: bool,
    },
}

/// Time of the next thing to do by itself.
pub type Wake = Option<Timestamp>;
