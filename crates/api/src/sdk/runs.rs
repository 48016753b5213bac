//! Runs, read.

use axum::extract::{Path, Query, State};
use dunlin_store::{Page, Reader, RunView, StoreResult};
use dunlin_types::{Code, Seq, limits, ulid_for};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::event_log;
use super::output::{self, ENVIRONMENT_ID, Names, Raw, output_of, run_of, status_v1, status_v2};
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
    status: &'static str,
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Raw>,
}

impl RunOut {
    fn of(run: &RunView, names: &Names, event_id: String) -> Self {
        Self {
            run_id: ulid_for(run.row.created, run.row.seq).to_string(),
            run_started_at: run.row.created.rfc3339(),
            function_id: names.function_id(run.row.function),
            function_version: run.row.version,
            environment_id: ENVIRONMENT_ID,
            event_id,
            status: status_v1(run),
            ended_at: run.end.as_ref().map(|end| end.ended.rfc3339()),
            output: output_of(run),
        }
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
        let event_id = event_id(reader, run.row.event)?;
        Ok(Some(RunOut::of(&run, &names, event_id)))
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
        let event_id = event_id(reader, seq)?;
        let names = Names::read(reader)?;
        let runs = reader.runs_of_event(seq, Page::oldest(limits::PAGE_ITEMS_MAX))?;
        let runs = runs
            .iter()
            .map(|run| RunOut::of(run, &names, event_id.clone()));
        Ok(Some(runs.collect::<Vec<_>>()))
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

pub(super) async fn one_v2(
    State(api): State<Api>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Reply {
    let with_output = asked.output();
    let run = api.node.read(move |reader| {
        let Some(run) = run_of(reader, &id)? else {
            return Ok(None);
        };
        let names = Names::read(reader)?;
        let event = event_log::full(reader, run.row.event)?;
        let trigger = event.map(|event| {
            json!({
                "eventIds": [event.internal_id.to_string()],
                "eventName": event.name,
                "isBatch": false,
            })
        });
        Ok(Some(run_v2(&run, &names, trigger, with_output)))
    });
    let run = run.await?.ok_or_else(unknown)?;
    Ok(output::v2(run, api.node.now()))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunV2 {
    id: String,
    function: Value,
    app: Value,
    status: &'static str,
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

fn run_v2(run: &RunView, names: &Names, trigger: Option<Value>, with_output: bool) -> RunV2 {
    let function = names.function(run.row.function);
    let app = function.map_or("", |function| names.app_of(function));
    let slug = function.map_or("", |function| &function.slug);
    let short = slug
        .strip_prefix(app)
        .and_then(|rest| rest.strip_prefix('-'))
        .unwrap_or(slug);
    let name = function.map_or("", |function| &function.name);
    let end = run.end.as_ref();
    let started = end.map(|end| end.started).filter(|at| at.ms() > 0);
    RunV2 {
        id: ulid_for(run.row.created, run.row.seq).to_string(),
        function: json!({"id": short, "name": name, "slug": slug}),
        app: json!({"id": app}),
        status: status_v2(run),
        queued_at: run.row.created.rfc3339(),
        started_at: started.map(|at| at.rfc3339()),
        ended_at: end.map(|end| end.ended.rfc3339()),
        duration_ms: end.and_then(|end| Some(end.ended.since(started?).to_string())),
        trigger,
        output: if with_output { output_of(run) } else { None },
    }
}

pub(super) fn unknown() -> Refused {
    Refused::new(Code::NotFound, "there is no such run")
}
