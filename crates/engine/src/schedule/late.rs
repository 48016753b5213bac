//! Limits that operators set, for steps and for hosts. Which step or host an item is about is known
//! only when its run is at hand, so these are asked last: an item that finds no room gives its slots
//! back and waits here; when there is room it is kept for it, and the item queues again.

use std::collections::{BTreeMap, VecDeque};

use dunlin_types::{DedupeKey, Seq, Timestamp};

use crate::config::{Limit, LimitTarget, Rule};
use crate::flow::counters::Counters;
use crate::flow::gcra::Gcra;
use crate::write::CounterRow;

/// An item: run, row.
type Item = (Seq, Seq);

#[derive(Debug)]
struct LateGate {
    limit: Limit,
    used: u32,
    waiting: VecDeque<Item>,
    timer: Option<Timestamp>,
}

/// The limits, by name.
#[derive(Debug, Default)]
pub(crate) struct Late {
    gates: BTreeMap<String, LateGate>,
    /// Which limits hold for an item that is in flight or has room kept for it.
    permits: BTreeMap<Item, Vec<String>>,
    /// At which limit an item waits.
    waits: BTreeMap<Item, String>,
    counters: Counters,
}

/// What came of asking.
pub(crate) enum Asked {
    /// It may go; arrival times to write.
    Go(Vec<CounterRow>),
    /// It waits from now on.
    Waits,
}

impl LateGate {
    fn rule(&self) -> Rule {
        match self.limit.target {
            LimitTarget::Step { .. } => Rule::StepLimit,
            LimitTarget::Host(_) => Rule::HostLimit,
        }
    }

    fn key(&self) -> DedupeKey {
        Counters::key(&self.limit.name)
    }

    fn rate(&self) -> Option<Gcra> {
        let rate = self.limit.rate?;
        Some(Gcra::new(
            rate.limit,
            rate.period_ms,
            rate.burst.saturating_add(1),
        ))
    }

    /// When there may be room again; none if there is now. `MAX` if that is not a matter of time.
    fn shut(&self, counters: &Counters, now: Timestamp) -> Option<Timestamp> {
        if self
            .limit
            .concurrency
            .is_some_and(|limit| self.used >= limit)
        {
            return Some(Timestamp::MAX);
        }
        let rate = self.rate()?;
        let (tat, _) = counters.get(0, self.rule(), self.key())?;
        rate.take(Some(tat), now)
            .is_none()
            .then(|| rate.next(tat, 0))
    }
}

impl Late {
    /// Puts a limit, or replaces the one of that name.
    pub(crate) fn put(&mut self, limit: Limit) {
        let known = self
            .gates
            .entry(limit.name.clone())
            .or_insert_with(|| LateGate {
                limit: limit.clone(),
                used: 0,
                waiting: VecDeque::new(),
                timer: None,
            });
        known.limit = limit;
        // Whoever waits is asked again, under the new numbers.
        known.timer = Some(Timestamp::ZERO);
    }

    /// Removes a limit; gives back those that waited for it. None if there is none of that name.
    pub(crate) fn remove(&mut self, name: &str) -> Option<Vec<Item>> {
        let gate = self.gates.remove(name)?;
        for item in &gate.waiting {
            self.waits.remove(item);
        }
        Some(gate.waiting.into())
    }

    /// All limits.
    pub(crate) fn limits(&self) -> impl Iterator<Item = &Limit> {
        self.gates.values().map(|gate| &gate.limit)
    }

    /// Takes a counter as it was written.
    pub(crate) fn apply(&mut self, row: &CounterRow) {
        self.counters.apply(row);
    }

    /// Whether there is no limit.
    pub(crate) fn is_empty(&self) -> bool {
        self.gates.is_empty()
    }

    /// Whether there are limits for steps of that function.
    pub(crate) fn has_steps_of(&self, slug: &str) -> bool {
        self.limits().any(
            |limit| matches!(&limit.target, LimitTarget::Step { function, .. } if function == slug),
        )
    }

    fn names(&self, wanted: impl Fn(&LimitTarget) -> bool) -> Vec<String> {
        let found = self
            .gates
            .values()
            .filter(|gate| wanted(&gate.limit.target));
        found.map(|gate| gate.limit.name.clone()).collect()
    }

    /// Limits for that step.
    pub(crate) fn of_step(&self, slug: &str, name: &str) -> Vec<String> {
        self.names(|target| {
            matches!(target, LimitTarget::Step { function, step } if function == slug && step == name)
        })
    }

    /// Limits for that host.
    pub(crate) fn of_host(&self, name: &str) -> Vec<String> {
        self.names(
            |target| matches!(target, LimitTarget::Host(host) if host.eq_ignore_ascii_case(name)),
        )
    }

    /// Whether an item that falls under those limits may go. One that had to wait has room kept.
    pub(crate) fn ask(&mut self, item: Item, names: Vec<String>, now: Timestamp) -> Asked {
        if names.is_empty() || self.permits.contains_key(&item) {
            return Asked::Go(Vec::new());
        }
        match self.take(item, &names, now) {
            Some(rows) => Asked::Go(rows),
            None => Asked::Waits,
        }
    }

    /// Takes a place at each of the limits, or has the item wait at the first that has none.
    fn take(&mut self, item: Item, names: &[String], now: Timestamp) -> Option<Vec<CounterRow>> {
        for name in names {
            let Some(gate) = self.gates.get_mut(name) else {
                continue;
            };
            if let Some(at) = gate.shut(&self.counters, now) {
                gate.waiting.push_back(item);
                gate.timer = Some(at).filter(|at| *at != Timestamp::MAX);
                self.waits.insert(item, name.clone());
                return None;
            }
        }
        let mut rows = Vec::new();
        for name in names {
            let Some(gate) = self.gates.get_mut(name) else {
                continue;
            };
            gate.used += 1;
            if let Some(rate) = gate.rate() {
                let (rule, key) = (gate.rule(), gate.key());
                let tat = self.counters.get(0, rule, key).map(|(tat, _)| tat);
                let tat_ns = rate.take(tat, now).or(tat);
                let row = CounterRow {
                    function: 0,
                    rule,
                    key,
                    tat_ns,
                    last: item.0,
                };
                rows.extend(self.counters.put(row, now));
            }
        }
        self.permits.insert(item, names.to_vec());
        Some(rows)
    }

    /// An item is back, or gone: its places are free.
    pub(crate) fn release(&mut self, item: Item) {
        if let Some(name) = self.waits.remove(&item)
            && let Some(gate) = self.gates.get_mut(&name)
        {
            gate.waiting.retain(|other| *other != item);
        }
        for name in self.permits.remove(&item).unwrap_or_default() {
            if let Some(gate) = self.gates.get_mut(&name) {
                gate.used = gate.used.saturating_sub(1);
                if !gate.waiting.is_empty() {
                    gate.timer = Some(Timestamp::ZERO);
                }
            }
        }
    }

    /// Whether that item waits here.
    pub(crate) fn holds(&self, item: Item) -> bool {
        self.waits.contains_key(&item)
    }

    /// The limit at which an item waits, places taken there, and when there is one again.
    pub(crate) fn waits_at(
        &self,
        item: Item,
        now: Timestamp,
    ) -> Option<(&Limit, u32, usize, Option<Timestamp>)> {
        let gate = self.gates.get(self.waits.get(&item)?)?;
        let ahead = gate.waiting.iter().position(|other| *other == item)?;
        let at = gate
            .shut(&self.counters, now)
            .filter(|at| *at != Timestamp::MAX);
        Some((&gate.limit, gate.used, ahead, at))
    }

    /// When somebody that waits may go.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.gates.values().filter_map(|gate| gate.timer).min()
    }

    /// Those that may go now: room is kept for them. Their arrival times are to be written.
    pub(crate) fn wake(&mut self, now: Timestamp) -> (Vec<Item>, Vec<CounterRow>) {
        let (mut woken, mut rows) = (Vec::new(), Vec::new());
        let due = |gate: &LateGate| gate.timer.is_some_and(|at| at <= now);
        let names: Vec<String> = self
            .gates
            .iter()
            .filter(|(_, gate)| due(gate))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            while let Some(gate) = self.gates.get_mut(&name) {
                gate.timer = gate
                    .shut(&self.counters, now)
                    .filter(|at| *at != Timestamp::MAX);
                if gate.timer.is_some() || gate.shut(&self.counters, now).is_some() {
                    break;
                }
                let Some(item) = gate.waiting.pop_front() else {
                    break;
                };
                self.waits.remove(&item);
                let target = gate.limit.target.clone();
                let all = self.names(|other| *other == target);
                rows.extend(self.take(item, &all, now).unwrap_or_default());
                if self.permits.contains_key(&item) {
                    woken.push(item);
                }
            }
        }
        (woken, rows)
    }
}
