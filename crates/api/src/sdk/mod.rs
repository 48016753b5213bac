//! What SDKs, and people who read runs and events, call.

mod apps;
mod cancel;
mod checkpoint;
mod dev;
mod event_log;
mod gql;
mod output;
mod register;
mod run_state;
mod runs;
mod send;
mod trace;
mod unbuilt;

use axum::Router;
use axum::routing::{any, delete, get, post};

use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/health", get(dev::health))
        .route("/dev", get(dev::dev))
        .route("/e/{key}", post(send::send))
        .route("/fn/register", post(register::register))
        .route("/invoke/{slug}", any(unbuilt::unbuilt))
        .route("/metrics", any(unbuilt::unbuilt))
        .merge(calls())
        .merge(first())
        .merge(second())
}

/// What calls fetch and report.
fn calls() -> Router<Api> {
    Router::new()
        .route("/v0/runs/{id}/batch", get(run_state::batch))
        .route("/v0/runs/{id}/actions", get(run_state::actions))
        .route("/v0/runs/{id}", delete(cancel::cancel_quietly))
        .route("/v0/gql", post(gql::query))
        .route("/v1/checkpoint/{run}/async", post(checkpoint::checkpoint))
        .route("/v1/checkpoint", any(unbuilt::unbuilt))
        .route("/v1/checkpoint/{run}/steps", any(unbuilt::unbuilt))
        .route("/v1/checkpoint/{run}/output", any(unbuilt::unbuilt))
}

fn first() -> Router<Api> {
    Router::new()
        .route("/v1/events", get(event_log::list))
        .route("/v1/events/{id}", get(event_log::one))
        .route("/v1/events/{id}/runs", get(runs::of_event))
        .route("/v1/runs/{id}", get(runs::one).delete(cancel::cancel))
        .route("/v1/apps/{name}/functions", get(apps::functions))
        .route("/v1/{*rest}", any(unbuilt::unbuilt))
}

fn second() -> Router<Api> {
    Router::new()
        .route("/v2/health", get(dev::health_v2))
        .route("/v2/apps", get(apps::list))
        .route("/v2/events", post(send::send_one))
        .route("/v2/runs/{id}", get(runs::one_v2))
        .route("/v2/runs/{id}/trace", get(trace::trace))
        .route("/v2/{*rest}", any(unbuilt::unbuilt))
}
