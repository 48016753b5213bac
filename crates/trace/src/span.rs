//! The tree: a run, its steps, and their attempts.

use dunlin_types::{Payload, Seq, StepId, Timestamp, Ulid};

use crate::error::SpanError;
use crate::info::{StepInfo, StepOp};

/// How far something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SpanStatus {
    /// It waits for its call, or for its next attempt.
    Queued,
    /// It has been called and has not ended.
    #[default]
    Running,
    /// It waits for time, an event, a signal or another run.
    Waiting,
    /// It ended well.
    Completed,
    /// It failed for good.
    Failed,
    /// The run ended around it.
    Cancelled,
    /// It was never to start.
    Skipped,
}

impl SpanStatus {
    /// The word for it in the reading APIs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::Running => "RUNNING",
            Self::Waiting => "WAITING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::Skipped => "SKIPPED",
        }
    }

    /// Whether nothing more comes.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Waiting)
    }
}

/// A stretch of time in which something was done, or waited for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// Unique within the run, and the same whenever the run is drawn.
    pub id: String,
    /// The name users see.
    pub name: String,
    /// How far it is.
    pub status: SpanStatus,
    /// The step, where it is one.
    pub step: Option<StepId>,
    /// The item of the run that goes on with it, as long as it is open.
    pub item: Option<Seq>,
    /// What kind of step, and what its kind has to tell; none for runs and attempts.
    pub info: Option<StepInfo>,
    /// Attempts made so far; those of a step that was tried again are its children.
    pub attempts: u32,
    /// Whether a step's result was taken over from the run that this one repeats.
    pub kept: bool,
    /// When it could have begun.
    pub queued: Option<Timestamp>,
    /// When it began: its call went out, or its wait opened.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What it was given: the event, or a step's arguments.
    pub input: Option<Payload>,
    /// What it gave, if it ended well.
    pub output: Option<Payload>,
    /// Why it failed, if it did.
    pub error: Option<SpanError>,
    /// What the SDK told of it beside its result, as it came.
    pub metadata: Option<Payload>,
    /// Its parts: steps of a run in the order of discovery, attempts of a step.
    pub children: Vec<Self>,
}

impl Span {
    /// What kind of step it is, if it is one.
    #[must_use]
    pub fn op(&self) -> Option<StepOp> {
        self.info.as_ref().map(StepInfo::op)
    }

    /// Milliseconds from its beginning to its end.
    #[must_use]
    pub fn duration_ms(&self) -> Option<i64> {
        Some(self.ended?.since(self.started?))
    }

    /// Milliseconds from when it could have begun to its beginning.
    #[must_use]
    pub fn delay_ms(&self) -> Option<i64> {
        Some(self.started?.since(self.queued?))
    }

    /// The span of that id, in it or below.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Self> {
        if self.id == id {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(id))
    }
}

/// Why a run was cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Somebody asked for it.
    Request,
    /// An event that the function names came: its internal id.
    Event(Option<String>),
    /// It had not begun in time.
    StartTimeout,
    /// It had not ended in time.
    FinishTimeout,
}

impl CancelReason {
    /// The word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Event(_) => "event",
            Self::StartTimeout => "timeouts.start",
            Self::FinishTimeout => "timeouts.finish",
        }
    }
}

/// The step that invoked a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its run.
    pub run: Ulid,
    /// The step.
    pub step: StepId,
}

/// A run as a tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The run's id.
    pub run: Ulid,
    /// The run itself, with its steps.
    pub root: Span,
    /// The step that waits for its result.
    pub parent: Option<Parent>,
    /// The run that it repeats.
    pub original: Option<Ulid>,
    /// Why it was cancelled, if it was.
    pub cancelled: Option<CancelReason>,
    /// Why it was skipped, if it was.
    pub skipped: Option<String>,
}
