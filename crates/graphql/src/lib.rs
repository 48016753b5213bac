//! The GraphQL reads that tools and test suites of the reference dev server use.
//!
//! A document is parsed, checked against `schema.graphql`, and executed over the store's reads. It
//! must never write, know HTTP beyond a status number, or do work that the request's budgets in
//! `dunlin_types::limits` do not bound.

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

pub use request::{Request, Response};

/// Answers a request. Nothing is refused but a document that is no document of the schema.
pub fn execute(reader: &mut dyn Reader, request: &Request, now: Timestamp) -> Response {
    match document::prepare(request) {
        Ok(prepared) => execute::execute(reader, &prepared, now),
        Err(invalid) => Response::invalid(&invalid),
    }
}
