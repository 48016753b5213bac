//! Runs, as the first version shows them.

use axum::extract::{Path, State};
use dunlin_store::{Page, Reader, RunView, StoreResult};
use dunlin_types::{Code, Seq, Timestamp, limits, ulid_for};
use serde::{Deserialize, Serialize, Serializer};

use super::event_log;
use super::output::{self, ENVIRONMENT_ID, Names, Raw, RunState, ask_begun, output_of, run_of};
use crate::error::{Refused, Reply};
use crate::state::Api;

#[derive(Serialize)]
struct RunOut {
    run_id: String,
    run_started_at: String,
    function_id: String,
    function_version: u32,
    environment_id: &'static str,
    /// Of a batch, its first.
    event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    #[serde(serialize_with = "written")]
    status: RunState,
    /// Why it was cancelled or never started.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The run because of which it never started, as a singleton's.
    #[serde(skip_serializing_if = "Option::is_none")]
    existing_run_id: Option<String>,
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Raw>,
}

fn written<S: Serializer>(state: &RunState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.v1())
}

impl RunOut {
    fn read(
        reader: &mut dyn Reader,
        run: &RunView,
        names: &Names,
        now: Timestamp,
    ) -> StoreResult<Self> {
        let event = event_log::full(reader, run.row.event)?;
        let original = run
            .row
            .original
            .map(|original| output::run_id(reader, original));
        Ok(Self {
            run_id: ulid_for(run.row.created, run.row.seq).to_string(),
            run_started_at: run.row.created.rfc3339(),
            function_id: names.function_id(run.row.function),
            function_version: run.row.version,
            environment_id: ENVIRONMENT_ID,
            event_id: event
                .as_ref()
                .map(|event| event.internal_id.to_string())
                .unwrap_or_default(),
            batch_id: output::batch_id(run),
            original_run_id: original.transpose()?.flatten(),
            cron: event.as_deref().and_then(output::cron_of),
            status: RunState::of(run, now),
            reason: output::reason_of(run),
            existing_run_id: output::existing_run_of(run),
            ended_at: run.end.as_ref().map(|end| end.ended.rfc3339()),
            output: output_of(run),
        })
    }
}

/// The internal id of the event that started it; empty if that is gone.
pub(super) fn event_id(reader: &mut dyn Reader, seq: Seq) -> StoreResult<String> {
    let event = event_log::full(reader, seq)?;
    Ok(event
        .map(|event| event.internal_id.to_string())
        .unwrap_or_default())
}

pub(super) async fn one(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let now = api.node.now();
    let run = api.node.read(move |reader| {
        let Some(run) = run_of(reader, &id)? else {
            return Ok(None);
        };
        let names = Names::read(reader)?;
        RunOut::read(reader, &run, &names, now).map(Some)
    });
    let mut run = run.await?.ok_or_else(unknown)?;
    ask_begun(&api, [&mut run.status]).await;
    Ok(output::v1(run, api.node.now()))
}

/// What an event started, alone or as part of a batch, oldest first.
pub(super) async fn of_event(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let now = api.node.now();
    let runs = api.node.read(move |reader| {
        let Some(seq) = event_log::event_of(reader, &id)? else {
            return Ok(None);
        };
        let names = Names::read(reader)?;
        let runs = reader.runs_of_event(seq, Page::oldest(limits::PAGE_ITEMS_MAX))?;
        let runs = runs
            .iter()
            .map(|run| RunOut::read(reader, run, &names, now));
        Ok(Some(runs.collect::<StoreResult<Vec<_>>>()?))
    });
    let mut runs = runs.await?.ok_or_else(event_log::unknown)?;
    ask_begun(&api, runs.iter_mut().map(|run| &mut run.status)).await;
    Ok(output::v1(runs, api.node.now()))
}

/// What may be asked of a run in the second version.
#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default, rename = "includeOutput", alias = "include_output")]
    include_output: String,
}

impl Asked {
    /// Whether outputs are wanted.
    pub(super) fn output(&self) -> bool {
        matches!(self.include_output.as_str(), "true" | "1")
    }
}

pub(super) fn unknown() -> Refused {
    Refused::new(Code::NotFound, "there is no such run")
}
