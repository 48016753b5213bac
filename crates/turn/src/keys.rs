//! Dedupe keys that this process wrote of late, so that none is missed whose commit is not durable
//! yet. What the store says of all others is taken as it is read, and not kept.

use std::collections::{BTreeMap, VecDeque};

use dunlin_delivery::Known;
use dunlin_types::{DedupeKey, Timestamp};

/// Keys remembered. Far more than are in flight at once, so that none that is uncommitted is lost.
const KEYS_MAX: usize = 65_536;

/// Keys written of late, with the instant at which each may be forgotten.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    recent: BTreeMap<DedupeKey, (Known, Timestamp)>,
    order: VecDeque<DedupeKey>,
}

impl Keys {
    /// `None` if only the store can tell; else what is known, or that the key has lapsed.
    pub(crate) fn get(&self, key: &DedupeKey, now: Timestamp) -> Option<Option<Known>> {
        let (known, expires) = self.recent.get(key)?;
        Some((now < *expires).then_some(*known))
    }

    /// A key was written: this holds over anything that a load says.
    pub(crate) fn wrote(&mut self, key: DedupeKey, known: Known, expires: Timestamp) {
        if self.recent.insert(key, (known, expires)).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > KEYS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use dunlin_types::Seq;

    use super::*;

    #[test]
    fn a_key_lapses_at_its_instant() {
        let known = Known {
            seq: Seq(7),
            at: Timestamp::ZERO,
            hash: [0; 16],
            expires: Timestamp::from_ms(10),
        };
        let key = DedupeKey::new(b"start", b"evt");
        let mut keys = Keys::default();
        assert_eq!(keys.get(&key, Timestamp::from_ms(1)), None);
        keys.wrote(key, known, Timestamp::from_ms(10));
        assert_eq!(keys.get(&key, Timestamp::from_ms(9)), Some(Some(known)));
        assert_eq!(keys.get(&key, Timestamp::from_ms(10)), Some(None));
    }
}
