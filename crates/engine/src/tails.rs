//! Step rows of runs whose ledger is not in memory, until a load can be sure to find them.
//!
//! A timer, an event or a signal appends a row to a run without looking at its ledger. Whoever loads
//! the ledger before that row is durable, or began to before it was appended, gets the rows up to
//! the place where the tail begins, and the tail from here.

use std::collections::{BTreeMap, VecDeque};

use dunlin_types::Seq;

use crate::step::StepRow;

#[derive(Debug)]
struct Tail {
    /// The last row that a load finds in the store.
    base: Seq,
    rows: Vec<StepRow>,
    /// The commit that holds the newest of them.
    commit: u64,
    loading: bool,
}

/// The tails by run. They hold no more than the commits that are not durable do.
#[derive(Debug, Default)]
pub(crate) struct Tails {
    by_run: BTreeMap<Seq, Tail>,
    order: VecDeque<(u64, Seq)>,
}

impl Tails {
    /// A row was appended behind `row.prev` while the run's ledger was not in memory.
    pub(crate) fn appended(&mut self, row: StepRow, commit: u64) {
        let run = row.mark.run;
        let tail = self.by_run.entry(run).or_insert_with(|| Tail {
            base: row.prev,
            rows: Vec::new(),
            commit,
            loading: false,
        });
        tail.commit = commit;
        tail.rows.push(row);
        self.order.push_back((commit, run));
    }

    /// A load begins of a run whose newest row is `last`; tells up to which row it is to read.
    pub(crate) fn load_begins(&mut self, run: Seq, last: Seq) -> Seq {
        let tail = self.by_run.entry(run).or_insert_with(|| Tail {
            base: last,
            rows: Vec::new(),
            commit: 0,
            loading: true,
        });
        tail.loading = true;
        tail.base
    }

    /// The load is back: the rows that it has not read.
    pub(crate) fn load_ends(&mut self, run: Seq) -> Vec<StepRow> {
        self.by_run
            .remove(&run)
            .map_or_else(Vec::new, |tail| tail.rows)
    }

    /// All up to `commit` is durable.
    pub(crate) fn committed(&mut self, commit: u64) {
        while let Some((at, run)) = self.order.front().copied() {
            if at > commit {
                return;
            }
            self.order.pop_front();
            let done = |tail: &Tail| !tail.loading && tail.commit <= commit;
            if self.by_run.get(&run).is_some_and(done) {
                self.by_run.remove(&run);
            }
        }
    }
}
