//! Causes of waiting: as facts, and in a sentence that somebody understands at night.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_engine::config::Rule;
use dunlin_engine::live::ItemKind;
use dunlin_engine::look::{Cause, Held};
use dunlin_store::{Reader, StoreResult};
use dunlin_types::limits::LOOK_PLACES_MAX;
use dunlin_types::{Seq, Timestamp, ulid_for};
use serde_json::{Value, json};

/// Holders that a sentence names; the list beside it has more.
const HOLDERS_TOLD: usize = 3;

/// Public ids of runs.
pub(super) type RunIds = BTreeMap<Seq, String>;

/// The runs that hold what the causes wait for.
pub(super) fn holders<'a>(causes: impl Iterator<Item = &'a Cause>) -> BTreeSet<Seq> {
    let held = causes.filter_map(|cause| match cause {
        Cause::Rule(held) => Some(&held.holders),
        _ => None,
    });
    held.flatten().copied().collect()
}

/// Public ids of those of the runs that exist.
pub(super) fn read_ids(reader: &mut dyn Reader, runs: BTreeSet<Seq>) -> StoreResult<RunIds> {
    let mut ids = RunIds::new();
    for run in runs {
        let id = reader.run(run)?;
        ids.extend(id.map(|found| (run, ulid_for(found.row.created, run).to_string())));
    }
    Ok(ids)
}

/// What an item is, in the words of those who write functions.
pub(super) const fn kind(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Discovery => "discovery",
        ItemKind::Step => "step",
        ItemKind::Timer => "sleep",
        ItemKind::Wait => "waitForEvent",
        ItemKind::Invoke => "invoke",
        ItemKind::Signal => "waitForSignal",
        ItemKind::Gateway => "request",
        ItemKind::End => "end",
        ItemKind::CancelOn => "cancelOn",
        ItemKind::StartTimeout => "timeouts.start",
        ItemKind::FinishTimeout => "timeouts.finish",
    }
}

/// A cause as facts.
pub(super) fn facts(cause: &Cause, ids: &RunIds) -> Value {
    match cause {
        Cause::Time(until) => json!({"kind": "time", "until": until.rfc3339()}),
        Cause::Outside(until) => json!({"kind": "outside", "until": until.rfc3339()}),
        Cause::InFlight(since) => json!({"kind": "inFlight", "since": since.rfc3339()}),
        Cause::Starting => json!({"kind": "starting"}),
        Cause::Turn => json!({"kind": "turn"}),
        Cause::Paused => json!({"kind": "paused"}),
        Cause::AppFull { used, limit } => json!({"kind": "appFull", "used": used, "limit": limit}),
        Cause::AppPaused(until) => json!({"kind": "appPaused", "until": until.rfc3339()}),
        Cause::ServerFull { used, limit } => {
            json!({"kind": "serverFull", "used": used, "limit": limit})
        }
        Cause::Rule(held) => json!({
            "kind": "rule",
            "rule": held.rule.name(),
            "scope": held.scope,
            "expression": held.expression,
            "key": held.key,
            "limit": held.limit,
            "used": held.used,
            "holders": held.holders.iter().filter_map(|run| ids.get(run)).collect::<Vec<_>>(),
            "next": held.next.map(Timestamp::rfc3339),
        }),
    }
}

/// A cause as a sentence about what waits: an item of that kind and attempt, or a queue.
pub(super) fn sentence(
    cause: &Cause,
    item: Option<(ItemKind, u8)>,
    ahead: Option<u64>,
    ids: &RunIds,
) -> String {
    let mut text = match cause {
        Cause::Time(until) => in_time(*until, item),
        Cause::Outside(until) => outside(*until, item.map(|(kind, _)| kind)),
        Cause::InFlight(since) => match item {
            Some((ItemKind::Gateway, _)) => format!("its request is in flight since {since}"),
            _ => format!("its call is in flight since {since}"),
        },
        Cause::Starting => match item {
            Some((ItemKind::End, _)) => "is stopped; its end is being written".to_owned(),
            _ => "goes out in this moment".to_owned(),
        },
        Cause::Turn => "waits for its turn".to_owned(),
        Cause::Paused => "waits because its function is paused".to_owned(),
        Cause::AppFull { used, limit } => {
            format!("waits because {used} of {limit} calls of its app are in flight")
        }
        Cause::AppPaused(until) => {
            format!("waits until {until}, because its app asked for a pause (429 or 503)")
        }
        Cause::ServerFull { used, limit } => {
            format!("waits because {used} of {limit} calls of this server are in flight")
        }
        Cause::Rule(held) => by_rule(held, ids),
    };
    if let Some(ahead) = ahead {
        text.push_str(&places(ahead));
    }
    text
}

fn in_time(until: Timestamp, item: Option<(ItemKind, u8)>) -> String {
    match item {
        Some((ItemKind::Timer, _)) => format!("sleeps until {until}"),
        Some((ItemKind::StartTimeout, _)) => {
            format!("is cancelled at {until} unless it has begun by then")
        }
        Some((ItemKind::FinishTimeout, _)) => {
            format!("is cancelled at {until} unless it has ended by then")
        }
        Some((kind, attempt @ 1..)) if kind.is_called() => {
            let next = u32::from(attempt) + 1;
            format!("waits until {until} for attempt {next}, because attempt {attempt} failed")
        }
        _ => format!("is due at {until}"),
    }
}

fn outside(until: Timestamp, kind: Option<ItemKind>) -> String {
    match kind {
        Some(ItemKind::Wait) => format!("waits for an event, until {until}"),
        Some(ItemKind::Invoke) => format!("waits for the run that it invoked, until {until}"),
        Some(ItemKind::Signal) => format!("waits for a signal, until {until}"),
        Some(ItemKind::CancelOn) => {
            format!(
                "is cancelled if an event that its function names for that comes before {until}"
            )
        }
        _ => format!("waits for something from outside, until {until}"),
    }
}

fn by_rule(held: &Held, ids: &RunIds) -> String {
    let limit = held.limit;
    let is_operators = matches!(held.rule, Rule::StepLimit | Rule::HostLimit);
    let what = match is_operators {
        true => format!("the limit `{}`", held.scope),
        false => held.rule.name().to_owned(),
    };
    let under = under(held, is_operators);
    let is_slots = matches!(held.rule, Rule::Concurrency | Rule::Runs)
        || (is_operators && held.next.is_none());
    match (is_slots, held.next) {
        (true, _) => {
            let held_by = held_by(held, ids);
            format!("waits for a slot of {what} {limit}{under}{held_by}")
        }
        (false, Some(next)) => {
            format!("waits until {next}, because the {limit} of {what}{under} are used up")
        }
        (false, None) => format!("is held back by {what}{under}"),
    }
}

/// Where is counted: the key's value with its expression, and the scope if it is wider than the
/// function.
fn under(held: &Held, is_operators: bool) -> String {
    let wider = match held.scope.as_str() {
        "env" | "account" if !is_operators => format!(" in scope {}", held.scope),
        _ => String::new(),
    };
    match &held.expression {
        Some(expression) => {
            let key = Value::from(held.key.as_str());
            format!("{wider} under key {key} ({expression})")
        }
        None => wider,
    }
}

fn held_by(held: &Held, ids: &RunIds) -> String {
    let known = held.holders.iter().filter_map(|run| ids.get(run));
    let named: Vec<&str> = known.take(HOLDERS_TOLD).map(String::as_str).collect();
    let slots = usize::try_from(held.used).unwrap_or(usize::MAX);
    let more = slots.max(held.holders.len()) - named.len();
    match (named.is_empty(), more) {
        (true, 0) => String::new(),
        (true, _) => format!(", of which {} are taken", held.used),
        (false, 0) => format!(", held by {}", named.join(", ")),
        (false, _) => format!(", held by {} and {more} more", named.join(", ")),
    }
}

fn places(ahead: u64) -> String {
    match ahead {
        0 => "; it is next".to_owned(),
        1 => "; 1 item goes before it".to_owned(),
        _ if ahead >= LOOK_PLACES_MAX as u64 => format!("; {ahead} items or more go before it"),
        _ => format!("; {ahead} items go before it"),
    }
}
