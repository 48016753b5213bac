//! What a function's rules of flow control made of an event.

use dunlin_engine::config::{FunctionRow, Rule};
use dunlin_store::RunView;
use serde_json::{Value, json};

use super::functions::{is_invoked, knows};
use super::load::EventFacts;
use super::shape::Verdict;
use crate::flow::{Dropped, Gathering, find_gathering, may_gather};

/// Functions that may have the event in a debounce or a batch, as far as the rows tell.
pub(super) fn undecided(facts: &EventFacts) -> Vec<u32> {
    let open = facts.then.iter().filter(|function| {
        let number = function.number;
        may_gather(function)
            && function.archived.is_none()
            && (knows(function, &facts.event.name) || is_invoked(function, &facts.event))
            && facts.runs.iter().all(|run| run.row.function != number)
            && drop_of(facts, function).is_none()
    });
    open.map(|function| function.number).collect()
}

/// The record that the function's rules dropped the event.
pub(super) fn drop_of<'a>(facts: &'a EventFacts, function: &FunctionRow) -> Option<&'a Dropped> {
    let number = function.number;
    facts.dropped.iter().find(|one| one.row.function == number)
}

/// What gathers the event for the function now.
pub(super) fn gathering(
    facts: &EventFacts,
    function: &FunctionRow,
    event: &Value,
) -> Option<Gathering> {
    let now = facts.gathering.get(&function.number)?;
    find_gathering(function, event, facts.event.received, now)
}

fn under(key: &str) -> String {
    match key {
        "" => String::new(),
        key => format!(" under key {}", Value::from(key)),
    }
}

/// A rule dropped the event.
pub(super) fn dropped(drop: &Dropped, at: impl Fn(&'static str, String) -> Verdict) -> Verdict {
    let row = &drop.row;
    let under = under(&row.key);
    let reason = match row.rule {
        Rule::RateLimit => format!("the function's rateLimit was used up{under}"),
        Rule::Debounce => format!("a later event took its place in the debounce{under}"),
        Rule::Idempotency => {
            format!("a run had been started within the day before{under} of idempotency")
        }
        Rule::Singleton => format!("another run of the function was live{under} of singleton"),
        rule => format!("the function's {rule} dropped it{under}"),
    };
    at("dropped", reason)
        .fact("rule", row.rule.name().into())
        .fact("key", row.key.as_str().into())
        .fact("kept", json!(drop.kept.as_ref().map(|kept| kept.facts())))
        .fact("at", row.at.rfc3339().into())
}

/// The event waits in a debounce or a batch.
pub(super) fn gathered(
    gathering: &Gathering,
    at: impl Fn(&'static str, String) -> Verdict,
) -> Verdict {
    let (under, due) = (under(&gathering.key), gathering.due);
    let reason = match gathering.rule {
        Rule::Debounce => {
            format!("it waits{under} for more events to follow, until {due} as things stand")
        }
        _ => format!("it waits{under} for its batch to fill, until {due} at the latest"),
    };
    at("gathering", reason)
        .fact("rule", gathering.rule.name().into())
        .fact("key", gathering.key.as_str().into())
        .fact("due", due.rfc3339().into())
}

/// A run was recorded and never started: its output says why.
pub(super) fn skipped(run: &RunView, at: impl Fn(&'static str, String) -> Verdict) -> Verdict {
    let output = run.end.as_ref().map(|end| &end.output);
    let why = output.and_then(|output| serde_json::from_slice(output.bytes()).ok());
    let why: Value = why.unwrap_or_default();
    if why["reason"] != "Singleton" {
        let reason = "the function was paused, so the run is recorded and was never started";
        return at("skipped", reason.to_owned());
    }
    let key = why["key"].as_str().unwrap_or_default();
    let reason = format!("another run of the function was live{}", under(key));
    let kept = why["existing_run_id"].as_str();
    at("skipped", reason)
        .fact("rule", Rule::Singleton.name().into())
        .fact("key", key.into())
        .fact(
            "kept",
            json!(kept.map(|id| json!({"kind": "run", "id": id}))),
        )
}
