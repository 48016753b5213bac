//! What a delivery waits for that has not ended: a sentence for people, and the facts.

use dunlin_delivery::{AttemptRow, Blocker, DeliveryRow, Finds, First};
use dunlin_types::{Seq, Timestamp};
use serde_json::{Map, Value, json};

use super::load::MessageFacts;
use super::shape::Verdict;

/// Says how a pending delivery stands. One that ended while it was asked about waits for nothing.
pub(super) fn pending(
    facts: &MessageFacts,
    row: &DeliveryRow,
    attempt: Option<&AttemptRow>,
    now: Timestamp,
) -> Verdict {
    let blocker = facts.blockers.get(&row.seq);
    let reason = match blocker.map(|blocker| sentence(facts, blocker, row.tries)) {
        Some(because) if attempt.is_none() || has_failed(blocker) => because,
        Some(because) => format!("the last attempt failed; {because}"),
        None => "it has moved on in this moment: ask again".to_owned(),
    };
    let next = row.next_at.filter(|at| *at >= now);
    let verdict = Verdict::new(
        super::endpoints::target(facts, row.endpoint),
        "pending",
        reason,
    )
    .code(attempt.and_then(|attempt| attempt.code))
    .fact("nextAttempt", json!(next.map(Timestamp::rfc3339)));
    let waits = blocker.map(|blocker| waits_for(facts, blocker, row.tries));
    let verdict = verdict.fact("waitsFor", json!(waits));
    match attempt {
        Some(attempt) => verdict
            .fact("lastError", attempt.detail.as_str().into())
            .fact("status", attempt.status.into()),
        None => verdict,
    }
}

/// Whether the sentence says by itself that an attempt failed.
fn has_failed(blocker: Option<&Blocker>) -> bool {
    matches!(blocker, Some(Blocker::Time { .. }))
}

/// The messages whose deliveries have to end first.
pub(super) fn firsts<'a>(blockers: impl IntoIterator<Item = &'a Blocker>) -> Vec<Seq> {
    let first = |blocker: &Blocker| match blocker {
        Blocker::Order(first) => Some(first.message),
        _ => None,
    };
    blockers.into_iter().filter_map(first).collect()
}

fn sentence(facts: &MessageFacts, blocker: &Blocker, tries: u8) -> String {
    match blocker {
        Blocker::Time { until, finds } => in_time(*until, *finds, tries),
        Blocker::Paused => "the endpoint is paused".to_owned(),
        Blocker::Rate { until } => format!(
            "the endpoint's rate is used up: the next of those that wait for it goes at {}",
            until.rfc3339()
        ),
        Blocker::Receiver { until } => format!(
            "the receiver asked for less (429), so that it gets nothing before {}",
            until.rfc3339()
        ),
        Blocker::EndpointFull { used, limit } => format!(
            "it waits for a place at the endpoint: {used} attempts are under way there, and it \
             gets {limit} at a time for now"
        ),
        Blocker::ServerFull { used, limit } => format!(
            "it waits for a place: {used} attempts of this server are under way, of {limit} that \
             there are for endpoints like this one"
        ),
        Blocker::Order(first) => {
            let tried = match first.tries {
                0 => String::new(),
                1 => ", which was tried once".to_owned(),
                tries => format!(", which was tried {tries} times"),
            };
            let message = behind(facts, first).unwrap_or_else(|| first.id.to_string());
            let because = sentence(facts, &first.blocker, first.tries);
            format!("it must not overtake {message}{tried}: there, {because}")
        }
        Blocker::Rival { delivery } => format!(
            "its event is made, and is held until {delivery} has ended, whose event may take its \
             place"
        ),
        Blocker::InFlight { attempt_no } => format!("attempt {attempt_no} is under way"),
        Blocker::Starting => "its turn has come in this moment".to_owned(),
    }
}

fn in_time(until: Timestamp, finds: Finds, tries: u8) -> String {
    let until = until.rfc3339();
    let then = match (finds, tries) {
        (Finds::Disabled, _) => format!("is disabled: it is given up at {until}"),
        (Finds::Gone, _) => format!("was deleted: it is cancelled at {until}"),
        (Finds::Paused, 0) => format!("is paused, and it is not sent before {until} either"),
        (Finds::Paused, _) => format!("is paused, and its next attempt is not before {until}"),
        (Finds::Open, 0) => return format!("it is not sent before {until}"),
        (Finds::Open, _) => {
            return format!("the last attempt failed, and the next one is at {until}");
        }
    };
    match tries {
        0 => format!("the endpoint {then}"),
        _ => format!("the last attempt failed, and the endpoint {then}"),
    }
}

fn behind(facts: &MessageFacts, first: &First) -> Option<String> {
    facts.firsts.get(&first.message).cloned()
}

/// A cause as facts, in the words of those of runs where they say the same.
fn waits_for(facts: &MessageFacts, blocker: &Blocker, tries: u8) -> Value {
    let mut told = Map::new();
    let mut fact = |name: &str, value: Value| told.insert(name.to_owned(), value);
    fact("kind", kind(blocker).into());
    fact("message", sentence(facts, blocker, tries).into());
    match blocker {
        Blocker::Time { until, .. } | Blocker::Rate { until } | Blocker::Receiver { until } => {
            fact("until", until.rfc3339().into());
        }
        Blocker::EndpointFull { used, limit } | Blocker::ServerFull { used, limit } => {
            fact("used", json!(used));
            fact("limit", json!(limit));
        }
        Blocker::Order(first) => {
            let behind = json!({
                "messageId": behind(facts, first),
                "deliveryId": first.id.to_string(),
                "attempts": first.tries,
                "waitsFor": waits_for(facts, &first.blocker, first.tries),
            });
            fact("behind", behind);
        }
        Blocker::Rival { delivery } => {
            fact("deliveryId", delivery.to_string().into());
        }
        Blocker::InFlight { attempt_no } => {
            fact("attempt", json!(attempt_no));
        }
        Blocker::Paused | Blocker::Starting => {}
    }
    Value::Object(told)
}

const fn kind(blocker: &Blocker) -> &'static str {
    match blocker {
        Blocker::Time { .. } => "time",
        Blocker::Paused => "paused",
        Blocker::Rate { .. } => "rate",
        Blocker::Receiver { .. } => "receiver",
        Blocker::EndpointFull { .. } => "endpointFull",
        Blocker::ServerFull { .. } => "serverFull",
        Blocker::Order(_) => "order",
        Blocker::Rival { .. } => "rival",
        Blocker::InFlight { .. } => "inFlight",
        Blocker::Starting => "starting",
    }
}
