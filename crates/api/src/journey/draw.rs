//! From facts to the tree: requests, messages, deliveries and attempts.

use dunlin_delivery::{AttemptResult, AttemptRow, DeliveryState, Trigger};
use dunlin_types::{Code, Seq, Timestamp};
use serde_json::{Value, json};

use super::draw_runs::Pen;
use super::facts::{Asked, AttemptFacts, DeliveryFacts, Door, Facts, MessageFacts, Root};
use super::node::Node;
use crate::explain::cancelled_by;

/// Draws the tree from its root.
pub(super) fn draw(facts: &Facts) -> Node {
    let pen = Pen { asked: facts.asked };
    let (mut root, subject) = match &facts.root {
        Root::Message(message) => (
            request(pen, message),
            Some(message.message.id().to_string()),
        ),
        Root::Event(event) => (pen.event(event), Some(event.id.to_string())),
        Root::Run(run) => (pen.run(run), None),
    };
    root.more_above = facts.more_above;
    root.explain = subject.map(|id| format!("/api/events/{id}/explain"));
    root
}

fn request(pen: Pen, facts: &MessageFacts) -> Node {
    let message = &facts.message;
    let (kind, name) = match &facts.door {
        Door::Source(source) => ("request", source.name.as_str()),
        Door::GoneSource => ("request", ""),
        Door::Api => ("api", "created over the API"),
        Door::Sample => ("api", "a sample"),
        Door::Operational => ("operational", "told by the server"),
    };
    let id = match message.provider_id.as_str() {
        "" => message.id().to_string(),
        id => id.to_owned(),
    };
    let mut node = Node::new(kind, id, name.to_owned(), "accepted")
        .asked(pen.asked == Asked::Request)
        .times(Some(message.at), None);
    if let Door::Source(source) = &facts.door {
        node = node
            .fact("sourceId", source.id.as_str())
            .fact("sourceType", source.kind)
            .fact("verifiedBy", source.verified_by.as_str());
    }
    if message.source.is_some() {
        node = node
            .fact("repeats", facts.repeats.count)
            .fact("lastRepeat", json!(facts.repeats.last))
            .fact("conflict", facts.repeats.conflict);
    }
    node.below(vec![self::message(pen, facts)], 0)
}

fn message(pen: Pen, facts: &MessageFacts) -> Node {
    let message = &facts.message;
    let status = status_of(&facts.states);
    let mut node = Node::new(
        "message",
        message.id().to_string(),
        message.event_type.clone(),
        status,
    )
    .asked(pen.is(message.seq))
    .times(Some(message.at), None)
    .fact(
        "application",
        json!({"id": facts.app.0, "name": facts.app.1}),
    )
    .fact("channels", json!(message.channels))
    .fact("tags", json!(message.tags))
    .fact(
        "deliverAt",
        json!(message.deliver_at.map(Timestamp::rfc3339)),
    )
    .fact("payloadExpired", message.expired)
    .fact("sample", message.test);
    if status == "unrouted" {
        node = node.because(None, "no endpoint took it: see `explain` for why");
    }
    let deliveries = facts.deliveries.shown.iter().map(|one| delivery(pen, one));
    let strays = facts.strays.iter().map(|event| pen.event(event));
    node.below(deliveries.chain(strays).collect(), facts.deliveries.more)
}

fn status_of(states: &[DeliveryState]) -> &'static str {
    let has = |state| states.contains(&state);
    if states.is_empty() {
        "unrouted"
    } else if has(DeliveryState::Pending) {
        "pending"
    } else if has(DeliveryState::Failed) {
        "failed"
    } else {
        "done"
    }
}

const fn word(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Scheduled => "filter",
        Trigger::Manual => "manual",
        Trigger::Test => "test",
        Trigger::Replay => "replay",
    }
}

fn delivery(pen: Pen, facts: &DeliveryFacts) -> Node {
    let row = &facts.row;
    let last = facts.attempts.shown.last().map(|one| &one.row);
    let (status, code, reason) = standing(facts, last);
    let attempts = facts.attempts.shown.iter();
    let attempts = attempts.map(|one| attempt(pen, facts, one)).collect();
    let (endpoint, name) = &facts.endpoint;
    Node::new("delivery", row.id().to_string(), name.clone(), status)
        .asked(pen.is(row.seq))
        .times(Some(row.created), row.ended)
        .lasted(row.ended.map(|ended| ended.since(row.created)))
        .because(code, &reason)
        .fact("endpointId", endpoint.as_str())
        .fact("trigger", word(row.trigger))
        .fact("attempts", row.tries)
        .fact("nextAttempt", json!(row.next_at.map(Timestamp::rfc3339)))
        .below(attempts, facts.attempts.more)
}

/// How a delivery stands, and why.
fn standing(
    facts: &DeliveryFacts,
    last: Option<&AttemptRow>,
) -> (&'static str, Option<Code>, String) {
    let row = &facts.row;
    let code = row.code.or(last.and_then(|last| last.code));
    let detail = last.map(|last| last.detail.clone()).unwrap_or_default();
    match row.state {
        DeliveryState::Succeeded => ("delivered", None, String::new()),
        DeliveryState::Pending => ("pending", code, detail),
        DeliveryState::Failed if code == Some(Code::EndpointDisabled) => {
            let reason = "the endpoint was disabled meanwhile".to_owned();
            ("failed", code, reason)
        }
        DeliveryState::Failed => ("failed", code, detail),
        DeliveryState::Cancelled => {
            let (_, reason) = cancelled_by(row, last);
            ("cancelled", row.code, reason.to_owned())
        }
        DeliveryState::Duplicate => {
            let reason = "another endpoint made the same event from this message".to_owned();
            ("duplicate", None, reason)
        }
    }
}

fn attempt(pen: Pen, delivery: &DeliveryFacts, facts: &AttemptFacts) -> Node {
    let row = &facts.row;
    let (status, reason) = match row.result {
        AttemptResult::Succeeded => ("succeeded", ""),
        AttemptResult::Failed => ("failed", row.detail.as_str()),
        AttemptResult::Cancelled => ("cancelled", "the transformation asked not to send it"),
        AttemptResult::DuplicateOf(_) => (
            "duplicate",
            "another endpoint made the same event from this message",
        ),
    };
    let code = row.code.filter(|_| row.result == AttemptResult::Failed);
    let answered = Some(row.status).filter(|status| *status != 0);
    let sent = facts.event.is_none() && row.result == AttemptResult::Succeeded;
    let children = transformation(delivery.has_script, row)
        .into_iter()
        .chain(facts.event.as_ref().map(|event| pen.event(event)));
    let name = format!("Attempt {}", row.attempt_no);
    Node::new("attempt", row.id().to_string(), name, status)
        .asked(pen.is(row.seq))
        .times(Some(row.at), Some(row.at.plus_ms(row.duration_ms)))
        .lasted(Some(row.duration_ms))
        .because(code, reason)
        .fact("number", row.attempt_no)
        .fact("trigger", word(row.trigger))
        .fact("statusCode", json!(answered))
        .fact(
            "url",
            match sent || answered.is_some() || code.is_some() {
                true => host_of(&row.url),
                false => String::new(),
            },
        )
        .fact("nextAttempt", json!(row.next_at.map(Timestamp::rfc3339)))
        .below(children.collect(), 0)
}

/// A URL as far as it holds no secret: its scheme and its host.
fn host_of(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return String::new();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

/// The transformation that ran first, as far as rows tell.
fn transformation(has_script: bool, row: &AttemptRow) -> Option<Node> {
    let scripts = Code::TransformSyntax..=Code::TransformLength;
    let failed = row.code.filter(|code| scripts.contains(code));
    let cancelled = row.result == AttemptResult::Cancelled;
    // Without a payload there was nothing to run on.
    let has_run = has_script && row.code != Some(Code::PayloadExpired);
    if failed.is_none() && !cancelled && !has_run && row.logs.is_empty() {
        return None;
    }
    let (status, reason) = match failed {
        Some(_) => ("failed", row.detail.as_str()),
        None if cancelled => ("cancelled", "the transformation asked not to send it"),
        None => ("ran", ""),
    };
    // Where nothing followed, the attempt took as long as it.
    let is_all = failed.is_some() || cancelled;
    let ms = Some(row.duration_ms).filter(|_| is_all);
    let id = format!("{}.transformation", row.id());
    let logs: Vec<Value> = row.logs.iter().map(|line| line.as_str().into()).collect();
    let node = Node::new("transformation", id, "transformation".to_owned(), status)
        .times(Some(row.at), ms.map(|ms| row.at.plus_ms(ms)))
        .lasted(ms)
        .because(failed, reason)
        .fact("logs", logs);
    Some(node)
}

impl Pen {
    pub(super) fn is(self, place: Seq) -> bool {
        self.asked == Asked::Row(place)
    }
}
