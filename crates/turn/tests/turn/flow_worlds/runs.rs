//! Runs at a time (`concurrency.fn`): of the durable runs of a key, never more have begun and not
//! ended than the limit says, and nothing waits while there are fewer.

use std::collections::BTreeSet;

use dunlin_engine::config::{ConcurrencyRule, FlowRules, FunctionSpec, Scope};
use dunlin_engine::step::StepKind;
use dunlin_engine::{RunRow, RunStatus};
use dunlin_types::Seq;

use super::{Reached, Trace, number, reached, traces, value};
use crate::world::{World, ruled, spec};

fn rule(trace: &mut Trace, scope: Scope, key: Option<&str>) -> ConcurrencyRule {
    ConcurrencyRule {
        limit: 1 + trace.dice.below(3) as u32,
        key: key.map(str::to_owned),
        scope,
    }
}

/// Two functions that the same event starts; those of a scope beyond the function count together.
fn specs(trace: &mut Trace, shared: bool, keys: &[Option<&str>]) -> Vec<FunctionSpec> {
    let scope = if shared { Scope::Env } else { Scope::Function };
    let flow = |trace: &mut Trace| FlowRules {
        runs: keys.iter().map(|key| rule(trace, scope, *key)).collect(),
        ..FlowRules::default()
    };
    let f = flow(trace);
    let mut g = flow(trace);
    if shared {
        // Whoever counts together has the same limit, so that a look from outside can judge.
        g.runs.clone_from(&f.runs);
    }
    vec![
        ruled(spec("app-f", "go", None), f),
        ruled(spec("app-g", "go", None), g),
    ]
}

fn live(seed: u64) -> Reached {
    let mut trace = Trace::new(seed, 7);
    let shared = trace.chance(3);
    let keys: &[Option<&str>] = match trace.dice.below(if shared { 2 } else { 4 }) {
        0 => &[Some("event.data.k")],
        1 => &[Some("event.data.k"), Some("event.data.m")],
        2 => &[None],
        _ => &[None, Some("event.data.k")],
    };
    let texts = [
        "",
        "step a sleep s 900",
        "sleep s 2500",
        "step a fails 1",
        "par [ step a | step b ]",
    ];
    for slug in ["app-f", "app-g"] {
        let text = trace.one_of(&texts);
        trace.world.program(slug, text);
    }
    let first = specs(&mut trace, shared, keys);
    trace.watch_begun();
    trace.sync(first);
    for _ in 0..3 + trace.dice.below(5) {
        let (k, m) = (trace.dice.below(2), 5 + trace.dice.below(2));
        trace.send("go", &format!(",\"k\":{k},\"m\":{m}"));
        let tens = trace.one_of(&[0, 20, 100, 300]);
        let tens = trace.dice.below(tens + 1);
        trace.pass(tens);
        if trace.chance(10) {
            let next = specs(&mut trace, shared, keys);
            trace.sync(next);
        }
        if trace.chance(10) && !trace.world.store.runs.is_empty() {
            let n = 1 + trace.dice.below(trace.world.store.runs.len() as u64);
            let run = trace.world.run(n as usize);
            trace.world.cancel(run);
        }
    }
    trace.rest();
    judge(&trace)
}

/// Whether a run counts at the gate of that rule of another function.
fn counts(
    world: &World,
    run: &RunRow,
    of: (&ConcurrencyRule, u32, &str),
    rules: &FlowRules,
) -> bool {
    let (rule, function, text) = of;
    let event = &world.store.events[&run.event];
    let same = |own: &&ConcurrencyRule| {
        let here = if own.scope == Scope::Function || own.key.is_none() {
            run.function == function && own.key == rule.key
        } else {
            own.scope == rule.scope
        };
        here && value(event, own.key.as_ref()) == text
    };
    rules.runs.iter().any(|own| same(&own))
}

fn judge(trace: &Trace) -> Reached {
    let (world, store) = (&trace.world, &trace.world.store);
    let mut begun: Vec<_> = Vec::new();
    for slug in ["app-f", "app-g"] {
        let rows = trace.begun(number(world, slug)).into_iter();
        begun.extend(rows.map(|(row, run)| (row.mark.seq, slug, row.ended, run)));
    }
    begun.sort_unstable_by_key(|(seq, ..)| *seq);
    let (mut full, mut waited) = (0, 0);
    for (n, (_, slug, at, run)) in begun.iter().enumerate() {
        let event = &store.events[&run.event];
        let fits = trace.rules_at(slug, *at).runs.iter().all(|rule| {
            let text = value(event, rule.key.as_ref());
            let of = (rule, run.function, text.as_str());
            let holds = begun[..n].iter().filter(|(_, other, _, held)| {
                let lives = store.ends[&held.seq].ended > *at;
                lives && counts(world, held, of, trace.rules_at(other, *at))
            });
            let count = holds.count();
            full += usize::from(count + 1 == rule.limit as usize);
            count < rule.limit as usize
        });
        assert!(fits, "too many: {run:?} at {at}\n{}", trace.text());
        waited += usize::from(*at > run.created);
    }
    let rows = store
        .steps
        .values()
        .filter(|row| row.mark.kind == StepKind::Begun);
    let once: BTreeSet<Seq> = rows.map(|row| row.mark.run).collect();
    assert_eq!(
        once.len(),
        begun.len(),
        "a run begins once\n{}",
        trace.text()
    );
    let stopped = |run: &&RunRow| store.ends[&run.seq].status == RunStatus::Cancelled;
    let others = store.runs.values().filter(|run| !stopped(run));
    assert!(others.count() <= once.len(), "{}", trace.text());
    [full, waited, trace.crashes.len()]
}

#[test]
fn runs_under_way_are_never_more_than_allowed() {
    reached(traces(live), [40_000, 20_000, 3_000]);
}
