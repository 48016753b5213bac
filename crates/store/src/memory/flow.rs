//! Rows of flow control: how a batch changes them, and how they are read.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_engine::config::{Limit, Rule};
use dunlin_engine::{CounterRow, DroppedRow, GatherRow};
use dunlin_types::{DedupeKey, Seq};

use crate::port::Restored;
use crate::view::Page;

#[derive(Default)]
pub(super) struct Flow {
    counters: BTreeMap<(u32, Rule, DedupeKey), CounterRow>,
    gathers: BTreeMap<Seq, GatherRow>,
    gathered: BTreeSet<(Seq, Seq)>,
    dropped: BTreeMap<Seq, BTreeMap<u32, DroppedRow>>,
    limits: BTreeMap<String, Limit>,
}

impl Flow {
    pub(super) fn counter(&mut self, row: CounterRow) {
        let key = (row.function, row.rule, row.key);
        match row.tat_ns {
            Some(_) => self.counters.insert(key, row),
            None => self.counters.remove(&key),
        };
    }

    pub(super) fn gather(&mut self, row: &GatherRow) {
        self.gathers.insert(row.seq, row.clone());
    }

    pub(super) fn gathered(&mut self, gather: Seq, event: Seq) {
        self.gathered.insert((gather, event));
    }

    pub(super) fn gather_end(&mut self, gather: Seq) {
        self.gathers.remove(&gather);
        self.gathered.retain(|(of, _)| *of != gather);
    }

    pub(super) fn drop_event(&mut self, row: &DroppedRow) {
        let of_event = self.dropped.entry(row.event).or_default();
        of_event.insert(row.function, row.clone());
    }

    pub(super) fn limit(&mut self, limit: &Limit) {
        self.limits.insert(limit.name.clone(), limit.clone());
    }

    pub(super) fn limit_gone(&mut self, name: &str) {
        self.limits.remove(name);
    }

    pub(super) fn limits(&self) -> impl Iterator<Item = &Limit> {
        self.limits.values()
    }

    pub(super) fn restore(&self, take: &mut dyn FnMut(Restored)) {
        let counters = self.counters.values().copied();
        counters.for_each(|row| take(Restored::Counter(row)));
        let gathers = self.gathers.values().cloned();
        gathers.for_each(|row| take(Restored::Gather(row)));
        for &(gather, event) in &self.gathered {
            take(Restored::Gathered { gather, event });
        }
    }

    pub(super) fn dropped_of(&self, event: Seq) -> Vec<DroppedRow> {
        let rows = self.dropped.get(&event).into_iter();
        rows.flat_map(BTreeMap::values).cloned().collect()
    }

    pub(super) fn dropped(&self, function: Option<u32>, page: Page) -> Vec<DroppedRow> {
        let wanted = |row: &&DroppedRow| function.is_none_or(|wanted| row.function == wanted);
        let mut left = page.limit();
        let whole = |of_event: &BTreeMap<u32, DroppedRow>| {
            if left == 0 {
                return None;
            }
            let rows: Vec<_> = of_event.values().filter(wanted).cloned().collect();
            left = left.saturating_sub(rows.len());
            Some(rows)
        };
        let beyond = |seq: &Seq| match (page.after, page.ascending) {
            (None, _) => true,
            (Some(after), true) => *seq > after,
            (Some(after), false) => *seq < after,
        };
        let events = self.dropped.iter();
        let events = events.filter_map(|(seq, rows)| beyond(seq).then_some(rows));
        if page.ascending {
            events.map_while(whole).flatten().collect()
        } else {
            events.rev().map_while(whole).flatten().collect()
        }
    }
}
