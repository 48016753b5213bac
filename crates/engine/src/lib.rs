//! The sans-IO core for runs of durable functions.
//!
//! It is told what happened ([`Input`]), decides, and says what to write ([`Write`]) and what to do
//! once that is committed ([`Effect`]). It must never read a clock, draw a random number, touch a
//! file, a socket or a thread, and must not know deliveries: time, seeds, sequence numbers and cold
//! rows are arguments. The same rows that it asks to be written rebuild its memory at a start.

mod backoff;
mod catalog;
mod claims;
pub mod config;
mod core;
mod effect;
pub mod flow;
mod fold;
mod gathers;
mod input;
mod inspect;
mod ledger;
mod ledgers;
pub mod live;
pub mod look;
mod opcode;
mod packed;
mod recover;
mod requests;
mod run;
mod schedule;
mod seen;
pub mod step;
mod tails;
mod tallies;
mod ticks;
mod waits;
mod write;

pub use catalog::{AppChange, Catalog, Change, Changes, Function, FunctionChange};
pub use core::{Context, Engine, LedgerRows, Loaded, Needs, Options, Outcome};
pub use effect::{Answer, Call, Effect, Request, Wake};
pub use input::{
    CallId, CallReply, Checkpoint, Failure, Input, KeptResult, Op, OpKind, Reply, Rerun,
};
pub use ledger::{Ledger, Memo, MemoKind, RunState};
pub use run::{lifecycle_data, lifecycle_event};
pub use schedule::CallLimits;
pub use ticks::Missed;
pub use write::{
    CounterRow, CronRow, DroppedRow, GatherRow, Image, LifecycleRow, RunEnd, RunRow, RunStatus,
    Write,
};
