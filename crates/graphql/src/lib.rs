//! The GraphQL reads that tools and test suites of the reference dev server use.
//!
//! A document is parsed, checked against `schema.graphql`, and executed over the store's reads. It
//! must never write, know HTTP beyond a status number, or do work that the request's budgets in
//! `dunlin_types::limits` do not bound.

mod begun;
mod coerce;
mod document;
mod execute;
mod names;
mod request;
mod resolve;
mod schema;
mod search;
mod validate;

use dunlin_store::Reader;
use dunlin_types::Timestamp;

pub use begun::Begun;
pub use request::{Request, Response};

/// Answers a request. Nothing is refused but a document that is no document of the schema.
///
/// Which live runs have begun is not in the store: those that the answer depends on are noted in
/// `begun`, for a second execution by who can ask the engine.
pub fn execute(
    reader: &mut dyn Reader,
    request: &Request,
    now: Timestamp,
    begun: &mut Begun,
) -> Response {
    match document::prepare(request) {
        Ok(prepared) => execute::execute(reader, &prepared, now, begun),
        Err(invalid) => Response::invalid(&invalid),
    }
}
