//! What a function's rules mean for its lanes: which gates they pass. Worked out when a lane is made
//! and again when the rules change, so that a new limit holds from that moment on.

use std::sync::Arc;

use crate::config::{ConcurrencyRule, FlowRules, Rule, Scope};
use crate::flow::gcra::Gcra;
use crate::flow::slow_down::SlowDown;
use crate::flow::{KeyValue, concurrency, throttle};
use crate::schedule::Schedule;
use crate::schedule::gate::{Gate, GateKey, Kind, Pass};

/// The rules of one function, as far as its queues know them.
#[derive(Debug, Default)]
pub(crate) struct Governed {
    pub(crate) app: u32,
    pub(crate) paused: bool,
    pub(crate) rules: Arc<FlowRules>,
    /// The lane of runs without keys, where it is known.
    pub(crate) plain: Option<u32>,
    /// How many lanes it has.
    pub(crate) lanes: usize,
    /// Items that wait.
    pub(crate) queued: u64,
    /// Of these, those of runs that have not begun.
    pub(crate) starts: u64,
    /// Calls in flight.
    pub(crate) in_flight: u64,
}

/// What a lane is to pass for one rule: the gate, and the limit that holds there.
pub(crate) struct Wanted {
    pub(crate) key: GateKey,
    pub(crate) kind: Kind,
    pub(crate) limit: u32,
}

impl Governed {
    /// What a lane of those values passes: calls, starts, and whether a rule knows no value.
    fn wanted(&self, function: u32, values: &[KeyValue]) -> (Vec<Wanted>, Vec<Wanted>, bool) {
        let mut stale = false;
        let mut resolve = |rule: Rule, rules: &[ConcurrencyRule]| {
            let found = rules
                .iter()
                .map(|one| concurrency::gate(rule, function, one, values));
            let (known, unknown): (Vec<_>, Vec<_>) = found.partition(Option::is_some);
            stale |= !unknown.is_empty();
            known.into_iter().flatten().collect::<Vec<Wanted>>()
        };
        let calls = resolve(Rule::Concurrency, &self.rules.concurrency);
        let mut starts = resolve(Rule::Runs, &self.rules.runs);
        if let Some(rule) = &self.rules.throttle {
            match throttle::gate(function, rule, values) {
                Some(wanted) => starts.push(wanted),
                None => stale = true,
            }
        }
        (calls, starts, stale)
    }
}

impl Schedule {
    /// Tells a function's rules, or that they have changed.
    pub(crate) fn configure(&mut self, function: u32, app: u32, rules: &Arc<FlowRules>) {
        let index = function as usize;
        if self.functions.len() <= index {
            self.functions.resize_with(index + 1, Governed::default);
        }
        let known = &mut self.functions[index];
        if known.app == app && known.rules == *rules {
            return;
        }
        known.app = app;
        known.rules = Arc::clone(rules);
        let lanes: Vec<u32> = self.lanes.of(function).collect();
        for lane in lanes {
            self.leave_gates(lane);
            self.enter_gates(lane);
            self.open(lane);
        }
    }

    /// Works out which gates a lane passes, and takes the places there that it has taken already.
    pub(crate) fn enter_gates(&mut self, number: u32) {
        let Some(lane) = self.lanes.get(number) else {
            return;
        };
        let (function, values) = (lane.function, Arc::clone(&lane.values));
        let (in_flight, begun) = (lane.in_flight, lane.begun);
        let unknown = Governed::default();
        let governed = self.functions.get(function as usize).unwrap_or(&unknown);
        let (mut calls, starts, stale) = governed.wanted(function, &values);
        let app = governed.app;
        calls.push(Wanted {
            key: GateKey::App(app),
            kind: Kind::App(SlowDown::new(self.options.calls_per_app_max)),
            limit: 0,
        });
        let calls = self.pass(calls, in_flight);
        let starts = self.pass(starts, begun);
        if let Some(lane) = self.lanes.get_mut(number) {
            (lane.calls, lane.starts, lane.stale) = (calls, starts, stale);
        }
    }

    /// The gates that are wanted, each once, with the least limit of those that want it.
    fn pass(&mut self, wanted: Vec<Wanted>, taken: u32) -> Arc<[Pass]> {
        let mut passes: Vec<Pass> = Vec::with_capacity(wanted.len());
        for one in wanted {
            let gate = self.gate(one.key, one.kind);
            if let Some(known) = passes.iter_mut().find(|pass| pass.gate == gate) {
                known.limit = known.limit.min(one.limit);
                continue;
            }
            passes.push(Pass {
                gate,
                limit: one.limit,
            });
            if let Some(gate) = self.gates.get_mut(gate) {
                gate.lanes += 1;
                gate.used += taken;
            }
        }
        passes.into()
    }

    /// The gate of that key; a rate's numbers are those of now.
    fn gate(&mut self, key: GateKey, kind: Kind) -> u32 {
        match self.gates.find(&key) {
            Some(number) => {
                if let (Some(gate), Kind::Rate(..)) = (self.gates.get_mut(number), &kind) {
                    gate.kind = kind;
                }
                number
            }
            None => self.gates.add(Gate::new(key, kind)),
        }
    }

    /// Gives back what a lane has taken at its gates, and takes it away from there.
    pub(crate) fn leave_gates(&mut self, number: u32) {
        self.unpark(number);
        let Some(lane) = self.lanes.get_mut(number) else {
            return;
        };
        let taken = [
            (std::mem::take(&mut lane.calls), lane.in_flight),
            (std::mem::take(&mut lane.starts), lane.begun),
        ];
        for (passes, taken) in taken {
            for pass in passes.iter() {
                let Some(gate) = self.gates.get_mut(pass.gate) else {
                    continue;
                };
                gate.used = gate.used.saturating_sub(taken);
                gate.lanes = gate.lanes.saturating_sub(1);
                if gate.lanes == 0 && gate.is_rule() {
                    self.gates.remove(pass.gate);
                } else {
                    self.let_on(pass.gate);
                }
            }
        }
    }
}

/// The name under which a rule's gate counts in its function.
pub(crate) fn own_or_shared(
    rule: Rule,
    function: u32,
    scope: Scope,
    (name, text): (u64, Box<str>),
) -> GateKey {
    match scope {
        Scope::Function => GateKey::Own(rule, function, name, text),
        Scope::Env | Scope::Account => GateKey::Shared(rule, scope, text),
    }
}

/// A rate as a throttle means it: its limit and its burst may come back to back.
pub(crate) fn rate_of(limit: u32, period_ms: i64, burst: u32) -> Gcra {
    Gcra::new(limit, period_ms, limit.saturating_add(burst))
}
