//! One trace from end to end: `/api/trace/{id}`. From the request over messages, deliveries,
//! attempts and events to runs, their steps, and the events that those sent in turn.
//!
//! Whatever the id names, one climbs from it to where it all began, and loads and draws the tree
//! from there: the answer is the same for each of them, but for what is marked.

mod climb;
mod draw;
mod draw_runs;
mod facts;
mod load;
mod node;
mod runs;
#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use dunlin_trace::SpanStatus;
use dunlin_types::Code;

use self::facts::Facts;
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/api/trace/{id}", get(trace))
}

/// The id is a message's, its sender's, a delivery's, an attempt's, an event's internal one, or a
/// run's.
async fn trace(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let config = api.node.config();
    let now = api.node.now();
    let read = api
        .node
        .read(move |reader| match climb::climb(reader, &id)? {
            Some(climbed) => load::load(reader, &config, &climbed, now),
            None => Ok(None),
        });
    let facts = read.await?;
    let mut facts = facts.ok_or_else(|| Refused::plain(Code::NotFound))?;
    begun(&api, &mut facts).await;
    Ok(axum::Json(draw::draw(&facts)).into_response())
}

/// Asks which of the live runs have begun; without an answer, those that are due count as begun.
async fn begun(api: &Api, facts: &mut Facts) {
    let mut live = Vec::new();
    facts.each_run(&mut |run| {
        if run.view.end.is_none() {
            live.push(run.view.row.seq);
        }
    });
    let told = api.node.begun(live).await.unwrap_or_default();
    facts.each_run(&mut |run| {
        if let (Some(begun), Some(trace)) = (told.get(&run.view.row.seq), &mut run.trace) {
            trace.root.status = match begun {
                true => SpanStatus::Running,
                false => SpanStatus::Queued,
            };
        }
    });
}
