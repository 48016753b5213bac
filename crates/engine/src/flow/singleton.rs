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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same as a list of who has which lock, the last one that took it at the end.
    #[derive(Default)]
    struct List(Vec<(u64, u32, DedupeKey, bool)>);

    impl List {
        fn take(&mut self, run: u64, function: u32, key: DedupeKey) {
            for one in &mut self.0 {
                one.3 &= (one.1, one.2) != (function, key);
            }
            self.0.push((run, function, key, true));
        }

        fn holder(&self, function: u32, key: DedupeKey) -> Option<u64> {
            let mut of = self
                .0
                .iter()
                .filter(|one| (one.1, one.2) == (function, key));
            of.find(|one| one.3).map(|one| one.0)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn the_last_that_took_a_lock_has_it_until_it_ends(
            steps in prop::collection::vec((0_u8..3, 0_u32..2, 0_usize..3, 0_usize..20), 1..60),
        ) {
            let keys = ["a", "b", ""].map(lock);
            let (mut locks, mut list) = (Locks::default(), List::default());
            for (n, (step, function, key, which)) in steps.into_iter().enumerate() {
                let (run, key) = (n as u64 + 1, keys[key]);
                if step < 2 {
                    let made = Timestamp::from_ms(n as i64);
                    locks.take(function, (key, made), Seq(run));
                    list.take(run, function, key);
                } else if !list.0.is_empty() {
                    let (run, function, ..) = list.0.remove(which % list.0.len());
                    locks.release(function, Seq(run));
                }
                for function in 0..2 {
                    for key in keys {
                        let holder = locks.holder(function, key).map(|(run, _)| run.0);
                        prop_assert_eq!(holder, list.holder(function, key));
                    }
                }
                for (run, _, key, _) in &list.0 {
                    prop_assert_eq!(locks.of(Seq(*run)).map(|(key, _)| key), Some(*key));
                }
            }
        }
    }
}
