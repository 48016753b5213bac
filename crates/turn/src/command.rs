//! What goes in and what comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_delivery as delivery;
use dunlin_engine as engine;
use dunlin_types::{DedupeKey, Event, Seq};

/// An input of one of the cores.
#[derive(Debug)]
pub enum Input {
    /// For the engine.
    Engine(engine::Input),
    /// For the delivery core.
    Delivery(delivery::Input),
}

/// Names one load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoadId(pub u64);

/// Cold rows to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// The ledger of this run, whose chain of step rows ends there.
    pub ledger: Option<(Seq, Seq)>,
    /// Whether these keys are known.
    pub keys: Vec<DedupeKey>,
    /// These events.
    pub events: Vec<Seq>,
}

impl Need {
    /// It asks for nothing but keys.
    #[must_use]
    pub fn is_of_keys(&self) -> bool {
        self.ledger.is_none() && self.events.is_empty()
    }
}

/// Cold rows that were read.
#[derive(Debug, Default)]
pub struct Rows {
    /// The ledger, if it was asked for and is there.
    pub ledger: Option<engine::LedgerRows>,
    /// The keys that are known.
    pub known: BTreeMap<DedupeKey, delivery::Known>,
    /// The events, in the order in which they were asked for.
    pub events: Vec<Arc<Event>>,
}

/// Something that happened.
#[derive(Debug)]
pub enum Happening {
    /// An input came in.
    Input(Input),
    /// A load is back.
    Loaded(LoadId, Rows),
    /// The commit in flight is durable.
    Committed(u64),
}

/// Something to do after a commit.
#[derive(Debug)]
pub enum Effect {
    /// Of the engine.
    Engine(engine::Effect),
    /// Of the delivery core.
    Delivery(delivery::Effect),
}

/// Rows that belong into one commit.
#[derive(Debug, Default)]
pub struct Decided {
    /// Counts the commits.
    pub commit_no: u64,
    /// The engine's rows.
    pub engine: Vec<engine::Write>,
    /// The delivery core's rows.
    pub delivery: Vec<delivery::Write>,
}

impl Decided {
    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.engine.len() + self.delivery.len()
    }
}

/// Something for the node to do.
#[derive(Debug)]
pub enum Command {
    /// Read these rows and come back with [`Happening::Loaded`].
    Load(LoadId, Need),
    /// Make these rows durable and come back with [`Happening::Committed`].
    Commit(Decided),
    /// Do these, in order.
    Act(Vec<Effect>),
}
