//! From rows to the tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_engine::step::{StepFlags, StepKind, StepRow};
use dunlin_engine::{RunEnd, RunStatus};
use dunlin_store::RunView;
use dunlin_types::{Code, Event, Payload, Seq, StepId, Timestamp, Ulid, ulid_for};
use serde_json::Value;

use crate::attempt::{attempt, given, outcome, text};
use crate::error::SpanError;
use crate::info::StepInfo;
use crate::links::Links;
use crate::span::{CancelReason, Parent, Span, SpanStatus, Trace};

/// The event that starts an invoked function (SDK protocol, invoke).
const INVOKED_EVENT: &str = "inngest/function.invoked";
/// What the calls are called that are about no step.
const CALL_NAME: &str = "function";

/// What a drawing needs beside the run and its rows.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The name of the function.
    pub function: &'a str,
    /// What started the run: one event, or those of a batch.
    pub events: &'a [Arc<Event>],
    /// The run that it repeats.
    pub original: Option<Ulid>,
    /// What its rows refer to.
    pub links: &'a Links,
    /// The present, to tell a step that is under way from one that waits.
    pub now: Timestamp,
}

/// Draws a run up from its rows, oldest first.
#[must_use]
pub fn draw(run: &RunView, rows: &[StepRow], known: &Known<'_>) -> Trace {
    let mut steps = Steps::new(known);
    for row in rows {
        steps.take(row);
    }
    let id = ulid_for(run.row.created, run.row.seq);
    let end = run.end.as_ref();
    let (cancelled, skipped) = end.map_or((None, None), reasons);
    Trace {
        run: id,
        root: root(run, rows, known, steps.finish(end)),
        // A batch may hold the events of several steps; the first of them stands for all.
        parent: known.events.iter().find_map(|event| parent_of(event)),
        original: known.original,
        cancelled,
        skipped,
    }
}

fn root(run: &RunView, rows: &[StepRow], known: &Known<'_>, children: Vec<Span>) -> Span {
    let end = run.end.as_ref();
    let called = rows.iter().find_map(|row| given(row.started));
    let started = end.map_or(called, |end| given(end.started));
    let calls = children.iter().filter(|span| span.info.is_none());
    let attempts = calls.map(|span| span.attempts).max();
    let (output, error) = end.map_or((None, None), result_of);
    Span {
        id: ulid_for(run.row.created, run.row.seq).to_string(),
        name: known.function.to_owned(),
        status: status_of(run, known.now),
        attempts: attempts.unwrap_or(u32::from(started.is_some())),
        queued: given(run.row.created),
        started,
        ended: end.and_then(|end| given(end.ended)),
        input: input_of(known.events),
        output,
        error,
        children,
        ..Span::default()
    }
}

/// The event, or a list of those of a batch.
fn input_of(events: &[Arc<Event>]) -> Option<Payload> {
    match events {
        [] => None,
        [event] => Some(Payload::from_json(event.json())),
        events => {
            let mut list = vec![b'['];
            for event in events {
                list.extend_from_slice(&event.json());
                list.push(b',');
            }
            list.pop();
            list.push(b']');
            Some(Payload::from_json(list))
        }
    }
}

/// How far a run is. Rows do not tell when a first call goes out, so one that is due
/// counts as under way: who can ask the engine knows better.
fn status_of(run: &RunView, now: Timestamp) -> SpanStatus {
    match run.end.as_ref().map_or(RunStatus::Live, |end| end.status) {
        RunStatus::Live if run.row.due > now => SpanStatus::Queued,
        RunStatus::Live => SpanStatus::Running,
        RunStatus::Completed => SpanStatus::Completed,
        RunStatus::Failed => SpanStatus::Failed,
        RunStatus::Cancelled => SpanStatus::Cancelled,
        RunStatus::Skipped => SpanStatus::Skipped,
    }
}

fn result_of(end: &RunEnd) -> (Option<Payload>, Option<SpanError>) {
    match end.status {
        RunStatus::Completed => (text(&end.output), None),
        RunStatus::Failed => {
            let error = SpanError::read(&end.output, Code::FunctionError);
            (None, Some(error))
        }
        RunStatus::Live | RunStatus::Cancelled | RunStatus::Skipped => (None, None),
    }
}

fn reasons(end: &RunEnd) -> (Option<CancelReason>, Option<String>) {
    let why: Value = serde_json::from_slice(end.output.bytes()).unwrap_or(Value::Null);
    let text = |key: &str| why.get(key).and_then(Value::as_str).map(str::to_owned);
    let reason = text("reason");
    match end.status {
        RunStatus::Cancelled => {
            let cancelled = match reason.as_deref() {
                Some("event") => CancelReason::Event(text("event")),
                Some("timeouts.start") => CancelReason::StartTimeout,
                Some("timeouts.finish") => CancelReason::FinishTimeout,
                _ => CancelReason::Request,
            };
            (Some(cancelled), None)
        }
        RunStatus::Skipped => (None, reason),
        RunStatus::Live | RunStatus::Completed | RunStatus::Failed => (None, None),
    }
}

/// Who invoked the run: the event says so, as `<run>.<step>`.
fn parent_of(event: &Event) -> Option<Parent> {
    if event.name != INVOKED_EVENT {
        return None;
    }
    let data: Value = serde_json::from_slice(event.data.bytes()).ok()?;
    let id = data.get("_inngest")?.get("correlation_id")?.as_str()?;
    let (run, step) = id.split_once('.')?;
    Some(Parent {
        run: run.parse().ok()?,
        step: StepId::new(step),
    })
}

/// The spans of a run so far.
struct Steps<'a> {
    known: &'a Known<'a>,
    spans: Vec<Span>,
    by_step: BTreeMap<StepId, usize>,
    /// Rows that end a step without a call, and failed calls of a step, name its item only.
    by_item: BTreeMap<Seq, usize>,
    /// Items whose calls failed before they told of any step.
    calls: BTreeMap<Seq, usize>,
}

impl<'a> Steps<'a> {
    const fn new(known: &'a Known<'a>) -> Self {
        Self {
            known,
            spans: Vec::new(),
            by_step: BTreeMap::new(),
            by_item: BTreeMap::new(),
            calls: BTreeMap::new(),
        }
    }

    fn take(&mut self, row: &StepRow) {
        match row.mark.kind {
            StepKind::Retried => self.attempt_failed(row),
            StepKind::Given => {
                let place = self.step(row);
                self.spans[place].input = text(&row.payload);
            }
            StepKind::Noted => self.note(row),
            kind if kind.opens() => self.opened(row),
            kind if kind.completes() => self.done(row),
            _ => {}
        }
        if row.mark.flags.has(StepFlags::CLOSES)
            && let Some(place) = self.calls.remove(&row.mark.item)
        {
            // What the call told is in rows of its own.
            let told = Payload::from_json(Vec::new());
            let row = StepRow {
                payload: told,
                ..row.clone()
            };
            self.tried(place, &row, SpanStatus::Completed);
        }
    }

    /// The place of the row's step, which may be new.
    fn step(&mut self, row: &StepRow) -> usize {
        if let Some(place) = self.known_step(row) {
            return place;
        }
        let place = self.blank(row, &row.name);
        let span = &mut self.spans[place];
        span.step.clone_from(&row.id);
        span.info = Some(StepInfo::Run(None));
        if let Some(id) = &row.id {
            self.by_step.insert(id.clone(), place);
        }
        place
    }

    fn known_step(&self, row: &StepRow) -> Option<usize> {
        let known = match &row.id {
            Some(id) => self.by_step.get(id),
            None => self.by_item.get(&row.mark.item),
        };
        known.copied()
    }

    fn blank(&mut self, row: &StepRow, name: &str) -> usize {
        self.spans.push(Span {
            id: format!("{:016x}", row.mark.seq.0),
            name: name.to_owned(),
            queued: given(row.queued),
            ..Span::default()
        });
        self.spans.len() - 1
    }

    fn opened(&mut self, row: &StepRow) {
        let seen = self.known_step(row).is_some();
        let place = self.step(row);
        self.by_item.insert(row.mark.seq, place);
        let info = StepInfo::opened(row, self.known.links);
        let span = &mut self.spans[place];
        if !seen || span.queued.is_none() {
            span.queued = given(row.ended);
        }
        span.item = Some(row.mark.seq);
        span.status = SpanStatus::Queued;
        if !info.op().is_called() {
            span.status = SpanStatus::Waiting;
            span.started = span.started.or(given(row.ended));
        }
        span.info = Some(info);
    }

    fn attempt_failed(&mut self, row: &StepRow) {
        let step = match row.id {
            Some(_) => Some(self.step(row)),
            None => self.known_step(row),
        };
        let place = step.unwrap_or_else(|| self.call(row));
        let status = if row.mark.due > self.known.now {
            SpanStatus::Queued
        } else {
            SpanStatus::Running
        };
        self.spans[place].item = Some(row.mark.item);
        self.tried(place, row, status);
    }

    /// The place of a call that is about no step.
    fn call(&mut self, row: &StepRow) -> usize {
        if let Some(place) = self.calls.get(&row.mark.item) {
            return *place;
        }
        let place = self.blank(row, CALL_NAME);
        self.calls.insert(row.mark.item, place);
        place
    }

    /// An attempt was made, after which that is how it stands.
    fn tried(&mut self, place: usize, row: &StepRow, status: SpanStatus) {
        let span = &mut self.spans[place];
        let thrown = match span.info {
            Some(_) => Code::StepError,
            None => Code::FunctionError,
        };
        let ended = status.is_final();
        let attempt = attempt(row, thrown);
        if !ended || !span.children.is_empty() {
            span.children.push(attempt);
        }
        span.attempts += 1;
        span.started = span.started.or(given(row.started));
        span.status = status;
        if ended {
            span.item = None;
            span.ended = given(row.ended);
            (span.output, span.error) = outcome(row, thrown);
        }
    }

    fn done(&mut self, row: &StepRow) {
        let known = match row.id {
            Some(_) => Some(self.step(row)),
            None => self.known_step(row),
        };
        let Some(place) = known else { return };
        let failed = row.mark.kind == StepKind::Failed;
        let status = if failed {
            SpanStatus::Failed
        } else {
            SpanStatus::Completed
        };
        let called = self.spans[place]
            .info
            .as_ref()
            .is_some_and(|info| info.op().is_called());
        if row.mark.item == Seq(0) {
            self.keep(place, row, status);
        } else if called {
            self.tried(place, row, status);
        } else {
            self.keep(place, row, status);
            let span = &mut self.spans[place];
            (span.kept, span.ended) = (false, given(row.ended));
        }
        let span = &mut self.spans[place];
        if let Some(info) = &mut span.info {
            info.ended(row, span.error.as_ref(), self.known.links);
        }
    }

    /// A result that no call brought.
    fn keep(&mut self, place: usize, row: &StepRow, status: SpanStatus) {
        let span = &mut self.spans[place];
        span.kept = true;
        span.item = None;
        span.status = status;
        // An invoked function's error comes from its own run.
        let thrown = match span.info {
            Some(StepInfo::Invoke(_)) => Code::FunctionError,
            _ => Code::StepError,
        };
        (span.output, span.error) = outcome(row, thrown);
    }

    fn note(&mut self, row: &StepRow) {
        let place = self.step(row);
        let note: Value = serde_json::from_slice(row.payload.bytes()).unwrap_or(Value::Null);
        let member = |key: &str| note.get(key).map(|v| Payload::from_json(v.to_string()));
        let span = &mut self.spans[place];
        if span.input.is_none() {
            span.input = member("input");
        }
        if let Some(metadata) = member("metadata") {
            span.metadata = Some(metadata);
        }
        let kind = note.get("type").and_then(Value::as_str);
        if let (Some(kind), Some(StepInfo::Run(of))) = (kind, &mut span.info) {
            *of = Some(kind.to_owned());
        }
    }

    /// What is open when the run has ended was lost to it.
    fn finish(mut self, end: Option<&RunEnd>) -> Vec<Span> {
        let Some(end) = end else { return self.spans };
        for place in std::mem::take(&mut self.calls).into_values() {
            self.last_call(place, end);
        }
        for span in self.spans.iter_mut().filter(|s| !s.status.is_final()) {
            span.status = SpanStatus::Cancelled;
            span.item = None;
            span.ended = given(end.ended);
        }
        self.spans
    }

    /// The call that ended the run has no row of its own.
    fn last_call(&mut self, place: usize, end: &RunEnd) {
        let status = match end.status {
            RunStatus::Completed => SpanStatus::Completed,
            RunStatus::Failed => SpanStatus::Failed,
            RunStatus::Live | RunStatus::Cancelled | RunStatus::Skipped => return,
        };
        let span = &mut self.spans[place];
        let (_, error) = result_of(end);
        span.children.push(Span {
            id: format!("{}.last", span.id),
            name: format!("Attempt {}", span.attempts + 1),
            status,
            attempts: 1,
            ended: given(end.ended),
            error: error.clone(),
            ..Span::default()
        });
        span.attempts += 1;
        span.item = None;
        (span.status, span.ended, span.error) = (status, given(end.ended), error);
    }
}
