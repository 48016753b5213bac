//! Why a run waits: `/api/runs/{id}/waiting`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use dunlin_engine::config::Rule;
use dunlin_engine::look::{ItemWaiting, RunWaiting};
use dunlin_store::{Reader, RunView, StoreResult};
use dunlin_types::{Code, Seq, Timestamp};
use serde_json::{Value, json};

use super::cause::{self, RunIds};
use crate::error::{Refused, Reply};
use crate::sdk::{Names, RunState, run_of};
use crate::state::Api;

/// What the open items of a run wait for, and what is needed to tell it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(super) waiting: RunWaiting,
    /// Public ids of the runs that hold what it waits for.
    pub(super) ids: RunIds,
    /// Steps of the items that stand for one: id and name.
    pub(super) steps: BTreeMap<Seq, (Option<String>, String)>,
}

/// Looks at a run; none if it is not live any more.
pub(crate) async fn see(api: &Api, run: Seq) -> Result<Option<Seen>, Refused> {
    let Some(waiting) = api.node.waiting(run).await? else {
        return Ok(None);
    };
    let holders = cause::holders(waiting.items.iter().map(|item| &item.cause));
    let items: Vec<Seq> = waiting
        .items
        .iter()
        .filter(|item| item.kind.is_step())
        .map(|item| item.item)
        .collect();
    let read = api.node.read(move |reader| {
        let ids = cause::read_ids(reader, holders)?;
        let rows = reader.step_rows(&items)?;
        let steps = rows.into_iter().map(|row| {
            let id = row.id.as_ref().map(|id| id.text());
            (row.mark.seq, (id, row.name.to_string()))
        });
        Ok((ids, steps.collect()))
    });
    let (ids, steps) = read.await?;
    Ok(Some(Seen {
        waiting,
        ids,
        steps,
    }))
}

impl Seen {
    /// Whether a call of it has gone out.
    pub(crate) const fn has_begun(&self) -> bool {
        self.waiting.begun
    }

    /// What each of its items waits for, oldest first.
    pub(crate) fn items(&self) -> impl Iterator<Item = (Seq, Value)> {
        let shown = |item| (item, self.item(item));
        let shown = self.waiting.items.iter().map(shown);
        shown.map(|(item, value)| (item.item, value))
    }

    fn item(&self, item: &ItemWaiting) -> Value {
        let (cause, ids) = (&item.cause, &self.ids);
        let named = Some((item.kind, item.attempt));
        let step = self.steps.get(&item.item);
        json!({
            "item": format!("{:016x}", item.item.0),
            "kind": cause::kind(item.kind),
            "step": step.map(|(id, name)| json!({"id": id, "name": name})),
            "attempt": item.attempt,
            "cause": cause::facts(cause, ids),
            "message": cause::sentence(cause, named, item.ahead, ids),
            "ahead": item.ahead,
            "expectedAt": item.expected.map(Timestamp::rfc3339),
        })
    }
}

/// Keys by rule; a list, because two rules may have one name.
pub(super) fn keys(keys: &[(Rule, String)]) -> Value {
    let shown = |(rule, key): &(Rule, String)| json!({"rule": rule.name(), "key": key});
    keys.iter().map(shown).collect()
}

pub(super) async fn waiting(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let (run, slug) = find(&api, &id).await?;
    let seen = match run.end {
        Some(_) => None,
        None => see(&api, run.row.seq).await?,
    };
    // A run that was live a moment ago has ended where the engine knows nothing of it.
    let run = match seen {
        None if run.end.is_none() => find(&api, &id).await?.0,
        _ => run,
    };
    let now = api.node.now();
    Ok(Json(shown(&id, &run, &slug, seen.as_ref(), now)).into_response())
}

pub(super) fn shown(
    id: &str,
    run: &RunView,
    slug: &str,
    seen: Option<&Seen>,
    now: Timestamp,
) -> Value {
    let mut state = RunState::of(run, now);
    let items = seen.into_iter().flat_map(Seen::items);
    let begun = match (seen, &run.end) {
        (Some(seen), _) => seen.has_begun(),
        (None, Some(end)) => end.started != Timestamp::ZERO,
        (None, None) => false,
    };
    if seen.is_some() {
        state.begun(begun);
    }
    json!({
        "runId": id,
        "functionId": slug,
        "status": state.v1(),
        "begun": begun,
        "keys": seen.map_or_else(|| json!([]), |seen| keys(&seen.waiting.keys)),
        "waitsFor": items.map(|(_, item)| item).collect::<Vec<_>>(),
    })
}

/// The run of that public id, and its function's composite id.
async fn find(api: &Api, id: &str) -> Result<(RunView, String), Refused> {
    let id = id.to_owned();
    let read = api.node.read(move |reader| read(reader, &id));
    let unknown = || Refused::new(Code::NotFound, "there is no such run");
    read.await?.ok_or_else(unknown)
}

fn read(reader: &mut dyn Reader, id: &str) -> StoreResult<Option<(RunView, String)>> {
    let Some(run) = run_of(reader, id)? else {
        return Ok(None);
    };
    let names = Names::read(reader)?;
    let slug = names.function(run.row.function).map(|f| f.slug.clone());
    Ok(Some((run, slug.unwrap_or_default())))
}
