//! What the answers of both versions of the reading API have in common.

use std::collections::HashMap;

use axum::response::{IntoResponse as _, Response};
use dunlin_engine::RunStatus;
use dunlin_engine::config::{AppRow, FunctionRow};
use dunlin_store::{Reader, RunView, StoreResult};
use dunlin_types::{Event, Payload, Seq, Timestamp, Ulid, function_uuid, ulid_for};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::state::Api;

/// The only account and environment (SDK protocol).
pub(super) const ENVIRONMENT_ID: &str = "00000000-0000-4000-b000-000000000000";
pub(super) const ACCOUNT_ID: &str = "00000000-0000-4000-a000-000000000000";

/// What ticks start runs with (SDK protocol, internal events).
const TIMER_EVENT: &str = "inngest/scheduled.timer";

/// Later than any row.
const LATEST: Seq = Seq(i64::MAX as u64);

/// Stored JSON, written as it is: users get back the very text they sent.
#[derive(Clone, Debug)]
pub(super) struct Raw(pub(super) Payload);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serde_json::from_str::<&RawValue>(self.0.as_str()) {
            Ok(raw) => raw.serialize(serializer),
            Err(_) => serializer.serialize_unit(),
        }
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    data: T,
    metadata: Value,
}

/// The first version's envelope.
pub(super) fn v1(data: impl Serialize, now: Timestamp) -> Response {
    let metadata = json!({"fetched_at": now.rfc3339(), "cached_until": null});
    axum::Json(Envelope { data, metadata }).into_response()
}

/// The second version's.
pub(super) fn v2(data: impl Serialize, now: Timestamp) -> Response {
    let metadata = json!({"fetchedAt": now.rfc3339(), "cachedUntil": null});
    axum::Json(Envelope { data, metadata }).into_response()
}

/// Where a list of the second version goes on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<String>,
    pub(super) has_more: bool,
    pub(super) limit: usize,
}

/// A page of a list in the second version.
pub(super) fn v2_page<T: Serialize>(data: Vec<T>, page: PageInfo, now: Timestamp) -> Response {
    let metadata = json!({"fetchedAt": now.rfc3339(), "cachedUntil": null});
    axum::Json(json!({"data": data, "metadata": metadata, "page": page})).into_response()
}

/// The run of that public id. The time in it must be the run's, so that ids cannot be made up.
pub(crate) fn run_of(reader: &mut dyn Reader, id: &str) -> StoreResult<Option<RunView>> {
    let Some((id, seq)) = row_of(id) else {
        return Ok(None);
    };
    let run = reader.run(seq)?;
    Ok(run.filter(|run| ulid_for(run.row.created, run.row.seq) == id))
}

/// What a public id of one of our rows says.
pub(super) fn row_of(id: &str) -> Option<(Ulid, Seq)> {
    let id: Ulid = id.parse().ok()?;
    Some((id, id.seq()?))
}

/// Functions and apps by number, to name them.
#[derive(Debug, Default)]
pub(crate) struct Names {
    functions: HashMap<u32, FunctionRow>,
    apps: HashMap<u32, AppRow>,
}

impl Names {
    pub(crate) fn read(reader: &mut dyn Reader) -> StoreResult<Self> {
        let functions = reader.functions_at(LATEST)?;
        let apps = reader.apps()?.into_iter().filter(|app| !app.is_vacant());
        Ok(Self {
            functions: functions.into_iter().map(|row| (row.number, row)).collect(),
            apps: apps.into_iter().map(|row| (row.number, row)).collect(),
        })
    }

    /// The functions, by their slugs.
    pub(super) fn functions(&self) -> Vec<&FunctionRow> {
        let mut functions: Vec<&FunctionRow> = self.functions.values().collect();
        functions.sort_by(|a, b| a.slug.cmp(&b.slug));
        functions
    }

    /// All functions, archived ones too.
    pub(crate) fn all_functions(&self) -> impl Iterator<Item = &FunctionRow> {
        self.functions.values()
    }

    /// The apps, in the order in which they first came.
    pub(crate) fn apps(&self) -> Vec<&AppRow> {
        let mut apps: Vec<&AppRow> = self.apps.values().collect();
        apps.sort_by_key(|app| app.number);
        apps
    }

    pub(crate) fn function(&self, number: u32) -> Option<&FunctionRow> {
        self.functions.get(&number)
    }

    /// The app of that name.
    pub(super) fn app(&self, name: &str) -> Option<&AppRow> {
        self.apps.values().find(|app| app.name == name)
    }

    /// The registered function of that composite id or UUID.
    pub(crate) fn find(&self, id: &str) -> Option<&FunctionRow> {
        let mut live = self.functions.values().filter(|f| f.archived.is_none());
        live.find(|f| self.is_called(f, id))
    }

    /// The function of that composite id or UUID that was archived last.
    pub(crate) fn find_archived(&self, id: &str) -> Option<&FunctionRow> {
        let archived = self.functions.values().filter(|f| f.archived.is_some());
        let called = archived.filter(|f| self.is_called(f, id));
        called.max_by_key(|f| (f.archived, f.number))
    }

    fn is_called(&self, function: &FunctionRow, id: &str) -> bool {
        function.slug == id || self.function_id(function.number) == id
    }

    /// The function of that app, by the id that its author gave it, its composite id or its UUID.
    pub(super) fn find_in(&self, app: &str, id: &str) -> Option<&FunctionRow> {
        let of_app = |f: &&FunctionRow| self.app_of(f) == app;
        let named = |f: &&FunctionRow| {
            self.short_id(f) == id || f.slug == id || self.function_id(f.number) == id
        };
        let functions = self.functions.values();
        let mut found = functions.filter(of_app).filter(named).collect::<Vec<_>>();
        found.sort_by_key(|f| f.archived.is_some());
        found.first().copied()
    }

    /// The id that the function's author gave it: the composite one without the app.
    pub(super) fn short_id<'a>(&self, function: &'a FunctionRow) -> &'a str {
        let slug = &function.slug;
        let rest = slug.strip_prefix(self.app_of(function));
        rest.and_then(|rest| rest.strip_prefix('-')).unwrap_or(slug)
    }

    pub(super) fn app_of(&self, function: &FunctionRow) -> &str {
        self.apps.get(&function.app).map_or("", |app| &app.name)
    }

    /// The function's public id; empty if it is not known.
    pub(crate) fn function_id(&self, number: u32) -> String {
        let function = self.functions.get(&number);
        let id = function.map(|f| function_uuid(self.app_of(f), &f.slug));
        id.map(|id| id.to_string()).unwrap_or_default()
    }
}

/// A run's state, which the two versions write in words of their own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunState {
    run: Seq,
    status: RunStatus,
    /// Whether it is live and its first call has not gone out.
    queued: bool,
}

impl RunState {
    /// As far as rows tell: they do not say when a first call goes out, so that a run that is due
    /// counts as under way until the engine is asked, see [`ask_begun`].
    pub(crate) fn of(run: &RunView, now: Timestamp) -> Self {
        let end = run.end.as_ref();
        Self {
            run: run.row.seq,
            status: end.map_or(RunStatus::Live, |end| end.status),
            queued: end.is_none() && run.row.due > now,
        }
    }

    /// With what the engine tells.
    pub(crate) fn begun(&mut self, begun: bool) {
        self.queued = self.is_live() && !begun;
    }

    pub(super) fn is_live(self) -> bool {
        self.status == RunStatus::Live
    }

    pub(crate) const fn v1(self) -> &'static str {
        match self.status {
            RunStatus::Live if self.queued => "Scheduled",
            RunStatus::Live => "Running",
            RunStatus::Completed => "Completed",
            RunStatus::Failed => "Failed",
            RunStatus::Cancelled => "Cancelled",
            RunStatus::Skipped => "Skipped",
        }
    }

    pub(super) const fn v2(self) -> &'static str {
        match self.status {
            RunStatus::Live if self.queued => "QUEUED",
            RunStatus::Live => "RUNNING",
            RunStatus::Completed => "COMPLETED",
            RunStatus::Failed => "FAILED",
            RunStatus::Cancelled => "CANCELLED",
            RunStatus::Skipped => "SKIPPED",
        }
    }
}

/// Asks the engine which of the live runs have begun. Where it does not say, because a run has
/// ended meanwhile or the engine does not get to it, what the rows tell is better than no answer.
pub(crate) async fn ask_begun(api: &Api, states: impl IntoIterator<Item = &mut RunState>) {
    let mut live: Vec<&mut RunState> = states.into_iter().filter(|one| one.is_live()).collect();
    let runs = live.iter().map(|state| state.run).collect();
    let Ok(begun) = api.node.begun(runs).await else {
        return;
    };
    for state in &mut live {
        if let Some(begun) = begun.get(&state.run) {
            state.begun(*begun);
        }
    }
}

/// The id of the batch that started the run, if one did. A batch starts one run and has no id of
/// its own, so that the run's stands for it.
pub(super) fn batch_id(run: &RunView) -> Option<String> {
    let is_batch = !run.row.more.is_empty();
    is_batch.then(|| ulid_for(run.row.created, run.row.seq).to_string())
}

/// What the function returned, or its error.
pub(super) fn output_of(run: &RunView) -> Option<Raw> {
    let end = run.end.as_ref()?;
    let is_own = matches!(end.status, RunStatus::Completed | RunStatus::Failed);
    (is_own && !end.output.is_empty()).then(|| Raw(end.output.clone()))
}

/// Why a run was cancelled or never started.
pub(super) fn reason_of(run: &RunView) -> Option<String> {
    told_of(run, "reason")
}

/// The run that held the place of one that was never started.
pub(super) fn existing_run_of(run: &RunView) -> Option<String> {
    told_of(run, "existing_run_id")
}

/// What the record of a run that was cancelled or never started says under that name.
fn told_of(run: &RunView, name: &str) -> Option<String> {
    let end = run.end.as_ref()?;
    if !matches!(end.status, RunStatus::Cancelled | RunStatus::Skipped) {
        return None;
    }
    let told: Value = serde_json::from_slice(end.output.bytes()).ok()?;
    Some(told.get(name)?.as_str()?.to_owned())
}

/// The public id of the run in that row; none if it is gone.
pub(super) fn run_id(reader: &mut dyn Reader, run: Seq) -> StoreResult<Option<String>> {
    let run = reader.run(run)?;
    Ok(run.map(|run| ulid_for(run.row.created, run.row.seq).to_string()))
}

/// The time table whose tick the event is, if it is one.
pub(super) fn cron_of(event: &Event) -> Option<String> {
    if event.name != TIMER_EVENT {
        return None;
    }
    let data: Value = serde_json::from_slice(event.data.bytes()).ok()?;
    Some(data.get("cron")?.as_str()?.to_owned())
}
