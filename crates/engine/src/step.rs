//! Rows of the step log: the only thing a run writes between its start and its end.
//!
//! A row says what became of one step *and* what that means for the run's open items, so that the
//! state in memory and the state after a restart follow from the same rows by the same code.

use dunlin_types::{Payload, Seq, StepId, Timestamp};

/// What a row records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum StepKind {
    /// A step ran; its output is wrapped as `{"data": …}` for the SDK.
    Ran = 1,
    /// A step of the old form ran; its output is handed back as it is.
    RanRaw = 2,
    /// A step failed for good; its error is handed back.
    Failed = 3,
    /// A step was planned: opens an item of its own.
    Planned = 4,
    /// A sleep began: opens a timer.
    Slept = 5,
    /// A sleep ended.
    Woke = 6,
    /// An attempt failed and is to be made again.
    Retried = 7,
    /// A call brought nothing new for its branch.
    Idle = 8,
    /// An item goes out again after an unclean stop.
    Redispatched = 9,
    /// The SDK asked for another call.
    Asked = 10,
    /// The run waits for an event: opens a wait. The payload says for which.
    Waited = 11,
    /// Another function was invoked: opens a wait for its end.
    Invoked = 12,
    /// The run waits for a signal: opens a wait.
    AwaitedSignal = 13,
    /// The server is to make a request for the run: opens an item of its own. The payload shows it
    /// without its secrets.
    Requested = 14,
    /// Events of a name cancel the run: opens a wait.
    CancelOn = 15,
    /// The run is cancelled unless it has begun by then.
    StartTimeout = 16,
    /// The run is cancelled unless it has ended by then.
    FinishTimeout = 17,
    /// The run is to end as cancelled: closes all items.
    Stopped = 18,
    /// The arguments that a step is to be run with, instead of the function's own.
    Given = 19,
    /// A function to start when the run has ended.
    Deferred = 20,
    /// It is not to be started after all.
    DeferAborted = 21,
    /// What the SDK tells about a step beside its result; for traces only.
    Noted = 22,
    /// Another run has taken over the signal that an item waits for: it can only run out.
    SignalTaken = 23,
    /// The run begins, as rules of flow control count it.
    Begun = 24,
}

impl StepKind {
    /// The kind of that number, as stored.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Ran,
            2 => Self::RanRaw,
            3 => Self::Failed,
            4 => Self::Planned,
            5 => Self::Slept,
            6 => Self::Woke,
            7 => Self::Retried,
            8 => Self::Idle,
            9 => Self::Redispatched,
            10 => Self::Asked,
            11 => Self::Waited,
            12 => Self::Invoked,
            13 => Self::AwaitedSignal,
            14 => Self::Requested,
            15 => Self::CancelOn,
            16 => Self::StartTimeout,
            17 => Self::FinishTimeout,
            18 => Self::Stopped,
            19 => Self::Given,
            20 => Self::Deferred,
            21 => Self::DeferAborted,
            22 => Self::Noted,
            23 => Self::SignalTaken,
            24 => Self::Begun,
            _ => return None,
        })
    }

    /// Whether the step has its result with this row.
    #[must_use]
    pub const fn completes(self) -> bool {
        matches!(self, Self::Ran | Self::RanRaw | Self::Failed | Self::Woke)
    }

    /// Whether the step is open from this row on, with an item of its own.
    #[must_use]
    pub const fn opens(self) -> bool {
        matches!(
            self,
            Self::Planned
                | Self::Slept
                | Self::Waited
                | Self::Invoked
                | Self::AwaitedSignal
                | Self::Requested
        )
    }
}

/// What else a row means, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StepFlags(pub u16);

impl StepFlags {
    /// The item that the row came from is done.
    pub const CLOSES: u16 = 1;
    /// A discovery item opens, named by this row.
    pub const DISCOVERS: u16 = 2;
    /// The run plans every step from here on.
    pub const FORCE_PLAN: u16 = 4;
    /// The step belongs to a group that is discovered once, when all of it is done.
    pub const GROUP: u16 = 8;
    /// The step's end is discovered at once, whatever else is open.
    pub const RACE: u16 = 16;
    /// The run speaks protocol version 2.
    pub const VERSION_2: u16 = 32;
    /// The run's protocol version is known.
    pub const VERSION_KNOWN: u16 = 64;
    /// Reported while its call went on; the item stays open and its attempts start over.
    pub const CHECKPOINT: u16 = 128;
    /// The run has begun, as rules of flow control count it.
    pub const BEGUN: u16 = 256;

    /// The run's own settings, which every row carries on.
    pub const RUN: u16 = Self::FORCE_PLAN | Self::VERSION_2 | Self::VERSION_KNOWN | Self::BEGUN;

    /// Whether all of these bits are set.
    #[must_use]
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }

    /// With these bits set as well.
    #[must_use]
    pub const fn with(self, bits: u16, on: bool) -> Self {
        if on { Self(self.0 | bits) } else { self }
    }
}

/// The part of a row that hot state is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepMark {
    /// Its place in the order of the world.
    pub seq: Seq,
    /// The run's row.
    pub run: Seq,
    /// What it records.
    pub kind: StepKind,
    /// What else it means.
    pub flags: StepFlags,
    /// The item it came from.
    pub item: Seq,
    /// The item's attempt from here on ([`StepKind::Retried`]), else the attempt that was made.
    pub attempt: u8,
    /// When the item is due, the one it opens or ([`StepKind::Retried`],
    /// [`StepKind::Redispatched`]) the one it came from.
    pub due: Timestamp,
}

/// Where a row's payload is written already; a store may keep the place instead of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is this event, as functions see it.
    Event(Seq),
    /// It is the output of this run, which has ended.
    Output(Seq),
}

/// One row of the step log.
#[derive(Clone, Debug, PartialEq)]
pub struct StepRow {
    /// What hot state needs of it.
    pub mark: StepMark,
    /// The run's row before this one; the run's own row for the first.
    pub prev: Seq,
    /// The step, where the row is about one. A row that completes a step without naming it is about
    /// the step whose item it closes: that one's opening row has id and name.
    pub id: Option<StepId>,
    /// The name users see; empty where there is no id.
    pub name: String,
    /// When the item became due.
    pub queued: Timestamp,
    /// When its call went out.
    pub started: Timestamp,
    /// When its answer was there.
    pub ended: Timestamp,
    /// Output or error, or what an open step waits for; empty where there is none.
    pub payload: Payload,
    /// Where the payload is written already, if it is.
    pub source: Option<Source>,
}
