//! What became of a message at each endpoint.

use dunlin_delivery::{
    AttemptResult, AttemptRow, DeliveryRow, DeliveryState, EndpointConfig, EndpointVersionRow,
    Trigger, Verdict as Filter, verdict,
};
use dunlin_expr::near_miss;
use dunlin_types::{Code, Seq, Timestamp};
use serde_json::json;

use super::functions;
use super::load::{MessageFacts, has_arrived};
use super::pending::pending;
use super::shape::{Explanation, NearMiss, Target, Verdict};

pub(super) fn explain(facts: &MessageFacts, now: Timestamp) -> Explanation {
    let message = &facts.message;
    let mut verdicts = Vec::new();
    for row in &facts.endpoints {
        let mut tried = facts
            .deliveries
            .iter()
            .filter(|d| d.endpoint == row.endpoint)
            .peekable();
        if tried.peek().is_none() {
            verdicts.extend(not_sent(facts, row));
        }
        verdicts.extend(tried.map(|delivery| delivered(facts, delivery, now)));
    }
    let is_later = |row: &&DeliveryRow| {
        facts
            .endpoints
            .iter()
            .all(|one| one.endpoint != row.endpoint)
    };
    let later = facts.deliveries.iter().filter(is_later);
    verdicts.extend(later.map(|delivery| delivered(facts, delivery, now)));
    if verdicts.is_empty() {
        let (id, name) = facts.app.clone();
        let target = Target {
            kind: "application",
            id,
            name,
        };
        let reason = "the application had no endpoint when the message came in";
        verdicts.push(Verdict::new(target, "noEndpoint", reason));
    }
    let mut near_misses: Vec<NearMiss> = facts
        .endpoints
        .iter()
        .filter_map(|row| nearly(facts, row))
        .collect();
    for delivery in &facts.deliveries {
        let appended = facts
            .attempts
            .get(&delivery.seq)
            .and_then(|attempt| attempt.event);
        let Some(event) = appended.and_then(|event| facts.events.get(&event)) else {
            continue;
        };
        let of_event = functions::verdicts(event, now).into_iter();
        let id = delivery.id().to_string();
        verdicts.extend(of_event.map(|one| Verdict {
            delivery_id: Some(id.clone()),
            ..one
        }));
        for miss in functions::near_misses(event) {
            if !near_misses.contains(&miss) {
                near_misses.push(miss);
            }
        }
    }
    Explanation {
        id: message.id().to_string(),
        kind: "message",
        name: message.event_type.clone(),
        verdicts,
        near_misses,
        repeats: facts.repeats.clone(),
    }
}

/// What people know an endpoint by. URLs may hold secrets behind the host.
pub(crate) fn name_of(config: &EndpointConfig) -> String {
    if !config.description.is_empty() {
        return config.description.clone();
    }
    if let Some(uid) = &config.uid {
        return uid.clone();
    }
    let Some((scheme, rest)) = config.url.split_once("://") else {
        return String::new();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

pub(super) fn target(facts: &MessageFacts, endpoint: Seq) -> Target {
    let then = facts.endpoints.iter().find(|row| row.endpoint == endpoint);
    let name = then.and_then(|row| row.config.as_deref()).map(name_of);
    let name = name.or_else(|| facts.names.get(&endpoint).cloned());
    Target {
        kind: "endpoint",
        id: facts.ids.get(&endpoint).cloned().unwrap_or_default(),
        name: name.unwrap_or_default(),
    }
}

/// Why no delivery was made for an endpoint that existed.
fn not_sent(facts: &MessageFacts, row: &EndpointVersionRow) -> Option<Verdict> {
    let config = row.config.as_deref()?;
    let message = &facts.message;
    let at = |outcome, reason: String| Verdict::new(target(facts, row.endpoint), outcome, reason);
    if message.test {
        let reason = "the message is a sample that was sent to one endpoint";
        return Some(at("notSent", reason.to_owned()));
    }
    let event_type = &message.event_type;
    Some(match verdict(config, message) {
        Filter::Disabled => {
            let reason = match &config.disabled_reason {
                Some(why) => format!("the endpoint was disabled: {why}"),
                None => "the endpoint was disabled".to_owned(),
            };
            at("disabled", reason).code(Some(Code::EndpointDisabled))
        }
        Filter::OtherEventType => {
            let reason = format!("the endpoint does not want `{event_type}`");
            at("filtered", reason).detail(json!({"by": "eventType", "wants": config.event_types}))
        }
        Filter::OtherChannel => {
            let reason = "the endpoint wants other channels".to_owned();
            let has = &message.channels;
            at("filtered", reason)
                .detail(json!({"by": "channel", "wants": config.channels, "has": has}))
        }
        Filter::Filtered(mismatch) => {
            let reason = format!("the endpoint's filter does not fit: {mismatch}");
            at("filtered", reason).detail(json!({"by": "content", "path": mismatch.path,
                "expected": mismatch.expected, "found": mismatch.found}))
        }
        Filter::Matched => at("notSent", "no delivery was made".to_owned()),
    })
}

/// How one delivery stands.
fn delivered(facts: &MessageFacts, row: &DeliveryRow, now: Timestamp) -> Verdict {
    let attempt = facts.attempts.get(&row.seq);
    let verdict = match row.state {
        DeliveryState::Succeeded => succeeded(facts, row, attempt),
        DeliveryState::Pending => pending(facts, row, attempt, now),
        DeliveryState::Failed => failed(facts, row, attempt),
        DeliveryState::Cancelled => cancelled(facts, row, attempt),
        DeliveryState::Duplicate => duplicate(facts, row, attempt),
    };
    let trigger = match row.trigger {
        Trigger::Scheduled => "filter",
        Trigger::Manual => "manual",
        Trigger::Test => "test",
        Trigger::Replay => "replay",
    };
    let logs = attempt
        .map(|attempt| attempt.logs.clone())
        .unwrap_or_default();
    let mut verdict = verdict
        .fact("attempts", row.tries.into())
        .fact("trigger", trigger.into());
    if !logs.is_empty() {
        verdict = verdict.fact("logs", json!(logs));
    }
    verdict.delivery_id = Some(row.id().to_string());
    verdict
}

fn succeeded(facts: &MessageFacts, row: &DeliveryRow, attempt: Option<&AttemptRow>) -> Verdict {
    let event = attempt
        .and_then(|attempt| attempt.event)
        .and_then(|event| facts.events.get(&event))
        .map(|facts| &facts.event);
    let reason = match (event, attempt) {
        (Some(event), _) => format!("the event `{}` was appended", event.name),
        (None, Some(attempt)) => format!("the receiver answered {}", attempt.status),
        (None, None) => "another delivery of the message arrived".to_owned(),
    };
    let verdict = Verdict::new(target(facts, row.endpoint), "delivered", reason);
    match (event, attempt) {
        (Some(event), _) => verdict
            .fact("eventId", event.internal_id.to_string().into())
            .fact("eventName", event.name.as_str().into()),
        (None, Some(attempt)) => verdict.fact("status", attempt.status.into()),
        (None, None) => verdict,
    }
}

fn failed(facts: &MessageFacts, row: &DeliveryRow, attempt: Option<&AttemptRow>) -> Verdict {
    let code = row.code.or(attempt.and_then(|attempt| attempt.code));
    let by_script = code.is_some_and(|code| {
        (Code::TransformSyntax..=Code::TransformLength).contains(&code)
            || code == Code::CardEventBad
    });
    let reason = match (code, attempt) {
        // It had no further attempt after it was disabled.
        (Some(Code::EndpointDisabled), _) => "the endpoint was disabled meanwhile".to_owned(),
        (_, Some(attempt)) if !attempt.detail.is_empty() => attempt.detail.clone(),
        (Some(code), _) => code.title().to_owned(),
        (None, _) => "the delivery failed".to_owned(),
    };
    let outcome = if by_script {
        "transformationFailed"
    } else {
        "failed"
    };
    let verdict = Verdict::new(target(facts, row.endpoint), outcome, reason).code(code);
    match attempt
        .map(|attempt| attempt.status)
        .filter(|status| *status != 0)
    {
        Some(status) => verdict.fact("status", status.into()),
        None => verdict,
    }
}

fn cancelled(facts: &MessageFacts, row: &DeliveryRow, attempt: Option<&AttemptRow>) -> Verdict {
    let (by, reason) = cancelled_by(row, attempt);
    Verdict::new(target(facts, row.endpoint), "cancelled", reason)
        .code(row.code)
        .fact("by", by.into())
}

/// Who or what cancelled a delivery, in a word and in a sentence.
pub(crate) fn cancelled_by(
    row: &DeliveryRow,
    last: Option<&AttemptRow>,
) -> (&'static str, &'static str) {
    if last.is_some_and(|one| one.result == AttemptResult::Cancelled) {
        return ("transformation", "the transformation asked not to send it");
    }
    match row.code {
        Some(Code::CancelledByOwner) => {
            ("owner", "somebody cancelled what waited for the endpoint")
        }
        Some(Code::PayloadExpired) => (
            "expunge",
            "the message's payload was taken away while it waited",
        ),
        Some(Code::NotFound) | None => ("deletion", "the endpoint was deleted"),
        Some(other) => ("server", other.title()),
    }
}

fn duplicate(facts: &MessageFacts, row: &DeliveryRow, attempt: Option<&AttemptRow>) -> Verdict {
    let reason = "another endpoint made the same event from this message";
    let verdict = Verdict::new(target(facts, row.endpoint), "duplicate", reason);
    match attempt.map(|attempt| attempt.result) {
        Some(AttemptResult::DuplicateOf(owner)) => {
            let winner = facts
                .deliveries
                .iter()
                .find(|one| one.endpoint == owner && has_arrived(one))
                .map(|one| one.id().to_string());
            verdict
                .fact("of", json!(target(facts, owner)))
                .fact("ofDelivery", json!(winner))
        }
        _ => verdict,
    }
}

/// An endpoint whose filter by type missed the message by little.
fn nearly(facts: &MessageFacts, row: &EndpointVersionRow) -> Option<NearMiss> {
    let config = row.config.as_deref()?;
    let event_type = &facts.message.event_type;
    if config.event_types.contains(event_type) {
        return None;
    }
    let wanted = config
        .event_types
        .iter()
        .find(|wanted| near_miss(wanted, event_type))?;
    Some(NearMiss {
        target: target(facts, row.endpoint),
        why: format!("wants `{wanted}`, this is `{event_type}`"),
    })
}
