//! What is told of flow control, over what the engine would show.

mod limits;
mod metrics;
mod seen;
