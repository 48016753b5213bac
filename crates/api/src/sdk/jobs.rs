//! What is open of a run: `/v1/runs/{id}/jobs`, as far as its rows tell.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use dunlin_engine::step::{StepFlags, StepKind, StepRow};
use dunlin_store::{Page, Reader, RunView, StoreResult};
use dunlin_types::{Seq, Timestamp, limits};
use serde_json::{Value, json};

use super::output::{self, run_of};
use super::runs::unknown;
use crate::error::Reply;
use crate::state::Api;

/// An item that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenItem {
    pub(crate) item: Seq,
    /// `edge` is a call or a request to make, `sleep` a timer, `pause` a wait for something else.
    pub(crate) kind: &'static str,
    pub(crate) at: Timestamp,
    pub(crate) attempt: u8,
    pub(crate) name: String,
}

/// The open items of a run, in the order in which they were opened.
pub(crate) fn open_items(run: &RunView, rows: &[StepRow]) -> Vec<OpenItem> {
    if run.end.is_some() {
        return Vec::new();
    }
    let mut open = BTreeMap::new();
    let put = |open: &mut BTreeMap<Seq, OpenItem>, item, kind, at, name: &str| {
        let name = name.to_owned();
        open.insert(
            item,
            OpenItem {
                item,
                kind,
                at,
                attempt: 0,
                name,
            },
        );
    };
    put(&mut open, run.row.seq, "edge", run.row.due, "");
    for row in rows {
        let mark = &row.mark;
        if mark.flags.has(StepFlags::CLOSES) {
            open.remove(&mark.item);
        }
        if mark.flags.has(StepFlags::DISCOVERS) {
            put(&mut open, mark.seq, "edge", row.ended, "");
        }
        match mark.kind {
            StepKind::Planned | StepKind::Requested => {
                put(&mut open, mark.seq, "edge", row.ended, &row.name);
            }
            StepKind::Slept => put(&mut open, mark.seq, "sleep", mark.due, &row.name),
            StepKind::Waited | StepKind::Invoked | StepKind::AwaitedSignal => {
                put(&mut open, mark.seq, "pause", mark.due, &row.name);
            }
            StepKind::Retried | StepKind::Redispatched => {
                if let Some(item) = open.get_mut(&mark.item) {
                    item.at = mark.due;
                    item.attempt = mark.attempt;
                }
            }
            StepKind::Stopped => open.clear(),
            _ => {}
        }
    }
    open.into_values().collect()
}

pub(super) async fn jobs(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let asked = id.clone();
    let read = api.node.read(move |reader| {
        let Some(run) = run_of(reader, &asked)? else {
            return Ok(None);
        };
        let rows = reader.steps(run.row.seq, run.end.as_ref().map(|end| end.last))?;
        Ok(Some(open_items(&run, &rows)))
    });
    let open = read.await?.ok_or_else(unknown)?;
    let shown = open.iter().enumerate().map(|(position, item)| {
        json!({
            "JobID": format!("{id}-{}", item.item),
            "at": item.at.rfc3339(),
            "position": position,
            "kind": item.kind,
            "attempt": item.attempt,
            "Raw": {"name": item.name},
        })
    });
    Ok(output::v1(shown.collect::<Vec<Value>>(), api.node.now()))
}

/// Items of a function that wait to be called or for their time, among the newest runs.
pub(crate) fn queued_of(reader: &mut dyn Reader, function: u32) -> StoreResult<usize> {
    let (mut count, mut rows_read) = (0, 0);
    let mut page = Page::newest(limits::PAGE_ITEMS_MAX);
    while rows_read < limits::LIST_ROWS_READ_MAX {
        let runs = reader.runs(page)?;
        rows_read += runs.len();
        page.after = runs.last().map(|run| run.row.seq);
        let is_last = runs.len() < limits::PAGE_ITEMS_MAX;
        let live = |run: &&RunView| run.row.function == function && run.end.is_none();
        for run in runs.iter().filter(live) {
            let rows = reader.steps(run.row.seq, None)?;
            let open = open_items(run, &rows);
            count += open.iter().filter(|item| item.kind != "pause").count();
        }
        if is_last {
            break;
        }
    }
    Ok(count)
}
