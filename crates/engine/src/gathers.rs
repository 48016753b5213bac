//! Events that are being gathered for one run: debounces and batches, with their instants.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_types::{Seq, Timestamp};

use crate::config::Rule;
use crate::write::GatherRow;

/// One debounce or batch.
#[derive(Clone, Debug)]
pub(crate) struct Gather {
    pub(crate) row: GatherRow,
    /// The events of a batch beyond its first, in order.
    pub(crate) more: Vec<Seq>,
}

impl Gather {
    /// All its events, in order.
    pub(crate) fn events(&self) -> Vec<Seq> {
        let more = self.more.iter().copied();
        std::iter::once(self.row.event).chain(more).collect()
    }
}

/// Function, rule, key.
type Name = (u32, Rule, Box<str>);

/// All that gather events.
#[derive(Debug, Default)]
pub(crate) struct Gathers {
    by_place: BTreeMap<Seq, Gather>,
    /// Those that still take events.
    open: BTreeMap<Name, Seq>,
    due: BTreeSet<(Timestamp, Seq)>,
}

impl Gathers {
    /// The one that takes events under that key.
    pub(crate) fn open(&self, function: u32, rule: Rule, key: &str) -> Option<&Gather> {
        self.by_place
            .get(self.open.get(&(function, rule, key.into()))?)
    }

    pub(crate) fn get(&self, place: Seq) -> Option<&Gather> {
        self.by_place.get(&place)
    }

    /// Puts one, or what has become of one. `more` is an event beyond the first of a batch.
    pub(crate) fn put(&mut self, row: GatherRow, more: Option<Seq>) {
        let name = (row.function, row.rule, row.key.as_str().into());
        self.open.insert(name, row.seq);
        let (seq, due) = (row.seq, row.due);
        let known = self.by_place.entry(seq).or_insert_with(|| Gather {
            row: row.clone(),
            more: Vec::new(),
        });
        self.due.remove(&(known.row.due, seq));
        known.row = row;
        known.more.extend(more);
        self.due.insert((due, seq));
    }

    /// An event of a batch, as stored.
    pub(crate) fn restore_event(&mut self, place: Seq, event: Seq) {
        if let Some(gather) = self.by_place.get_mut(&place) {
            gather.more.push(event);
        }
    }

    /// Takes one away that has become a run, or was given up.
    pub(crate) fn remove(&mut self, place: Seq) -> Option<Gather> {
        let gather = self.by_place.remove(&place)?;
        self.due.remove(&(gather.row.due, place));
        self.close(&gather.row);
        Some(gather)
    }

    /// It takes no more events.
    pub(crate) fn close(&mut self, row: &GatherRow) {
        let name = (row.function, row.rule, row.key.as_str().into());
        if self.open.get(&name) == Some(&row.seq) {
            self.open.remove(&name);
        }
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Gather> {
        self.by_place.values()
    }

    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next that is due; it takes no more events.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<Seq> {
        let (_, place) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        self.due.pop_first();
        let row = self.by_place.get(&place)?.row.clone();
        self.close(&row);
        Some(place)
    }

    /// Those of a function, the first due first.
    pub(crate) fn of(&self, function: u32) -> Vec<&Gather> {
        let all = self
            .by_place
            .values()
            .filter(|one| one.row.function == function);
        let mut all: Vec<&Gather> = all.collect();
        all.sort_unstable_by_key(|one| one.row.due);
        all
    }
}
