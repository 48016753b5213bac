//! What is queued of a function: `/api/functions/{slug}/queues`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use dunlin_engine::look::{Cause, GatherView, LaneView, Queues};
use dunlin_types::{Code, Timestamp};
use serde_json::{Value, json};

use super::cause::{self, RunIds};
use super::waiting::keys;
use crate::error::{Refused, Reply};
use crate::sdk::Names;
use crate::state::Api;

/// The function of that composite id or UUID, archived or not: its number, slug and UUID.
pub(super) async fn function(api: &Api, id: &str) -> Result<(u32, String, String), Refused> {
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let function = names.find(id).or_else(|| names.find_archived(id));
    let unknown = || Refused::new(Code::NotFound, "there is no such function");
    let function = function.ok_or_else(unknown)?;
    let uuid = names.function_id(function.number);
    Ok((function.number, function.slug.clone(), uuid))
}

pub(super) async fn queues(State(api): State<Api>, Path(slug): Path<String>) -> Reply {
    let (number, slug, id) = function(&api, &slug).await?;
    // A function that the engine has let go has nothing queued.
    let seen = api.node.queues(number).await?.unwrap_or_default();
    let causes = seen.lanes.iter().filter_map(|lane| lane.cause.as_ref());
    let holders = cause::holders(causes);
    let ids = api
        .node
        .read(move |reader| cause::read_ids(reader, holders))
        .await?;
    let mut body = shown(&seen, &ids, api.node.now());
    body["functionId"] = slug.into();
    body["id"] = id.into();
    Ok(Json(body).into_response())
}

pub(super) fn shown(seen: &Queues, ids: &RunIds, now: Timestamp) -> Value {
    let lanes = seen.lanes.iter().map(|one| lane(one, ids, now));
    json!({
        "totals": {
            "queued": seen.queued,
            "starts": seen.starts,
            "inFlight": seen.in_flight,
            "held": seen.held,
            "oldestAgeMs": age_ms(seen.oldest, now),
        },
        "perMinute": {
            "runsIn": seen.runs_in,
            "runsOut": seen.runs_out,
            "calls": seen.calls_out,
        },
        "lanes": lanes.collect::<Vec<_>>(),
        "lanesTotal": seen.lanes_total,
        "gathering": seen.gathering.iter().map(gathering).collect::<Vec<_>>(),
        "gatheringTotal": seen.gathering_total,
    })
}

fn age_ms(since: Option<Timestamp>, now: Timestamp) -> Option<i64> {
    since.map(|since| now.since(since).max(0))
}

fn lane(lane: &LaneView, ids: &RunIds, now: Timestamp) -> Value {
    let told = |cause: &Cause| cause::sentence(cause, None, None, ids);
    json!({
        "keys": keys(&lane.keys),
        "starts": lane.starts,
        "underWay": lane.under_way,
        "inFlight": lane.in_flight,
        "oldestAgeMs": age_ms(lane.oldest, now),
        "cause": lane.cause.as_ref().map(|cause| cause::facts(cause, ids)),
        "message": lane.cause.as_ref().map(told),
    })
}

fn gathering(gather: &GatherView) -> Value {
    json!({
        "rule": gather.rule.name(),
        "key": gather.key,
        "events": gather.events,
        "openedAt": gather.opened.rfc3339(),
        "dueAt": gather.due.rfc3339(),
    })
}
