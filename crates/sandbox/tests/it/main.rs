//! The sandbox as its callers meet it: with real worker processes.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail the test they help"
)]

mod attacks;
mod common;
mod contract;
mod fresh;
mod pool;
mod same_as_v8;
mod saving;
mod together;
