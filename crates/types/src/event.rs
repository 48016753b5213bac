//! An event in the log: what can trigger functions.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{Payload, Seq, Timestamp, Ulid};

/// Where an event came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventOrigin {
    /// The event API.
    Api,
    /// The event API, where the sender said that a step of that run sends it.
    Run(Seq),
    /// A message that passed an endpoint with the card `inngest`; the message's row.
    Message(Seq),
    /// The engine itself.
    Internal,
}

/// What an internal event tells of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// `inngest/function.finished`
    Finished,
    /// `inngest/function.failed`
    Failed,
    /// `inngest/function.cancelled`
    Cancelled,
}

impl Lifecycle {
    /// The event's name (SDK protocol, lifecycle events).
    #[must_use]
    pub const fn event_name(self) -> &'static str {
        match self {
            Self::Finished => "inngest/function.finished",
            Self::Failed => "inngest/function.failed",
            Self::Cancelled => "inngest/function.cancelled",
        }
    }
}

/// One event. Shared between all the runs it starts.
#[derive(Debug)]
pub struct Event {
    /// Its place in the log.
    pub seq: Seq,
    /// The internal id that the event API answers with.
    pub internal_id: Ulid,
    /// The id users and dedupe see: theirs, or the internal one as text.
    pub id: String,
    /// Its name, 1–512 characters.
    pub name: String,
    /// When it was received.
    pub received: Timestamp,
    /// When it happened, or is to start its runs.
    pub ts: Timestamp,
    /// A JSON object.
    pub data: Payload,
    /// A JSON object, `{}` when absent.
    pub user: Option<Payload>,
    /// The schema version, as given.
    pub v: Option<String>,
    /// Where it came from.
    pub origin: EventOrigin,
    rendered: OnceLock<Bytes>,
    rendered_canonical: OnceLock<Bytes>,
}

/// The fields of a new [`Event`].
pub struct EventParts {
    /// See [`Event::seq`].
    pub seq: Seq,
    /// See [`Event::internal_id`].
    pub internal_id: Ulid,
    /// See [`Event::id`].
    pub id: String,
    /// See [`Event::name`].
    pub name: String,
    /// See [`Event::received`].
    pub received: Timestamp,
    /// See [`Event::ts`].
    pub ts: Timestamp,
    /// See [`Event::data`].
    pub data: Payload,
    /// See [`Event::user`].
    pub user: Option<Payload>,
    /// See [`Event::v`].
    pub v: Option<String>,
    /// See [`Event::origin`].
    pub origin: EventOrigin,
}

/// Events are the same when their fields are; what was rendered of them does not count.
impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        (
            self.seq,
            self.internal_id,
            self.received,
            self.ts,
            self.origin,
        ) == (
            other.seq,
            other.internal_id,
            other.received,
            other.ts,
            other.origin,
        ) && (&self.id, &self.name, &self.data, &self.user, &self.v)
            == (&other.id, &other.name, &other.data, &other.user, &other.v)
    }
}

impl Event {
    /// An event of these parts.
    #[must_use]
    pub fn new(parts: EventParts) -> Arc<Self> {
        let EventParts {
            seq,
            internal_id,
            id,
            name,
            received,
            ts,
            data,
            user,
            v,
            origin,
        } = parts;
        Arc::new(Self {
            seq,
            internal_id,
            id,
            name,
            received,
            ts,
            data,
            user,
            v,
            origin,
            rendered: OnceLock::new(),
            rendered_canonical: OnceLock::new(),
        })
    }

    /// The event as the SDKs see it: `{data, id, name, ts, user, v?}`, keys in order, made once.
    #[must_use]
    pub fn json(&self) -> Bytes {
        self.rendered
            .get_or_init(|| self.render(|p| p.bytes().clone()))
            .clone()
    }

    /// The same in canonical form (RFC 8785).
    #[must_use]
    pub fn canonical_json(&self) -> Bytes {
        self.rendered_canonical
            .get_or_init(|| self.render(Payload::canonical))
            .clone()
    }

    fn render(&self, text: impl Fn(&Payload) -> Bytes) -> Bytes {
        let mut out = Vec::with_capacity(self.data.len() + 160);
        out.extend_from_slice(b"{\"data\":");
        out.extend_from_slice(&text(&self.data));
        out.extend_from_slice(b",\"id\":");
        push_json_string(&mut out, &self.id);
        out.extend_from_slice(b",\"name\":");
        push_json_string(&mut out, &self.name);
        out.extend_from_slice(b",\"ts\":");
        out.extend_from_slice(self.ts.ms().to_string().as_bytes());
        out.extend_from_slice(b",\"user\":");
        match &self.user {
            Some(user) => out.extend_from_slice(&text(user)),
            None => out.extend_from_slice(b"{}"),
        }
        if let Some(v) = &self.v {
            out.extend_from_slice(b",\"v\":");
            push_json_string(&mut out, v);
        }
        out.push(b'}');
        Bytes::from(out)
    }

    /// Roughly the memory it holds, in bytes.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        256 + self.name.len() + 2 * self.data.len() + self.user.as_ref().map_or(0, Payload::len)
    }
}

/// Appends `text` as a JSON string, escaped as RFC 8785 asks.
fn push_json_string(out: &mut Vec<u8>, text: &str) {
    // serde_json escapes exactly the mandatory characters, in the short forms of the RFC.
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.extend_from_slice(b"\"\"");
    }
}

/// An event that is about to be appended to the log.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Its name, checked.
    pub name: String,
    /// A JSON object, checked.
    pub data: Payload,
    /// A JSON object, checked.
    pub user: Option<Payload>,
    /// The id its sender gave: it starts a function only once within a day.
    pub id: Option<String>,
    /// The internal id that follows from the sender's seed: the same send arrives only once.
    pub seeded: Option<Ulid>,
    /// When it happened; now when absent.
    pub ts: Option<Timestamp>,
    /// The schema version.
    pub v: Option<String>,
    /// Where it comes from.
    pub origin: EventOrigin,
    /// Whether a `ts` ahead of now holds its runs back.
    pub ts_delays: bool,
}
