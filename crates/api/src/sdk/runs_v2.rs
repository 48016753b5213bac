//! Runs, as the second version shows them: one, lists of them, and those of an event.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use dunlin_engine::RunStatus;
use dunlin_node::runs_from;
use dunlin_store::{Page, Reader, RunView, StoreResult};
use dunlin_types::{Payload, Seq, Timestamp, limits, ulid_for};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::event_log;
use super::functions;
use super::output::{self, Names, PageInfo, Raw, RunState, ask_begun, output_of, run_of};
use super::params::{Params, bad};
use super::runs::{Asked, unknown};
use crate::error::{Refused, Reply};
use crate::state::Api;

/// Runs of one page of a list (SDK protocol).
const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100;
/// Runs of one page of an event's (SDK protocol).
const OF_EVENT_LIMIT_MAX: usize = 40;
/// Rows read at a time.
const ROWS_PER_READ: usize = 50;
/// What starts functions that another one has deferred (SDK protocol, internal events).
const DEFERRED_EVENT: &str = "inngest/deferred.schedule";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunOut {
    id: String,
    function: Value,
    app: Value,
    #[serde(serialize_with = "written")]
    status: RunState,
    /// Why it was cancelled or never started.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The run because of which it never started, as a singleton's.
    #[serde(skip_serializing_if = "Option::is_none")]
    existing_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_run_id: Option<String>,
    queued_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Raw>,
}

fn written<S: Serializer>(state: &RunState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.v2())
}

/// What started a run: an event, a tick or a batch.
fn trigger(reader: &mut dyn Reader, run: &RunView) -> StoreResult<Option<Value>> {
    let Some(first) = event_log::full(reader, run.row.event)? else {
        return Ok(None);
    };
    let mut ids = vec![first.internal_id.to_string()];
    for seq in &run.row.more {
        let event = reader.event(*seq)?;
        ids.extend(event.map(|event| event.internal_id().to_string()));
    }
    let batch = output::batch_id(run);
    let mut trigger = json!({
        "eventIds": ids,
        "eventName": first.name,
        "isBatch": batch.is_some(),
    });
    if let Some(batch) = batch {
        trigger["batchId"] = batch.into();
    }
    if let Some(cron) = output::cron_of(&first) {
        trigger["cronSchedule"] = cron.into();
    }
    Ok(Some(trigger))
}

/// How runs are to be shown.
struct Shown {
    names: Names,
    with_output: bool,
    now: Timestamp,
}

impl Shown {
    fn read(reader: &mut dyn Reader, with_output: bool, now: Timestamp) -> StoreResult<Self> {
        Ok(Self {
            names: Names::read(reader)?,
            with_output,
            now,
        })
    }

    fn run(&self, reader: &mut dyn Reader, run: &RunView) -> StoreResult<RunOut> {
        let names = &self.names;
        let function = names.function(run.row.function);
        let app = function.map_or("", |function| names.app_of(function));
        let slug = function.map_or("", |function| function.slug.as_str());
        let short = function.map_or("", |function| names.short_id(function));
        let name = function.map_or("", |function| function.name.as_str());
        let end = run.end.as_ref();
        let started = started(run);
        let original = run
            .row
            .original
            .map(|original| output::run_id(reader, original));
        Ok(RunOut {
            id: id_of(run),
            function: json!({"id": short, "name": name, "slug": slug, "app": {"id": app}}),
            app: json!({"id": app}),
            status: RunState::of(run, self.now),
            reason: output::reason_of(run),
            existing_run_id: output::existing_run_of(run),
            original_run_id: original.transpose()?.flatten(),
            queued_at: run.row.created.rfc3339(),
            started_at: started.map(Timestamp::rfc3339),
            ended_at: end.map(|end| end.ended.rfc3339()),
            duration_ms: end.and_then(|end| Some(end.ended.since(started?).to_string())),
            trigger: trigger(reader, run)?,
            output: if self.with_output {
                output_of(run)
            } else {
                None
            },
        })
    }
}

fn id_of(run: &RunView) -> String {
    ulid_for(run.row.created, run.row.seq).to_string()
}

/// When its first call went out; of one that goes on the list does not know.
fn started(run: &RunView) -> Option<Timestamp> {
    let started = run.end.as_ref().map(|end| end.started);
    started.filter(|at| at.ms() > 0)
}

pub(super) async fn one(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Reply {
    let (with_output, now) = (asked.output(), api.node.now());
    let run = api.node.read(move |reader| {
        let Some(run) = run_of(reader, &id)? else {
            return Ok(None);
        };
        let shown = Shown::read(reader, with_output, now)?;
        shown.run(reader, &run).map(Some)
    });
    let mut run = run.await?.ok_or_else(unknown)?;
    ask_begun(&api, [&mut run.status]).await;
    Ok(output::v2(run, now))
}

/// What an event started, alone or as part of a batch, oldest first.
pub(super) async fn of_event(
    State(api): State<Api>,
    Path(id): Path<String>,
    params: Params,
) -> Reply {
    let limit = params.limit(LIMIT_DEFAULT, OF_EVENT_LIMIT_MAX)?;
    let cursor = params.cursor()?;
    let (with_output, now) = (params.is_true("includeOutput"), api.node.now());
    let read = api.node.read(move |reader| {
        let Some(event) = event_log::event_of(reader, &id)? else {
            return Ok(None);
        };
        let shown = Shown::read(reader, with_output, now)?;
        let page = Page {
            after: cursor,
            items: limit + 1,
            ascending: true,
        };
        let mut runs = reader.runs_of_event(event, page)?;
        let has_more = runs.len() > limit;
        runs.truncate(limit);
        let info = PageInfo {
            cursor: runs.last().filter(|_| has_more).map(id_of),
            has_more,
            limit,
        };
        let runs = runs.iter().map(|run| shown.run(reader, run));
        Ok(Some((runs.collect::<StoreResult<Vec<_>>>()?, info)))
    });
    let (mut runs, page) = read.await?.ok_or_else(event_log::unknown)?;
    ask_begun(&api, runs.iter_mut().map(|run| &mut run.status)).await;
    Ok(output::v2_page(runs, page, now))
}

/// Which instant of a run a window is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TimeField {
    Queued,
    Started,
    Ended,
}

/// Which runs, and in which order.
struct Filter {
    statuses: Vec<String>,
    app: Option<String>,
    function: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    field: TimeField,
    deferred: Option<bool>,
    oldest_first: bool,
    limit: usize,
    cursor: Option<Seq>,
}

impl Filter {
    fn of(params: &Params) -> Result<Self, Refused> {
        let statuses = params.all("status").into_iter().map(|name| {
            let name = name.to_ascii_uppercase();
            let known = [
                "QUEUED",
                "RUNNING",
                "COMPLETED",
                "FAILED",
                "CANCELLED",
                "SKIPPED",
            ];
            let wrong = || bad(format!("status must be one of {}", known.join(", ")));
            known
                .contains(&name.as_str())
                .then_some(name)
                .ok_or_else(wrong)
        });
        let filter = Self {
            statuses: statuses.collect::<Result<_, _>>()?,
            app: params.get("appId").map(str::to_owned),
            function: params.get("functionId").map(str::to_owned),
            from: params.instant("from")?,
            until: params.instant("until")?,
            field: match params.get("timeField").map(plain).as_deref() {
                None | Some("QUEUEDAT") => TimeField::Queued,
                Some("STARTEDAT") => TimeField::Started,
                Some("ENDEDAT") => TimeField::Ended,
                Some(_) => return Err(bad("timeField must be QUEUED_AT, STARTED_AT or ENDED_AT")),
            },
            deferred: params.get("isDeferred").map(|text| text == "true"),
            oldest_first: match params.get("order").map(plain).as_deref() {
                None | Some("DESC") => false,
                Some("ASC") => true,
                Some(_) => return Err(bad("order must be ASC or DESC")),
            },
            limit: params.limit(LIMIT_DEFAULT, LIMIT_MAX)?,
            cursor: params.cursor()?,
        };
        if filter.function.is_some() && filter.app.is_none() {
            return Err(bad("functionId needs appId").word("missing_field"));
        }
        Ok(filter)
    }

    /// The number of the function that is asked for, if it is known.
    fn number(&self, names: &Names) -> Option<u32> {
        let (app, id) = (self.app.as_deref()?, self.function.as_deref()?);
        names.find_in(app, id).map(|function| function.number)
    }

    fn wants(&self, status: &str) -> bool {
        self.statuses.is_empty() || self.statuses.iter().any(|one| one == status)
    }

    /// Whether only the engine can tell which live runs are wanted.
    fn parts_live(&self) -> bool {
        self.wants("QUEUED") != self.wants("RUNNING")
    }

    /// Whether the run has a status that is wanted, as far as its rows tell.
    fn may_have_status(&self, run: &RunView, now: Timestamp) -> bool {
        let state = RunState::of(run, now);
        self.wants(state.v2()) || (state.is_live() && self.parts_live())
    }

    fn keeps(
        &self,
        reader: &mut dyn Reader,
        run: &RunView,
        shown: &Shown,
        number: Option<u32>,
    ) -> StoreResult<bool> {
        let function = shown.names.function(run.row.function);
        let app = function.map(|function| shown.names.app_of(function));
        let is_of_app = self.app.is_none() || self.app.as_deref() == app;
        let is_of_function = self.function.is_none() || number == Some(run.row.function);
        let has_status = self.may_have_status(run, shown.now);
        if !(is_of_app && is_of_function && has_status && self.is_in_time(run)) {
            return Ok(false);
        }
        let Some(deferred) = self.deferred else {
            return Ok(true);
        };
        let event = event_log::full(reader, run.row.event)?;
        Ok(deferred == event.is_some_and(|event| event.name == DEFERRED_EVENT))
    }

    fn is_in_time(&self, run: &RunView) -> bool {
        if self.from.is_none() && self.until.is_none() {
            return true;
        }
        let at = match self.field {
            TimeField::Queued => Some(run.row.created),
            TimeField::Started => started(run),
            TimeField::Ended => run.end.as_ref().map(|end| end.ended),
        };
        at.is_some_and(|at| {
            self.from.is_none_or(|from| at >= from) && self.until.is_none_or(|until| at < until)
        })
    }

    /// Whether no run behind this one can be in the window: runs are in the order of their making.
    fn is_beyond(&self, run: &RunView) -> bool {
        let created = run.row.created;
        if self.oldest_first {
            // Nothing starts or ends before it is made.
            self.until.is_some_and(|until| created >= until)
        } else {
            let queued = self.field == TimeField::Queued;
            queued && self.from.is_some_and(|from| created < from)
        }
    }

    /// Where to begin.
    fn begin(&self, reader: &mut dyn Reader) -> StoreResult<Option<Seq>> {
        if self.cursor.is_some() || self.field != TimeField::Queued {
            return Ok(self.cursor);
        }
        match (self.oldest_first, self.from, self.until) {
            (true, Some(from), _) => runs_from(reader, from).map(Some),
            (false, _, Some(until)) => {
                let place = runs_from(reader, until)?;
                Ok(Some(Seq(place.0.saturating_add(1))))
            }
            _ => Ok(None),
        }
    }

    fn read(&self, reader: &mut dyn Reader, shown: &Shown) -> StoreResult<(Vec<RunOut>, PageInfo)> {
        let number = self.number(&shown.names);
        let mut found = Found {
            limit: self.limit,
            parts_live: self.parts_live(),
            ..Found::default()
        };
        let mut after = self.begin(reader)?;
        'rows: while found.rows_read < limits::LIST_ROWS_READ_MAX {
            let page = Page {
                after,
                items: ROWS_PER_READ,
                ascending: self.oldest_first,
            };
            let rows = reader.runs(page)?;
            let is_last = rows.len() < ROWS_PER_READ;
            found.rows_read += rows.len();
            for run in rows {
                if self.is_beyond(&run) {
                    found.goes_on = None;
                    break 'rows;
                }
                after = Some(run.row.seq);
                let keeps = self.keeps(reader, &run, shown, number)?;
                if keeps && found.is_full() {
                    found.goes_on = found.runs.last().map(id_of);
                    break 'rows;
                }
                // Where the bound of reading ends the page, it goes on behind the last row read.
                found.goes_on = Some(id_of(&run));
                if keeps {
                    found.take(run, shown.with_output);
                }
            }
            if is_last {
                found.goes_on = None;
                break;
            }
        }
        let info = PageInfo {
            has_more: found.goes_on.is_some(),
            cursor: found.goes_on,
            limit: self.limit,
        };
        let runs = found.runs.iter().map(|run| shown.run(reader, run));
        Ok((runs.collect::<StoreResult<_>>()?, info))
    }
}

/// A page as it fills.
#[derive(Default)]
struct Found {
    runs: Vec<RunView>,
    limit: usize,
    /// Whether live runs are kept that may turn out not to be wanted.
    parts_live: bool,
    unsure: usize,
    rows_read: usize,
    bodies_bytes: usize,
    /// Events that the page names.
    events: usize,
    /// Behind which run the next page begins, if there may be one.
    goes_on: Option<String>,
}

impl Found {
    fn is_full(&self) -> bool {
        self.runs.len() - self.unsure >= self.limit
            || self.unsure >= limits::LOOK_RUNS_MAX
            || self.bodies_bytes >= limits::LIST_BODIES_BYTES_MAX
            || self.events >= limits::LIST_ROWS_READ_MAX
    }

    fn take(&mut self, mut run: RunView, with_output: bool) {
        if let Some(end) = &mut run.end {
            let has_own = matches!(end.status, RunStatus::Completed | RunStatus::Failed);
            if has_own && !with_output {
                end.output = Payload::from_json(Vec::new());
            }
            self.bodies_bytes += end.output.len();
        }
        self.unsure += usize::from(self.parts_live && run.end.is_none());
        self.events += 1 + run.row.more.len();
        self.runs.push(run);
    }
}

/// The letters of a word, so that `QUEUED_AT` and `queuedAt` are the same.
fn plain(word: &str) -> String {
    word.replace('_', "").to_ascii_uppercase()
}

/// Runs of all functions, newest first unless it is asked otherwise.
pub(super) async fn list(State(api): State<Api>, params: Params) -> Reply {
    let filter = Filter::of(&params)?;
    listed(&api, filter, params.is_true("includeOutput")).await
}

pub(super) async fn of_function(
    State(api): State<Api>,
    Path((app, id)): Path<(String, String)>,
    params: Params,
) -> Reply {
    let names = api.node.read(|reader| Names::read(reader)).await?;
    names.find_in(&app, &id).ok_or_else(functions::unknown)?;
    let mut filter = Filter::of(&params)?;
    filter.app = Some(app);
    filter.function = Some(id);
    listed(&api, filter, params.is_true("includeOutput")).await
}

async fn listed(api: &Api, filter: Filter, with_output: bool) -> Reply {
    let now = api.node.now();
    let filter = Arc::new(filter);
    let asked = Arc::clone(&filter);
    let read = api.node.read(move |reader| {
        let shown = Shown::read(reader, with_output, now)?;
        asked.read(reader, &shown)
    });
    let (mut runs, mut page) = read.await?;
    ask_begun(api, runs.iter_mut().map(|run| &mut run.status)).await;
    runs.retain(|run| filter.wants(run.status.v2()));
    if runs.len() > filter.limit {
        runs.truncate(filter.limit);
        page.has_more = true;
        page.cursor = runs.last().map(|run| run.id.clone());
    }
    Ok(output::v2_page(runs, page, now))
}
