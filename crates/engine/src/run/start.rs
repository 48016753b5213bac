//! A run begins: its row, its ledger, and what guards it from the start.

use std::sync::Arc;

use dunlin_types::limits::WAIT_MS_MAX;
use dunlin_types::{Event, Payload, Seq, Timestamp};

use crate::config::RuleTime;
use crate::core::{Engine, Work};
use crate::ledger::Ledger;
use crate::live::Live;
use crate::run::NewRow;
use crate::step::{StepFlags, StepKind};
use crate::waits::event_wait;
use crate::write::{RunEnd, RunRow, RunStatus, Write};

impl Engine {
    /// Starts a function on an event. None if it is paused: the run is recorded as skipped then.
    pub(crate) fn start(
        &mut self,
        work: &mut Work<'_, '_>,
        function: u32,
        event: &Arc<Event>,
        due: Timestamp,
    ) -> Option<Seq> {
        let row = self.run_row(work, function, event.seq, due);
        if self.is_paused(function) {
            skip(work, &row, "FunctionPaused");
            return None;
        }
        let seq = row.seq;
        self.begin(work, row, Arc::from([Arc::clone(event)]));
        self.guard(work, seq, function, event);
        self.rest(seq, work.cx.commit, work.now());
        Some(seq)
    }

    /// The row of a new run.
    pub(crate) fn run_row(
        &self,
        work: &mut Work<'_, '_>,
        function: u32,
        event: Seq,
        due: Timestamp,
    ) -> RunRow {
        RunRow {
            seq: work.seq(),
            function,
            version: self.catalog.function(function).map_or(0, |f| f.row.version),
            event,
            created: work.now(),
            due,
            original: None,
            more: Vec::new(),
            flow: Vec::new(),
        }
    }

    /// Takes a new run into memory and has its row written.
    pub(crate) fn begin(
        &mut self,
        work: &mut Work<'_, '_>,
        row: RunRow,
        events: Arc<[Arc<Event>]>,
    ) {
        let (seq, created) = (row.seq, row.created);
        self.live.insert(seq, Live::start(&row));
        self.ledgers.put(seq, Ledger::new(created, events));
        work.write(Write::Run(row));
        self.fold.appended();
        self.place(created, seq, seq);
    }

    /// Whether somebody has paused the function.
    pub(crate) fn is_paused(&self, function: u32) -> bool {
        self.catalog
            .function(function)
            .is_some_and(|f| f.row.paused.is_some())
    }

    /// Opens what can stop the run: the events that cancel it, and its instant to have begun by.
    pub(crate) fn guard(
        &mut self,
        work: &mut Work<'_, '_>,
        run: Seq,
        function: u32,
        event: &Arc<Event>,
    ) {
        let Some(function) = self.catalog.function(function) else {
            return;
        };
        let (rules, timeouts) = (function.row.cancel.clone(), function.row.timeouts);
        let now = work.now();
        for rule in rules {
            let condition = rule.condition.as_deref();
            // One that can never hold needs no wait; one that is no expression was refused. What is
            // nested too deep to be kept is compared with nothing.
            let Ok(payload) = event_wait(&rule.event, condition, Some(event)) else {
                continue;
            };
            let due = match rule.until {
                Some(RuleTime::AfterMs(ms)) => now.plus_ms(ms),
                Some(RuleTime::At(at)) => at,
                None => now.plus_ms(WAIT_MS_MAX),
            };
            self.open_guard(work, run, StepKind::CancelOn, due, payload);
        }
        if let Some(ms) = timeouts.start_ms {
            let nothing = Payload::from_json(Vec::new());
            self.open_guard(work, run, StepKind::StartTimeout, now.plus_ms(ms), nothing);
        }
    }

    /// Opens a guard of a run.
    pub(crate) fn open_guard(
        &mut self,
        work: &mut Work<'_, '_>,
        run: Seq,
        kind: StepKind,
        due: Timestamp,
        payload: Payload,
    ) {
        let flags = self
            .live
            .get(&run)
            .map_or(StepFlags::default(), |live| live.flags);
        let row = NewRow {
            kind,
            due,
            payload,
            ..NewRow::blank(work.now(), Seq(0), flags)
        };
        self.append(work, run, row);
    }
}

/// Records a run that was not to be.
fn skip(work: &mut Work<'_, '_>, row: &RunRow, reason: &str) {
    work.write(Write::Run(row.clone()));
    work.write(Write::RunEnd(RunEnd {
        run: row.seq,
        status: RunStatus::Skipped,
        started: Timestamp::ZERO,
        ended: row.created,
        output: Payload::from_json(format!("{{\"reason\":\"{reason}\"}}")),
        last: row.seq,
        imaged: false,
    }));
}
