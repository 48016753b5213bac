//! Many runs are cancelled: `/v1/cancellations`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_expr::{Program, Scope, parse_json};
use dunlin_node::{Action, Job, Keep, Node, Selection};
use dunlin_store::started_by;
use dunlin_types::{Code, Timestamp, limits};
use http::StatusCode;
use serde_json::{Value, json};

use super::event_log::full;
use super::output::{self, ACCOUNT_ID, ENVIRONMENT_ID, Names};
use super::params::{Fields, bad};
use super::replays::error_of;
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) async fn start(State(api): State<Api>, body: Bytes) -> Reply {
    let fields = Fields::of(&body)?;
    // The texts are the SDK protocol's.
    let app = fields
        .text("appId")?
        .ok_or_else(|| bad("app_id is required"))?;
    let id = fields.text("functionId")?;
    let id = id.ok_or_else(|| bad("function_id is required"))?;
    let (after, before) = window(&fields, api.node.now())?;
    let condition = fields.text("if")?.map(Program::parse).transpose()?;
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let unknown = || Refused::new(Code::NotFound, "there is no such function");
    let function = names.find_in(app, id).ok_or_else(unknown)?;
    let asked = json!({
        "app_id": app,
        "function_internal_id": names.function_id(function.number),
        "function_id": function.slug,
        "started_after": after.map(Timestamp::rfc3339),
        "started_before": before.rfc3339(),
        "if": condition.as_ref().map(Program::text),
    });
    let selection = Selection {
        function: function.number,
        from: after.unwrap_or(Timestamp::ZERO),
        until: before,
        keep: keep(api.node.clone(), condition),
    };
    let per_second = limits::BULK_RUNS_PER_SECOND_MAX;
    let job = api
        .jobs
        .start(Action::Cancel, selection, per_second, asked)?;
    Ok(output::v1(shown(&job), api.node.now()))
}

fn window(fields: &Fields, now: Timestamp) -> Result<(Option<Timestamp>, Timestamp), Refused> {
    let after = fields.instant("startedAfter")?;
    let before = fields.instant("startedBefore")?;
    let before = before.ok_or_else(|| bad("started_before is required"))?;
    if before.since(now) > limits::BULK_CANCEL_AHEAD_MS_MAX {
        return Err(bad("started_before must be in the past"));
    }
    if after.is_some_and(|after| after >= before) {
        return Err(bad("started_after must be before started_before"));
    }
    Ok((after, before))
}

/// Runs that have not ended and whose event, or one of those of a batch, meets the condition; one
/// that fails is not met.
fn keep(node: Node, condition: Option<Program>) -> Arc<Keep> {
    Arc::new(move |run, reader| {
        if run.end.is_some() {
            return Ok(false);
        }
        let Some(program) = &condition else {
            return Ok(true);
        };
        for seq in started_by(&run.row) {
            let Some(event) = full(reader, seq)? else {
                continue;
            };
            let scope = Scope {
                event: &parse_json(&event.json()),
                async_event: None,
                now: node.now(),
            };
            if program.matches(&scope).unwrap_or(false) {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

pub(super) async fn list(State(api): State<Api>) -> Reply {
    let jobs = api.jobs.list(Action::Cancel);
    let jobs: Vec<Value> = jobs.iter().map(|job| shown(job)).collect();
    Ok(output::v1(jobs, api.node.now()))
}

pub(super) async fn stop(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let job = id
        .parse()
        .ok()
        .and_then(|id| api.jobs.find(Action::Cancel, id));
    let unknown = || Refused::new(Code::NotFound, "there is no such cancellation");
    job.ok_or_else(unknown)?.stop();
    Ok(StatusCode::OK.into_response())
}

fn shown(job: &Job) -> Value {
    let progress = job.progress();
    let mut shown = job.asked.clone();
    let more = json!({
        "id": job.id.to_string(),
        "name": "",
        "created_at": job.created.rfc3339(),
        "account_id": ACCOUNT_ID,
        "environment_id": ENVIRONMENT_ID,
        "kind": "bulk_run",
        "cause": "api",
        "queue_name": null,
        "progress": {
            "state": progress.state.as_str(),
            "matched": progress.matched,
            "cancelled": progress.done,
            "failed": progress.failed,
            "error": progress.error.as_ref().map(error_of),
            "ended_at": progress.ended.map(Timestamp::rfc3339),
        },
    });
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
    }
    shown
}
