//! Throttle: the instants at which the durable runs of a key began pass a bucket of tokens, and
//! each began as soon as the bucket let it.

use std::collections::BTreeMap;

use dunlin_engine::config::{FlowRules, RateRule};
use dunlin_engine::{RunRow, RunStatus};
use dunlin_types::{NewEvent, Payload, Seq, Timestamp};

use super::{Bucket, Reached, Trace, one, reached, traces, value};
use crate::world::event;

fn rules(trace: &mut Trace, key: Option<String>) -> FlowRules {
    FlowRules {
        throttle: Some(RateRule {
            limit: 1 + trace.dice.below(4) as u32,
            period_ms: trace.odd_ms(1_000, 400),
            burst: trace.dice.below(3) as u32,
            key,
        }),
        ..FlowRules::default()
    }
}

fn live(seed: u64) -> Reached {
    let mut trace = Trace::new(seed, 6);
    let key = trace.chance(2).then(|| "event.data.k".to_owned());
    let first = rules(&mut trace, key.clone());
    let text = trace.one_of(&["", "step a step b", "step a fails 1 sleep s 700", "throw 1"]);
    if trace.chance(4) {
        trace.world.delays.commit = 0;
    }
    trace.world.program("app-f", text);
    trace.watch_begun();
    trace.sync(one(first));
    for _ in 0..5 + trace.dice.below(10) {
        let k = trace.one_of(&["0", "1", "false"]);
        let ahead = trace.one_of(&[0, 0, 0, 1_500]);
        let new = NewEvent {
            data: Payload::from_json(format!("{{\"n\":{},\"k\":{k}}}", trace.sent)),
            ts: Some(trace.world.now.plus_ms(ahead)),
            ..event("go")
        };
        trace.send_with(new);
        let tens = trace.one_of(&[0, 10, 60, 300]);
        let tens = trace.dice.below(tens + 1);
        trace.pass(tens);
        if trace.chance(15) {
            let next = rules(&mut trace, key.clone());
            trace.sync(one(next));
        }
        if trace.chance(20) && !trace.world.store.runs.is_empty() {
            let run = trace.world.run(1);
            trace.world.cancel(run);
        }
    }
    trace.rest();
    judge(&trace, text)
}

fn numbers(rules: &FlowRules) -> (i64, i64) {
    let rule = rules.throttle.as_ref().expect("it has one");
    Bucket::numbers(rule.limit, rule.period_ms, rule.limit + rule.burst)
}

fn judge(trace: &Trace, text: &str) -> Reached {
    let store = &trace.world.store;
    let mut buckets: BTreeMap<String, Bucket> = BTreeMap::new();
    let mut last: BTreeMap<String, (Seq, i64)> = BTreeMap::new();
    let mut waited = 0;
    let begun = trace.begun(trace.number("app-f"));
    for (row, run) in &begun {
        let at = row.ended;
        let rules = trace.rules_at("app-f", at);
        let key = rules.throttle.as_ref().and_then(|rule| rule.key.as_ref());
        let key = value(&store.events[&run.event], key);
        let bucket = buckets.entry(key.clone()).or_default();
        let ready = run.created.max(run.due);
        let next = bucket.next(numbers(rules));
        let fits = bucket.take(numbers(rules), at);
        assert!(at >= ready, "not ready: {row:?} {run:?}\n{}", trace.text());
        assert!(fits, "too early: {row:?} {bucket:?}\n{}", trace.text());
        let held = trace.held_until(at).max(trace.fault_before(at));
        let latest = next.max(ready).max(held).max(trace.synced_before(at));
        assert!(
            at <= latest,
            "{latest} is too late: {row:?}\n{}",
            trace.text()
        );
        let before = last.insert(key, (run.seq, ready.ms()));
        if let Some((other, was_ready)) = before.filter(|_| trace.crashes.is_empty()) {
            let in_turn = (was_ready, other) < (ready.ms(), run.seq);
            assert!(in_turn, "out of turn: {row:?}\n{}", trace.text());
        }
        waited += usize::from(at > ready);
    }
    let ended = |run: &RunRow| &store.ends[&run.seq];
    let stopped = store
        .runs
        .values()
        .filter(|run| ended(run).status == RunStatus::Cancelled);
    assert!(
        begun.len() + stopped.count() >= store.runs.len(),
        "{}",
        trace.text()
    );
    // What follows the first call is not held back: all runs take the same time.
    let smooth = trace.crashes.is_empty() && trace.restarts.is_empty();
    if smooth && trace.world.delays.commit == 0 && text != "throw 1" && !text.contains("fails") {
        let took = begun
            .iter()
            .filter(|(_, run)| ended(run).status == RunStatus::Completed);
        let took: Vec<i64> = took
            .map(|(row, run)| ended(run).ended.since(row.ended))
            .collect();
        let slack = 3 * trace.world.delays.load as i64;
        let (least, most) = (took.iter().min(), took.iter().max());
        let even = least
            .zip(most)
            .is_none_or(|(least, most)| most - least <= slack);
        assert!(even, "{took:?}\n{}", trace.text());
    }
    let counted = store.counters.values().filter(|row| row.tat_ns.is_some());
    assert!(counted.count() <= buckets.len(), "{}", trace.text());
    [waited, begun.len(), trace.crashes.len()]
}

#[test]
fn runs_begin_as_soon_as_a_bucket_lets_them_and_no_sooner() {
    assert_eq!(Bucket::default().next((5, 5)), Timestamp::ZERO);
    reached(traces(live), [15_000, 50_000, 5_000]);
}
