//! What the core is told.

use bytes::Bytes;
use dunlin_types::{Code, NewEvent, Secret, Seq, Timestamp, Token};

use crate::{EndpointConfig, NewApplication, NewRefusal, NewSource, SourceFields};

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
    /// An attempt has ended.
    Attempted(Box<Attempted>),
    /// A delivery's time has come; from [`crate::Delivery::take_due`] only.
    Due {
        /// Which one.
        delivery: Seq,
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
    /// Remove an application and its endpoints.
    DeleteApplication {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        application: Seq,
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
        config: EndpointConfig,
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
        config: EndpointConfig,
    },
    /// Remove an endpoint; what is pending for it is cancelled.
    DeleteEndpoint {
        /// Who waits for the answer.
        token: Token,
        /// Which one.
        endpoint: Seq,
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
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The provider's id (`webhook-id`).
    pub provider_id: String,
    /// The event type, `unknown` when the body names none.
    pub event_type: String,
    /// The exact bytes received: a JSON object.
    pub body: Bytes,
    /// Sixteen bytes of a hash of them, to tell a repeat from a conflict.
    pub body_hash: [u8; 16],
    /// The headers received that are worth keeping.
    pub headers: Vec<(String, String)>,
    /// Its channels; webhooks have none.
    pub channels: Vec<String>,
}

/// What came of an attempt.
#[derive(Debug)]
pub struct Attempted {
    /// Whose attempt it was.
    pub delivery: Seq,
    /// Its number, as the effect named it. An attempt that was given up is told apart by it.
    pub attempt_no: u8,
    /// What happened.
    pub outcome: AttemptOutcome,
    /// The URL that was asked, after the transformation.
    pub url: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What the transformation wrote to its console.
    pub logs: Vec<String>,
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
