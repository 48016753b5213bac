//! Priority: of the runs that wait in a queue, the one with the smallest score begins first.
//!
//! Beside the rules that are tried stands a throttle that holds nothing back: because of it, the
//! store says in which order runs began.

use dunlin_engine::config::{ConcurrencyRule, FlowRules, RateRule, Scope};
use dunlin_engine::step::StepRow;
use dunlin_engine::{RunRow, RunStatus};

use super::{Reached, Trace, member, one, reached, traces, value};

fn live(seed: u64) -> Reached {
    let mut trace = Trace::new(seed, 5);
    let key = trace.chance(2).then(|| "event.data.k".to_owned());
    let rules = FlowRules {
        concurrency: vec![ConcurrencyRule {
            limit: 1,
            key: key.clone(),
            scope: Scope::Function,
        }],
        throttle: Some(RateRule {
            limit: 1_000_000,
            period_ms: 1_000,
            burst: 0,
            key: None,
        }),
        priority: Some("event.data.p".to_owned()),
        ..FlowRules::default()
    };
    trace.world.program("app-f", "");
    trace.watch_begun();
    trace.sync(one(rules));
    let bounds = [1, 5, 60, 43_200, 50_000];
    let most = trace.one_of(&bounds);
    for _ in 0..5 + trace.dice.below(10) {
        let k = trace.one_of(&["0", "1"]);
        let p = trace.dice.below(2 * most + 1) as i64 - most as i64;
        let p = match trace.dice.below(8) {
            0 => String::new(),
            1 => ",\"p\":\"high\"".to_owned(),
            _ => format!(",\"p\":{p}"),
        };
        trace.send("go", &format!(",\"k\":{k}{p}"));
        let tens = trace.one_of(&[0, 2, 20, 100]);
        let tens = trace.dice.below(tens + 1);
        trace.pass(tens);
        if trace.chance(12) {
            let n = trace.world.store.runs.len() as u64;
            if n > 0 {
                let n = 1 + trace.dice.below(n);
                let run = trace.world.run(n as usize);
                trace.world.cancel(run);
            }
        }
    }
    trace.rest();
    judge(&trace, key.as_ref())
}

/// Where a run stands in its queue.
fn score(trace: &Trace, run: &RunRow) -> i64 {
    let event = &trace.world.store.events[&run.event];
    let said = member(event, "p").and_then(|text| text.parse::<i64>().ok());
    let seconds = said.unwrap_or(0).clamp(-43_200, 43_200);
    run.created.ms() - 1_000 * seconds
}

fn judge(trace: &Trace, key: Option<&String>) -> Reached {
    let store = &trace.world.store;
    let of = |run: &RunRow| value(&store.events[&run.event], key);
    let begun = trace.begun(trace.number("app-f"));
    let (mut overtook, mut waited) = (0, 0);
    for (n, (row, run)) in begun.iter().enumerate() {
        let held = trace.held_until(row.ended);
        let waits = |other: &&RunRow| {
            let made = other.seq < row.mark.seq && other.created < row.ended;
            let ready = other.due.max(made_ready(held, other, row)) < row.ended;
            let began = begun[..=n]
                .iter()
                .any(|(_, before)| before.seq == other.seq);
            // Who is to be cancelled may no longer be asked.
            let end = &store.ends[&other.seq];
            let lives = end.ended > row.ended && end.status != RunStatus::Cancelled;
            made && ready && lives && !began && of(other) == of(run)
        };
        for other in store.runs.values().filter(waits) {
            let (one, two) = (
                (score(trace, run), run.seq),
                (score(trace, other), other.seq),
            );
            assert!(
                one < two,
                "{run:?} began before {other:?} by {row:?}\n{}",
                trace.text()
            );
            overtook += usize::from(other.seq < run.seq);
            waited += 1;
        }
    }
    let cancelled = |run: &&RunRow| store.ends[&run.seq].status == RunStatus::Cancelled;
    let others = store.runs.values().filter(|run| !cancelled(run)).count();
    assert!(begun.len() >= others, "every run began\n{}", trace.text());
    [overtook, waited, trace.crashes.len()]
}

/// A run that was there when the process died waits a moment longer.
fn made_ready(
    held: dunlin_types::Timestamp,
    run: &RunRow,
    row: &StepRow,
) -> dunlin_types::Timestamp {
    let died = held.plus_ms(-1_000);
    if held >= row.ended && run.created <= died {
        held
    } else {
        run.created
    }
}

#[test]
fn of_those_that_wait_the_smallest_score_begins() {
    reached(traces(live), [20_000, 50_000, 4_000]);
}
