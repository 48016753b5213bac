//! Queues, batching, loading, pins and recovery, without IO: it drives the two cores.
//!
//! [`Turn::on`] takes what happened, and [`Turn::flush`] says what is to be done about it. A node
//! only carries that out. It must never read a clock, touch a store or a socket, or decide what a
//! core should: it knows in which order things happen, not what they mean.

mod command;
mod keys;
mod load;
mod turn;

pub use command::{Command, Decided, Effect, Happening, Input, LoadId, Need, Rows};
pub use turn::Turn;
