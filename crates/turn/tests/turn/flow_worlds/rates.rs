//! Rate limit and idempotency: a bucket a key over the durable events says which of them start runs.

use std::collections::BTreeMap;

use dunlin_engine::config::{FlowRules, RateRule, Rule};
use dunlin_types::{Event, Seq};

use super::{Bucket, Reached, Trace, member, one, reached, traces};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

fn rate(trace: &mut Trace, key: Option<String>) -> RateRule {
    let limit = trace.one_of(&[1, 2, 5, 10, 19, 20, 35]);
    RateRule {
        limit,
        period_ms: trace.odd_ms(1_000, 2_000),
        burst: 0,
        key,
    }
}

/// What a rule lets through: its numbers, and the key under which an event counts, if it does.
fn meaning(rules: &FlowRules, event: &Event) -> (Rule, (i64, i64), Option<String>) {
    let (rule, numbers, key) = match (&rules.rate_limit, &rules.idempotency) {
        (Some(rate), _) => {
            let at_once = 1 + rate.limit / 10;
            let numbers = Bucket::numbers(rate.limit, rate.period_ms, at_once);
            (Rule::RateLimit, numbers, rate.key.as_ref())
        }
        (None, key) => (
            Rule::Idempotency,
            Bucket::numbers(1, DAY_MS, 1),
            key.as_ref(),
        ),
    };
    let text = match key {
        None => Some(""),
        Some(_) => member(event, "k").filter(|text| *text != "false"),
    };
    (rule, numbers, text.map(str::to_owned))
}

fn live(seed: u64) -> Reached {
    let mut trace = Trace::new(seed, 1);
    let by_day = trace.chance(4);
    let key = (by_day || trace.chance(2)).then(|| "event.data.k".to_owned());
    let rules = |trace: &mut Trace| FlowRules {
        rate_limit: (!by_day).then(|| rate(trace, key.clone())),
        idempotency: key.clone().filter(|_| by_day),
        ..FlowRules::default()
    };
    let first = rules(&mut trace);
    trace.world.program("app-f", "");
    trace.sync(one(first));
    for _ in 0..4 + trace.dice.below(12) {
        let k = trace.one_of(&["0", "1", "false"]);
        trace.send("go", &format!(",\"k\":{k}"));
        let most = if by_day { 200_000 } else { 120 };
        let tens = trace.one_of(&[0, 1, most / 10, most, 10 * most]);
        let tens = trace.dice.below(tens + 1);
        trace.pass(tens);
        if trace.chance(12) {
            let next = rules(&mut trace);
            trace.sync(one(next));
        }
    }
    trace.rest();
    judge(&trace)
}

fn judge(trace: &Trace) -> Reached {
    let function = trace.number("app-f");
    let mut buckets: BTreeMap<String, (Bucket, Seq)> = BTreeMap::new();
    let mut reached = [0; 3];
    for event in trace.events("go") {
        let rules = trace.rules_at("app-f", event.received);
        let (rule, numbers, key) = meaning(rules, &event);
        let runs = trace.runs_of(function, event.seq);
        let dropped = trace.world.store.dropped.get(&(event.seq, function));
        let fits = key.as_ref().is_none_or(|key| {
            let (bucket, _) = buckets.entry(key.clone()).or_default();
            bucket.take(numbers, event.received)
        });
        if fits {
            assert_eq!(runs.len(), 1, "event {} runs\n{}", event.seq, trace.text());
            assert!(dropped.is_none(), "{dropped:?}\n{}", trace.text());
            if let Some(known) = key.and_then(|key| buckets.get_mut(&key)) {
                known.1 = runs[0].seq;
            }
        } else {
            let text = key.unwrap_or_default();
            assert!(runs.is_empty(), "event {}\n{}", event.seq, trace.text());
            let row = dropped.unwrap_or_else(|| panic!("{} is lost\n{}", event.seq, trace.text()));
            assert_eq!((row.rule, &row.key), (rule, &text), "{}", trace.text());
            assert_eq!(row.kept, Some(buckets[&text].1), "{}", trace.text());
            assert_eq!(row.at, event.received);
        }
        reached[usize::from(!fits)] += 1;
    }
    reached[2] = trace.crashes.len() + trace.restarts.len();
    reached
}

#[test]
fn rates_let_through_what_a_bucket_would() {
    reached(traces(live), [20_000, 20_000, 5_000]);
}
