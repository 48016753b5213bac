//! Inputs that wait for cold rows, and inputs that wait behind them.

use std::collections::{BTreeMap, VecDeque};

use dunlin_types::{DedupeKey, Seq};

use crate::command::{Input, LoadId, Need};

/// An input whose rows are being read.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) input: Input,
    pub(crate) keys: Vec<DedupeKey>,
}

/// Loads in flight.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    next: u64,
    waiting: BTreeMap<LoadId, Waiting>,
    /// Loads of rows that are not durable yet, with the commit that they wait for.
    delayed: VecDeque<(u64, LoadId, Need)>,
    /// Inputs of a run whose ledger is being read, in order.
    behind: BTreeMap<Seq, VecDeque<Input>>,
}

impl Loads {
    /// Starts a load for an input; a run's further inputs queue behind it.
    pub(crate) fn start(&mut self, run: Option<Seq>, waiting: Waiting) -> LoadId {
        self.next += 1;
        let id = LoadId(self.next);
        self.waiting.insert(id, waiting);
        if let Some(run) = run {
            self.behind.entry(run).or_default();
        }
        id
    }

    /// Puts a load off until that commit is durable; they come in the order of their commits.
    pub(crate) fn delay(&mut self, commit: u64, id: LoadId, need: Need) {
        self.delayed.push_back((commit, id, need));
    }

    /// The next load that had to wait for a commit, all up to `committed` being durable.
    pub(crate) fn next_delayed(&mut self, committed: u64) -> Option<(LoadId, Need)> {
        let (_, id, need) = self
            .delayed
            .pop_front_if(|(commit, ..)| *commit <= committed)?;
        Some((id, need))
    }

    pub(crate) fn finish(&mut self, id: LoadId) -> Option<Waiting> {
        self.waiting.remove(&id)
    }

    /// Queues an input behind the load of its run; gives it back if there is none.
    pub(crate) fn queue_behind(&mut self, run: Option<Seq>, input: Input) -> Option<Input> {
        match run.and_then(|run| self.behind.get_mut(&run)) {
            Some(queue) => {
                queue.push_back(input);
                None
            }
            None => Some(input),
        }
    }

    /// What queued behind a run's load.
    pub(crate) fn release(&mut self, run: Seq) -> VecDeque<Input> {
        self.behind.remove(&run).unwrap_or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
