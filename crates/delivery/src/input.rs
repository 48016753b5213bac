//! What the core is told.

use bytes::Bytes;
use dunlin_types::{Code, DedupeKey, NewEvent, Secret, Seq, Timestamp, Token};

use crate::access::AccessChange;
use crate::{
    AttemptHeaders, EndpointConfig, NewApplication, NewEventType, NewRefusal, NewSource, NewTask,
    SourceFields, TaskSlice,
};

/// One thing that happened. Requests have been checked by whoever took them in.
#[derive(Debug)]
pub enum Input {
    /// A verified webhook came in.
    Accept {
        /// Who waits for the answer.
        token: Token,
        /// Through which source.
        source: Seq,
        /// What came.
        message: NewMessage,
    },
    /// Somebody sends a message.
    CreateMessage {
        /// Who waits for the answer.
        token: Token,
        /// Of which application.
        application: Seq,
        /// The message.
        message: NewMessage,
        /// What the sender tells its own repeats by.
        idempotency: Option<DedupeKey>,
    },
    /// Payloads are to go, of messages that no delivery needs any more.
    Expunge {
        /// Who waits for the answer.
        token: Token,
        /// Which messages; existing ones.
        messages: Vec<Seq>,
        /// Whether also those go that are still to be delivered; such deliveries are cancelled.
        even_pending: bool,
    },
    /// What was kept of an attempt's answer is to go.
    ExpungeAttempt {
        /// Who waits for the answer.
        token: Token,
        /// Which one; an existing one.
        attempt: Seq,
    },
    /// Messages are to go with all that belongs to them, unless one is still to be delivered.
    Purge {
        /// Who waits for the answer.
        token: Token,
        /// Which messages; existing ones.
        messages: Vec<Seq>,
    },
    /// Keys whose windows have ended are to be forgotten.
    ForgetKeys {
        /// Who waits for the answer.
        token: Token,
        /// Which keys; one that was taken again meanwhile stays.
        keys: Vec<DedupeKey>,
    },
    /// What waits for an endpoint and was made before that instant is not sent.
    CancelPending {
        /// Who waits for the answer.
        token: Token,
        /// Which endpoint.
        endpoint: Seq,
        /// Messages of before that.
        created_before: Timestamp,
        /// The last delivery that was looked at; those behind it are left.
        after: Seq,
    },
    /// How much an endpoint has to do.
    Standing {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        endpoint: Seq,
    },
    /// What the pending deliveries of a message wait for.
    Blockers {
        /// Who waits for the answer.
        token: Token,
        /// Which message.
        message: Seq,
    },
    /// Something long begins.
    StartTask {
        /// Who waits for the answer.
        token: Token,
        /// What.
        new: Box<NewTask>,
    },
    /// A slice of something long has been found.
    TaskSlice {
        /// Who waits for the answer.
        token: Token,
        /// Which task.
        task: Seq,
        /// What is to be done.
        slice: TaskSlice,
    },
    /// An attempt has ended.
    Attempted(Box<Attempted>),
    /// A delivery's time has come; from [`crate::Delivery::take_due`] only.
    Due {
        /// Which one.
        delivery: Seq,
    },
    /// An endpoint may be sent to again; from [`crate::Delivery::take_due`] only.
    Opens {
        /// Which one.
        endpoint: Seq,
    },
    /// Somebody asks for one more attempt, whatever filters say.
    Resend {
        /// Who waits for the answer.
        token: Token,
        /// An existing message of the endpoint's application.
        message: Seq,
        /// Where it is to go.
        endpoint: Seq,
    },
    /// Somebody sends a sample to one endpoint. Works on a disabled one, too.
    SendTest {
        /// Who waits for the answer.
        token: Token,
        /// Where it is to go.
        endpoint: Seq,
        /// The sample.
        message: NewMessage,
        /// Whether the answer is to wait for the attempt's end.
        wait: bool,
    },
    /// Make an application.
    CreateApplication {
        /// Who waits for the answer.
        token: Token,
        /// Its fields.
        new: NewApplication,
    },
    /// Replace an application's fields, all of them.
    UpdateApplication {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        application: Seq,
        /// Its new fields.
        new: NewApplication,
    },
    /// Make the application of operational webhooks, unless there is one.
    OperationalApplication {
        /// Who waits for the answer.
        token: Token,
    },
    /// Remove an application and its endpoints.
    DeleteApplication {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        application: Seq,
    },
    /// Change who may call what within an application.
    Access {
        /// Who waits for the answer.
        token: Token,
        /// What.
        change: Box<AccessChange>,
    },
    /// Make a source.
    CreateSource {
        /// Who waits for the answer.
        token: Token,
        /// Its fields.
        new: NewSource,
    },
    /// Replace a source's fields, all of them.
    UpdateSource {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        source: Seq,
        /// Its new fields.
        fields: SourceFields,
    },
    /// Have a source's URL carry this from now on.
    SetSourceUrl {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        source: Seq,
        /// What nobody can guess.
        url_token: Secret,
    },
    /// A source refused a webhook.
    NoteRefusal {
        /// Who waits for the answer.
        token: Token,
        /// What is noted of it.
        refusal: Box<NewRefusal>,
    },
    /// Remove a source; its messages stay.
    DeleteSource {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        source: Seq,
    },
    /// Give a source a new secret.
    RotateSourceSecret {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        source: Seq,
        /// The new secret.
        secret: Secret,
        /// How long the one before stays valid.
        grace_ms: i64,
    },
    /// Make an endpoint.
    CreateEndpoint {
        /// Who waits for the answer.
        token: Token,
        /// Its fields.
        config: Box<EndpointConfig>,
        /// What signs its deliveries.
        secret: Secret,
    },
    /// Replace an endpoint's fields, all of them.
    UpdateEndpoint {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        endpoint: Seq,
        /// Its new fields; the application cannot change.
        config: Box<EndpointConfig>,
        /// Whether it was disabled in the fields that these were made of. Who leaves that as it was
        /// does not undo what a receiver has done since.
        was_disabled: bool,
    },
    /// Remove an endpoint; what is pending for it is cancelled.
    DeleteEndpoint {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        endpoint: Seq,
    },
    /// Make event types, or replace the fields of existing ones, all of them.
    PutEventTypes {
        /// Who waits for the answer.
        token: Token,
        /// Which, each once; without fields one is removed that the program would know by itself.
        types: Vec<NewEventType>,
    },
    /// Remove the row of an event type.
    DeleteEventType {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        name: String,
    },
    /// Give an endpoint a new secret.
    RotateEndpointSecret {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        endpoint: Seq,
        /// The new secret.
        secret: Secret,
        /// How long the one before goes on signing as well.
        grace_ms: i64,
    },
}

/// A message before it has a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewMessage {
    /// The provider's id (`webhook-id`), or the sender's own; empty if there is none.
    pub provider_id: String,
    /// The event type, `unknown` when the body names none.
    pub event_type: String,
    /// A JSON object: the exact bytes received, or what a form was made into.
    pub body: Bytes,
    /// Sixteen bytes of a hash of them, to tell a repeat from a conflict.
    pub body_hash: [u8; 16],
    /// The headers received that are worth keeping.
    pub headers: Vec<(String, String)>,
    /// Its channels; webhooks have none.
    pub channels: Vec<String>,
    /// What its sender marked it with; webhooks have none.
    pub tags: Vec<String>,
    /// Before when it is not sent.
    pub deliver_at: Option<Timestamp>,
    /// How long its payload is kept, where its sender said.
    pub retention_ms: Option<i64>,
    /// What its sender gave to transformations: a JSON object.
    pub params: Option<Bytes>,
}

impl NewMessage {
    /// What its sender's own texts take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len() + self.params.as_ref().map_or(0, Bytes::len)
    }
}

/// What came of an attempt.
#[derive(Debug)]
pub struct Attempted {
    /// Whose attempt it was.
    pub delivery: Seq,
    /// Its number, as the effect named it. An attempt that was given up is told apart by it.
    pub attempt_no: u8,
    /// The version of the endpoint that it was made at.
    pub endpoint_version: u32,
    /// What happened.
    pub outcome: AttemptOutcome,
    /// The URL that was asked, after the transformation.
    pub url: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// The headers that went out and came back, as far as they are kept.
    pub headers: AttemptHeaders,
    /// What the transformation wrote to its console.
    pub logs: Vec<String>,
    /// What the message is, unless it arrived at once or could not be read.
    pub about: Option<AboutMessage>,
}

/// What of a message the end of an attempt needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AboutMessage {
    /// Its type.
    pub event_type: String,
    /// When it came in.
    pub at: Timestamp,
    /// The id its sender gave; empty for none.
    pub provider_id: String,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum AttemptOutcome {
    /// It is an event for this server's own log.
    Event {
        /// The event, checked. Its id is the message's unless the transformation set one.
        event: NewEvent,
        /// Whether the transformation set `name`, so that this is not the envelope as it came.
        name_set_by_script: bool,
    },
    /// The receiver answered.
    Sent {
        /// With that status.
        status: u16,
        /// And that body, as much of it as is kept.
        response: Bytes,
        /// `Retry-After`, as a span from now.
        retry_after_ms: Option<i64>,
        /// What its header `webhook-delivery` asks for.
        control: Control,
    },
    /// There was no answer, or nothing to send.
    Failed {
        /// Why.
        code: Code,
        /// In words, with line and column where a script is to blame.
        detail: String,
        /// The status, if there was one.
        status: Option<u16>,
        /// What came of the body, if anything did.
        response: Bytes,
        /// `Retry-After`, as a span from now.
        retry_after_ms: Option<i64>,
        /// Whether the deadline ended it.
        timed_out: bool,
    },
    /// The transformation asked not to send.
    Cancelled,
}

/// What a receiver may ask for in its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Control {
    /// Nothing.
    #[default]
    None,
    /// To be disabled.
    Disable,
    /// Not to be sent this message again.
    Abort,
}
