//! What the core wants done once its rows are committed.

use std::sync::Arc;

use dunlin_types::{Coded, Ksuid, NewEvent, Seq, Timestamp, Token};

use crate::access::{Integration, PortalToken};
use crate::{
    Application, AttemptRow, Blocker, Endpoint, EventType, Message, Source, TaskRow, Trigger, Write,
};

/// A decision: rows for one commit, what belongs into the same commit elsewhere, and what follows
/// after it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows, in the order they were decided.
    pub writes: Vec<Write>,
    /// For the sibling core, in the same commit.
    pub emits: Vec<Emit>,
    /// After the commit.
    pub effects: Vec<Effect>,
}

impl Outcome {
    pub(crate) fn answer(&mut self, token: Token, answer: Answer) {
        if token != Token::NONE {
            self.effects.push(Effect::Answer { token, answer });
        }
    }

    /// Tells the attempt that made an event which row the event got.
    pub fn set_event(&mut self, delivery: Seq, event: Seq) {
        for write in &mut self.writes {
            write.set_event(delivery, event);
        }
    }
}

/// Something for another core.
#[derive(Debug)]
pub enum Emit {
    /// Append an event to the log.
    AppendEvent {
        /// The event.
        event: NewEvent,
        /// Whose attempt made it: see [`Outcome::set_event`].
        delivery: Seq,
    },
}

/// Something to do.
#[derive(Debug)]
pub enum Effect {
    /// Transform and send, then tell by [`crate::Input::Attempted`].
    Attempt(Box<AttemptEffect>),
    /// Answer who waits.
    Answer {
        /// Who.
        token: Token,
        /// What.
        answer: Answer,
    },
}

/// One try of one delivery.
#[derive(Clone, Debug)]
pub struct AttemptEffect {
    /// Whose try it is.
    pub delivery: Seq,
    /// The message's row.
    pub message: Seq,
    /// The message itself when it is fresh; otherwise it must be loaded.
    pub message_inline: Option<Arc<Message>>,
    /// The endpoint as it is now.
    pub endpoint: Arc<Endpoint>,
    /// Whether the result is an event for this server's own log.
    pub in_process: bool,
    /// Whether it must not overtake another delivery, so that it follows from that one's end.
    pub ordered: bool,
    /// 1 for the first.
    pub attempt_no: u8,
    /// Why it is made.
    pub trigger: Trigger,
}

/// How much an endpoint has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Deliveries that have not ended.
    pub pending: usize,
    /// Those of them that are under way.
    pub in_flight: usize,
    /// That what is ready waits because the endpoint takes no more for now.
    pub held: Option<Held>,
}

/// Deliveries that wait for an endpoint's rate, or as long as its receiver asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When the one that has waited longest would have begun.
    pub since: Timestamp,
    /// When the next may begin.
    pub until: Timestamp,
}

/// What somebody outside is told.
#[derive(Debug)]
pub enum Answer {
    /// The message is kept, and will go to each endpoint that wants it.
    Accepted {
        /// Its id.
        message: Ksuid,
    },
    /// It was here before.
    Repeat {
        /// The id of the first.
        message: Ksuid,
        /// Whether the first had another body.
        conflict: bool,
    },
    /// The attempt asked for will be made.
    Resent {
        /// Under that delivery.
        delivery: Ksuid,
    },
    /// The sample is on its way.
    TestSent {
        /// The sample's message.
        message: Ksuid,
        /// Its delivery.
        delivery: Ksuid,
    },
    /// The sample has been tried.
    Tested {
        /// The sample's message.
        message: Ksuid,
        /// What came of it.
        attempt: Box<AttemptRow>,
    },
    /// The application as it is now.
    Application(Arc<Application>),
    /// The source as it is now.
    Source(Arc<Source>),
    /// The endpoint as it is now.
    Endpoint(Arc<Endpoint>),
    /// The event types as they are now.
    EventTypes(Vec<Arc<EventType>>),
    /// The portal token as it is now.
    PortalToken(Arc<PortalToken>),
    /// The integration as it is now.
    Integration(Arc<Integration>),
    /// The task as it is now.
    Task(Arc<TaskRow>),
    /// How much an endpoint has to do.
    Standing(Standing),
    /// The message's pending deliveries, and what each waits for.
    Blockers(Vec<(Seq, Blocker)>),
    /// So many were changed.
    Changed(usize),
    /// So many were changed, and there may be more: ask again.
    ChangedSome {
        /// How many.
        changed: usize,
        /// The last that was looked at.
        last: Seq,
    },
    /// It is gone.
    Deleted,
    /// It is written down.
    Noted,
    /// It cannot be done.
    Refused(Coded),
}
