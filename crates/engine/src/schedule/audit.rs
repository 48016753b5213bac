//! For tests: whether the queues hang together, and whether anything waits in vain.

use std::collections::BTreeMap;

use crate::schedule::Schedule;
use crate::schedule::gate::Room;
use crate::schedule::lane::{Lane, Place, START, UNDER_WAY};

impl Schedule {
    /// What does not hang together, in words. To be asked between two turns.
    pub(crate) fn audit(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut used: BTreeMap<u32, (u32, u32)> = BTreeMap::new();
        let mut backlog = 0;
        for (number, lane) in self.lanes.iter() {
            self.audit_counts(number, lane, &mut faults);
            self.audit_waiting(number, lane, &mut faults);
            backlog += self.backlog_of(number);
            let passes = lane.calls.iter().map(|pass| (pass, lane.in_flight));
            for (pass, taken) in passes.chain(lane.starts.iter().map(|pass| (pass, lane.begun))) {
                let gate = used.entry(pass.gate).or_default();
                *gate = (gate.0 + taken, gate.1 + 1);
            }
        }
        if backlog != self.backlog {
            faults.push(format!("the backlog is {backlog}, not {}", self.backlog));
        }
        for (number, gate) in self.gates.numbered() {
            let (taken, lanes) = used.get(&number).copied().unwrap_or_default();
            if (taken, lanes) != (gate.used, gate.lanes) {
                faults.push(format!("{taken} are at {:?}, not {}", gate.key, gate.used));
            }
        }
        faults
    }

    /// Lane, live runs, runs that have begun.
    pub(crate) fn lane_runs(&self) -> Vec<(u32, u32, u32)> {
        let lanes = self.lanes.iter();
        lanes
            .map(|(number, lane)| (number, lane.runs, lane.begun))
            .collect()
    }

    fn audit_counts(&self, number: u32, lane: &Lane, faults: &mut Vec<String>) {
        for phase in [UNDER_WAY, START] {
            let places = self.queue.iter_from(Place::first(number, phase));
            let own = |place: &Place| place.lane == number && place.phase == phase;
            let count = places.take_while(|(place, _)| own(place)).count();
            if count != lane.queued[usize::from(phase)] as usize {
                faults.push(format!("{count} wait in phase {phase} of lane {number}"));
            }
        }
        let held = self.holders.keys().filter(|(lane, ..)| *lane == number);
        if held.count() != lane.in_flight as usize {
            faults.push(format!("calls of lane {number} are not those in flight"));
        }
        if lane.begun > lane.runs {
            faults.push(format!("lane {number} has begun more runs than it has"));
        }
    }

    /// A lane that has something to go out waits at a gate without room, or is about to be asked.
    fn audit_waiting(&self, number: u32, lane: &Lane, faults: &mut Vec<String>) {
        let full = self.draining || self.holders.len() >= self.options.calls_max;
        let idle = lane.queued == [0, 0] || lane.open || self.is_paused(lane.function);
        if full || idle {
            return;
        }
        let starts_only = lane.queued[usize::from(UNDER_WAY)] == 0;
        let at = lane.parked.or(lane.starts_parked.filter(|_| starts_only));
        let Some(at) = at else {
            faults.push(format!("lane {number} waits for nothing"));
            return;
        };
        let pass = lane
            .calls
            .iter()
            .chain(lane.starts.iter())
            .find(|pass| pass.gate == at);
        let timer = self.gates.get(at).and_then(|gate| gate.timer);
        match pass.map(|pass| self.room(*pass)) {
            Some(Room::Full) => {}
            Some(Room::At(_)) if timer.is_some() => {}
            Some(Room::Free) if timer.is_some_and(|at| at <= self.now) => {}
            room => faults.push(format!(
                "lane {number} waits at a gate, and {room:?} is there"
            )),
        }
    }
}
