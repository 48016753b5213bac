//! For tests: what memory holds, as text to compare, and whether it hangs together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use dunlin_types::{Seq, Timestamp};

use crate::core::Engine;
use crate::ledger::Ledger;
use crate::live::{Item, ItemKind, ItemState, Live};
use crate::recover::RECOVERED;

impl Engine {
    /// Everything of the live runs that a restart must find again, one run a line.
    #[doc(hidden)]
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut out = String::new();
        for (run, live) in self.live.iter() {
            let _ = write!(out, "{run} f{} last {}", live.function, live.last);
            let _ = write!(out, " at {} lock {:?}", live.score, self.locks.of(*run));
            if !self.schedule.is_stale(live.lane) {
                let _ = write!(out, " in {:?}", self.schedule.values(live.lane));
            }
            out.push(':');
            for item in live.items.iter() {
                let recovered = item.redispatches & RECOVERED != 0;
                // Between a restart and the call its instant is not the stored one.
                let due = if recovered { Timestamp::ZERO } else { item.due };
                let count = item.redispatches & !RECOVERED;
                let _ = write!(out, " {}{:?}@{}", item.key, item.kind, due.ms());
                let _ = write!(out, "#{}r{count}", item.attempt);
            }
            out.push('\n');
        }
        for gather in self.gathers.iter() {
            let _ = writeln!(out, "{:?} {:?}", gather.row, gather.more);
        }
        for counters in [&self.counters, &self.schedule.counters] {
            let _ = writeln!(out, "{:?}", counters.iter().collect::<Vec<_>>());
        }
        out
    }

    /// The run's ledger, if it is in memory.
    #[doc(hidden)]
    #[must_use]
    pub fn ledger(&self, run: Seq) -> Option<&Ledger> {
        self.ledgers.get(run)
    }

    /// Slots taken by calls.
    #[doc(hidden)]
    #[must_use]
    pub fn slots(&self) -> usize {
        self.schedule.slots()
    }

    /// What does not hang together, in words: a run that nothing would ever move again, a timer
    /// of nothing, a step that nothing brings to its end. `called` tells whether an item's call is
    /// out, `awaited` whether an input of the run waits for rows.
    #[doc(hidden)]
    #[must_use]
    pub fn audit(
        &self,
        called: &dyn Fn(Seq, Seq) -> bool,
        awaited: &dyn Fn(Seq) -> bool,
    ) -> Vec<String> {
        let mut faults = self.schedule.audit();
        self.audit_lanes(&mut faults);
        for (run, live) in self.live.iter() {
            if live.items.iter().all(|item| item.kind.is_guard()) {
                faults.push(format!("run {run} has no item that brings it on"));
            }
            self.audit_items(*run, live, called, awaited, &mut faults);
            let Some(ledger) = self.ledgers.get(*run) else {
                continue;
            };
            for (id, open) in &ledger.open {
                if live.items.get(open.item).is_none() {
                    faults.push(format!("step {id} of run {run} has no item"));
                }
            }
            if let Some(id) = ledger
                .pending
                .iter()
                .find(|id| !ledger.open.contains_key(id))
            {
                faults.push(format!("step {id} of run {run} is pending and not open"));
            }
        }
        let waits = self.live.iter().flat_map(|(_, live)| live.items.iter());
        let waits = waits.filter(|item| item.kind.waits() && item.state != ItemState::Claimed);
        if waits.count() != self.waits.len() {
            faults.push("waits and their items differ".to_owned());
        }
        self.audit_requests(&mut faults);
        for ((due, run, key), ()) in self.timers.iter() {
            let item = self.live.get(run).and_then(|live| live.items.get(*key));
            if item.is_none_or(|i| i.state != ItemState::Parked || i.due != *due) {
                faults.push(format!("a timer of nothing: item {key} of run {run}"));
            }
        }
        faults
    }

    /// Lanes know the runs that are live, those that have begun, and those that wait.
    fn audit_lanes(&self, faults: &mut Vec<String>) {
        let mut counts: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        let mut ready = 0;
        for (run, live) in self.live.iter() {
            let count = counts.entry(live.lane).or_default();
            *count = (count.0 + 1, count.1 + u32::from(live.begun));
            let waits = |item: &&Item| {
                let late = self.schedule.late.holds((*run, item.key));
                item.state == ItemState::Ready && !late
            };
            ready += live.items.iter().filter(waits).count();
        }
        if ready != self.schedule.queued() {
            faults.push(format!(
                "{ready} are ready, {} wait",
                self.schedule.queued()
            ));
        }
        for (lane, runs, begun) in self.schedule.lane_runs() {
            if counts.remove(&lane).unwrap_or_default() != (runs, begun) {
                faults.push(format!("lane {lane} counts {runs} runs, {begun} begun"));
            }
        }
        faults.extend(counts.keys().map(|lane| format!("there is no lane {lane}")));
    }

    fn audit_requests(&self, faults: &mut Vec<String>) {
        let items = self.live.iter().flat_map(|(_, live)| live.items.iter());
        let open: BTreeSet<Seq> = items
            .filter(|item| item.kind == ItemKind::Gateway)
            .map(|item| item.key)
            .collect();
        for item in self.requests.items().filter(|item| !open.contains(item)) {
            faults.push(format!("a request of nothing: item {item}"));
        }
    }

    fn audit_items(
        &self,
        run: Seq,
        live: &Live,
        called: &dyn Fn(Seq, Seq) -> bool,
        awaited: &dyn Fn(Seq) -> bool,
        faults: &mut Vec<String>,
    ) {
        for item in live.items.iter() {
            let moves = match item.state {
                ItemState::Parked => self.timers.contains_key(&(item.due, run, item.key)),
                ItemState::Ready => {
                    let place = (live.lane, !live.begun, live.score, item.key);
                    self.schedule.holds(place.0, place.1, place.2, place.3)
                        || self.schedule.late.holds((run, item.key))
                }
                ItemState::Fetching => false,
                ItemState::Calling => called(run, item.key),
                ItemState::Claimed => self.claims.holds(item.key),
            };
            let comes = item.state != ItemState::Calling && awaited(run);
            if !moves && !comes {
                let state = item.state;
                faults.push(format!(
                    "item {} of run {run} is {state:?} for ever",
                    item.key
                ));
            }
        }
    }
}
