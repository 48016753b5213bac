//! Which live runs have begun: the engine knows, and the store does not.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_engine::RunStatus;
use dunlin_store::RunView;
use dunlin_types::limits::LOOK_RUNS_MAX;
use dunlin_types::{Seq, Timestamp};

/// What is known of live runs, and of which of them somebody wanted to know it.
#[derive(Clone, Debug, Default)]
pub struct Begun {
    known: BTreeMap<Seq, bool>,
    asked: BTreeSet<Seq>,
}

impl Begun {
    /// With that much known.
    #[must_use]
    pub fn new(known: BTreeMap<Seq, bool>) -> Self {
        let asked = BTreeSet::new();
        Self { known, asked }
    }

    /// The live runs whose status counted for an answer, the first [`LOOK_RUNS_MAX`] of them.
    #[must_use]
    pub fn asked(&self) -> Vec<Seq> {
        self.asked.iter().copied().collect()
    }

    /// Notes that the run's status counts; false if too many are noted to ask for this one.
    pub(crate) fn ask(&mut self, run: &RunView) -> bool {
        let seq = run.row.seq;
        if run.end.is_some() || self.asked.contains(&seq) {
            return true;
        }
        let has_room = self.asked.len() < LOOK_RUNS_MAX;
        if has_room {
            self.asked.insert(seq);
        }
        has_room
    }

    /// A run's state in a word. A live one of which nothing is known counts as under way once it
    /// is due.
    pub(crate) fn status(&mut self, run: &RunView, now: Timestamp) -> &'static str {
        self.ask(run);
        let known = self.known.get(&run.row.seq);
        let begun = known.copied().unwrap_or(run.row.due <= now);
        match run.end.as_ref().map_or(RunStatus::Live, |end| end.status) {
            RunStatus::Live if !begun => "QUEUED",
            RunStatus::Live => "RUNNING",
            RunStatus::Completed => "COMPLETED",
            RunStatus::Failed => "FAILED",
            RunStatus::Cancelled => "CANCELLED",
            RunStatus::Skipped => "SKIPPED",
        }
    }
}
