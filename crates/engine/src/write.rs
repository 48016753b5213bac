//! What the core wants written: rows in the domain's words. A store persists all of one commit's
//! rows or none.

use std::sync::Arc;

use dunlin_types::{DedupeKey, Event, Lifecycle, Payload, Seq, Timestamp};

use crate::config::{AppRow, FunctionRow, Limit, Rule};
use crate::step::StepRow;

/// How a run ended, or that it has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RunStatus {
    /// Not ended.
    Live = 0,
    /// It returned.
    Completed = 1,
    /// It failed.
    Failed = 2,
    /// It was cancelled.
    Cancelled = 3,
    /// It was never to start; its output says why.
    Skipped = 4,
}

impl RunStatus {
    /// The status of that number, as stored.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Live,
            1 => Self::Completed,
            2 => Self::Failed,
            3 => Self::Cancelled,
            4 => Self::Skipped,
            _ => return None,
        })
    }
}

/// A run as it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Its place in the order of the world.
    pub seq: Seq,
    /// Its function.
    pub function: u32,
    /// The function's version then.
    pub version: u32,
    /// The event that started it.
    pub event: Seq,
    /// When it was made; part of its id.
    pub created: Timestamp,
    /// When its first call is due.
    pub due: Timestamp,
    /// The run that it repeats, if it does.
    pub original: Option<Seq>,
    /// Further events that started it, in order: those of a batch after its first.
    pub more: Vec<Seq>,
    /// What its function's rules made of its events ([`crate::flow::RunKeys`]); empty without rules.
    pub flow: Vec<u8>,
}

/// How far a rate has been used up under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterRow {
    /// The function; 0 for a limit of an operator.
    pub function: u32,
    /// Whose rate.
    pub rule: Rule,
    /// The key's value, hashed.
    pub key: DedupeKey,
    /// When the next one would be due if all came evenly (GCRA's theoretical arrival time), in
    /// nanoseconds since 1970. None: the row goes, because it no longer matters.
    pub tat_ns: Option<i64>,
    /// The run, or the event where there is no run yet, that was let through last.
    pub last: Seq,
}

/// Events that are being gathered for one run: a debounce or a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatherRow {
    /// Its place in the order of the world, which names it.
    pub seq: Seq,
    /// The function.
    pub function: u32,
    /// [`Rule::Debounce`] or [`Rule::Batch`].
    pub rule: Rule,
    /// The key's value as text, as [`crate::flow::key_text`] cuts it; empty without a key.
    pub key: String,
    /// When its first event came.
    pub opened: Timestamp,
    /// When it is run at the latest as things stand.
    pub due: Timestamp,
    /// The event that counts (debounce), or the first one (batch).
    pub event: Seq,
    /// That event's own time: of a debounce, older ones do not replace it.
    pub ts: Timestamp,
    /// Bytes of its events.
    pub bytes: u64,
}

/// An event that a function's rules dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedRow {
    /// The event.
    pub event: Seq,
    /// The function that it did not start.
    pub function: u32,
    /// When.
    pub at: Timestamp,
    /// The rule that dropped it.
    pub rule: Rule,
    /// The key's value as text; empty without a key.
    pub key: String,
    /// What was kept instead: a run, or the event that a debounce kept. None if that is not known.
    pub kept: Option<Seq>,
}

/// What is added to a run's row when it ends.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// The run.
    pub run: Seq,
    /// How it ended.
    pub status: RunStatus,
    /// When its first call went out, if one did.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// The function's return value, or its error.
    pub output: Payload,
    /// The end of its chain of step rows; its own row if there are none.
    pub last: Seq,
    /// Whether an image of it is to be removed.
    pub imaged: bool,
}

/// A small picture of a long-lived run, so that a restart need not read its whole log.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// The run.
    pub run: Seq,
    /// Its function.
    pub function: u32,
    /// The last step row that the picture includes.
    pub last: Seq,
    /// Its open items, as [`crate::live::Items::encode`] writes them.
    pub items: Vec<u8>,
    /// As [`RunRow::flow`].
    pub flow: Vec<u8>,
}

/// An internal event that nobody was triggered by: its body is rendered when somebody reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct LifecycleRow {
    /// Its place in the order of the world.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// What happened to the run.
    pub kind: Lifecycle,
    /// The run.
    pub run: Seq,
}

/// How far a function's time table has been worked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronRow {
    /// The function.
    pub function: u32,
    /// The time table's text.
    pub schedule: String,
    /// The last tick that was taken, or when the time table came into force. None when the function
    /// has lost it.
    pub last: Option<Timestamp>,
}

/// One thing to write.
#[derive(Clone, Debug)]
pub enum Write {
    /// Append an event.
    Event(Arc<Event>),
    /// Append an internal event without a body.
    Lifecycle(LifecycleRow),
    /// Remember that something has happened once.
    Dedupe {
        /// Under which key.
        key: DedupeKey,
        /// The row that it made.
        seq: Seq,
        /// When it may be forgotten.
        expires: Timestamp,
    },
    /// Append a run, and that its event started it.
    Run(RunRow),
    /// Append a step row.
    Step(StepRow),
    /// End a run.
    RunEnd(RunEnd),
    /// Put or replace a run's image.
    Image(Image),
    /// All live runs older than this have images.
    FoldFrom(Seq),
    /// Put or remove a time table's state.
    Cron(CronRow),
    /// An event resumes more than one commit should hold: what it matches is worked off in slices,
    /// and found again after a restart, until the second of these rows.
    Claim(Seq),
    /// All that the event matches has been resumed.
    Claimed(Seq),
    /// Put or remove a rate's counter; named by function, rule and key.
    Counter(CounterRow),
    /// Put a debounce or a batch; named by its place.
    Gather(GatherRow),
    /// Append an event to a batch, beyond its first.
    Gathered {
        /// The batch.
        gather: Seq,
        /// The event.
        event: Seq,
    },
    /// A debounce or a batch has become a run or was given up: it goes, with its events.
    GatherEnd(Seq),
    /// An event did not start a function, because of a rule.
    Dropped(DroppedRow),
    /// Put a limit of an operator; named by its name.
    Limit(Limit),
    /// Remove the limit of that name.
    LimitGone(String),
    /// Put an app.
    App(AppRow),
    /// Put a function, and the version that it has.
    Function(Box<FunctionRow>),
}

impl Write {
    /// Roughly the bytes it adds to a commit.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.weight_bytes(),
            Self::Step(row) => 128 + row.payload.len(),
            Self::RunEnd(end) => 96 + end.output.len(),
            Self::Image(image) => 48 + image.items.len(),
            Self::Function(row) => 256 + row.config.len(),
            Self::Run(row) => 96 + row.flow.len() + 8 * row.more.len(),
            _ => 96,
        }
    }
}
