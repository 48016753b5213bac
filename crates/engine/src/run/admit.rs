//! What becomes of an event that would start a function: rules may drop it, gather it with others,
//! or have its run take the place of another.

use std::sync::Arc;

use dunlin_types::{Event, Payload, Seq, Timestamp, ulid_for};

use crate::config::{Rule, SingletonMode};
use crate::core::{Engine, Work};
use crate::flow::RunKeys;
use crate::flow::admission::Flow;
use crate::flow::{batch, debounce};
use crate::run::fail::escape;
use crate::waits::Waiter;
use crate::write::{CounterRow, DroppedRow, GatherRow, RunEnd, RunRow, RunStatus, Write};

/// What has become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Started {
    /// A run began.
    Run(Seq),
    /// A run was recorded as skipped; in words.
    Skipped(String),
    /// It started nothing, because of a rule.
    Dropped(Rule),
    /// It waits for others.
    Gathering(Rule),
}

impl Started {
    /// The run that began.
    pub(crate) fn run(&self) -> Option<Seq> {
        match self {
            Self::Run(run) => Some(*run),
            _ => None,
        }
    }

    /// Why nothing runs, in words for whoever invoked the function.
    pub(crate) fn refusal(&self, slug: &str) -> Option<String> {
        match self {
            Self::Run(_) | Self::Gathering(_) => None,
            Self::Skipped(why) => Some(format!("the function {slug} {why}, so it was skipped")),
            Self::Dropped(Rule::RateLimit) => Some("invoked function is rate limited".to_owned()),
            Self::Dropped(rule) => Some(format!(
                "the function {slug} was not started because of its rule {rule}"
            )),
        }
    }
}

impl Engine {
    /// Starts a function on an event, as its rules allow.
    pub(crate) fn start(
        &mut self,
        work: &mut Work<'_, '_>,
        function: u32,
        event: &Arc<Event>,
        due: Timestamp,
    ) -> Started {
        if self.is_paused(function) {
            let row = self.run_row(work, function, event.seq, due);
            self.skip(work, &row, "{\"reason\":\"FunctionPaused\"}".to_owned());
            return Started::Skipped("is paused".to_owned());
        }
        let flow = self.catalog.function(function).map(|f| Arc::clone(&f.flow));
        let Some(flow) = flow.filter(|flow| !flow.is_plain()) else {
            return self.start_run(work, function, Arc::from([Arc::clone(event)]), due, false);
        };
        let (now, json) = (work.now(), dunlin_expr::parse_json(&event.json()));
        if let Some((rule, key)) = flow.batch(&json, now) {
            let rule = rule.clone();
            return self.join_batch(work, function, event, (&rule, &key));
        }
        if flow.rules.batch.is_some() {
            return self.start_run(work, function, Arc::from([Arc::clone(event)]), due, false);
        }
        let counted = match self.count(work, function, event, (&flow, &json)) {
            Ok(counted) => counted,
            Err(rule) => return Started::Dropped(rule),
        };
        let started = match flow.debounce(&json, now) {
            Some((rule, key)) => {
                let rule = rule.clone();
                self.join_debounce(work, function, event, (&rule, &key))
            }
            None => self.start_run(work, function, Arc::from([Arc::clone(event)]), due, false),
        };
        for mut row in counted {
            row.last = started.run().unwrap_or(row.last);
            for row in self.counters.put(row, now) {
                work.write(Write::Counter(row));
            }
        }
        started
    }

    /// Counts the event against the rates that drop; the rule that drops it is the error.
    fn count(
        &mut self,
        work: &mut Work<'_, '_>,
        function: u32,
        event: &Event,
        (flow, json): (&Flow, &dunlin_expr::Value),
    ) -> Result<Vec<CounterRow>, Rule> {
        let now = work.now();
        let mut rows = Vec::new();
        for one in &flow.dropping {
            let Some((text, key)) = one.counts(json, now) else {
                continue;
            };
            let known = self.counters.get(function, one.rule, key);
            let tat = one.rate.take(known.map(|(tat, _)| tat), now);
            if tat.is_none() {
                let kept = known.map(|(_, last)| last);
                self.dropped(work, function, event.seq, (one.rule, &text), kept);
                return Err(one.rule);
            }
            rows.push(CounterRow {
                function,
                rule: one.rule,
                key,
                tat_ns: tat,
                last: event.seq,
            });
        }
        Ok(rows)
    }

    /// Records that an event started nothing.
    fn dropped(
        &mut self,
        work: &mut Work<'_, '_>,
        function: u32,
        event: Seq,
        (rule, key): (Rule, &str),
        kept: Option<Seq>,
    ) {
        self.tallies.dropped(function, rule);
        work.write(Write::Dropped(DroppedRow {
            event,
            function,
            at: work.now(),
            rule,
            key: key.to_owned(),
            kept,
        }));
    }

    fn join_debounce(
        &mut self,
        work: &mut Work<'_, '_>,
        function: u32,
        event: &Event,
        (rule, key): (&crate::config::DebounceRule, &str),
    ) -> Started {
        let now = work.now();
        let known = self
            .gathers
            .open(function, Rule::Debounce, key)
            .map(|one| one.row.clone());
        let joined = debounce::join(rule, known.as_ref(), (event.seq, event.ts), now);
        let row = GatherRow {
            seq: known.as_ref().map_or_else(|| work.seq(), |row| row.seq),
            function,
            rule: Rule::Debounce,
            key: key.to_owned(),
            opened: known.as_ref().map_or(now, |row| row.opened),
            due: joined.due,
            event: joined.event,
            ts: joined.ts,
            bytes: event.weight_bytes() as u64,
        };
        if known.as_ref() != Some(&row) {
            self.gathers.put(row.clone(), None);
            work.write(Write::Gather(row));
        }
        if let Some(dropped) = joined.dropped {
            self.dropped(
                work,
                function,
                dropped,
                (Rule::Debounce, key),
                Some(joined.event),
            );
            self.tell_dropped(function, dropped);
        }
        match joined.dropped == Some(event.seq) {
            true => Started::Dropped(Rule::Debounce),
            false => Started::Gathering(Rule::Debounce),
        }
    }

    /// Whoever invoked a function with an event that is dropped need not wait for its end.
    fn tell_dropped(&mut self, function: u32, event: Seq) {
        let slug = self
            .catalog
            .function(function)
            .map_or("", |f| f.row.slug.as_str());
        if let Some(Waiter { run, item }) = self.waits.invoked_by(event, slug) {
            let text =
                format!("another event took the place of this one in the debounce of {slug}");
            let error = crate::run::error_object(dunlin_types::Code::InvokeSkipped, "Error", &text);
            self.skipped.push((Waiter { run, item }, error));
        }
    }

    fn join_batch(
        &mut self,
        work: &mut Work<'_, '_>,
        function: u32,
        event: &Event,
        (rule, key): (&crate::config::BatchRule, &str),
    ) -> Started {
        let now = work.now();
        let known = self.gathers.open(function, Rule::Batch, key);
        let events = known.map_or(0, |one| 1 + one.more.len()) + 1;
        let known = known.map(|one| one.row.clone());
        let bytes = known.as_ref().map_or(0, |row| row.bytes) + event.weight_bytes() as u64;
        let opened = known.as_ref().map_or(now, |row| row.opened);
        let more = known.is_some().then_some(event.seq);
        let row = GatherRow {
            seq: known.as_ref().map_or_else(|| work.seq(), |row| row.seq),
            function,
            rule: Rule::Batch,
            key: key.to_owned(),
            opened,
            due: batch::due(rule, (events, bytes), opened, now),
            event: known.as_ref().map_or(event.seq, |row| row.event),
            ts: known.as_ref().map_or(event.ts, |row| row.ts),
            bytes,
        };
        work.write(Write::Gather(row.clone()));
        if more.is_some() {
            work.write(Write::Gathered {
                gather: row.seq,
                event: event.seq,
            });
        }
        if row.due <= now {
            self.gathers.put(row.clone(), more);
            self.gathers.close(&row);
        } else {
            self.gathers.put(row, more);
        }
        Started::Gathering(Rule::Batch)
    }

    /// A debounce or a batch is over: its events, which are at hand, become a run.
    pub(crate) fn gathered(
        &mut self,
        work: &mut Work<'_, '_>,
        place: Seq,
        events: Vec<Arc<Event>>,
    ) {
        let Some(gather) = self.gathers.remove(place) else {
            return;
        };
        work.write(Write::GatherEnd(place));
        let (function, now) = (gather.row.function, work.now());
        let gone = self
            .catalog
            .function(function)
            .is_none_or(|f| f.row.archived.is_some());
        if events.is_empty() || gone {
            return;
        }
        if self.is_paused(function) {
            let mut row = self.run_row(work, function, gather.row.event, now);
            row.more = gather.more;
            self.skip(work, &row, "{\"reason\":\"FunctionPaused\"}".to_owned());
            return;
        }
        let batched = gather.row.rule == Rule::Batch;
        self.start_run(work, function, events.into(), now, batched);
    }

    /// Makes the run of these events, unless another one holds its lock.
    fn start_run(
        &mut self,
        work: &mut Work<'_, '_>,
        function: u32,
        events: Arc<[Arc<Event>]>,
        due: Timestamp,
        batched: bool,
    ) -> Started {
        let Some(first) = events.first().cloned() else {
            return Started::Skipped("has no event".to_owned());
        };
        let flow = self.catalog.function(function).map(|f| Arc::clone(&f.flow));
        let flow = flow.filter(|flow| !flow.is_plain());
        let mut keys = RunKeys::default();
        let mut skipped = None;
        if let Some(flow) = flow {
            let json = dunlin_expr::parse_json(&first.json());
            keys = flow.keys(&json, work.now());
            if let Some((mode, text, lock)) = flow.singleton(&json, work.now()) {
                keys.singleton = Some((lock, work.now()));
                let holder = self.locks.holder(function, lock);
                skipped = holder.and_then(|holder| self.contend(work, (mode, &text), holder));
            }
        }
        // Only now: the rows that stop a holder come before.
        let mut row = self.run_row(work, function, first.seq, due);
        row.more = events.iter().skip(1).map(|event| event.seq).collect();
        if let Some(why) = skipped {
            self.tallies.dropped(function, Rule::Singleton);
            self.skip(work, &row, why);
            return Started::Skipped("has a run already, and is a singleton".to_owned());
        }
        row.flow = keys.encode();
        let seq = row.seq;
        self.begin(work, row, keys, events);
        self.guard(work, seq, function, (!batched).then_some(&first));
        self.rest(seq, work.cx.commit, work.now());
        Started::Run(seq)
    }

    /// Another run holds the lock: it is stopped, or the new one is skipped for this reason.
    fn contend(
        &mut self,
        work: &mut Work<'_, '_>,
        (mode, key): (SingletonMode, &str),
        (holder, created): (Seq, Timestamp),
    ) -> Option<String> {
        if mode == SingletonMode::Cancel {
            let why = format!("{{\"reason\":\"singleton\",\"key\":\"{}\"}}", escape(key));
            self.stop(work, holder, Payload::from_json(why));
            return None;
        }
        Some(format!(
            "{{\"reason\":\"Singleton\",\"rule\":\"singleton\",\"key\":\"{}\",\
             \"existing_run_id\":\"{}\"}}",
            escape(key),
            ulid_for(created, holder)
        ))
    }

    /// Records a run that was not to be.
    pub(crate) fn skip(&mut self, work: &mut Work<'_, '_>, row: &RunRow, output: String) {
        self.tallies
            .ended(row.function, RunStatus::Skipped, work.now());
        work.write(Write::Run(row.clone()));
        work.write(Write::RunEnd(RunEnd {
            run: row.seq,
            status: RunStatus::Skipped,
            started: Timestamp::ZERO,
            ended: row.created,
            output: Payload::from_json(output),
            last: row.seq,
            imaged: false,
        }));
    }
}
