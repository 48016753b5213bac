//! Values that every crate of Dunlin speaks in: sequence numbers and the ids users see, times,
//! payloads, events, secrets, limits and error codes.
//!
//! It holds only what belongs to no component, and must never read a clock, draw a random number,
//! touch a file or the network, or panic on what comes from outside.

mod code;
mod dedupe;
mod event;
mod id;
mod json_depth;
pub mod limits;
mod outbound;
mod payload;
mod secret;
mod source;
mod step_id;
mod time;

pub use code::{Code, Coded};
pub use dedupe::DedupeKey;
pub use event::{Event, EventOrigin, EventParts, Lifecycle, NewEvent};
pub use id::{
    APP_NAMESPACE, BadId, Ksuid, KsuidKind, Seq, Token, Ulid, app_uuid, function_uuid, ulid_for,
};
pub use json_depth::json_depth;
pub use outbound::OutboundRequest;
pub use payload::Payload;
pub use secret::{Secret, constant_time_eq};
pub use source::{
    Challenge, IpRange, MacAlgorithm, MacEncoding, Place, Scheme, SourceConfig, SourceKind,
    SourceMode, VerifyRule,
};
pub use step_id::StepId;
pub use time::Timestamp;
