//! Codecs of foreign formats: Standard Webhooks, the SDK protocol, the event API.
//!
//! Pure functions between bytes and values. It must never read a clock (`now` comes in), open a
//! connection, log, or panic on what comes from outside.

pub mod call;
pub mod duration;
pub mod envelope;
pub mod form;
mod hex;
pub mod ingest;
mod json;
mod percent;
pub mod register;
pub mod response;
pub mod sign;
pub mod signal;
pub mod standard_webhooks;
pub mod verify;
