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
        .engine_intake(1, |token| Input::Rerun { token, rerun })
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

#[cfg(test)]
mod tests {
    use dunlin_engine::step::{StepKind, StepMark};
    use dunlin_types::Timestamp;

    use super::*;

    /// A row: its place, its kind, the item it came from, and the step where it is named.
    fn row(seq: u64, kind: StepKind, item: u64, step: Option<&str>) -> StepRow {
        StepRow {
            mark: StepMark {
                seq: Seq(seq),
                run: Seq(1),
                kind,
                flags: StepFlags(StepFlags::VERSION_KNOWN | StepFlags::VERSION_2),
                item: Seq(item),
                attempt: 0,
                due: Timestamp::ZERO,
            },
            prev: Seq(seq - 1),
            id: step.map(StepId::new),
            name: step.unwrap_or_default().to_owned(),
            queued: Timestamp::ZERO,
            started: Timestamp::ZERO,
            ended: Timestamp::ZERO,
            payload: Payload::null(),
            source: None,
        }
    }

    /// Two steps side by side, of which `slow` ends last, then a sleep and a step that fails.
    fn rows() -> Vec<StepRow> {
        vec![
            row(2, StepKind::Planned, 1, Some("slow")),
            row(3, StepKind::Planned, 1, Some("quick")),
            row(4, StepKind::Ran, 3, None),
            row(5, StepKind::Ran, 2, Some("slow")),
            row(6, StepKind::Slept, 1, Some("nap")),
            row(7, StepKind::Woke, 6, None),
            row(8, StepKind::Retried, 1, Some("last")),
            row(9, StepKind::Failed, 1, Some("last")),
            row(10, StepKind::Ran, 1, Some("after")),
        ]
    }

    fn kept(step: &str) -> Result<Vec<String>, Refused> {
        let mut rerun = Rerun {
            original: Seq(1),
            function: 0,
            events: Vec::new(),
            version: None,
            results: Vec::new(),
            from: None,
        };
        let from = FromStep {
            step: step.to_owned(),
            input: None,
        };
        begin_at(&mut rerun, &rows(), from)?;
        assert_eq!(rerun.version, Some(2));
        Ok(rerun.results.into_iter().map(|one| one.name).collect())
    }

    #[test]
    fn what_ended_before_the_step_is_kept_whoever_named_it() {
        assert_eq!(kept("quick").unwrap(), [""; 0]);
        assert_eq!(kept("slow").unwrap(), ["quick"]);
        assert_eq!(kept("nap").unwrap(), ["quick", "slow"]);
        assert_eq!(kept("last").unwrap(), ["quick", "slow", "nap"]);
        assert_eq!(kept("after").unwrap(), ["quick", "slow", "nap", "last"]);
    }

    #[test]
    fn a_step_that_never_ended_may_be_the_first() {
        let rows = vec![row(2, StepKind::Retried, 1, Some("a"))];
        assert_eq!(find(&rows, "a").unwrap().0, StepId::new("a"));
        assert!(find(&rows, "b").is_err());
    }

    #[test]
    fn two_steps_of_one_name_must_be_told_apart() {
        let mut rows = vec![
            row(2, StepKind::Ran, 1, Some("a")),
            row(3, StepKind::Ran, 1, Some("b")),
        ];
        rows[1].name = "a".to_owned();
        rows[0].id = Some(StepId::new("x"));
        assert!(find(&rows, "a").is_err());
        assert_eq!(find(&rows, "b").unwrap().0, StepId::new("b"));
    }
}
