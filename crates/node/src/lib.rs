//! Carries out what `turn` commands, over a store and the network.
//!
//! One thread decides, one writes, a few read, and the async runtime talks to apps and receivers.
//! The node owns the clock and the randomness. It must never decide anything a core should, write
//! except by the one writer, or keep anybody waiting without a bound.

mod act;
mod apps;
mod attempts;
mod bulk;
mod calls;
mod clock;
mod convert;
mod failpoint;
mod gateway;
mod given;
mod handle;
mod inbox;
mod kept;
mod looks;
mod memory;
mod options;
mod pace;
mod prepared;
mod readers;
mod retention;
mod start;
mod tasks;
mod trial;
mod turns;
mod writer;

pub use apps::{Discovery, Registered, SyncOutcome, register_app, sync_app};
pub use bulk::{
    Action, Count, Job, JobState, Jobs, Keep, Progress, Selection, rerun_of, runs_from,
};
pub use clock::Clock;
pub use convert::ops_of;
pub use failpoint::CrashPoint;
pub use given::Given;
pub use handle::{Answer, Node};
pub use memory::memory_bytes_max_default;
pub use options::{NodeOptions, ServerKind};
pub use pace::{Overload, Pressure};
pub use start::{Running, start};
