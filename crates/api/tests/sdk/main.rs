//! The SDK-facing surface over a whole node.

mod events;
mod harness;
mod reads;
mod register;
mod runs;
