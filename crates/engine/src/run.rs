//! What happens to a run from its start to its end, one file a step of its life.
//!
//! ```text
//! event ─► start ─► item ready ─► dispatch ─► call ─► reply ─┬─► ops ─► rows, new items
//!                       ▲              ▲                     ├─► failed ─► retry or end
//!                       └── due ◄──────┴── fetched           └─► done ─► end
//! ```

mod append;
mod cancel;
mod checkpoint;
mod dispatch;
mod due;
mod end;
mod events;
mod fail;
mod reply;

pub(crate) use append::NewRow;
pub use end::{lifecycle_data, lifecycle_event};
pub(crate) use fail::error_object;
pub(crate) use reply::Reported;
