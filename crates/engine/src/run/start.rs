//! A run begins: its row, its ledger, and what guards it from the start.

use std::sync::Arc;

use dunlin_types::limits::WAIT_MS_MAX;
use dunlin_types::{Event, Payload, Seq, Timestamp};

use crate::config::RuleTime;
use crate::core::{Engine, Work};
use crate::flow::RunKeys;
use crate::ledger::Ledger;
use crate::run::NewRow;
use crate::step::{StepFlags, StepKind};
use crate::waits::event_wait;
use crate::write::{RunRow, Write};

impl Engine {
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
        keys: RunKeys,
        events: Arc<[Arc<Event>]>,
    ) {
        let (seq, created) = (row.seq, row.created);
        self.tallies.made(row.function, work.now());
        self.admit_live(&row, keys);
        self.join_lane(seq);
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

    /// Opens what can stop the run: the events that cancel it (none for a batch), and its instant to have begun by.
    pub(crate) fn guard(
        &mut self,
        work: &mut Work<'_, '_>,
        run: Seq,
        function: u32,
        event: Option<&Arc<Event>>,
    ) {
        let Some(function) = self.catalog.function(function) else {
            return;
        };
        let timeouts = function.row.timeouts;
        // A batch is not cancelled by events: there is no one event to compare with.
        let rules = event.map_or_else(Vec::new, |_| function.row.cancel.clone());
        let now = work.now();
        for rule in rules {
            let condition = rule.condition.as_deref();
            // One that can never hold needs no wait; one that is no expression was refused. What is
            // nested too deep to be kept is compared with nothing.
            let Ok(payload) = event_wait(&rule.event, condition, event.map(Arc::as_ref)) else {
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
