//! Singleton: one live run at a time under one value of a key.

use std::collections::BTreeMap;

use dunlin_types::{DedupeKey, Seq, Timestamp};

use crate::packed::Packed;

/// The lock of a key's value.
pub(crate) fn lock(text: &str) -> DedupeKey {
    DedupeKey::new(b"singleton", text.as_bytes())
}

/// Who holds which lock. Derived from live runs, so none can be left behind.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    holders: BTreeMap<(u32, DedupeKey), Seq>,
    locks: Packed<Seq, (DedupeKey, Timestamp)>,
}

impl Locks {
    /// The run that holds a function's lock, and when it was made.
    pub(crate) fn holder(&self, function: u32, lock: DedupeKey) -> Option<(Seq, Timestamp)> {
        let run = *self.holders.get(&(function, lock))?;
        Some((run, self.of(run)?.1))
    }

    /// The lock that a run holds, or held until another took it over.
    pub(crate) fn of(&self, run: Seq) -> Option<(DedupeKey, Timestamp)> {
        self.locks.get(&run).copied()
    }

    /// The run holds the lock from now on. Of two, the younger one has it.
    pub(crate) fn take(&mut self, function: u32, lock: (DedupeKey, Timestamp), run: Seq) {
        let holder = self.holders.entry((function, lock.0)).or_insert(run);
        *holder = run.max(*holder);
        self.locks.insert(run, lock);
    }

    /// The run has ended.
    pub(crate) fn release(&mut self, function: u32, run: Seq) {
        let Some((lock, _)) = self.locks.remove(&run) else {
            return;
        };
        if self.holders.get(&(function, lock)) == Some(&run) {
            self.holders.remove(&(function, lock));
        }
    }
}
