//! What is known of dedupe keys without asking the store: all that this process wrote or read of
//! late. There is no other writer, so what was read stays true until it is written here.

use std::collections::{BTreeMap, VecDeque};

use dunlin_delivery::Known;
use dunlin_types::DedupeKey;

/// Keys remembered. Far more than are in flight at once, so that none that is uncommitted is lost.
const KEYS_MAX: usize = 65_536;

/// Recent keys: `None` for one that is known not to exist.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    recent: BTreeMap<DedupeKey, Option<Known>>,
    order: VecDeque<DedupeKey>,
}

impl Keys {
    pub(crate) fn get(&self, key: &DedupeKey) -> Option<Option<Known>> {
        self.recent.get(key).copied()
    }

    /// A key was written: this holds over anything that a load says.
    pub(crate) fn wrote(&mut self, key: DedupeKey, known: Known) {
        if self.recent.insert(key, Some(known)).is_none() {
            self.grown(key);
        }
    }

    /// A key was read. What was written meanwhile is newer.
    pub(crate) fn read(&mut self, key: DedupeKey, known: Option<Known>) {
        if !self.recent.contains_key(&key) {
            self.recent.insert(key, known);
            self.grown(key);
        }
    }

    fn grown(&mut self, key: DedupeKey) {
        self.order.push_back(key);
        if self.order.len() > KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }
}
