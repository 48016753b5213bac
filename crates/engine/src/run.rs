//! What happens to a run from its start to its end, one file a step of its life.
//!
//! ```text
//! event ─► start ─► item ready ─► dispatch ─► call ─► reply ─┬─► ops ─► rows, new items
//!                       ▲              ▲                     ├─► failed ─► retry or end
//!                       └── due ◄──────┴── fetched           └─► done ─► end
//! ```

mod admit;
mod append;
mod cancel;
mod checkpoint;
mod defer;
mod dispatch;
mod due;
mod end;
mod events;
mod fail;
mod govern;
mod invoke;
mod limit;
mod pause;
mod queue;
mod reply;
mod rerun;
mod resolve;
mod signal;
mod start;
mod tick;

pub(crate) use append::{After, NewRow};
pub use end::{lifecycle_data, lifecycle_event};
pub(crate) use fail::{error_object, escape};
pub(crate) use invoke::Invocation;
pub(crate) use limit::OwnLimits;
pub(crate) use reply::Reported;
