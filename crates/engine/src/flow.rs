//! Flow control: how a function's work is spread over time. One file a rule; each is a small machine
//! over its own state that knows neither runs nor rows, with its naive model below it.

mod keys;

pub use keys::{KeyValue, RunKeys, key_text};
