//! Whose turn it is: functions take turns, and within a function its queues do.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

/// Entries by function, handed out in turns.
#[derive(Debug)]
pub(crate) struct Rotation<T, K = u32> {
    functions: BTreeMap<K, VecDeque<T>>,
    /// The function whose turn was last; the first one after it is next.
    last: Option<K>,
}

impl<T, K> Default for Rotation<T, K> {
    fn default() -> Self {
        Self {
            functions: BTreeMap::new(),
            last: None,
        }
    }
}

impl<T, K: Copy + Ord> Rotation<T, K> {
    /// Puts an entry behind those of its function.
    pub(crate) fn push(&mut self, function: K, entry: T) {
        self.functions.entry(function).or_default().push_back(entry);
    }

    /// Puts an entry before those of its function.
    pub(crate) fn push_front(&mut self, function: K, entry: T) {
        self.functions
            .entry(function)
            .or_default()
            .push_front(entry);
    }

    /// Takes the first entry of the next function whose first entry may go.
    pub(crate) fn pop(&mut self, may: impl Fn(&T) -> bool) -> Option<T> {
        let head = |queue: &VecDeque<T>| queue.front().is_some_and(&may);
        let after = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.functions.range((after, Bound::Unbounded));
        let mut turns = later.chain(self.functions.iter());
        let (function, _) = turns.find(|(_, queue)| head(queue))?;
        let function = *function;
        self.last = Some(function);
        let queue = self.functions.get_mut(&function)?;
        let entry = queue.pop_front();
        if queue.is_empty() {
            self.functions.remove(&function);
        } else if queue.capacity() > 64 && queue.len() < queue.capacity() / 8 {
            // One burst must not cost memory for ever.
            queue.shrink_to(queue.capacity() / 2);
        }
        entry
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_take_turns_however_much_each_has() {
        let mut rotation = Rotation::default();
        for n in 0..100 {
            rotation.push(1, n);
        }
        rotation.push(7, 1_000);
        rotation.push(0, 2_000);
        let mut taken = Vec::new();
        while let Some(n) = rotation.pop(|_| true) {
            taken.push(n);
        }
        assert_eq!(taken[..4], [2_000, 0, 1_000, 1]);
        assert!(taken[4..].is_sorted() && rotation.is_empty());
    }

    #[test]
    fn whoever_may_not_go_lets_others_pass() {
        let mut rotation = Rotation::default();
        rotation.push(1, 5);
        rotation.push(2, 6);
        assert_eq!(rotation.pop(|n| *n == 6), Some(6));
        assert_eq!(rotation.pop(|n| *n == 6), None);
        assert_eq!(rotation.pop(|_| true), Some(5));
    }
}
