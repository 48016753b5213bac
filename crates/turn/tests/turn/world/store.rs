//! What is durable in the world, with the rules that every row must keep.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_delivery::{Delivery, DeliveryOptions, Known};
use dunlin_engine::config::{AppRow, FunctionRow, Limit, Rule};
use dunlin_engine::step::{StepFlags, StepRow};
use dunlin_engine::{
    CounterRow, CronRow, DroppedRow, Engine, GatherRow, Image, Ledger, LedgerRows, Options, RunEnd,
    RunRow, RunStatus, Write,
};
use dunlin_turn::{Decided, Need, Rows, Turn};
use dunlin_types::{DedupeKey, Event, Lifecycle, Seq, StepId, Timestamp};

/// Committed rows.
#[derive(Clone, Default)]
pub(crate) struct Store {
    pub events: BTreeMap<Seq, Arc<Event>>,
    pub runs: BTreeMap<Seq, RunRow>,
    pub steps: BTreeMap<Seq, StepRow>,
    pub ends: BTreeMap<Seq, RunEnd>,
    pub told: Vec<(Seq, Lifecycle)>,
    pub results: BTreeMap<(Seq, StepId), Seq>,
    pub images: BTreeMap<Seq, Image>,
    pub crons: BTreeMap<(u32, String), CronRow>,
    pub claims: BTreeSet<Seq>,
    pub counters: BTreeMap<(u32, Rule, DedupeKey), CounterRow>,
    pub gathers: BTreeMap<Seq, (GatherRow, Vec<Seq>)>,
    pub dropped: BTreeMap<(Seq, u32), DroppedRow>,
    pub limits: BTreeMap<String, Limit>,
    pub writes: usize,
    fold_from: Seq,
    pub apps: BTreeMap<u32, AppRow>,
    pub functions: BTreeMap<u32, FunctionRow>,
    dedupe: BTreeMap<DedupeKey, (Seq, Timestamp)>,
    commit_no: u64,
    last: u64,
}

impl Store {
    /// Makes a commit durable.
    pub(crate) fn commit(&mut self, decided: Decided) {
        assert_eq!(decided.commit_no, self.commit_no + 1, "commits are counted");
        assert!(decided.delivery.is_empty());
        self.commit_no = decided.commit_no;
        for write in decided.engine {
            self.write(write);
        }
    }

    fn write(&mut self, write: Write) {
        self.writes += 1;
        match write {
            Write::Event(event) => {
                self.place(event.seq);
                self.events.insert(event.seq, event);
            }
            Write::Lifecycle(row) => {
                self.place(row.seq);
                assert!(self.ends.contains_key(&row.run), "told of a run that lives");
                assert!(!self.told.contains(&(row.run, row.kind)), "told twice");
                self.told.push((row.run, row.kind));
            }
            Write::Dedupe { key, seq, expires } => {
                self.dedupe.insert(key, (seq, expires));
            }
            Write::Run(row) => {
                self.place(row.seq);
                assert!(self.events.contains_key(&row.event), "a run of no event");
                self.runs.insert(row.seq, row);
            }
            Write::Step(row) => self.step(row),
            Write::RunEnd(end) => {
                assert_eq!(end.last, self.last_of(end.run));
                let imaged = self.images.remove(&end.run).is_some();
                assert_eq!(end.imaged, imaged, "what is known of images is true");
                let before = self.ends.insert(end.run, end);
                assert!(before.is_none(), "a run ends once");
            }
            Write::Image(image) => {
                assert!(!self.ends.contains_key(&image.run));
                self.images.insert(image.run, image);
            }
            Write::FoldFrom(seq) => self.fold_from = seq,
            Write::Cron(row) => {
                let key = (row.function, row.schedule.clone());
                match row.last {
                    Some(_) => self.crons.insert(key, row),
                    None => self.crons.remove(&key),
                };
            }
            Write::Claim(event) => {
                assert!(self.events.contains_key(&event), "a claim of no event");
                self.claims.insert(event);
            }
            Write::Claimed(event) => {
                assert!(self.claims.remove(&event), "it was claimed");
            }
            Write::Counter(row) => {
                let key = (row.function, row.rule, row.key);
                match row.tat_ns {
                    Some(_) => self.counters.insert(key, row),
                    None => self.counters.remove(&key),
                };
            }
            Write::Gather(row) => {
                assert!(self.events.contains_key(&row.event), "it gathers events");
                if !self.gathers.contains_key(&row.seq) {
                    self.place(row.seq);
                }
                let (seq, more) = (row.seq, self.gathers.remove(&row.seq));
                let more = more.map_or_else(Vec::new, |(_, more)| more);
                self.gathers.insert(seq, (row, more));
            }
            Write::Gathered { gather, event } => {
                assert!(self.events.contains_key(&event), "it gathers events");
                let known = self.gathers.get_mut(&gather).expect("it gathers");
                known.1.push(event);
            }
            Write::GatherEnd(seq) => {
                assert!(self.gathers.remove(&seq).is_some(), "it ends once");
            }
            Write::Dropped(row) => {
                let before = self.dropped.insert((row.event, row.function), row);
                assert!(before.is_none(), "an event is dropped once");
            }
            Write::Limit(limit) => {
                self.limits.insert(limit.name.clone(), limit);
            }
            Write::LimitGone(name) => {
                self.limits.remove(&name);
            }
            Write::App(row) => {
                self.apps.insert(row.number, row);
            }
            Write::Function(row) => {
                self.functions.insert(row.number, *row);
            }
        }
    }

    fn step(&mut self, row: StepRow) {
        self.place(row.mark.seq);
        let run = row.mark.run;
        assert!(
            !self.ends.contains_key(&run),
            "a row of a run that has ended"
        );
        assert_eq!(row.prev, self.last_of(run), "the chain of rows holds");
        if row.mark.kind.completes() {
            let opened = self.steps.get(&row.mark.item);
            let of_item = opened.and_then(|opened| opened.id.clone());
            let id = row.id.clone().or(of_item).expect("a result has a step");
            let before = self.results.insert((run, id), row.mark.seq);
            assert!(before.is_none(), "a second result of {:?}", row.id);
        }
        self.steps.insert(row.mark.seq, row);
    }

    fn place(&mut self, seq: Seq) {
        assert!(seq.0 > self.last, "places only grow");
        self.last = seq.0;
    }

    fn last_of(&self, run: Seq) -> Seq {
        let rows = self.steps.values().rev();
        let last = rows.map(|row| row.mark).find(|mark| mark.run == run);
        last.map_or(run, |mark| mark.seq)
    }

    /// Reads what a load asks for.
    pub(crate) fn read(&self, need: &Need) -> Rows {
        let known = |key: &DedupeKey| {
            let (seq, expires) = self.dedupe.get(key)?;
            let known = Known {
                seq: *seq,
                at: Timestamp::ZERO,
                hash: [0; 16],
                expires: *expires,
            };
            Some((*key, known))
        };
        Rows {
            ledger: need.ledger.map(|(run, last)| self.ledger(run, last)),
            known: need.keys.iter().filter_map(known).collect(),
            events: need
                .events
                .iter()
                .map(|seq| Arc::clone(&self.events[seq]))
                .collect(),
        }
    }

    /// Forgets what may be forgotten.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        self.dedupe.retain(|_, (_, expires)| now < *expires);
    }

    fn ledger(&self, run: Seq, last: Seq) -> LedgerRows {
        let row = self.runs[&run].clone();
        let mut steps = Vec::new();
        let mut at = last;
        while at != run {
            let row = self.steps[&at].clone();
            at = row.prev;
            steps.push(row);
        }
        steps.reverse();
        LedgerRows {
            events: std::iter::once(&row.event)
                .chain(&row.more)
                .map(|seq| Arc::clone(&self.events[seq]))
                .collect(),
            run: row,
            steps,
        }
    }

    /// The ledger that a run's rows make.
    pub(crate) fn replayed(&self, run: Seq) -> Ledger {
        let rows = self.ledger(run, self.last_of(run));
        let mut ledger = Ledger::new(rows.run.created, rows.events.into());
        rows.steps.iter().for_each(|row| ledger.apply(row));
        ledger
    }

    /// An engine that holds what is durable, before timers are set.
    pub(crate) fn engine(&self, options: Options) -> Engine {
        let mut engine = Engine::new(options);
        self.apps
            .values()
            .for_each(|row| engine.restore_app(row.clone()));
        self.functions
            .values()
            .for_each(|row| engine.restore_function(row.clone()));
        self.crons.values().for_each(|row| engine.restore_cron(row));
        self.limits
            .values()
            .for_each(|row| engine.restore_limit(row.clone()));
        for image in self.images.values() {
            assert!(engine.restore_image(image), "an image reads back");
        }
        let live = |run: &&RunRow| !self.ends.contains_key(&run.seq);
        let runs = self.runs.range(self.fold_from..).map(|(_, row)| row);
        runs.filter(live)
            .for_each(|row| assert!(engine.restore_run(row), "a run reads back"));
        let steps = self.steps.range(self.fold_from..);
        steps.for_each(|(_, row)| engine.restore_step(&row.mark));
        for (_, item) in engine.waits_to_restore() {
            assert!(engine.restore_wait(&self.steps[&item]), "a wait reads back");
        }
        for row in self.counters.values() {
            engine.restore_counter(row);
        }
        for (row, more) in self.gathers.values() {
            engine.restore_gather(row.clone());
            more.iter()
                .for_each(|event| engine.restore_gathered(row.seq, *event));
        }
        for event in &self.claims {
            engine.restore_claim(&self.events[event]);
        }
        engine
    }

    /// A turn over what is durable.
    pub(crate) fn restart(&self, options: Options, now: Timestamp, clean: bool) -> Turn {
        let mut engine = self.engine(options);
        engine.restored(now, clean);
        let delivery = Delivery::new(DeliveryOptions::default());
        Turn::new(engine, delivery, Seq(self.last + 1), self.commit_no)
    }

    /// Rules that hold of all rows together.
    pub(crate) fn audit(&self) {
        for (run, end) in &self.ends {
            let row = &self.runs[run];
            if end.status == RunStatus::Skipped {
                continue;
            }
            let silent = ["inngest/function.failed", "inngest/function.finished"]
                .contains(&self.events[&row.event].name.as_str());
            let count = |kind: Lifecycle| {
                let id = format!(
                    "\"run_id\":\"{}\"",
                    dunlin_types::ulid_for(row.created, *run)
                );
                let full = self.events.values().filter(|event| {
                    event.name == kind.event_name() && event.data.as_str().contains(&id)
                });
                full.count()
                    + self
                        .told
                        .iter()
                        .filter(|told| **told == (*run, kind))
                        .count()
            };
            let finished = usize::from(!silent);
            assert_eq!(
                count(Lifecycle::Finished),
                finished,
                "run {run} tells its end once"
            );
            let failed = usize::from(!silent && end.status == RunStatus::Failed);
            assert_eq!(
                count(Lifecycle::Failed),
                failed,
                "run {run} tells its failure once"
            );
        }
    }

    /// The result of a run's step, as JSON.
    pub(crate) fn results_of(&self, run: Seq, step: &str) -> String {
        let row = self.results[&(run, StepId::new(step))];
        self.steps[&row].payload.as_str().to_owned()
    }

    /// Discoveries that were opened in a run, the first one included.
    pub(crate) fn discoveries(&self, run: Seq) -> usize {
        let rows = self.steps.values().filter(|row| row.mark.run == run);
        1 + rows
            .filter(|row| row.mark.flags.has(StepFlags::DISCOVERS))
            .count()
    }
}
