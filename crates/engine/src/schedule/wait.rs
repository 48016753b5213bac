//! Lanes wait at gates, and are let on.

use dunlin_types::Timestamp;

use crate::config::Rule;
use crate::schedule::Schedule;
use crate::schedule::gate::{GateKey, Kind, Pass, Room, Ticket};
use crate::schedule::lane::Lane;

impl Schedule {
    /// Whether one more may pass a gate.
    pub(super) fn room(&self, pass: Pass) -> Room {
        let Some(gate) = self.gates.get(pass.gate) else {
            return Room::Free;
        };
        match &gate.kind {
            Kind::Calls | Kind::Runs if gate.used < pass.limit => Room::Free,
            Kind::Calls | Kind::Runs => Room::Full,
            Kind::App(app) => app.room(gate.used, self.now),
            Kind::Rate(rate, key) => {
                let GateKey::Own(_, function, ..) = &gate.key else {
                    return Room::Free;
                };
                let known = self.counters.get(*function, Rule::Throttle, *key);
                match known {
                    Some((tat, _)) if rate.take(Some(tat), self.now).is_none() => {
                        Room::At(rate.next(tat, 0))
                    }
                    _ => Room::Free,
                }
            }
        }
    }

    /// The first of the gates that has no room.
    pub(super) fn shut(&self, passes: &[Pass]) -> Option<(Pass, Room)> {
        let rooms = passes.iter().map(|pass| (*pass, self.room(*pass)));
        rooms.into_iter().find(|(_, room)| *room != Room::Free)
    }

    /// The lane, or its starts, wait at a gate.
    pub(super) fn park(&mut self, number: u32, pass: Pass, room: Room, starts: bool) {
        self.change(number, |lane| {
            let place = if starts {
                &mut lane.starts_parked
            } else {
                &mut lane.parked
            };
            *place = Some(pass.gate);
        });
        let Some(lane) = self.lanes.get_mut(number) else {
            return;
        };
        // It was let on, and another has taken the room: it keeps its place.
        let again = std::mem::take(&mut lane.let_on);
        let function = lane.function;
        if let Some(gate) = self.gates.get_mut(pass.gate) {
            let ticket = Ticket {
                lane: number,
                limit: pass.limit,
            };
            let of = (function, pass.limit);
            match again {
                true => gate.parked.push_front(of, ticket),
                false => gate.parked.push(of, ticket),
            }
        }
        self.set_timer(pass.gate, room);
    }

    /// A gate that lets on by itself does so then.
    fn set_timer(&mut self, number: u32, room: Room) {
        let Room::At(at) = room else { return };
        if let Some(gate) = self.gates.get_mut(number) {
            if let Some(before) = gate.timer.replace(at) {
                self.timers.remove(&(before, number));
            }
            self.timers.insert((at, number));
        }
    }

    /// A gate may have room: lets on one of those that wait there. The others follow when that one
    /// has had its chance.
    pub(super) fn let_on(&mut self, number: u32) {
        loop {
            let Some(gate) = self.gates.get(number) else {
                return;
            };
            if gate.parked.is_empty() {
                return;
            }
            let counts = matches!(gate.kind, Kind::Calls | Kind::Runs);
            let used = gate.used;
            if !counts {
                let pass = Pass {
                    gate: number,
                    limit: 0,
                };
                let room = self.room(pass);
                if room != Room::Free {
                    self.set_timer(number, room);
                    return;
                }
            }
            let Some(gate) = self.gates.get_mut(number) else {
                return;
            };
            let starts = gate.is_for_starts();
            let Some(ticket) = gate.parked.pop(|one| !counts || one.limit > used) else {
                return;
            };
            // One that has nothing to go out any more, or is paused, does not use the room.
            if self.unpark_from(ticket.lane, number, starts) && self.open(ticket.lane) {
                return;
            }
            self.change(ticket.lane, |lane| lane.let_on = false);
        }
    }

    /// Takes a lane off a gate; whether it waited there.
    fn unpark_from(&mut self, lane: u32, gate: u32, starts: bool) -> bool {
        let mut waited = false;
        self.change(lane, |lane| {
            let place = if starts {
                &mut lane.starts_parked
            } else {
                &mut lane.parked
            };
            waited = *place == Some(gate);
            if waited {
                *place = None;
                lane.let_on = true;
            }
        });
        waited
    }

    /// Takes a lane off the gates at which it waits.
    pub(super) fn unpark(&mut self, number: u32) {
        self.change(number, |lane| {
            (lane.parked, lane.starts_parked) = (None, None)
        });
    }

    /// A lane has had its chance, whatever came of it: gates that still have room let on others.
    pub(super) fn pass_on(&mut self, number: u32) {
        let Some(lane) = self.lanes.get(number) else {
            return;
        };
        // One lane is in the rotation for a gate already; more would do no harm, and no good.
        let gates: Vec<u32> = lane
            .calls
            .iter()
            .chain(lane.starts.iter())
            .map(|pass| pass.gate)
            .collect();
        for gate in gates {
            self.let_on(gate);
        }
    }

    /// Puts a lane in the rotation if it has something that may go; tells whether it is there.
    pub(super) fn open(&mut self, number: u32) -> bool {
        let Some(lane) = self.lanes.get(number) else {
            return false;
        };
        let function = lane.function;
        let starts = lane.queued[1] > 0 && lane.starts_parked.is_none();
        let waits = lane.parked.is_none() && (lane.queued[0] > 0 || starts);
        if !waits || self.is_paused(function) {
            return false;
        }
        if !lane.open {
            self.change(number, |lane| lane.open = true);
            self.rotation.push(function, number);
        }
        true
    }

    /// Changes a lane, and the backlog with it.
    pub(super) fn change(&mut self, number: u32, change: impl FnOnce(&mut Lane)) {
        let before = self.backlog_of(number);
        let Some(lane) = self.lanes.get_mut(number) else {
            return;
        };
        let counts = |lane: &Lane| {
            let [under_way, starts] = lane.queued.map(u64::from);
            [under_way + starts, starts, lane.in_flight.into()]
        };
        let was = counts(lane);
        change(lane);
        let (is, function) = (counts(lane), lane.function);
        if let Some(of) = self.functions.get_mut(function as usize) {
            let all = [&mut of.queued, &mut of.starts, &mut of.in_flight];
            for (count, (is, was)) in all.into_iter().zip(is.into_iter().zip(was)) {
                *count = (*count + is).saturating_sub(was);
            }
        }
        self.backlog = (self.backlog + self.backlog_of(number)).saturating_sub(before);
    }

    /// Items of a lane that only wait for a free call.
    pub(super) fn backlog_of(&self, number: u32) -> usize {
        let Some(lane) = self.lanes.get(number) else {
            return 0;
        };
        let by_rule = |gate: &u32| self.gates.get(*gate).is_some_and(|gate| gate.is_rule());
        if self.is_paused(lane.function) || lane.parked.as_ref().is_some_and(by_rule) {
            return 0;
        }
        let starts = if lane.starts_parked.is_some() {
            0
        } else {
            lane.queued[1]
        };
        (lane.queued[0] + starts) as usize
    }

    /// When a gate lets on by itself.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Lets on at all gates whose instant has come.
    pub(crate) fn wake(&mut self) {
        while let Some((at, gate)) = self.timers.first().copied() {
            if at > self.now {
                return;
            }
            self.timers.pop_first();
            if let Some(known) = self.gates.get_mut(gate) {
                known.timer = None;
            }
            self.let_on(gate);
        }
    }

    /// An app says that it has too much to do, or that it does not.
    pub(crate) fn heard(&mut self, app: u32, slow: Option<(Timestamp, Option<i64>)>) {
        let Some(number) = self.gates.find(&GateKey::App(app)) else {
            return;
        };
        let Some(gate) = self.gates.get_mut(number) else {
            return;
        };
        let (used, now) = (gate.used, self.now);
        let Kind::App(window) = &mut gate.kind else {
            return;
        };
        match slow {
            Some((sent, pause_ms)) => window.slow(used, sent, pause_ms, now),
            None => window.went_well(),
        }
        self.let_on(number);
    }
}
