//! Which call goes next. Items wait in *lanes*; a lane passes *gates*, which stand for rules of flow
//! control and for what apps can bear. A lane that finds a gate without room waits there, and is let
//! on when somebody gives a place back; so nothing is scanned, and nothing is asked twice in vain.
//!
//! ```text
//! push ─► lane (by score) ─► rotation: functions take turns, lanes of a function do ─► pop
//!              ▲                          │ no room
//!              └────────── let on ◄───── gate ◄── release, timer, new rules
//! ```
//!
//! What is taken at a gate is counted from what is in flight and what is live, never stored. A gate
//! with room has nobody waiting for it but while one that it has let on is in the rotation.

mod audit;
mod gate;
mod gates;
mod lane;
mod late;
mod rotation;
mod rules;
mod show;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_types::{DedupeKey, Seq, Timestamp, limits};

use crate::flow::KeyValue;
use crate::flow::counters::Counters;
use crate::packed::Packed;
use crate::schedule::gates::Gates;
use crate::schedule::lane::{Lane, Lanes, Place, START, UNDER_WAY};
use crate::schedule::rotation::Rotation;
use crate::schedule::rules::Governed;
use crate::write::CounterRow;

pub(crate) use gate::{GateKey, Kind, Room};
pub(crate) use late::{Asked, Late};
pub(crate) use rules::{Wanted, own_or_shared, rate_of};

/// How many calls may be out.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// In all.
    pub calls_max: usize,
    /// At one app.
    pub calls_per_app_max: u32,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            calls_max: limits::CALLS_IN_FLIGHT_MAX,
            calls_per_app_max: limits::CALLS_IN_FLIGHT_PER_APP_MAX as u32,
        }
    }
}

/// An item that goes out.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) lane: u32,
    pub(crate) run: Seq,
    pub(crate) item: Seq,
    /// Its run begins with it.
    pub(crate) starts: bool,
    /// Rules count that, so it is to be written.
    pub(crate) counted: bool,
    /// Arrival times to write.
    pub(crate) rows: Vec<CounterRow>,
}

/// Items that wait for a slot, and slots taken.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    pub(crate) options: CallLimits,
    functions: Vec<Governed>,
    lanes: Lanes,
    gates: Gates,
    /// Every item that waits, with its run.
    queue: Packed<Place, Seq>,
    /// Lanes that may have something to go out.
    rotation: Rotation<u32>,
    /// Gates that let on by themselves.
    timers: BTreeSet<(Timestamp, u32)>,
    /// Who holds a slot, and since when.
    holders: BTreeMap<(u32, Seq, Seq), Timestamp>,
    /// Runs that have begun, of lanes whose rules count them.
    begun: BTreeSet<(u32, Seq)>,
    pub(crate) counters: Counters,
    /// Items that only wait for a free call.
    backlog: usize,
    draining: bool,
    /// The instant of the turn.
    pub(crate) now: Timestamp,
    pub(crate) late: Late,
}

impl Schedule {
    pub(crate) fn new(options: CallLimits) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// The lane of a function's runs of those values. A function with more lanes than it may have
    /// shares some among values that have none yet: what a run counts under is found out anew when
    /// its turn comes.
    pub(crate) fn lane(&mut self, function: u32, values: Vec<KeyValue>) -> u32 {
        let lanes = self.functions.get(function as usize);
        let full = lanes.is_some_and(|of| of.lanes >= limits::LANES_PER_FUNCTION_MAX);
        if full && !values.is_empty() {
            let values: Arc<[KeyValue]> = values.into();
            return match self.lanes.find(function, &values) {
                Some(lane) => lane,
                None => self.own_lane(function, vec![shared(&values)]),
            };
        }
        self.own_lane(function, values)
    }

    /// The lane of exactly those values.
    pub(crate) fn own_lane(&mut self, function: u32, values: Vec<KeyValue>) -> u32 {
        let plain = values.is_empty();
        if let Some(governed) = self.functions.get(function as usize)
            && let Some(lane) = governed.plain.filter(|_| plain)
        {
            return lane;
        }
        let values: Arc<[KeyValue]> = values.into();
        if let Some(lane) = self.lanes.find(function, &values) {
            return lane;
        }
        let lane = self.lanes.add(function, values);
        self.enter_gates(lane);
        if let Some(governed) = self.functions.get_mut(function as usize) {
            governed.lanes += 1;
            governed.plain = governed.plain.or_else(|| plain.then_some(lane));
        }
        lane
    }

    /// The shared lane for the one run of a lane that nothing waits in, where there are too many
    /// lanes. A run that holds a place among those that have begun stays where it is.
    pub(crate) fn share_with(&mut self, number: u32) -> Option<u32> {
        let lane = self.lanes.get(number)?;
        let many =
            self.functions.get(lane.function as usize)?.lanes > limits::LANES_PER_FUNCTION_MAX;
        let idle = lane.queued == [0, 0] && lane.in_flight == 0 && lane.runs == 1;
        let own = !lane.values.is_empty() && !lane.stale && lane.starts.is_empty();
        let function = lane.function;
        let value = (many && idle && own).then(|| shared(&lane.values))?;
        Some(self.own_lane(function, vec![value]))
    }

    /// What the runs of a lane count under.
    pub(crate) fn values(&self, lane: u32) -> &[KeyValue] {
        self.lanes.get(lane).map_or(&[], |lane| &lane.values)
    }

    /// Whether rules have come that the lane's values know nothing of.
    pub(crate) fn is_stale(&self, lane: u32) -> bool {
        self.lanes.get(lane).is_some_and(|lane| lane.stale)
    }

    /// A live run belongs to the lane from now on.
    pub(crate) fn joins(&mut self, lane: u32, run: Seq, begun: bool) {
        if let Some(known) = self.lanes.get_mut(lane) {
            known.runs += 1;
        }
        if begun {
            self.begins(lane, run);
        }
    }

    /// A live run no longer belongs to the lane.
    pub(crate) fn leaves(&mut self, lane: u32, run: Seq, begun: bool) {
        self.begun.remove(&(lane, run));
        let Some(known) = self.lanes.get_mut(lane) else {
            return;
        };
        known.runs = known.runs.saturating_sub(1);
        if begun {
            known.begun = known.begun.saturating_sub(1);
            for pass in known.starts.clone().iter() {
                if let Some(gate) = self.gates.get_mut(pass.gate) {
                    gate.used = gate.used.saturating_sub(1);
                    self.let_on(pass.gate);
                }
            }
        }
        self.drop_unused(lane);
    }

    /// A run of the lane begins.
    fn begins(&mut self, lane: u32, run: Seq) {
        let Some(known) = self.lanes.get_mut(lane) else {
            return;
        };
        known.begun += 1;
        if !known.starts.is_empty() {
            self.begun.insert((lane, run));
        }
        for pass in known.starts.iter() {
            if let Some(gate) = self.gates.get_mut(pass.gate) {
                gate.used += 1;
            }
        }
    }

    /// Puts an item where its score says; `starts` if its run has not begun.
    pub(crate) fn push(&mut self, lane: u32, starts: bool, score: i64, run: Seq, item: Seq) {
        let place = place(lane, starts, score, item);
        if self.queue.insert(place, run).is_none() {
            self.change(lane, |lane| lane.queued[usize::from(place.phase)] += 1);
            self.open(lane);
        }
    }

    /// Takes an item away that waits; it may be that it does not.
    pub(crate) fn remove(&mut self, lane: u32, starts: bool, score: i64, item: Seq) {
        let place = place(lane, starts, score, item);
        if self.queue.remove(&place).is_some() {
            self.change(lane, |lane| {
                let queued = &mut lane.queued[usize::from(place.phase)];
                *queued = queued.saturating_sub(1);
            });
        }
    }

    /// Whether that item waits.
    pub(crate) fn holds(&self, lane: u32, starts: bool, score: i64, item: Seq) -> bool {
        self.queue.contains_key(&place(lane, starts, score, item))
    }

    /// Gives a slot back, if it was taken.
    pub(crate) fn release(&mut self, lane: u32, run: Seq, item: Seq) {
        if self.holders.remove(&(lane, run, item)).is_none() {
            return;
        }
        let Some(known) = self.lanes.get(lane) else {
            return;
        };
        let calls = known.calls.clone();
        self.change(lane, |lane| {
            lane.in_flight = lane.in_flight.saturating_sub(1)
        });
        for pass in calls.iter() {
            if let Some(gate) = self.gates.get_mut(pass.gate) {
                gate.used = gate.used.saturating_sub(1);
                self.let_on(pass.gate);
            }
        }
        self.drop_unused(lane);
    }

    /// The next item that may go out; its slots are taken.
    pub(crate) fn pop(&mut self) -> Option<Picked> {
        loop {
            if self.draining || self.holders.len() >= self.options.calls_max {
                return None;
            }
            let lane = self.rotation.pop(|_| true)?;
            self.change(lane, |lane| lane.open = false);
            let chosen = self.choose(lane);
            let picked = chosen.and_then(|place| self.take(place));
            if picked.is_some() {
                self.open(lane);
            }
            self.pass_on(lane);
            if picked.is_some() {
                return picked;
            }
        }
    }

    /// Which item of the lane may go; where none may, the lane waits at the gate that says so.
    fn choose(&mut self, number: u32) -> Option<Place> {
        let lane = self.lanes.get(number)?;
        if self.is_paused(lane.function) || lane.parked.is_some() {
            return None;
        }
        let head = |phase: u8| {
            let waits = lane.queued[usize::from(phase)] > 0;
            let first = self.queue.first_from(&Place::first(number, phase));
            first.map(|(place, _)| *place).filter(|_| waits)
        };
        let under_way = head(UNDER_WAY);
        let start = head(START).filter(|_| lane.starts_parked.is_none());
        if under_way.is_none() && start.is_none() {
            return None;
        }
        if let Some((pass, room)) = self.shut(&lane.calls) {
            self.park(number, pass, room, false);
            return None;
        }
        let start_first = |place: &Place| under_way.is_none_or(|other| place.score < other.score);
        let Some(start) = start.filter(start_first) else {
            return under_way;
        };
        match self.shut(&lane.starts) {
            None => Some(start),
            Some((pass, room)) => {
                self.park(number, pass, room, true);
                under_way
            }
        }
    }

    /// Takes an item and its slots.
    fn take(&mut self, place: Place) -> Option<Picked> {
        let run = self.queue.remove(&place)?;
        let number = place.lane;
        self.change(number, |lane| {
            let queued = &mut lane.queued[usize::from(place.phase)];
            *queued = queued.saturating_sub(1);
            lane.in_flight += 1;
            lane.let_on = false;
        });
        let lane = self.lanes.get(number)?;
        let (calls, starts) = (lane.calls.clone(), lane.starts.clone());
        let begins = place.phase == START && !lane.stale;
        let counted = begins && !starts.is_empty();
        for pass in calls.iter() {
            if let Some(gate) = self.gates.get_mut(pass.gate) {
                gate.used += 1;
            }
        }
        self.holders.insert((number, run, place.item), self.now);
        let mut rows = Vec::new();
        if begins {
            self.begins(number, run);
            for pass in starts.iter() {
                rows.extend(self.spend(pass.gate, run));
            }
        }
        Some(Picked {
            lane: number,
            run,
            item: place.item,
            starts: begins,
            counted,
            rows,
        })
    }

    /// Counts a start against a rate; nothing if the gate is none.
    fn spend(&mut self, gate: u32, run: Seq) -> Vec<CounterRow> {
        let Some(gate) = self.gates.get(gate) else {
            return Vec::new();
        };
        let (GateKey::Own(rule, function, ..), Kind::Rate(rate, key)) = (&gate.key, &gate.kind)
        else {
            return Vec::new();
        };
        let tat = self
            .counters
            .get(*function, *rule, *key)
            .map(|(tat, _)| tat);
        let row = CounterRow {
            function: *function,
            rule: *rule,
            key: *key,
            tat_ns: rate.take(tat, self.now).or(tat),
            last: run,
        };
        self.counters.put(row, self.now)
    }

    /// Hands out no more slots.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// Slots taken.
    pub(crate) fn slots(&self) -> usize {
        self.holders.len()
    }

    /// Items that only wait for a free call, not for a rule.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog
    }

    /// Slots taken, and items that will get one.
    pub(crate) fn busy(&self) -> usize {
        match self.draining {
            true => self.holders.len(),
            false => self.holders.len() + self.backlog,
        }
    }

    /// Since when that item holds a slot.
    pub(crate) fn held_since(&self, lane: u32, run: Seq, item: Seq) -> Option<Timestamp> {
        self.holders.get(&(lane, run, item)).copied()
    }

    fn is_paused(&self, function: u32) -> bool {
        self.functions
            .get(function as usize)
            .is_some_and(|governed| governed.paused)
    }

    /// Holds a function's items back, or lets them go on.
    pub(crate) fn pause(&mut self, function: u32, paused: bool) {
        let lanes: Vec<u32> = self.lanes.of(function).collect();
        let before: usize = lanes.iter().map(|lane| self.backlog_of(*lane)).sum();
        if let Some(governed) = self.functions.get_mut(function as usize) {
            governed.paused = paused;
        }
        let after: usize = lanes.iter().map(|lane| self.backlog_of(*lane)).sum();
        self.backlog = (self.backlog + after).saturating_sub(before);
        for lane in lanes {
            self.open(lane);
        }
    }

    /// Forgets a lane that nothing refers to.
    fn drop_unused(&mut self, number: u32) {
        let unused = |lane: &Lane| {
            let queued = lane.queued[0] + lane.queued[1];
            lane.runs == 0 && lane.in_flight == 0 && queued == 0 && !lane.values.is_empty()
        };
        if self.lanes.get(number).is_some_and(unused) {
            self.leave_gates(number);
            let lane = self.lanes.remove(number);
            let function = lane.map_or(0, |lane| lane.function);
            if let Some(governed) = self.functions.get_mut(function as usize) {
                governed.lanes = governed.lanes.saturating_sub(1);
            }
        }
    }
}

fn place(lane: u32, starts: bool, score: i64, item: Seq) -> Place {
    Place {
        lane,
        phase: if starts { START } else { UNDER_WAY },
        score,
        item,
    }
}

/// The value of a lane that several sets of values share.
fn shared(values: &[KeyValue]) -> KeyValue {
    let mut text = Vec::new();
    for value in values {
        text.extend_from_slice(&value.rule.to_be_bytes());
        text.extend_from_slice(value.text.as_bytes());
        text.push(0);
    }
    let DedupeKey([high, low, ..]) = DedupeKey::new(b"lane", &text);
    let number = u16::from_be_bytes([high, low]) % limits::LANES_SHARED_PER_FUNCTION;
    KeyValue {
        rule: 0,
        text: number.to_string().into(),
    }
}
