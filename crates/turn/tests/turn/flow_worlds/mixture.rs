//! All rules in one world, with cancellations, invocations, pauses and limits of operators: whatever
//! happens, each event of a function comes to one thing, and all comes to rest.

use dunlin_engine::config::{
    BatchRule, ConcurrencyRule, DebounceRule, FlowRules, FunctionSpec, Limit, LimitTarget, Rate,
    RateRule, Scope, SingletonMode, SingletonRule, Timeouts,
};
use dunlin_engine::{Input, RunStatus};
use dunlin_types::{Payload, Seq};

use super::{Reached, Trace, number, reached, traces};
use crate::world::{cancelled_on, keyed, ruled, spec};

fn key(trace: &mut Trace) -> Option<String> {
    trace.chance(2).then(|| "event.data.k".to_owned())
}

fn counted(trace: &mut Trace) -> ConcurrencyRule {
    ConcurrencyRule {
        limit: 1 + trace.dice.below(3) as u32,
        key: key(trace),
        scope: trace.one_of(&[Scope::Function, Scope::Env, Scope::Account]),
    }
}

fn rate(trace: &mut Trace) -> RateRule {
    RateRule {
        limit: 1 + trace.dice.below(4) as u32,
        period_ms: trace.odd_ms(1_000, 300),
        burst: trace.dice.below(2) as u32,
        key: key(trace),
    }
}

fn flow(trace: &mut Trace) -> FlowRules {
    let mut flow = FlowRules::default();
    for _ in 0..trace.dice.below(3) {
        let rule = counted(trace);
        flow.concurrency.push(rule);
    }
    if trace.chance(3) {
        let rule = counted(trace);
        flow.runs.push(rule);
    }
    flow.throttle = trace.chance(4).then(|| rate(trace));
    if trace.chance(3) {
        flow.batch = Some(BatchRule {
            size_max: 2 + trace.dice.below(2) as u32,
            timeout_ms: trace.odd_ms(1_000, 200),
            key: key(trace),
            condition: trace.chance(2).then(|| "event.data.b".to_owned()),
        });
        return flow;
    }
    flow.priority = trace.chance(3).then(|| "event.data.n * 3".to_owned());
    match trace.dice.below(4) {
        0 => flow.rate_limit = Some(rate(trace)),
        1 => flow.idempotency = Some("event.data.n".to_owned()),
        _ => {}
    }
    if trace.chance(3) {
        let timeout = trace.chance(2).then(|| trace.odd_ms(2_000, 200));
        flow.debounce = Some(DebounceRule {
            period_ms: trace.odd_ms(1_000, 100),
            timeout_ms: timeout,
            key: key(trace),
        });
    }
    if trace.chance(3) {
        let mode = trace.one_of(&[SingletonMode::Skip, SingletonMode::Cancel]);
        flow.singleton = Some(SingletonRule {
            key: key(trace),
            mode,
        });
    }
    flow
}

fn specs(trace: &mut Trace) -> Vec<FunctionSpec> {
    let timeouts = Timeouts {
        start_ms: trace.chance(4).then_some(3_337),
        finish_ms: trace.chance(4).then_some(5_553),
    };
    let f = FunctionSpec {
        timeouts,
        ..ruled(spec("app-f", "go", None), flow(trace))
    };
    let g = cancelled_on(ruled(spec("app-g", "go", None), flow(trace)), "stop", None);
    let h = ruled(spec("app-h", "other", None), flow(trace));
    vec![f, g, h]
}

/// The rules of now with other limits.
fn relimited(trace: &mut Trace) -> Vec<FunctionSpec> {
    let (_, mut specs) = trace.synced.last().cloned().expect("it is registered");
    for flow in specs.iter_mut().map(|one| &mut one.flow) {
        let counted = flow.concurrency.iter_mut().chain(&mut flow.runs);
        counted.for_each(|rule| rule.limit = 1 + trace.dice.below(4) as u32);
        let rates = flow.throttle.iter_mut().chain(&mut flow.rate_limit);
        rates.for_each(|rule| rule.limit = 1 + trace.dice.below(4) as u32);
    }
    specs
}

fn limit(trace: &mut Trace) -> Limit {
    let target = if trace.chance(2) {
        LimitTarget::Host("api".to_owned())
    } else {
        LimitTarget::Step {
            function: "app-f".to_owned(),
            step: "a".to_owned(),
        }
    };
    let rate = Rate {
        limit: 2,
        period_ms: 1_003,
        burst: 0,
    };
    Limit {
        name: trace.one_of(&["one", "two"]).to_owned(),
        target,
        concurrency: trace.chance(2).then_some(1),
        rate: trace.chance(2).then_some(rate),
    }
}

/// Something happens beside events.
fn disturb(trace: &mut Trace) {
    let token = trace.world.token();
    match trace.dice.below(8) {
        0 => {
            let limit = Box::new(limit(trace));
            trace.world.input(Input::PutLimit { token, limit });
        }
        1 => {
            let name = trace.one_of(&["one", "two"]).to_owned();
            trace.world.input(Input::RemoveLimit { token, name });
        }
        2 => {
            let (function, paused) = (trace.dice.below(3) as u32, trace.chance(2));
            trace.world.pause(function, paused);
        }
        3 => {
            let k = trace.dice.below(2);
            trace.world.send(keyed("stop", k));
        }
        4 if !trace.world.store.runs.is_empty() => {
            let n = 1 + trace.dice.below(trace.world.store.runs.len() as u64);
            let run = trace.world.run(n as usize);
            trace.world.cancel(run);
        }
        5 => {
            let next = relimited(trace);
            trace.sync(next);
        }
        6 => {
            let data = Payload::from_json("{\"k\":1,\"n\":7,\"b\":true}");
            let event = Box::new(dunlin_types::NewEvent {
                data,
                ..keyed("invoked", 1)
            });
            let function = trace.one_of(&["app-f", "app-g", "app-h"]).to_owned();
            trace.world.input(Input::Invoke {
                token,
                function,
                event,
            });
        }
        _ => {}
    }
}

fn live(seed: u64) -> Reached {
    let mut trace = Trace::new(seed, 9);
    let texts = [
        "",
        "step a",
        "par [ step a | step b ]",
        "sleep s 800 step a",
        "fetch x step a",
        "step a fails 1",
        "invoke i app-h 6000 caught step a",
    ];
    for slug in ["app-f", "app-g"] {
        let text = trace.one_of(&texts);
        trace.world.program(slug, text);
    }
    trace.world.program("app-h", "step c");
    let first = specs(&mut trace);
    trace.sync(first);
    for _ in 0..3 + trace.dice.below(7) {
        let (k, b) = (trace.dice.below(2), trace.chance(2));
        trace.send("go", &format!(",\"k\":{k},\"b\":{b}"));
        let tens = trace.one_of(&[0, 10, 50, 200]);
        let tens = trace.dice.below(tens + 1);
        trace.pass(tens);
        if trace.chance(2) {
            disturb(&mut trace);
        }
    }
    (0..3).for_each(|function| {
        trace.world.pause(function, false);
    });
    trace.rest();
    judge(&trace)
}

fn judge(trace: &Trace) -> Reached {
    let store = &trace.world.store;
    let mut reached = [0, 0, trace.crashes.len()];
    let of = |function: u32, event: Seq| {
        let runs = trace.runs_of(function, event).len();
        let dropped = usize::from(store.dropped.contains_key(&(event, function)));
        (runs, dropped)
    };
    for event in trace.events("go") {
        for slug in ["app-f", "app-g"] {
            let (runs, dropped) = of(number(&trace.world, slug), event.seq);
            assert_eq!(
                runs + dropped,
                1,
                "{} of {slug}\n{}",
                event.seq,
                trace.text()
            );
            reached[0] += dropped;
        }
    }
    for event in trace.events("inngest/function.invoked") {
        let functions = 0..3;
        let all = functions.map(|function| of(function, event.seq));
        let sum: usize = all.map(|(runs, dropped)| runs + dropped).sum();
        assert_eq!(sum, 1, "{} is invoked once\n{}", event.seq, trace.text());
    }
    let mut ends = store.ends.values();
    assert!(ends.all(|end| end.status != RunStatus::Live));
    reached[1] = store
        .runs
        .values()
        .filter(|run| !run.more.is_empty())
        .count();
    reached
}

#[test]
fn under_all_rules_together_each_event_comes_to_one_thing() {
    reached(traces(live), [15_000, 7_000, 3_000]);
}
