//! What is seen of the queues. Reads only.

use dunlin_types::limits::{LOOK_HOLDERS_MAX, LOOK_PLACES_MAX, LOOK_QUEUES_MAX};
use dunlin_types::{Seq, Timestamp};

use crate::config::{FlowRules, Rule, Scope};
use crate::flow::KeyValue;
use crate::look::{Cause, Held, LaneView};
use crate::schedule::Schedule;
use crate::schedule::gate::{Gate, GateKey, Kind, Pass};
use crate::schedule::lane::{Lane, Place, START, UNDER_WAY};

/// A lane, and the first that waits in each of its phases: run, item.
pub(crate) type Shown = (LaneView, Vec<(Seq, Seq)>);

/// Where an item stands, and why it does not go out.
pub(crate) struct Standing {
    pub(crate) cause: Cause,
    pub(crate) ahead: u64,
    pub(crate) expected: Option<Timestamp>,
}

impl Schedule {
    /// Where an item stands that waits in a lane.
    pub(crate) fn standing(&self, number: u32, starts: bool, score: i64, item: Seq) -> Standing {
        let phase = if starts { START } else { UNDER_WAY };
        let place = Place {
            lane: number,
            phase,
            score,
            item,
        };
        let before = self.queue.iter_from(Place::first(number, phase));
        let before = before
            .take_while(|(other, _)| **other < place)
            .take(LOOK_PLACES_MAX);
        let ahead = before.count() as u64;
        let cause = self.cause(number, starts);
        let expected = match &cause {
            Cause::Rule(held) if held.next.is_some() => self.expected(number, ahead),
            Cause::AppPaused(until) => Some(*until),
            _ => None,
        };
        Standing {
            cause,
            ahead,
            expected,
        }
    }

    /// When a throttle lets on the start that has so many before it.
    fn expected(&self, number: u32, ahead: u64) -> Option<Timestamp> {
        let gate = self.gates.get(self.lanes.get(number)?.starts_parked?)?;
        let Kind::Rate(rate, _) = &gate.kind else {
            return None;
        };
        Some(rate.next(self.tat(gate)?, ahead))
    }

    fn tat(&self, gate: &Gate) -> Option<i64> {
        let (GateKey::Own(rule, function, ..), Kind::Rate(_, key)) = (&gate.key, &gate.kind) else {
            return None;
        };
        self.counters
            .get(*function, *rule, *key)
            .map(|(tat, _)| tat)
    }

    /// Why the next of a lane does not go out.
    fn cause(&self, number: u32, starts: bool) -> Cause {
        let Some(lane) = self.lanes.get(number) else {
            return Cause::Turn;
        };
        if self.is_paused(lane.function) {
            return Cause::Paused;
        }
        let start_gate = lane.starts_parked.filter(|_| starts);
        let passes = || lane.calls.iter().chain(lane.starts.iter());
        let at = lane.parked.or(start_gate);
        if let Some(pass) = at.and_then(|gate| passes().find(|pass| pass.gate == gate)) {
            return self.shown(lane, *pass);
        }
        let used = self.holders.len();
        if used >= self.options.calls_max {
            let [used, limit] = [used, self.options.calls_max].map(|n| n as u32);
            return Cause::ServerFull { used, limit };
        }
        Cause::Turn
    }

    fn shown(&self, lane: &Lane, pass: Pass) -> Cause {
        let Some(gate) = self.gates.get(pass.gate) else {
            return Cause::Turn;
        };
        let unknown = FlowRules::default();
        let governed = self.functions.get(lane.function as usize);
        let rules = governed.map_or(&unknown, |governed| &*governed.rules);
        let (rule, scope, key) = match &gate.key {
            GateKey::App(_) => return self.app_shown(gate),
            GateKey::Own(rule, _, _, text) => (*rule, Scope::Function, text),
            GateKey::Shared(rule, scope, text) => (*rule, *scope, text),
        };
        let limit = match (&gate.kind, &rules.throttle) {
            (Kind::Rate(..), Some(rule)) => rule.limit,
            _ => pass.limit,
        };
        let next = match &gate.kind {
            Kind::Rate(rate, _) => self.tat(gate).map(|tat| rate.next(tat, 0)),
            _ => None,
        };
        Cause::Rule(Box::new(Held {
            rule,
            scope: scope_name(scope).to_owned(),
            expression: expression_of(rules, rule, scope, &lane.values, key),
            key: key.to_string(),
            limit,
            used: match gate.kind {
                Kind::Rate(..) => 0,
                _ => gate.used,
            },
            holders: self.holders_of(pass.gate, &gate.kind),
            next,
        }))
    }

    fn app_shown(&self, gate: &Gate) -> Cause {
        let Kind::App(window) = &gate.kind else {
            return Cause::Turn;
        };
        match window.paused(self.now) {
            Some(until) => Cause::AppPaused(until),
            None => Cause::AppFull {
                used: gate.used,
                limit: window.window(),
            },
        }
    }

    /// Runs that hold places at a gate.
    fn holders_of(&self, gate: u32, kind: &Kind) -> Vec<Seq> {
        let passes = |lane: u32| {
            let lane = self.lanes.get(lane);
            lane.is_some_and(|lane| {
                lane.calls
                    .iter()
                    .chain(lane.starts.iter())
                    .any(|pass| pass.gate == gate)
            })
        };
        let mut runs: Vec<Seq> = match kind {
            Kind::Calls => {
                let held = self.holders.keys().filter(|(lane, ..)| passes(*lane));
                held.map(|(_, run, _)| *run).collect()
            }
            Kind::Runs => {
                let begun = self.begun.iter().filter(|(lane, _)| passes(*lane));
                begun.map(|(_, run)| *run).collect()
            }
            Kind::Rate(..) | Kind::App(_) => Vec::new(),
        };
        runs.sort_unstable();
        runs.dedup();
        runs.truncate(LOOK_HOLDERS_MAX);
        runs
    }

    /// What the runs of a lane count under, by rule.
    pub(crate) fn keys_shown(&self, number: u32) -> Vec<(Rule, String)> {
        let Some(lane) = self.lanes.get(number) else {
            return Vec::new();
        };
        let Some(governed) = self.functions.get(lane.function as usize) else {
            return Vec::new();
        };
        let names = named_rules(&governed.rules);
        let shown = lane.values.iter().filter_map(|value| {
            let (rule, ..) = names.iter().find(|(.., name)| *name == value.rule)?;
            Some((*rule, value.text.to_string()))
        });
        shown.collect()
    }

    /// The fullest lanes of a function, with the first that waits in each phase, and how many lanes
    /// it has.
    pub(crate) fn lanes_shown(&self, function: u32) -> (Vec<Shown>, u64) {
        let waiting = |number: &u32| {
            let lane = self.lanes.get(*number);
            lane.map_or(0, |lane| {
                u64::from(lane.queued[0] + lane.queued[1] + lane.in_flight)
            })
        };
        let mut numbers: Vec<(u64, u32)> = self
            .lanes
            .of(function)
            .map(|lane| (waiting(&lane), lane))
            .collect();
        let total = numbers.len() as u64;
        let fullest = |one: &(u64, u32)| std::cmp::Reverse(*one);
        if numbers.len() > LOOK_QUEUES_MAX {
            numbers.select_nth_unstable_by_key(LOOK_QUEUES_MAX, fullest);
            numbers.truncate(LOOK_QUEUES_MAX);
        }
        numbers.sort_unstable_by_key(fullest);
        let views = numbers
            .into_iter()
            .filter_map(|(_, number)| self.lane_shown(number));
        (views.collect(), total)
    }

    fn lane_shown(&self, number: u32) -> Option<Shown> {
        let lane = self.lanes.get(number)?;
        let heads = [UNDER_WAY, START].into_iter().filter_map(|phase| {
            let (place, run) = self.queue.first_from(&Place::first(number, phase))?;
            (place.lane == number && place.phase == phase).then_some((*run, place.item))
        });
        let only_starts = lane.queued[0] == 0;
        let cause = (lane.queued != [0, 0]).then(|| self.cause(number, only_starts));
        let view = LaneView {
            keys: self.keys_shown(number),
            starts: lane.queued[1].into(),
            under_way: lane.queued[0].into(),
            in_flight: lane.in_flight,
            oldest: None,
            cause: cause.filter(|cause| *cause != Cause::Turn),
        };
        Some((view, heads.collect()))
    }

    /// Items that wait and calls in flight of a function, and how many of those have not begun.
    pub(crate) fn totals(&self, function: u32) -> (u64, u64, u64) {
        let governed = self.functions.get(function as usize);
        governed.map_or((0, 0, 0), |one| (one.queued, one.in_flight, one.starts))
    }

    /// Items that wait, of all functions.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The apps: number, calls in flight, how many may be, the end of a pause.
    pub(crate) fn apps_shown(&self) -> Vec<(u32, u32, u32, Option<Timestamp>)> {
        let apps = self
            .gates
            .iter()
            .filter_map(|gate| match (&gate.key, &gate.kind) {
                (GateKey::App(app), Kind::App(window)) => {
                    Some((*app, gate.used, window.window(), window.paused(self.now)))
                }
                _ => None,
            });
        apps.collect()
    }
}

const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Function => "fn",
        Scope::Env => "env",
        Scope::Account => "account",
    }
}

/// Rules that count runs under keys: rule, scope, expression, name.
fn named_rules(rules: &FlowRules) -> Vec<(Rule, Scope, &str, u64)> {
    let counted = [
        (Rule::Concurrency, &rules.concurrency),
        (Rule::Runs, &rules.runs),
    ];
    let counted = counted.into_iter().flat_map(|(rule, list)| {
        list.iter()
            .filter_map(move |one| Some((rule, one.scope, one.key.as_deref()?)))
    });
    let throttle = rules.throttle.iter();
    let throttle =
        throttle.filter_map(|one| Some((Rule::Throttle, Scope::Function, one.key.as_deref()?)));
    counted
        .chain(throttle)
        .map(|(rule, scope, text)| (rule, scope, text, KeyValue::name(rule, scope, text)))
        .collect()
}

/// The expression whose value a lane is held under.
fn expression_of(
    rules: &FlowRules,
    rule: Rule,
    scope: Scope,
    values: &[KeyValue],
    key: &str,
) -> Option<String> {
    let names = named_rules(rules);
    let meant = |(of, at, _, name): &&(Rule, Scope, &str, u64)| {
        let same = values
            .iter()
            .any(|value| value.rule == *name && &*value.text == key);
        *of == rule && *at == scope && same
    };
    names
        .iter()
        .find(meant)
        .map(|(_, _, text, _)| (*text).to_owned())
}
