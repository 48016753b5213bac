//! Debounce: of the durable events of a key, those that follow each other closely make one run, of
//! the last one.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_engine::config::{DebounceRule, FlowRules, Rule};
use dunlin_types::{NewEvent, Payload, Seq, Timestamp};

use super::{Reached, Trace, one, reached, traces, value};
use crate::world::event;

/// What gathers under a key.
#[derive(Clone, Copy)]
struct Open {
    opened: Timestamp,
    due: Timestamp,
    event: Seq,
    ts: Timestamp,
}

fn rules(trace: &mut Trace, key: Option<String>) -> FlowRules {
    let timeout = trace.chance(2).then(|| trace.odd_ms(1_000, 800));
    FlowRules {
        debounce: Some(DebounceRule {
            period_ms: trace.odd_ms(1_000, 200),
            timeout_ms: timeout,
            key,
        }),
        ..FlowRules::default()
    }
}

fn live(seed: u64) -> Reached {
    let mut trace = Trace::new(seed, 2);
    let key = trace.chance(2).then(|| "event.data.k".to_owned());
    let first = rules(&mut trace, key.clone());
    trace.world.program("app-f", "");
    trace.sync(one(first));
    for _ in 0..4 + trace.dice.below(12) {
        let k = trace.one_of(&["0", "1", "false"]);
        // Late, in time, or claiming to be of the future.
        let off = trace.one_of(&[0, 0, -700, -5_000, 4_000]);
        let new = NewEvent {
            data: Payload::from_json(format!("{{\"n\":{},\"k\":{k}}}", trace.sent)),
            ts: Some(trace.world.now.plus_ms(off)),
            ..event("go")
        };
        trace.send_with(new);
        let tens = trace.one_of(&[0, 40, 150, 500]);
        let tens = trace.dice.below(tens + 1);
        trace.pass(tens);
        if trace.chance(15) {
            let next = rules(&mut trace, key.clone());
            trace.sync(one(next));
        }
    }
    trace.rest();
    judge(&trace)
}

fn judge(trace: &Trace) -> Reached {
    let function = trace.number("app-f");
    let mut open: BTreeMap<String, Open> = BTreeMap::new();
    let mut runs: BTreeMap<Seq, Timestamp> = BTreeMap::new();
    let mut dropped: BTreeSet<(Seq, Seq)> = BTreeSet::new();
    for event in trace.events("go") {
        let rules = trace.rules_at("app-f", event.received);
        let rule = rules.debounce.as_ref().expect("it has one");
        let key = value(&event, rule.key.as_ref());
        let (now, ts) = (event.received, event.ts.min(event.received));
        if let Some(over) = open.get(&key).filter(|open| open.due <= now).copied() {
            runs.insert(over.event, over.due);
            open.remove(&key);
        }
        let known = open.get(&key).copied();
        let opened = known.map_or(now, |open| open.opened);
        let quiet = now.plus_ms(rule.period_ms);
        let latest = rule.timeout_ms.map_or(quiet, |ms| opened.plus_ms(ms));
        let due = quiet.min(latest).max(now);
        match known {
            Some(newer) if ts < newer.ts => {
                dropped.insert((event.seq, newer.event));
                continue;
            }
            Some(older) => {
                dropped.insert((older.event, event.seq));
            }
            None => {}
        }
        let event = event.seq;
        open.insert(
            key,
            Open {
                opened,
                due,
                event,
                ts,
            },
        );
    }
    runs.extend(open.values().map(|open| (open.event, open.due)));
    let store = &trace.world.store;
    let made: BTreeSet<Seq> = store.runs.values().map(|run| run.event).collect();
    assert_eq!(
        made.len(),
        store.runs.len(),
        "no event has two runs\n{}",
        trace.text()
    );
    assert_eq!(
        made,
        runs.keys().copied().collect(),
        "{runs:?}\n{}",
        trace.text()
    );
    let slack = 4 * (trace.world.delays.commit + trace.world.delays.load) as i64;
    for run in store.runs.values() {
        let due = runs[&run.event];
        let latest = due
            .max(trace.fault_before(run.created))
            .max(trace.synced_before(run.created));
        assert!(run.created >= due, "too early: {run:?}\n{}", trace.text());
        assert!(
            run.created <= latest.plus_ms(slack),
            "too late: {run:?}\n{}",
            trace.text()
        );
        assert!(run.more.is_empty());
    }
    let told = store.dropped.iter().map(|((event, of), row)| {
        assert_eq!((*of, row.rule), (function, Rule::Debounce));
        (*event, row.kept.expect("it is known"))
    });
    assert_eq!(told.collect::<BTreeSet<_>>(), dropped, "{}", trace.text());
    [runs.len(), dropped.len(), trace.crashes.len()]
}

#[test]
fn of_events_close_together_the_last_one_runs() {
    reached(traces(live), [20_000, 20_000, 5_000]);
}
