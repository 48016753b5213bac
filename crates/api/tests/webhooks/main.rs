//! Webhooks in and out over the HTTP side, with a whole node in memory behind it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test by it")]

mod access;
mod apart;
mod blocked;
mod broadcasts;
mod certificates;
mod dodo;
mod endpoints;
mod event_types;
mod explain;
mod fates;
mod harness;
mod inbound;
mod lists;
mod lookups;
mod reasons;
mod receiver;
mod refusals;
mod repeats;
mod replays;
mod retention;
mod schemes;
mod selections;
mod signatures;
mod simulate;
mod sources;
mod tasks;
mod trace;
mod trials;
