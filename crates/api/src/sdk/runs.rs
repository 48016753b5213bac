//! Runs, as the first version shows them.

use axum::extract::{Path, State};
use dunlin_store::{Page, Reader, RunView, StoreResult};
use dunlin_types::{Code, Event, Seq, limits, ulid_for};
use serde::{Deserialize, Serialize};

use super::event_log;
use super::output::{self, ENVIRONMENT_ID, Names, Raw, output_of, run_of, status_v1};
use crate::error::{Refused, Reply};
use crate::state::Api;

#[derive(Serialize)]
struct RunOut {
    run_id: String,
    run_started_at: String,
    function_id: String,
    function_version: u32,
    environment_id: &'static str,
    event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    status: &'static str,
    /// Why it was cancelled or never started.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Raw>,
}

impl RunOut {
    fn read(
        reader: &mut dyn Reader,
        run: &RunView,
        names: &Names,
        event: Option<&Event>,
    ) -> StoreResult<Self> {
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
                .map(|event| event.internal_id.to_string())
                .unwrap_or_default(),
            original_run_id: original.transpose()?.flatten(),
            cron: event.and_then(output::cron_of),
            status: status_v1(run),
            reason: output::reason_of(run),
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
    let run = api.node.read(move |reader| {
        let Some(run) = run_of(reader, &id)? else {
            return Ok(None);
        };
        let names = Names::read(reader)?;
        let event = event_log::full(reader, run.row.event)?;
        Ok(Some(RunOut::read(reader, &run, &names, event.as_deref())?))
    });
    let run = run.await?.ok_or_else(unknown)?;
    Ok(output::v1(run, api.node.now()))
}

/// What an event started, oldest first.
pub(super) async fn of_event(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let runs = api.node.read(move |reader| {
        let Some(seq) = event_log::event_of(reader, &id)? else {
            return Ok(None);
        };
        let event = event_log::full(reader, seq)?;
        let names = Names::read(reader)?;
        let runs = reader.runs_of_event(seq, Page::oldest(limits::PAGE_ITEMS_MAX))?;
        let runs = runs
            .iter()
            .map(|run| RunOut::read(reader, run, &names, event.as_deref()));
        Ok(Some(runs.collect::<StoreResult<Vec<_>>>()?))
    });
    let runs = runs.await?.ok_or_else(event_log::unknown)?;
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
