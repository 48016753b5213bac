//! Operational webhooks: what happens to endpoints and deliveries, told as messages of a hidden
//! application, so that they are delivered like any other. Nothing is told of that application
//! itself, or a broken receiver of them would never come to rest.

use std::fmt::Write as _;

use bytes::Bytes;
use dunlin_types::{DedupeKey, Ksuid, Seq, Timestamp};

use crate::{
    Answer, AttemptRow, Context, Delivery, Endpoint, HealthRow, NewMessage, Outcome, TaskKind,
    TaskRow,
};

/// Something that happened.
#[derive(Debug)]
pub(crate) struct Told {
    event_type: &'static str,
    /// The application it happened to; it is left out of nothing but its own news.
    app: Option<Seq>,
    endpoint: Option<Seq>,
    /// Further fields of `data`: JSON, without braces, empty or beginning with a comma.
    fields: String,
}

/// The message that a delivery is of.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) message: Ksuid,
    /// The id its sender gave; empty for none.
    pub(crate) event_id: String,
}

/// An endpoint was made, changed, deleted or enabled.
pub(crate) fn endpoint(event_type: &'static str, of: &Endpoint) -> Told {
    Told {
        event_type,
        app: Some(of.config.app),
        endpoint: Some(of.id),
        fields: String::new(),
    }
}

/// An endpoint was disabled, by its owner or by itself.
pub(crate) fn endpoint_disabled(of: &Endpoint) -> Told {
    let mut told = endpoint("endpoint.disabled", of);
    let automatic = of.config.disabled_reason.is_some();
    let trigger = if automatic { "automatic" } else { "manual" };
    told.text("trigger", trigger);
    if let Some(since) = of.config.fail_since.filter(|_| automatic) {
        told.text("failSince", &since.rfc3339());
    }
    if let Some(reason) = &of.config.disabled_reason {
        told.text("reason", reason);
    }
    told
}

/// An endpoint will be disabled unless something arrives.
pub(crate) fn endpoint_failing(of: &Endpoint, health: &HealthRow, left_ms: i64) -> Told {
    let mut told = endpoint("endpoint.failing", of);
    told.text("failSince", &health.failing_since.rfc3339());
    told.raw("percent", health.warned_percent);
    told.raw("disabledInSeconds", left_ms.max(0) / 1000);
    told
}

/// A delivery fails, was given up, or arrived after it had failed.
pub(crate) fn attempt(
    event_type: &'static str,
    of: &Endpoint,
    last: &AttemptRow,
    subject: &Subject,
) -> Told {
    let mut told = endpoint(event_type, of);
    told.text("msgId", &subject.message.to_string());
    if !subject.event_id.is_empty() {
        told.text("msgEventId", &subject.event_id);
    }
    let _ = write!(
        told.fields,
        r#","lastAttempt":{{"id":"{}","responseStatusCode":{},"timestamp":"{}"}}"#,
        last.id(),
        last.status,
        last.at.rfc3339()
    );
    told
}

/// A task has ended.
pub(crate) fn task_finished(of: &TaskRow) -> Told {
    let of_all = matches!(
        of.kind,
        TaskKind::Statistics | TaskKind::EventTypes | TaskKind::Broadcast
    );
    let mut told = Told {
        event_type: "background_task.finished",
        app: (!of_all).then_some(of.app),
        endpoint: None,
        fields: String::new(),
    };
    told.text("taskId", &of.ksuid().to_string());
    told.text("task", of.kind.name());
    told.text("status", of.status.name());
    told
}

impl Told {
    fn text(&mut self, name: &str, value: &str) {
        let _ = write!(self.fields, r#","{name}":"#);
        push_quoted(&mut self.fields, value);
    }

    fn raw(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = write!(self.fields, r#","{name}":{value}"#);
    }
}

impl Delivery {
    /// Tells it to those who want to know, if there are any.
    pub(crate) fn tell(&mut self, told: Told, cx: &mut Context<'_>, out: &mut Outcome) {
        let Some(operational) = self.config.operational().map(|app| app.id) else {
            return;
        };
        let about_itself = told.app == Some(operational);
        if about_itself || self.config.endpoints_of(operational).next().is_none() {
            return;
        }
        let mut subject = Told {
            fields: String::new(),
            ..told
        };
        if let Some(app) = told.app.and_then(|app| self.config.application(app)) {
            subject.text("appId", &app.ksuid().to_string());
            if let Some(uid) = &app.uid {
                subject.text("appUid", uid);
            }
        }
        if let Some(endpoint) = told.endpoint.and_then(|id| self.config.endpoint(id)) {
            subject.text("endpointId", &endpoint.ksuid().to_string());
            if let Some(uid) = &endpoint.config.uid {
                subject.text("endpointUid", uid);
            }
        }
        let data = [subject.fields, told.fields].concat();
        let body = body(told.event_type, data.trim_start_matches(','), cx.now);
        let message = NewMessage {
            provider_id: String::new(),
            event_type: told.event_type.to_owned(),
            body_hash: DedupeKey::new(b"body", &body).0,
            body,
            headers: Vec::new(),
            channels: Vec::new(),
            tags: Vec::new(),
            deliver_at: None,
            retention_ms: None,
            params: None,
        };
        let _: Answer = self.take_in(operational, None, message, cx, out);
    }
}

/// A JSON string.
fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for one in text.chars() {
        match one {
            '"' | '\\' => out.extend(['\\', one]),
            '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", one as u32);
            }
            _ => out.push(one),
        }
    }
    out.push('"');
}

fn body(event_type: &str, data: &str, now: Timestamp) -> Bytes {
    let timestamp = now.rfc3339();
    Bytes::from(format!(
        r#"{{"type":"{event_type}","timestamp":"{timestamp}","data":{{{data}}}}}"#
    ))
}
