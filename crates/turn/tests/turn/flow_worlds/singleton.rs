//! Singleton: of the durable runs of a key, at most one is live at any instant; the others were
//! skipped because of it, or stopped because of them.

use dunlin_engine::config::{FlowRules, SingletonMode, SingletonRule};
use dunlin_engine::step::StepKind;
use dunlin_engine::{RunRow, RunStatus};
use dunlin_types::{Timestamp, ulid_for};

use super::{Reached, Trace, member, one, reached, traces};

fn live(seed: u64) -> Reached {
    let mut trace = Trace::new(seed, 4);
    let mode = trace.one_of(&[SingletonMode::Skip, SingletonMode::Cancel]);
    let key = trace.chance(2).then(|| "event.data.k".to_owned());
    let rules = FlowRules {
        singleton: Some(SingletonRule { key, mode }),
        ..FlowRules::default()
    };
    let texts = [
        "",
        "step a",
        "step a sleep s 1500",
        "sleep s 20000",
        "step a fails 1",
    ];
    let text = trace.one_of(&texts);
    trace.world.program("app-f", text);
    trace.sync(one(rules));
    let mut asked = Vec::new();
    for _ in 0..4 + trace.dice.below(8) {
        let k = trace.one_of(&["0", "1", "false"]);
        trace.send("go", &format!(",\"k\":{k}"));
        let tens = trace.one_of(&[0, 20, 200, 1_000]);
        let tens = trace.dice.below(tens + 1);
        trace.pass(tens);
        if trace.chance(10) && !trace.world.store.runs.is_empty() {
            let n = 1 + trace.dice.below(trace.world.store.runs.len() as u64);
            let run = trace.world.run(n as usize);
            trace.world.cancel(run);
            asked.push(run);
        }
    }
    trace.rest();
    let judged = Judged {
        trace: &trace,
        mode,
    };
    judged.judge(&asked)
}

struct Judged<'a> {
    trace: &'a Trace,
    mode: SingletonMode,
}

impl Judged<'_> {
    /// The key under which a run counts; none if it needs no lock.
    fn key(&self, run: &RunRow) -> Option<String> {
        let (_, specs) = &self.trace.synced[0];
        let rule = specs[0].flow.singleton.as_ref().expect("it has one");
        if rule.key.is_none() {
            return Some(String::new());
        }
        let text = member(&self.trace.world.store.events[&run.event], "k");
        text.filter(|text| *text != "false").map(str::to_owned)
    }

    /// When a run ended, or was to.
    fn gone(&self, run: &RunRow) -> Timestamp {
        let store = &self.trace.world.store;
        let rows = store.steps.values().filter(|row| row.mark.run == run.seq);
        let mut stopped = rows.filter(|row| row.mark.kind == StepKind::Stopped);
        let ended = store.ends[&run.seq].ended;
        stopped.next().map_or(ended, |row| row.ended)
    }

    fn judge(&self, asked: &[dunlin_types::Seq]) -> Reached {
        let (trace, store) = (self.trace, &self.trace.world.store);
        let status = |run: &RunRow| store.ends[&run.seq].status;
        let (skipped, ran): (Vec<&RunRow>, Vec<&RunRow>) = store
            .runs
            .values()
            .partition(|run| status(run) == RunStatus::Skipped);
        assert_eq!(
            store.runs.len(),
            trace.events("go").len(),
            "{}",
            trace.text()
        );
        for run in &skipped {
            assert_eq!(self.mode, SingletonMode::Skip);
            let output = store.ends[&run.seq].output.as_str();
            let named =
                |other: &&&RunRow| output.contains(&ulid_for(other.created, other.seq).to_string());
            let holder = ran.iter().find(named);
            let holder = holder.unwrap_or_else(|| panic!("no holder: {output}\n{}", trace.text()));
            let (key, of) = (self.key(run), self.key(holder));
            assert!(
                key.is_some() && key == of,
                "{run:?} {holder:?}\n{}",
                trace.text()
            );
            let lived = holder.seq < run.seq && store.ends[&holder.seq].ended >= run.created;
            assert!(lived, "{run:?} {holder:?}\n{}", trace.text());
        }
        let mut taken_over = 0;
        for (n, run) in ran.iter().enumerate() {
            let Some(key) = self.key(run) else { continue };
            let others = ran[..n]
                .iter()
                .filter(|other| self.key(other).as_ref() == Some(&key));
            for other in others {
                let gone = self.gone(other);
                assert!(gone <= run.created, "{other:?} {run:?}\n{}", trace.text());
            }
            let next = ran[n + 1..]
                .iter()
                .find(|other| self.key(other).as_ref() == Some(&key));
            if status(run) == RunStatus::Cancelled && !asked.contains(&run.seq) {
                let by = next.unwrap_or_else(|| panic!("stopped: {run:?}\n{}", trace.text()));
                assert_eq!(self.mode, SingletonMode::Cancel, "{}", trace.text());
                assert_eq!(
                    self.gone(run),
                    by.created,
                    "{run:?} {by:?}\n{}",
                    trace.text()
                );
                taken_over += 1;
            }
        }
        [skipped.len(), taken_over, trace.crashes.len()]
    }
}

#[test]
fn of_a_key_one_run_is_live() {
    reached(traces(live), [8_000, 8_000, 4_000]);
}
