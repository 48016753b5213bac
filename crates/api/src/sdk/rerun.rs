//! Runs are made again: `POST /v2/runs/{id}/rerun`, from their start or from one of their steps.

use std::collections::HashMap;

use axum::extract::{Path, State};
use bytes::Bytes;
use dunlin_engine::step::{StepFlags, StepRow};
use dunlin_engine::{Answer, Input, KeptResult, Rerun};
use dunlin_node::rerun_of;
use dunlin_types::{Code, Payload, Seq, StepId};
use http::StatusCode;
use serde_json::{Value, json};

use super::output::{self, run_of};
use super::params::{Fields, bad};
use super::runs::unknown;
use crate::error::{Refused, Reply};
use crate::state::Api;

/// The step to begin with.
struct FromStep {
    /// The name that users gave it, or the id that the SDK made of that.
    step: String,
    /// Other arguments.
    input: Option<Payload>,
}

pub(super) async fn rerun(State(api): State<Api>, Path(id): Path<String>, body: Bytes) -> Reply {
    let from = from_step(&Fields::of(&body)?)?;
    let read = api.node.read(move |reader| {
        let Some(run) = run_of(reader, &id)? else {
            return Ok(None);
        };
        let Some(rerun) = rerun_of(reader, &run)? else {
            return Ok(None);
        };
        let steps = match &from {
            Some(_) => reader.steps(run.row.seq, run.end.as_ref().map(|end| end.last))?,
            None => Vec::new(),
        };
        Ok(Some((rerun, steps, from)))
    });
    let (mut rerun, steps, from) = read.await?.ok_or_else(unknown)?;
    if let Some(from) = from {
        begin_at(&mut rerun, &steps, from)?;
    }
    let rerun = Box::new(rerun);
    match api
        .node
        .engine(|token| Input::Rerun { token, rerun })
        .await?
    {
        Answer::Started { run, .. } => Ok(output::v2(
            json!({ "runId": run.to_string() }),
            api.node.now(),
        )),
        _ => Err(Refused::plain(Code::FunctionGone).status(StatusCode::NOT_FOUND)),
    }
}

fn from_step(fields: &Fields) -> Result<Option<FromStep>, Refused> {
    let Some(from) = fields.get("fromStep") else {
        return Ok(None);
    };
    let text = from.to_string();
    let from = Fields::of(&Bytes::from(text))?;
    let missing = || bad("fromStep.stepId is required").word("missing_field");
    let step = from.text("stepId")?.ok_or_else(missing)?.to_owned();
    let input = match from.get("input") {
        None => None,
        Some(input @ Value::Array(_)) => Some(Payload::from_json(input.to_string())),
        Some(_) => {
            let detail = "fromStep.input must be the list of the step's arguments";
            return Err(bad(detail).word("invalid_field_format"));
        }
    };
    Ok(Some(FromStep { step, input }))
}

/// Keeps what was there before the step's own result, so that nothing that is kept can depend on it.
fn begin_at(rerun: &mut Rerun, rows: &[StepRow], from: FromStep) -> Result<(), Refused> {
    let (id, name) = find(rows, &from.step)?;
    let mut open: HashMap<Seq, (StepId, String)> = HashMap::new();
    for row in rows {
        let flags = row.mark.flags;
        if flags.has(StepFlags::VERSION_KNOWN) {
            rerun.version = Some(if flags.has(StepFlags::VERSION_2) {
                2
            } else {
                1
            });
        }
        let own = row.id.clone().map(|id| (id, row.name.clone()));
        if row.mark.kind.opens() {
            open.extend(own.map(|own| (row.mark.seq, own)));
            continue;
        }
        if !row.mark.kind.completes() {
            continue;
        }
        let Some((done, name)) = own.or_else(|| open.get(&row.mark.item).cloned()) else {
            continue;
        };
        if done == id {
            break;
        }
        rerun.results.push(KeptResult {
            id: done,
            name,
            kind: row.mark.kind,
            payload: row.payload.clone(),
        });
    }
    rerun.from = Some((id, name, from.input));
    Ok(())
}

/// The only step of that name or id.
fn find(rows: &[StepRow], text: &str) -> Result<(StepId, String), Refused> {
    let mut named: Vec<(StepId, String)> = Vec::new();
    for row in rows
        .iter()
        .filter(|row| row.mark.kind.opens() || row.mark.kind.completes())
    {
        let Some(id) = &row.id else { continue };
        if id.text() == text {
            return Ok((id.clone(), row.name.clone()));
        }
        if row.name == text && !named.iter().any(|(known, _)| known == id) {
            named.push((id.clone(), row.name.clone()));
        }
    }
    // A step that never came to a result is known by its failed attempts only.
    if named.is_empty() {
        let attempts = rows.iter().filter(|row| row.name == text);
        let ids = attempts.filter_map(|row| Some((row.id.clone()?, row.name.clone())));
        named.extend(ids.take(1));
    }
    match named.len() {
        1 => Ok(named.swap_remove(0)),
        0 => Err(bad(format!("the run has no step `{text}`"))),
        n => Err(bad(format!(
            "the run has {n} steps named `{text}`; name one by the id that its trace shows"
        ))),
    }
}
