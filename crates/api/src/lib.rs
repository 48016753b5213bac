//! HTTP in: sources, SDK surface, management API; authentication and one policy table.
//!
//! It turns requests into questions to the node and answers into responses. It must never decide
//! what a core should, write to the store, or serve a path that has no row in [`policy`].

mod auth;
mod caller;
mod catalogue;
mod dodo;
mod error;
mod explain;
mod flow;
mod guard;
mod hosts;
mod idempotency;
mod inbound;
mod ingest_api;
mod journey;
pub mod policy;
mod refused;
pub mod samples;
mod sdk;
mod server;
mod simulate;
mod state;
mod svix;
mod testing;

use axum::Router;

pub use error::ERROR_HEADER;
pub use server::serve;
pub use state::{Api, ApiOptions};

/// Everything that is served, behind the policy table.
pub fn router(api: Api) -> Router {
    let gate = guard::Gate::new(&api.options, Some(api.node.clone()));
    let api = Api {
        refused: gate.refused(),
        ..api
    };
    let routes = Router::new()
        .merge(inbound::routes())
        .merge(ingest_api::routes())
        .merge(svix::routes())
        .merge(dodo::routes())
        .merge(explain::routes())
        .merge(journey::routes())
        .merge(flow::routes())
        .merge(simulate::routes())
        .merge(sdk::routes())
        .merge(testing::routes());
    guard::behind(gate, routes).with_state(api)
}
