//! Batching: durable events of a key are put together in the order in which they came, until they
//! are enough or the first has waited long enough.

use std::collections::BTreeMap;

use dunlin_engine::config::{BatchRule, FlowRules};
use dunlin_types::{Seq, Timestamp};

use super::{Reached, Trace, member, one, reached, traces, value};

fn rules(trace: &mut Trace, key: Option<String>, condition: Option<String>) -> FlowRules {
    FlowRules {
        batch: Some(BatchRule {
            size_max: 2 + trace.dice.below(4) as u32,
            timeout_ms: trace.odd_ms(1_000, 500),
            key,
            condition,
        }),
        ..FlowRules::default()
    }
}

fn live(seed: u64) -> Reached {
    let mut trace = Trace::new(seed, 3);
    let key = trace.chance(2).then(|| "event.data.k".to_owned());
    let condition = trace.chance(2).then(|| "event.data.b".to_owned());
    let first = rules(&mut trace, key.clone(), condition.clone());
    trace.world.program("app-f", "");
    trace.sync(one(first));
    for _ in 0..4 + trace.dice.below(12) {
        let k = trace.one_of(&["0", "1", "false"]);
        let b = trace.one_of(&["", ",\"b\":true", ",\"b\":true", ",\"b\":false"]);
        trace.send("go", &format!(",\"k\":{k}{b}"));
        let tens = trace.one_of(&[0, 20, 100, 400]);
        let tens = trace.dice.below(tens + 1);
        trace.pass(tens);
        if trace.chance(15) {
            let next = rules(&mut trace, key.clone(), condition.clone());
            trace.sync(one(next));
        }
    }
    trace.rest();
    judge(&trace)
}

fn judge(trace: &Trace) -> Reached {
    let mut open: BTreeMap<String, (Timestamp, Vec<Seq>)> = BTreeMap::new();
    let mut expected: BTreeMap<Vec<Seq>, Timestamp> = BTreeMap::new();
    let mut alone = 0;
    for event in trace.events("go") {
        let now = event.received;
        let rule = trace.rules_at("app-f", now).batch.as_ref();
        let rule = rule.expect("it has one");
        if rule.condition.is_some() && member(&event, "b") != Some("true") {
            expected.insert(vec![event.seq], now);
            alone += 1;
            continue;
        }
        let key = value(&event, rule.key.as_ref());
        if open.get(&key).is_some_and(|(due, _)| *due <= now)
            && let Some((due, events)) = open.remove(&key)
        {
            expected.insert(events, due);
        }
        let (due, events) = open.entry(key).or_insert_with(|| (now, Vec::new()));
        events.push(event.seq);
        let first = &trace.world.store.events[&events[0]];
        *due = first.received.plus_ms(rule.timeout_ms).max(now);
        if events.len() >= rule.size_max as usize {
            *due = now;
        }
    }
    expected.extend(open.into_values().map(|(due, events)| (events, due)));
    let slack = 4 * (trace.world.delays.commit + trace.world.delays.load) as i64;
    let runs = trace.world.store.runs.values();
    let mut made = BTreeMap::new();
    for run in runs {
        let events: Vec<Seq> = std::iter::once(run.event)
            .chain(run.more.iter().copied())
            .collect();
        let due = *expected.get(&events).unwrap_or_else(|| {
            panic!("not together: {events:?} {expected:?}\n{}", trace.text());
        });
        let latest = due
            .max(trace.fault_before(run.created))
            .max(trace.synced_before(run.created));
        assert!(run.created >= due, "too early: {run:?}\n{}", trace.text());
        assert!(
            run.created <= latest.plus_ms(slack),
            "too late: {run:?}\n{}",
            trace.text()
        );
        assert!(
            made.insert(events, due).is_none(),
            "twice: {run:?}\n{}",
            trace.text()
        );
    }
    assert_eq!(made, expected, "{}", trace.text());
    let full = made.keys().filter(|events| events.len() > 1).count();
    [full, alone, trace.crashes.len()]
}

#[test]
fn events_run_together_in_the_order_in_which_they_came() {
    reached(traces(live), [15_000, 5_000, 5_000]);
}
