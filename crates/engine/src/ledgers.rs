//! The ledgers that are in memory, within a budget of bytes.

use std::collections::{BTreeMap, VecDeque};

use dunlin_types::Seq;

use crate::ledger::Ledger;

#[derive(Debug)]
struct Kept {
    ledger: Ledger,
    weight: usize,
    queued: bool,
}

/// Ledgers by run. One whose run is busy, or whose newest row is not committed, is never dropped.
#[derive(Debug, Default)]
pub(crate) struct Ledgers {
    kept: BTreeMap<Seq, Kept>,
    bytes: usize,
    /// Runs whose ledger may go when room is needed, longest parked first.
    parked: VecDeque<Seq>,
    /// Runs whose ledger goes as soon as it is durable: nobody will ask for it soon.
    leaving: VecDeque<Seq>,
}

/// How soon a run's ledger will be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Something of it is in flight.
    Busy,
    /// Soon, or nobody knows.
    Near,
    /// Not for a long while.
    Far,
}

impl Ledgers {
    pub(crate) fn get(&self, run: Seq) -> Option<&Ledger> {
        self.kept.get(&run).map(|kept| &kept.ledger)
    }

    pub(crate) fn get_mut(&mut self, run: Seq) -> Option<&mut Ledger> {
        self.kept.get_mut(&run).map(|kept| &mut kept.ledger)
    }

    pub(crate) fn put(&mut self, run: Seq, ledger: Ledger) {
        let weight = ledger.weight_bytes();
        self.bytes += weight;
        self.kept.insert(
            run,
            Kept {
                ledger,
                weight,
                queued: false,
            },
        );
    }

    pub(crate) fn remove(&mut self, run: Seq) -> Option<Ledger> {
        let kept = self.kept.remove(&run)?;
        self.bytes -= kept.weight;
        Some(kept.ledger)
    }

    /// Notes the commit of the newest row, weighs again, and queues a parked run for dropping.
    pub(crate) fn rest(&mut self, run: Seq, commit: u64, rest: Rest) {
        let Some(kept) = self.kept.get_mut(&run) else {
            return;
        };
        kept.ledger.dirty = commit;
        let weight = kept.ledger.weight_bytes();
        self.bytes = self.bytes - kept.weight + weight;
        kept.weight = weight;
        if rest == Rest::Far {
            self.leaving.push_back(run);
        } else if rest == Rest::Near && !kept.queued {
            kept.queued = true;
            self.parked.push_back(run);
        }
    }

    /// Drops what is durable of those that nobody will ask for soon. `far` tells whether that is
    /// still so.
    pub(crate) fn let_go(&mut self, committed: u64, far: impl Fn(Seq) -> bool) {
        for _ in 0..self.leaving.len() {
            let Some(run) = self.leaving.pop_front() else {
                return;
            };
            match self.kept.get(&run) {
                Some(kept) if far(run) && kept.ledger.dirty > committed => {
                    self.leaving.push_back(run);
                }
                Some(_) if far(run) => drop(self.remove(run)),
                // It was woken; it will rest again, and be queued again then.
                _ => {}
            }
        }
        give_room_back(&mut self.leaving);
    }

    /// Drops what is parked and committed until at most `bytes_max` are held.
    pub(crate) fn evict(&mut self, bytes_max: usize, committed: u64, idle: impl Fn(Seq) -> bool) {
        let mut looks = self.parked.len();
        while self.bytes > bytes_max && looks > 0 {
            looks -= 1;
            let Some(run) = self.parked.pop_front() else {
                return;
            };
            let Some(kept) = self.kept.get_mut(&run) else {
                continue;
            };
            if !idle(run) {
                kept.queued = false;
            } else if kept.ledger.dirty > committed {
                self.parked.push_back(run);
            } else {
                self.remove(run);
            }
        }
        // Runs that ended leave their entries behind; they must not pile up.
        if self.parked.len() > 1024 && self.parked.len() > 4 * self.kept.len() {
            self.parked.retain(|run| self.kept.contains_key(run));
            give_room_back(&mut self.parked);
        }
    }
}

/// Halves what a queue holds once most of it is empty: one burst must not cost memory for ever.
fn give_room_back<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > 1024 && queue.len() < queue.capacity() / 8 {
        queue.shrink_to(queue.capacity() / 2);
    }
}
