//! The SDK-facing surface over a whole node.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod again;
mod events;
mod flow;
mod gathered;
mod harness;
mod overload;
mod reads;
mod register;
mod runs;
mod second;
