//! A sorted map that is nearly full at any size. Keys mostly come in order and stay long, which
//! leaves a B-tree of the standard library half empty: a million runs pay for that twice.

use std::collections::BTreeMap;

/// Entries of one chunk: few enough to move aside for one that comes or goes.
const CHUNK_ENTRIES_MAX: usize = 64;

/// A map from `K` to `V`, sorted by `K`, in chunks.
#[derive(Clone, Debug)]
pub(crate) struct Packed<K, V> {
    /// Chunks by a key that is not above their first and is above all of the chunk before. None
    /// is empty.
    chunks: BTreeMap<K, Vec<(K, V)>>,
    len: usize,
}

impl<K, V> Default for Packed<K, V> {
    fn default() -> Self {
        Self {
            chunks: BTreeMap::new(),
            len: 0,
        }
    }
}

impl<K: Ord + Copy, V> Packed<K, V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The chunk that holds the key if any does, and its own key.
    fn chunk_of(&self, key: &K) -> Option<(K, &Vec<(K, V)>)> {
        let (at, chunk) = self.chunks.range(..=*key).next_back()?;
        Some((*at, chunk))
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let (_, chunk) = self.chunk_of(key)?;
        let at = place(chunk, key).ok()?;
        chunk.get(at).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (_, chunk) = self.chunks.range_mut(..=*key).next_back()?;
        let at = place(chunk, key).ok()?;
        chunk.get_mut(at).map(|(_, value)| value)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Puts a value; gives the one that it replaces.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let Some((_, chunk)) = self.chunks.range_mut(..=key).next_back() else {
            self.insert_first(key, value);
            return None;
        };
        let at = match place(chunk, &key) {
            Ok(at) => return Some(std::mem::replace(&mut chunk[at].1, value)),
            Err(at) => at,
        };
        self.len += 1;
        if chunk.len() < CHUNK_ENTRIES_MAX {
            chunk.insert(at, (key, value));
        } else if at == chunk.len() {
            // Keys that come in order leave full chunks behind.
            self.chunks.insert(key, vec![(key, value)]);
        } else {
            let mut upper = chunk.split_off(CHUNK_ENTRIES_MAX / 2);
            let (half, at) = match at.checked_sub(chunk.len()) {
                Some(at) => (&mut upper, at),
                None => (chunk, at),
            };
            half.insert(at, (key, value));
            let first = upper[0].0;
            self.chunks.insert(first, upper);
        }
        None
    }

    /// Puts a value below all keys.
    fn insert_first(&mut self, key: K, value: V) {
        self.len += 1;
        let mut chunk = vec![(key, value)];
        if let Some(first) = self.chunks.first_entry()
            && first.get().len() < CHUNK_ENTRIES_MAX
        {
            chunk.append(&mut first.remove());
        }
        self.chunks.insert(key, chunk);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (at, chunk) = self.chunks.range_mut(..=*key).next_back()?;
        let at = *at;
        let (_, value) = chunk.remove(place(chunk, key).ok()?);
        self.len -= 1;
        if chunk.len() <= CHUNK_ENTRIES_MAX / 4 {
            self.tighten(at);
        }
        Some(value)
    }

    /// Joins a chunk that has become small to the one before it, or gives its room back.
    fn tighten(&mut self, at: K) {
        let Some(mut chunk) = self.chunks.remove(&at) else {
            return;
        };
        if let Some((_, before)) = self.chunks.range_mut(..at).next_back()
            && before.len() + chunk.len() <= CHUNK_ENTRIES_MAX * 3 / 4
        {
            before.append(&mut chunk);
        } else if !chunk.is_empty() {
            if chunk.capacity() > 4 * chunk.len() {
                chunk.shrink_to(2 * chunk.len());
            }
            self.chunks.insert(at, chunk);
        }
    }

    pub(crate) fn first(&self) -> Option<&K> {
        let (_, chunk) = self.chunks.first_key_value()?;
        chunk.first().map(|(key, _)| key)
    }

    /// The first entry from that key on.
    pub(crate) fn first_from(&self, key: &K) -> Option<(&K, &V)> {
        let chunk = self.chunk_of(key).and_then(|(_, chunk)| {
            let at = place(chunk, key).unwrap_or_else(|at| at);
            chunk.get(at)
        });
        let next = || self.chunks.range(*key..).next()?.1.first();
        chunk.or_else(next).map(|(key, value)| (key, value))
    }

    /// The entries from that key on, in order.
    pub(crate) fn iter_from(&self, from: K) -> impl Iterator<Item = (&K, &V)> {
        let chunk = self.chunk_of(&from).map_or(from, |(at, _)| at);
        let entries = self.chunks.range(chunk..).flat_map(|(_, chunk)| chunk);
        let entries = entries.map(|(key, value)| (key, value));
        entries.skip_while(move |(key, _)| **key < from)
    }

    /// All entries, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let entries = self.chunks.values().flatten();
        entries.map(|(key, value)| (key, value))
    }

    /// The entries from that key on, in order, to change.
    pub(crate) fn iter_mut_from(&mut self, from: K) -> impl Iterator<Item = (&K, &mut V)> {
        let chunk = self.chunk_of(&from).map_or(from, |(at, _)| at);
        let entries = self.chunks.range_mut(chunk..).flat_map(|(_, chunk)| chunk);
        let entries = entries.map(|(key, value)| (&*key, value));
        entries.skip_while(move |(key, _)| **key < from)
    }
}

fn place<K: Ord, V>(chunk: &[(K, V)], key: &K) -> Result<usize, usize> {
    // The newest entries are asked for most.
    if chunk.last().is_some_and(|(last, _)| last < key) {
        return Err(chunk.len());
    }
    chunk.binary_search_by(|(other, _)| other.cmp(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16),
        Remove(u16),
        RemoveFirst,
        Append(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..600_u16).prop_map(Step::Insert),
            (0..600_u16).prop_map(Step::Remove),
            Just(Step::RemoveFirst),
            (1..100_u8).prop_map(Step::Append),
        ]
    }

    fn check(packed: &mut Packed<u16, u32>, model: &BTreeMap<u16, u32>, from: u16) {
        assert!(packed.iter().eq(model.iter()));
        assert_eq!(
            (packed.len(), packed.first()),
            (model.len(), model.keys().next())
        );
        assert_eq!(packed.first_from(&from), model.range(from..).next());
        assert!(packed.iter_from(from).eq(model.range(from..)));
        let late: Vec<(u16, u32)> = packed.iter_mut_from(from).map(|(k, v)| (*k, *v)).collect();
        assert!(
            late.into_iter()
                .eq(model.range(from..).map(|(k, v)| (*k, *v)))
        );
        assert!(
            packed
                .chunks
                .values()
                .all(|chunk| (1..=CHUNK_ENTRIES_MAX).contains(&chunk.len()))
        );
    }

    proptest! {
        #[test]
        fn it_holds_what_a_b_tree_would_hold(steps in prop::collection::vec(step(), 0..120)) {
            let (mut packed, mut model) = (Packed::default(), BTreeMap::new());
            let mut value = 0;
            for step in steps {
                value += 1;
                match step {
                    Step::Insert(key) => {
                        prop_assert_eq!(packed.insert(key, value), model.insert(key, value));
                    }
                    Step::Remove(key) => prop_assert_eq!(packed.remove(&key), model.remove(&key)),
                    Step::RemoveFirst => {
                        let first = packed.first().copied();
                        let removed = first.and_then(|key| packed.remove(&key));
                        prop_assert_eq!(removed, model.pop_first().map(|(_, value)| value));
                    }
                    Step::Append(count) => {
                        let last = model.keys().next_back().map_or(0, |last| last + 1);
                        for key in last..last + u16::from(count) {
                            packed.insert(key, value);
                            model.insert(key, value);
                        }
                    }
                }
                let key = (value * 7 % 700) as u16;
                prop_assert_eq!(packed.get(&key), model.get(&key));
                prop_assert_eq!(packed.get_mut(&key), model.get_mut(&key));
                prop_assert_eq!(packed.contains_key(&key), model.contains_key(&key));
                check(&mut packed, &model, key);
            }
        }
    }

    #[test]
    fn keys_that_come_in_order_leave_no_gaps() {
        let mut packed = Packed::default();
        for key in 0..10_000 {
            packed.insert(key, ());
        }
        let full = packed
            .chunks
            .values()
            .filter(|chunk| chunk.len() == CHUNK_ENTRIES_MAX)
            .count();
        assert!(full + 1 >= packed.chunks.len());
    }

    #[test]
    fn few_that_stay_of_many_hold_little_room() {
        let mut packed = Packed::default();
        for key in 0..64_000 {
            packed.insert(key, ());
        }
        for key in (0..64_000).filter(|key| key % 64 != 0) {
            packed.remove(&key);
        }
        let room: usize = packed.chunks.values().map(Vec::capacity).sum();
        assert!(room <= 4 * packed.len(), "room for {room}");
    }
}
