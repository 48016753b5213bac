//! Flow control: how a function's work is spread over time. One file a rule; each is a small machine
//! over its own state that knows neither runs nor rows, with its naive model below it.
//!
//! Before there is a run, an event is asked for in this order: batching, rate limit or idempotency,
//! debounce, singleton ([`admission`]). Once there is one, its calls pass gates: throttle, runs and
//! calls at a time (`schedule`). The order is the SDK protocol's.

pub(crate) mod admission;
pub(crate) mod batch;
pub(crate) mod concurrency;
pub(crate) mod counters;
pub(crate) mod debounce;
pub(crate) mod gcra;
pub(crate) mod idempotency;
mod keys;
pub(crate) mod priority;
pub(crate) mod rate_limit;
pub(crate) mod singleton;
pub(crate) mod slow_down;
pub(crate) mod throttle;

pub use keys::{KeyValue, RunKeys, key_text};
