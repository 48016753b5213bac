//! JavaScript transformations in killable worker processes.
//!
//! [`Sandbox`] is the parent's side: a small pool of processes of the same binary, each with its
//! own limits, killed when it overstays. [`worker_main`] is the child's side: one frame in, one
//! run in a realm of its own, one frame out. The code of users must never run in the parent, what
//! a worker says is checked like any outside input, and no run ever sees another's traces: each
//! begins with the interpreter's memory as it was before any script.

mod compiled;
mod console;
mod entry;
mod failure;
mod frame;
mod host;
mod locale;
mod memory;
mod outcome;
mod pool;
mod process;
mod random;
mod realm;
mod report;
mod script;
mod talk;
mod waiting;
mod worker;

pub use pool::{Sandbox, SandboxOptions};
pub use report::{LogLevel, LogLine, ScriptError, TransformReport, TransformRequest, Transformed};
pub use worker::worker_main;
