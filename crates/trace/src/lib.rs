//! What happened in a run, drawn up as a tree of spans from its rows.
//!
//! Drawing is a pure function of rows and `now`; [`load`] reads the rows and what they refer to. It
//! must never write, decide what a core should, or know how a tree is put on a wire or a screen.

mod attempt;
mod draw;
mod error;
mod info;
mod links;
mod load;
mod span;

pub use draw::{Known, draw};
pub use error::SpanError;
pub use info::{EventWait, Invocation, ServerRequest, SignalWait, StepInfo, StepOp, Usage};
pub use links::Links;
pub use load::{find_run, load};
pub use span::{CancelReason, Parent, Span, SpanStatus, Trace};
