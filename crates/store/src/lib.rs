//! The store port, in the domain's words: what a backend must be able to do, an in-memory store,
//! and the suite of tests that every backend must pass.
//!
//! Everything durable is written by [`Writer::commit`], one batch at a time, all of it or none.
//! Reads see committed rows only. Nothing here knows SQL, files or HTTP, and nothing but a backend
//! may know more of storage than this.

mod batch;
pub mod conformance;
mod memory;
mod port;
mod seal;
mod view;

pub use memory::MemoryStore;
pub use port::{
    Batch, CommitOutcome, Known, Reader, Restored, Start, Store, StoreError, StoreResult, Writer,
};
pub use seal::{KeyId, Keyring, Place, SealError, SealKey, key_of};
/// What stands in place of an attempt's answer that was taken away (Svix).
pub const RESPONSE_GONE: &str = "EXPUNGED";

pub use view::{
    AttemptFilter, EventFilter, LoggedEvent, MessageFilter, Page, RefusalCounts, RunView,
    event_in_full, seeded_key, started_by,
};
