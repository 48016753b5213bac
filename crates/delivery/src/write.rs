//! The rows the core writes.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_types::{Code, DedupeKey, Ksuid, KsuidKind, Seq, Timestamp};

use crate::access::{Integration, PortalToken};
use crate::{Application, Endpoint, EndpointConfig, EventType, RefusalRow, Source, TaskRow};

/// One row. A row that exists already under its key is replaced.
#[derive(Clone, Debug)]
pub enum Write {
    /// An application, by id.
    Application(Arc<Application>),
    /// That application is gone.
    ApplicationDeleted(Seq),
    /// A portal token, by id.
    PortalToken(Arc<PortalToken>),
    /// That portal token is worth nothing any more.
    PortalTokenGone(Seq),
    /// An integration with its key, by id.
    Integration(Arc<Integration>),
    /// That integration is gone.
    IntegrationGone(Seq),
    /// A source with its secrets, by id.
    Source(Arc<Source>),
    /// That source is gone, with what it refused.
    SourceDeleted(Seq),
    /// What a source refused; appended, and dropped once there are enough newer ones.
    Refusal(Box<RefusalRow>),
    /// An endpoint with its secrets, by id.
    Endpoint(Arc<Endpoint>),
    /// An event type, by name.
    EventType(Arc<EventType>),
    /// That event type has no row any more.
    EventTypeDeleted(String),
    /// That endpoint is gone; its versions stay.
    EndpointDeleted(Seq),
    /// What an endpoint was like from some point on; appended.
    EndpointVersion(EndpointVersionRow),
    /// A message; appended.
    Message(Arc<Message>),
    /// Something that may happen only once within a window, by key.
    Dedupe(DedupeRow),
    /// That key is forgotten, if its window had ended by then.
    DedupeGone(DedupeKey, Timestamp),
    /// A message that came again; appended.
    Repeat(RepeatRow),
    /// The payload of that message is gone; the message stays.
    ContentGone(Seq),
    /// That message is gone, with its repeats, deliveries and attempts.
    MessageGone(Seq),
    /// A delivery, by its sequence number.
    Delivery(DeliveryRow),
    /// An attempt; appended.
    Attempt(Box<AttemptRow>),
    /// What was kept of that attempt's answer is gone.
    ResponseGone(Seq),
    /// How an endpoint that fails has fared, by endpoint.
    Health(HealthRow),
    /// That endpoint fares well again, or is gone.
    HealthGone(Seq),
    /// How long a receiver that asked for less is left alone, by endpoint; gone with the endpoint.
    Rest(RestRow),
    /// What became of an endpoint's deliveries within an hour, by both.
    Tally(TallyRow),
    /// Something long that goes on beside everything else, by id.
    Task(Arc<TaskRow>),
}

impl Write {
    /// Whether it says how endpoints are from here on.
    #[must_use]
    pub const fn is_of_endpoint(&self) -> bool {
        matches!(
            self,
            Self::Application(_)
                | Self::ApplicationDeleted(_)
                | Self::Endpoint(_)
                | Self::EndpointDeleted(_)
                | Self::EventType(_)
                | Self::EventTypeDeleted(_)
        )
    }

    /// Sets [`AttemptRow::event`] if this is the attempt of `delivery` that made an event.
    pub fn set_event(&mut self, delivery: Seq, event: Seq) {
        if let Self::Attempt(row) = self
            && row.delivery == delivery
            && row.result == AttemptResult::Succeeded
        {
            row.event = Some(event);
        }
    }
}

/// One accepted webhook, or a sample.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its place in the order of the world.
    pub seq: Seq,
    /// When it arrived.
    pub at: Timestamp,
    /// The application it belongs to.
    pub app: Seq,
    /// The source it came through; none for a sample.
    pub source: Option<Seq>,
    /// The event type.
    pub event_type: String,
    /// The provider's or the sender's own id; empty if there is none. See [`Message::webhook_id`].
    pub provider_id: String,
    /// The headers received that are kept.
    pub headers: Vec<(String, String)>,
    /// Its channels.
    pub channels: Vec<String>,
    /// What its sender marked it with.
    pub tags: Vec<String>,
    /// Before when it is not sent.
    pub deliver_at: Option<Timestamp>,
    /// When its payload goes.
    pub expires: Timestamp,
    /// What its sender gave to transformations: a JSON object.
    pub params: Option<Bytes>,
    /// The exact bytes received; empty when `expired`.
    pub body: Bytes,
    /// Whether the payload is gone.
    pub expired: bool,
    /// Sixteen bytes of a hash of them.
    pub body_hash: [u8; 16],
    /// Whether it is a sample that somebody sent from here.
    pub test: bool,
}

impl Message {
    /// The id users see.
    #[must_use]
    pub fn id(&self) -> Ksuid {
        Ksuid::new(KsuidKind::Message, self.at, self.seq)
    }

    /// What its sender's own texts take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len() + self.params.as_ref().map_or(0, Bytes::len)
    }

    /// What receivers tell repeats by: the provider's id where there is one, else its own.
    #[must_use]
    pub fn webhook_id(&self) -> String {
        match self.source.is_some() || self.test {
            true => self.provider_id.clone(),
            false => self.id().to_string(),
        }
    }
}

/// Without the body, which is the customer's.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("seq", &self.seq)
            .field("event_type", &self.event_type)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A key that is taken for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupeRow {
    /// The key.
    pub key: DedupeKey,
    /// See [`crate::Known::seq`].
    pub seq: Seq,
    /// When it was taken.
    pub at: Timestamp,
    /// See [`crate::Known::hash`].
    pub hash: [u8; 16],
    /// From when on it may be dropped.
    pub expires: Timestamp,
}

/// A message that came again. Stores keep it only where they have the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatRow {
    /// Its place in the order of the world.
    pub seq: Seq,
    /// The first message of that id.
    pub message: Seq,
    /// When it came again.
    pub at: Timestamp,
    /// The hash of the body that came.
    pub body_hash: [u8; 16],
    /// Whether that differs from the first.
    pub conflict: bool,
}

/// What an endpoint was like, so that "why not" can be answered for any message.
#[derive(Clone, Debug)]
pub struct EndpointVersionRow {
    /// Whose version it is.
    pub endpoint: Seq,
    /// 1 for the first.
    pub version: u32,
    /// It holds for messages after this point, until the next version.
    pub from_seq: Seq,
    /// When that was.
    pub at: Timestamp,
    /// The fields; none once the endpoint is gone.
    pub config: Option<Arc<EndpointConfig>>,
}

/// Why an attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Trigger {
    /// The message matched the endpoint. Retried on the schedule.
    Scheduled = 0,
    /// Somebody asked for it. One attempt.
    Manual = 1,
    /// It is a sample. One attempt.
    Test = 2,
    /// It is one of many that somebody asked for. Retried on the schedule.
    Replay = 3,
}

impl Trigger {
    /// Whether what fails is tried again.
    #[must_use]
    pub const fn is_retried(self) -> bool {
        matches!(self, Self::Scheduled | Self::Replay)
    }
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DeliveryState {
    /// Not done: due at `next_at`, or under way.
    Pending = 0,
    /// The receiver has it.
    Succeeded = 1,
    /// Given up.
    Failed = 2,
    /// Not wanted: by the transformation, or because the endpoint is gone.
    Cancelled = 3,
    /// Another endpoint made the same event from the same message.
    Duplicate = 4,
}

/// One message for one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its place in the order of the world.
    pub seq: Seq,
    /// The message.
    pub message: Seq,
    /// The endpoint.
    pub endpoint: Seq,
    /// Why it exists: per message and endpoint there is one that is scheduled at most.
    pub trigger: Trigger,
    /// How it stands.
    pub state: DeliveryState,
    /// Attempts that have ended.
    pub tries: u8,
    /// When the next is due; while pending only. An attempt under way leaves it in the past.
    pub next_at: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// When it left `Pending`.
    pub ended: Option<Timestamp>,
    /// Why it failed, or was cancelled without an attempt.
    pub code: Option<Code>,
    /// Whether the message goes to this server's event log by other endpoints, too, so that the
    /// same event may be made twice.
    pub rivals: bool,
    /// What it has in common with those that it must not overtake at its endpoint.
    pub order_key: Option<u64>,
}

impl DeliveryRow {
    /// The id users see.
    #[must_use]
    pub fn id(&self) -> Ksuid {
        Ksuid::new(KsuidKind::Delivery, self.created, self.seq)
    }
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The receiver has it.
    Succeeded,
    /// It did not arrive.
    Failed,
    /// The transformation asked not to send.
    Cancelled,
    /// That endpoint made the same event from the same message.
    DuplicateOf(Seq),
}

/// One try of one delivery, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// Its place in the order of the world.
    pub seq: Seq,
    /// Whose try it was.
    pub delivery: Seq,
    /// The message.
    pub message: Seq,
    /// The endpoint.
    pub endpoint: Seq,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: i64,
    /// 1 for the first of its delivery.
    pub attempt_no: u8,
    /// Why it was made.
    pub trigger: Trigger,
    /// What it came to.
    pub result: AttemptResult,
    /// The receiver's status; 0 when there was none.
    pub status: u16,
    /// Why it failed.
    pub code: Option<Code>,
    /// The same in words; empty when there is nothing to add.
    pub detail: String,
    /// The URL that was asked.
    pub url: String,
    /// The receiver's answer, as much of it as is kept.
    pub response: Bytes,
    /// The headers that went out and came back, as far as they are kept.
    pub headers: AttemptHeaders,
    /// What the transformation wrote to its console.
    pub logs: Vec<String>,
    /// The event it appended; the core leaves it open, see [`Write::set_event`].
    pub event: Option<Seq>,
    /// When the next attempt is due, if there is one.
    pub next_at: Option<Timestamp>,
}

/// The headers of an attempt; values that may be credentials are left out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AttemptHeaders {
    /// Of the request: those that do not go with every request.
    pub sent: Vec<(String, String)>,
    /// Of the answer.
    pub received: Vec<(String, String)>,
}

/// How an endpoint has fared since something last arrived there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthRow {
    /// Which endpoint.
    pub endpoint: Seq,
    /// The first failure since.
    pub failing_since: Timestamp,
    /// The last failure; of those within a minute only the first is noted.
    pub last_failed: Timestamp,
    /// From when the time counts after which it is disabled; none while failures may be a mishap.
    pub counts_since: Option<Timestamp>,
    /// Percent of that time of which its owner has been warned.
    pub warned_percent: u8,
}

/// How long an endpoint's receiver is left alone, because it asked for less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestRow {
    /// Which endpoint.
    pub endpoint: Seq,
    /// Nothing starts before.
    pub until: Timestamp,
}

/// What became of an endpoint's deliveries within an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TallyRow {
    /// Which endpoint.
    pub endpoint: Seq,
    /// Hours since 1970.
    pub hour: u32,
    /// Deliveries that arrived.
    pub succeeded: u32,
    /// Deliveries that were given up.
    pub failed: u32,
    /// Deliveries that were not wanted.
    pub cancelled: u32,
    /// Attempts that failed.
    pub attempts_failed: u32,
}

impl AttemptRow {
    /// The id users see.
    #[must_use]
    pub fn id(&self) -> Ksuid {
        Ksuid::new(KsuidKind::Attempt, self.at, self.seq)
    }
}
