//! Concurrency: calls that are out are never more than a limit says, at any instant; and whenever
//! nothing is being written or read, nothing waits but for a limit that is reached.

use std::cell::RefCell;
use std::rc::Rc;

use dunlin_engine::config::{ConcurrencyRule, FlowRules, FunctionSpec, Scope};
use dunlin_engine::{CallLimits, RunRow};
use dunlin_types::{Seq, Timestamp};

use super::{Reached, Trace, reached, traces, value};
use crate::world::{World, ruled, spec};

/// What is in force, and what was seen.
#[derive(Default)]
struct Seen {
    rules: Vec<FunctionSpec>,
    /// Whether a run makes one call and no other, so that whoever waits can be told from outside.
    plain: bool,
    changing: bool,
    paused: bool,
    held: Timestamp,
    full: usize,
    waited: usize,
}

fn rule(trace: &mut Trace, scopes: &[Scope], keys: &[Option<&str>]) -> ConcurrencyRule {
    ConcurrencyRule {
        limit: 1 + trace.dice.below(3) as u32,
        key: trace.one_of(keys).map(str::to_owned),
        scope: trace.one_of(scopes),
    }
}

fn specs(trace: &mut Trace) -> Vec<FunctionSpec> {
    let keys = [None, Some("event.data.k"), Some("event.data.m")];
    let all = [Scope::Function, Scope::Env, Scope::Account];
    let flow = |trace: &mut Trace| {
        let rules = 1 + trace.dice.below(2);
        let concurrency = (0..rules).map(|_| rule(trace, &all, &keys)).collect();
        FlowRules {
            concurrency,
            ..FlowRules::default()
        }
    };
    vec![
        ruled(spec("app-f", "go", None), flow(trace)),
        ruled(spec("app-g", "go", None), flow(trace)),
    ]
}

/// The same rules with other limits.
fn relimited(trace: &mut Trace, specs: &[FunctionSpec]) -> Vec<FunctionSpec> {
    let mut specs = specs.to_vec();
    let rules = specs.iter_mut().flat_map(|one| &mut one.flow.concurrency);
    rules.for_each(|rule| rule.limit = 1 + trace.dice.below(4) as u32);
    specs
}

/// What a run counts under: where, and which value.
type Gate = (Option<String>, Scope, Option<String>, String);

/// The gates that a run passes, with the limit that its function has there.
fn gates(world: &World, specs: &[FunctionSpec], run: &RunRow) -> Vec<(Gate, usize)> {
    let slug = &world.store.functions[&run.function].slug;
    let of = specs.iter().find(|one| one.slug == *slug);
    let event = &world.store.events[&run.event];
    let gate = |rule: &ConcurrencyRule| {
        let text = value(event, rule.key.as_ref());
        let own = rule.scope == Scope::Function || rule.key.is_none();
        let gate = if own {
            (Some(slug.clone()), Scope::Function, rule.key.clone(), text)
        } else {
            (None, rule.scope, None, text)
        };
        (gate, rule.limit as usize)
    };
    let rules = of.map_or(&[][..], |one| &one.flow.concurrency);
    rules.iter().map(gate).collect()
}

/// Calls out at a gate: of one function, or of all.
fn out_at(world: &World, specs: &[FunctionSpec], gate: &Gate, only: Option<u32>) -> usize {
    let counts = |run: &Seq| {
        let run = &world.store.runs[run];
        let own = only.is_none_or(|function| function == run.function);
        own && gates(world, specs, run).iter().any(|(of, _)| of == gate)
    };
    world.out().filter(counts).count()
}

/// The greatest limit that runs have at a gate: those of one function, or all.
fn most_at(world: &World, specs: &[FunctionSpec], gate: &Gate, only: Option<u32>) -> usize {
    let runs = world.store.runs.values();
    let own = runs.filter(|run| only.is_none_or(|function| function == run.function));
    let all = own.flat_map(|run| gates(world, specs, run));
    let limits = all.filter(|(of, _)| of == gate).map(|(_, limit)| limit);
    limits.max().unwrap_or(usize::MAX)
}

/// A call goes out: was there room?
fn called(seen: &mut Seen, world: &World, run: Seq) {
    let row = &world.store.runs[&run];
    // Whoever has the smaller limit may have come first, so the greatest one holds from outside.
    let specs = &seen.rules;
    let fits = gates(world, specs, row).iter().all(|(gate, _)| {
        let fits = |only| out_at(world, specs, gate, only) <= most_at(world, specs, gate, only);
        fits(Some(row.function)) && fits(None)
    });
    // What was let go before a limit fell may still be on its way out while the rules change.
    assert!(
        fits || seen.changing,
        "too many calls: {row:?} {:?} {:?}\n{}",
        gates(world, &seen.rules, row),
        world.out().collect::<Vec<_>>(),
        world.text()
    );
    let caps = world.options.calls;
    assert!(world.out().count() <= caps.calls_max.min(caps.calls_per_app_max as usize));
}

/// Nothing is on its way: whoever waits, waits for a limit that is reached.
fn rests(seen: &mut Seen, world: &World) {
    let still = seen.changing || seen.paused || world.now < seen.held;
    if !seen.plain || still || !world.is_quiet() {
        return;
    }
    let specs = &seen.rules;
    let caps = world.options.calls;
    let busy = world.out().count() >= caps.calls_max.min(caps.calls_per_app_max as usize);
    for run in world.store.runs.values() {
        let ended = world.store.ends.contains_key(&run.seq);
        if ended || run.due > world.now || world.out().any(|one| one == run.seq) {
            continue;
        }
        seen.waited += 1;
        let mut all = gates(world, specs, run).into_iter();
        let full = all.any(|(gate, limit)| out_at(world, specs, &gate, None) >= limit);
        seen.full += usize::from(full);
        assert!(full || busy, "{run:?} waits for nothing\n{}", world.text());
    }
}

fn live(seed: u64) -> Reached {
    let mut trace = Trace::new(seed, 8);
    let plain = trace.chance(2);
    let texts = [
        "step a step b",
        "par [ step a | step b | step c ]",
        "step a fails 1 step b",
        "sleep s 700 step a",
        "fetch x step a",
        "step a par [ sleep s 300 step b | fetch y ]",
    ];
    for slug in ["app-f", "app-g"] {
        let text = if plain { "" } else { trace.one_of(&texts) };
        trace.world.program(slug, text);
    }
    if trace.chance(3) {
        trace.world.options.calls = CallLimits {
            calls_max: 2 + trace.dice.below(3) as usize,
            calls_per_app_max: 2 + trace.dice.below(3) as u32,
        };
    }
    let mut now = specs(&mut trace);
    let seen = Rc::new(RefCell::new(Seen {
        rules: now.clone(),
        plain,
        ..Seen::default()
    }));
    let (one, two) = (Rc::clone(&seen), Rc::clone(&seen));
    trace.world.watch = Some(Box::new(move |world, run| {
        called(&mut one.borrow_mut(), world, run);
    }));
    trace.each = Some(Box::new(move |world| rests(&mut two.borrow_mut(), world)));
    trace.sync(now.clone());
    for _ in 0..3 + trace.dice.below(5) {
        let (k, m) = (trace.dice.below(2), 1 + trace.dice.below(2));
        trace.send("go", &format!(",\"k\":{k},\"m\":{m}"));
        let tens = trace.one_of(&[0, 5, 30, 100]);
        let tens = trace.dice.below(tens + 1);
        // Until it is over, nobody knows whether the process dies on the way.
        let dies = trace.left > 0;
        if dies {
            seen.borrow_mut().held = Timestamp::MAX;
        }
        trace.pass(tens);
        if dies {
            seen.borrow_mut().held = trace.held_until(trace.world.now).plus_ms(1);
        }
        if trace.chance(8) {
            change(&mut trace, &seen, &mut now);
        }
        if trace.chance(10) {
            let paused = !seen.borrow().paused;
            seen.borrow_mut().paused = true;
            trace.world.pause(0, paused);
            trace.quiet();
            seen.borrow_mut().paused = paused;
        }
    }
    trace.world.pause(0, false);
    trace.quiet();
    seen.borrow_mut().paused = false;
    trace.rest();
    let seen = seen.borrow();
    [seen.full, seen.waited, trace.crashes.len()]
}

/// Limits change: a raised one holds at once, under a lowered one nothing goes out that is too much.
fn change(trace: &mut Trace, seen: &RefCell<Seen>, now: &mut Vec<FunctionSpec>) {
    let next = relimited(trace, now);
    let left = std::mem::take(&mut trace.left);
    seen.borrow_mut().changing = true;
    trace.sync(next.clone());
    trace.left = left;
    *now = next;
    let mut seen = seen.borrow_mut();
    (seen.rules, seen.changing) = (now.clone(), false);
}

#[test]
fn calls_are_as_many_as_allowed_and_never_more() {
    reached(traces(live), [20_000, 25_000, 3_000]);
}
