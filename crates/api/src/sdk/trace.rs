//! What happened in a run, step by step: `/v2/runs/{id}/trace`.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use dunlin_engine::RunStatus;
use dunlin_engine::step::{StepKind, StepRow};
use dunlin_store::RunView;
use dunlin_types::{Payload, Seq, StepId, Timestamp, ulid_for};
use serde::Serialize;

use super::event_log;
use super::output::{self, Names, Raw, output_of, run_of, status_v2};
use super::runs::{Asked, unknown};
use crate::error::Reply;
use crate::state::Api;

/// A stretch of time in which something was done.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    id: String,
    name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_op: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queued_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Raw>,
    children: Vec<Self>,
}

impl Span {
    fn times(&mut self, queued: Timestamp, started: Timestamp, ended: Option<Timestamp>) {
        let given = |at: Timestamp| (at.ms() > 0).then(|| at.rfc3339());
        self.queued_at = given(queued);
        self.started_at = given(started);
        self.ended_at = ended.and_then(given);
        let ended = ended.filter(|_| started.ms() > 0);
        self.duration_ms = ended.map(|ended| ended.since(started).to_string());
    }
}

pub(super) async fn trace(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Reply {
    let with_output = asked.output();
    let read = api.node.read(move |reader| {
        let Some(run) = run_of(reader, &id)? else {
            return Ok(None);
        };
        let steps = reader.steps(run.row.seq, run.end.as_ref().map(|end| end.last))?;
        let names = Names::read(reader)?;
        let event = event_log::full(reader, run.row.event)?;
        let name = names.function(run.row.function).map_or("", |f| &f.name);
        let mut root = root_span(&run, name, &steps, with_output);
        if let Some(event) = event.filter(|_| with_output) {
            root.input = Some(Raw(Payload::from_json(event.json())));
        }
        Ok(Some((id, root)))
    });
    let (id, root) = read.await?.ok_or_else(unknown)?;
    let trace = Trace {
        run_id: id,
        root_span: root,
    };
    Ok(output::v2(trace, api.node.now()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    run_id: String,
    root_span: Span,
}

fn root_span(run: &RunView, name: &str, steps: &[StepRow], with_output: bool) -> Span {
    let first = steps.first().map(|row| row.started);
    let started = run
        .end
        .as_ref()
        .map(|end| end.started)
        .or(first)
        .unwrap_or_default();
    let mut root = Span {
        id: ulid_for(run.row.created, run.row.seq).to_string(),
        name: name.to_owned(),
        status: status_v2(run),
        output: if with_output { output_of(run) } else { None },
        children: children(steps, with_output, run.end.as_ref().map(|end| end.status)),
        ..Span::default()
    };
    root.times(
        run.row.created,
        started,
        run.end.as_ref().map(|end| end.ended),
    );
    root
}

/// The steps in the order in which they were first heard of, with their attempts.
fn children(steps: &[StepRow], with_output: bool, ended: Option<RunStatus>) -> Vec<Span> {
    let mut spans = Spans {
        with_output,
        ..Spans::default()
    };
    for row in steps {
        spans.take(row);
    }
    let mut spans: Vec<Span> = spans.open.into_iter().map(|open| open.span).collect();
    if ended.is_some() {
        // Lost a race, or the run was cancelled around it.
        let unfinished = spans.iter_mut().filter(|span| span.ended_at.is_none());
        unfinished.for_each(|span| span.status = "CANCELLED");
    }
    spans
}

#[derive(Default)]
struct Spans {
    with_output: bool,
    open: Vec<Open>,
    by_step: HashMap<StepId, usize>,
    /// Attempts of an item that was planned name the item only.
    by_item: HashMap<Seq, usize>,
}

/// A span with the instants that later rows still need.
struct Open {
    span: Span,
    queued: Timestamp,
    started: Timestamp,
}

impl Spans {
    fn take(&mut self, row: &StepRow) {
        match row.mark.kind {
            StepKind::Planned => self.opened(row, "RUN", "QUEUED"),
            StepKind::Slept => self.opened(row, "SLEEP", "WAITING"),
            StepKind::Retried => self.attempt_failed(row),
            StepKind::Ran | StepKind::RanRaw | StepKind::Woke => self.done(row, "COMPLETED"),
            StepKind::Failed => self.done(row, "FAILED"),
            StepKind::Idle | StepKind::Redispatched | StepKind::Asked => {}
        }
    }

    /// The place of the row's step; a new one if it was not heard of yet.
    fn place(&mut self, row: &StepRow, op: &'static str) -> usize {
        let known = match &row.id {
            Some(id) => self.by_step.get(id),
            None => self.by_item.get(&row.mark.item),
        };
        if let Some(place) = known {
            return *place;
        }
        let place = self.open.len();
        let (name, step_op) = match &row.id {
            Some(_) => (row.name.clone(), Some(op)),
            None => ("function".to_owned(), None),
        };
        let span = Span {
            id: format!("{:016x}", row.mark.seq.0),
            name,
            status: "RUNNING",
            step_op,
            step_id: row.id.as_ref().map(StepId::text),
            ..Span::default()
        };
        self.open.push(Open {
            span,
            queued: row.queued,
            started: Timestamp::ZERO,
        });
        match &row.id {
            Some(id) => self.by_step.insert(id.clone(), place),
            None => self.by_item.insert(row.mark.item, place),
        };
        place
    }

    /// A step waits for its own call, or for its time.
    fn opened(&mut self, row: &StepRow, op: &'static str, status: &'static str) {
        let place = self.place(row, op);
        self.by_item.insert(row.mark.seq, place);
        let open = &mut self.open[place];
        open.queued = row.ended;
        open.started = if op == "SLEEP" {
            row.ended
        } else {
            Timestamp::ZERO
        };
        open.span.status = status;
        open.span.times(open.queued, open.started, None);
    }

    fn attempt_failed(&mut self, row: &StepRow) {
        let place = self.place(row, "RUN");
        let attempt = self.attempt(row, row.mark.attempt.saturating_sub(1), "FAILED");
        let open = &mut self.open[place];
        open.span.children.push(attempt);
        if open.started == Timestamp::ZERO {
            open.started = row.started;
        }
        open.span.status = "RUNNING";
        open.span.times(open.queued, open.started, None);
    }

    fn done(&mut self, row: &StepRow, status: &'static str) {
        let place = self.place(row, "RUN");
        let attempt = self.attempt(row, row.mark.attempt, status);
        let output = self.output(row);
        let open = &mut self.open[place];
        if !open.span.children.is_empty() {
            open.span.children.push(attempt);
        }
        if open.started == Timestamp::ZERO {
            open.started = row.started;
        }
        open.span.status = status;
        open.span.output = output;
        open.span.times(open.queued, open.started, Some(row.ended));
    }

    fn attempt(&self, row: &StepRow, number: u8, status: &'static str) -> Span {
        let mut span = Span {
            id: format!("{:016x}.{number}", row.mark.seq.0),
            name: format!("Attempt {}", number.saturating_add(1)),
            status,
            output: self.output(row),
            ..Span::default()
        };
        span.times(row.queued, row.started, Some(row.ended));
        span
    }

    fn output(&self, row: &StepRow) -> Option<Raw> {
        (self.with_output && !row.payload.is_empty()).then(|| Raw(row.payload.clone()))
    }
}
