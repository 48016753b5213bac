//! Chosen runs of a function are made again: `/api/functions/{slug}/replays` and `/api/replays`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_engine::RunStatus;
use dunlin_node::{Action, Job, Selection};
use dunlin_store::RunView;
use dunlin_types::{Code, Coded, limits};
use http::StatusCode;
use serde_json::{Value, json};

use super::output::Names;
use super::params::{Fields, bad};
use super::pause::function;
use crate::error::{Refused, Reply};
use crate::state::Api;

/// Runs of a replay that names no statuses.
const STATUSES_DEFAULT: &[RunStatus] = &[RunStatus::Failed];

pub(super) async fn start(State(api): State<Api>, Path(slug): Path<String>, body: Bytes) -> Reply {
    let fields = Fields::of(&body)?;
    let (row, _) = function(&api, &slug).await?;
    let selection = selection(&api, row.number, &fields)?;
    if fields.is_true("countOnly") {
        let count = api.jobs.count(&selection).await?;
        let body = json!({"count": count.runs, "isComplete": count.whole});
        return Ok(Json(body).into_response());
    }
    let per_second = per_second(&fields)?;
    let asked = json!({
        "status": fields.get("status"),
        "from": selection.from.rfc3339(),
        "until": selection.until.rfc3339(),
        "errorContains": fields.get("errorContains"),
        "perSecond": per_second,
    });
    let job = api
        .jobs
        .start(Action::Replay, selection, per_second, asked)?;
    let names = api.node.read(|reader| Names::read(reader)).await?;
    Ok((StatusCode::CREATED, Json(shown(&job, &names))).into_response())
}

fn per_second(fields: &Fields) -> Result<u32, Refused> {
    let Some(value) = fields.get("perSecond") else {
        return Ok(limits::BULK_RUNS_PER_SECOND_DEFAULT);
    };
    let max = limits::BULK_RUNS_PER_SECOND_MAX;
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number
        .filter(|number| (1..=max).contains(number))
        .ok_or_else(|| bad(format!("per_second must be a number from 1 to {max}")))
}

fn selection(api: &Api, function: u32, fields: &Fields) -> Result<Selection, Refused> {
    let now = api.node.now();
    let from = fields.instant("from")?;
    let from = from.ok_or_else(|| bad("from is required: replay runs made at or after it"))?;
    // The runs that a replay makes must not be taken for runs to replay.
    let until = fields.instant("until")?.unwrap_or(now).min(now);
    if from >= until {
        return Err(bad("from must be before until, and in the past"));
    }
    let statuses = match fields.texts("status")? {
        None => STATUSES_DEFAULT.to_vec(),
        Some(names) => names.into_iter().map(status).collect::<Result<_, _>>()?,
    };
    let contains = fields.text("errorContains")?.map(str::to_owned);
    let keep = move |run: &RunView, _: &mut dyn dunlin_store::Reader| {
        let Some(end) = &run.end else {
            return Ok(false);
        };
        let is_named = statuses.contains(&end.status);
        let has_text = contains.as_deref().is_none_or(|text| has_error(run, text));
        Ok(is_named && has_text)
    };
    Ok(Selection {
        function,
        from,
        until,
        keep: Arc::new(keep),
    })
}

fn status(name: &str) -> Result<RunStatus, Refused> {
    Ok(match name.to_ascii_lowercase().as_str() {
        "completed" => RunStatus::Completed,
        "failed" => RunStatus::Failed,
        "cancelled" => RunStatus::Cancelled,
        "skipped" => RunStatus::Skipped,
        _ => {
            let detail = "status must name some of Completed, Failed, Cancelled and Skipped";
            return Err(bad(detail));
        }
    })
}

/// Whether a run failed with that text in its error's name or message.
fn has_error(run: &RunView, text: &str) -> bool {
    let failed = run
        .end
        .as_ref()
        .filter(|end| end.status == RunStatus::Failed);
    let Some(end) = failed else { return false };
    let error: Value = serde_json::from_slice(end.output.bytes()).unwrap_or_default();
    let texts = ["name", "message", "error", "code"].map(|name| error.get(name));
    let mut texts = texts.into_iter().flatten().chain([&error]);
    texts.any(|value| value.as_str().is_some_and(|whole| whole.contains(text)))
}

pub(super) async fn list(State(api): State<Api>) -> Reply {
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let jobs = api.jobs.list(Action::Replay);
    let jobs: Vec<Value> = jobs.iter().map(|job| shown(job, &names)).collect();
    Ok(Json(json!({ "data": jobs })).into_response())
}

pub(super) async fn one(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let job = find(&api, &id)?;
    let names = api.node.read(|reader| Names::read(reader)).await?;
    Ok(Json(shown(&job, &names)).into_response())
}

pub(super) async fn stop(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    find(&api, &id)?.stop();
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn find(api: &Api, id: &str) -> Result<Arc<Job>, Refused> {
    let job = id
        .parse()
        .ok()
        .and_then(|id| api.jobs.find(Action::Replay, id));
    job.ok_or_else(|| Refused::new(Code::NotFound, "there is no such replay"))
}

/// An error as jobs show it.
pub(super) fn error_of(error: &Coded) -> Value {
    json!({"code": error.code.to_string(), "message": error.detail})
}

fn shown(job: &Job, names: &Names) -> Value {
    let progress = job.progress();
    let slug = names.function(job.function).map(|f| f.slug.as_str());
    json!({
        "id": job.id.to_string(),
        "function": {"id": names.function_id(job.function), "slug": slug},
        "asked": job.asked,
        "state": progress.state.as_str(),
        "matched": progress.matched,
        "started": progress.done,
        "failed": progress.failed,
        "error": progress.error.as_ref().map(error_of),
        "createdAt": job.created.rfc3339(),
        "endedAt": progress.ended.map(|at| at.rfc3339()),
    })
}
