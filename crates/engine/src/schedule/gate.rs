//! Gates: what must have room before something goes out. One gate stands for one rule under one
//! value of its key, for the places of an app, or for a rate.

use dunlin_types::{DedupeKey, Timestamp};

use crate::config::{Rule, Scope};
use crate::flow::gcra::Gcra;
use crate::flow::slow_down::SlowDown;
use crate::schedule::rotation::Rotation;

/// What makes two gates the same one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GateKey {
    /// Calls or runs of one function, by the rule's name (0 without a key) and the key's value.
    Own(Rule, u32, u64, Box<str>),
    /// Calls or runs of all functions that count together under that value.
    Shared(Rule, Scope, Box<str>),
    /// Calls to an app.
    App(u32),
}

/// What a gate counts.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Calls in flight.
    Calls,
    /// Runs that have begun and not ended.
    Runs,
    /// Runs that begin, over time; the counter is found under that key.
    Rate(Gcra, DedupeKey),
    /// Calls in flight at an app, as many as it can bear.
    App(SlowDown),
}

/// Whether one more may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Now.
    Free,
    /// When somebody gives a place back.
    Full,
    /// At that instant, or later.
    At(Timestamp),
}

/// A queue that waits at a gate, with the limit that holds for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub(crate) lane: u32,
    pub(crate) limit: u32,
}

/// One gate.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) key: GateKey,
    pub(crate) kind: Kind,
    /// Places taken.
    pub(crate) used: u32,
    /// Queues that must pass it.
    pub(crate) lanes: u32,
    /// Queues that wait for it, by function and by limit: one that has room behind a smaller limit
    /// must not wait for those that have none, nor for tickets of limits that are no more.
    pub(crate) parked: Rotation<Ticket, (u32, u32)>,
    /// When those that wait are to be let on, where that is a matter of time.
    pub(crate) timer: Option<Timestamp>,
}

/// A gate that a queue must pass, and the limit that holds for it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) gate: u32,
    pub(crate) limit: u32,
}

impl Gate {
    pub(crate) fn new(key: GateKey, kind: Kind) -> Self {
        Self {
            key,
            kind,
            used: 0,
            lanes: 0,
            parked: Rotation::default(),
            timer: None,
        }
    }

    /// Whether it concerns only runs that have not begun.
    pub(crate) const fn is_for_starts(&self) -> bool {
        matches!(self.kind, Kind::Runs | Kind::Rate(..))
    }

    /// Whether it stands for a rule of the user's, rather than for what apps can bear.
    pub(crate) const fn is_rule(&self) -> bool {
        !matches!(self.kind, Kind::App(_))
    }
}
