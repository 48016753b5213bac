//! The SDKs' expression dialect: parse once, evaluate with a budget.
//!
//! The text is CEL, and the `cel` crate parses it. Evaluation is our own, because the dialect is
//! looser than CEL: a missing field is a value instead of an error, `||` yields the first truthy
//! value, and numbers of all kinds mix.
//!
//! It must never read a clock, draw a random number, block, or run without a bound: `now` is an
//! argument, and every evaluation counts its steps.

mod answer;
mod arithmetic;
mod compare;
mod dates;
mod equality_key;
mod evaluate;
mod functions;
mod json;
mod lower;
mod near_miss;
mod never;
mod node;
mod place;
mod program;
mod project;
mod terms;
mod value;

pub use answer::Answer;
pub use equality_key::equality_key;
pub use json::parse_json;
pub use near_miss::near_miss;
pub use program::{Program, Scope};
pub use serde_json::Value;
pub use terms::{EqualityTerm, Path, TermRight};
