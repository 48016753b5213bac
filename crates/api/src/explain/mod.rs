//! What became of a message or an event, and why: `/api/events/{id}/explain`.
//!
//! The facts are loaded in one read; what they mean is told by pure functions.

mod endpoints;
mod functions;
mod load;
mod pending;
mod rules;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use self::endpoints::{cancelled_by, name_of};
pub(crate) use self::functions::knows;
pub(crate) use self::load::repeats;
pub(crate) use self::shape::Repeats;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use dunlin_delivery::{DeliveryRow, DeliveryState};
use dunlin_types::limits::EXPLAINED_GATHERS_MAX;
use dunlin_types::{Code, Ulid};

use self::load::Asked;
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new().route("/api/events/{id}/explain", get(explain))
}

/// The id is a message's, its provider's, or an event's internal one.
async fn explain(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    let asked = match id.parse::<Ulid>() {
        Ok(event) => Asked::Event(event),
        Err(_) => Asked::Message(id),
    };
    let config = api.node.config();
    let facts = api
        .node
        .read(move |reader| load::facts(reader, &config, &asked))
        .await?;
    let mut facts = facts.ok_or_else(|| Refused::plain(Code::NotFound))?;
    blockers(&api, &mut facts).await?;
    gathering(&api, &mut facts).await?;
    begun(&api, &mut facts).await;
    let now = api.node.now();
    let explanation = match facts {
        load::Facts::Message(facts) => endpoints::explain(&facts, now),
        load::Facts::Event(facts) => functions::explain(&facts, now),
    };
    Ok(axum::Json(explanation).into_response())
}

/// Asks what those of the message's deliveries wait for that have not ended.
async fn blockers(api: &Api, facts: &mut load::Facts) -> Result<(), Refused> {
    let load::Facts::Message(facts) = facts else {
        return Ok(());
    };
    let is_pending = |row: &DeliveryRow| row.state == DeliveryState::Pending;
    if !facts.deliveries.iter().any(is_pending) {
        return Ok(());
    }
    facts.blockers = api.node.blockers(facts.message.seq).await?;
    let firsts = pending::firsts(facts.blockers.values());
    if !firsts.is_empty() {
        let read = api.node.read(|reader| load::message_ids(reader, firsts));
        facts.firsts = read.await?;
    }
    Ok(())
}

/// Looks for the events in what functions gather now.
async fn gathering(api: &Api, facts: &mut load::Facts) -> Result<(), Refused> {
    let mut looked_at = 0;
    for event in facts.events() {
        for function in rules::undecided(event) {
            if looked_at == EXPLAINED_GATHERS_MAX {
                return Ok(());
            }
            looked_at += 1;
            if let Some(seen) = api.node.queues(function).await? {
                event.gathering.insert(function, seen.gathering);
            }
        }
    }
    Ok(())
}

/// Asks which of the live runs have begun; without an answer, those that are due count as begun.
async fn begun(api: &Api, facts: &mut load::Facts) {
    let mut events = facts.events();
    let runs = events.iter().flat_map(|event| &event.runs);
    let live = runs.filter(|run| run.end.is_none());
    let live = live.map(|run| run.row.seq).collect();
    let told = api.node.begun(live).await.unwrap_or_default();
    for event in &mut events {
        event.begun.clone_from(&told);
    }
}
