//! What SDKs, and people who read runs and events, call.

mod account;
mod apps;
mod cancel;
mod cancellations;
mod checkpoint;
mod dev;
mod event_log;
mod functions;
mod gql;
mod invoke;
mod jobs;
mod output;
mod params;
mod pause;
mod register;
mod replays;
mod rerun;
mod run_state;
mod runs;
mod runs_v2;
mod send;
mod signals;
mod syncs;
mod telemetry;
mod trace;
mod unbuilt;

use axum::Router;
use axum::routing::{any, delete, get, post};

pub(crate) use self::cancel::ask as cancel_run;
pub(crate) use self::jobs::queued_of;
pub(crate) use self::output::{Names, RunState, run_of};
pub(crate) use self::params::Params;
pub(crate) use self::pause::{function, set as set_paused};
use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/health", get(dev::health))
        .route("/dev", get(dev::dev))
        .route("/e/{key}", post(send::send))
        .route("/fn/register", post(register::register))
        .route("/invoke/{slug}", post(invoke::by_slug))
        .route("/fn/remove", delete(syncs::remove))
        .route("/fn/step-limit", any(syncs::function_limit))
        .route("/fn/state-size-limit", any(syncs::function_limit))
        .merge(calls())
        .merge(first())
        .merge(second())
        .nest("/api", second())
        .merge(operators())
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
        .route("/v1/runs/{id}/jobs", get(jobs::jobs))
        .route("/v1/runs/{id}/metadata", post(telemetry::metadata))
        .route("/v1/signals", post(signals::send))
        .route(
            "/v1/cancellations",
            get(cancellations::list).post(cancellations::start),
        )
        .route("/v1/cancellations/{id}", delete(cancellations::stop))
        .route("/v1/traces/userland", post(telemetry::spans))
        .route("/v1/prom/{env}", get(telemetry::metrics))
        .route("/v1/apps/{name}/functions", get(apps::functions))
        .route("/v1/{*rest}", any(unbuilt::unbuilt))
}

fn second() -> Router<Api> {
    Router::new()
        .route("/v2/health", get(dev::health_v2))
        .route("/v2/account", get(account::account))
        .route("/v2/keys/events", get(account::event_keys))
        .route("/v2/keys/signing", get(account::signing_keys))
        .route("/v2/operations", get(account::operations))
        .route("/v2/events", post(send::send_one))
        .route("/v2/events/{id}/runs", get(runs_v2::of_event))
        .route("/v2/runs", get(runs_v2::list))
        .route("/v2/runs/{id}", get(runs_v2::one))
        .route("/v2/runs/{id}/trace", get(trace::trace))
        .route("/v2/runs/{id}/rerun", post(rerun::rerun))
        .route("/v2/runs/{id}/cancel", post(cancel::cancel_v2))
        .route("/v2/{*rest}", any(unbuilt::unbuilt))
        .merge(second_of_apps())
}

fn second_of_apps() -> Router<Api> {
    Router::new()
        .route("/v2/apps", get(apps::list))
        .route("/v2/apps/{app}", get(apps::one))
        .route("/v2/apps/{app}/functions", get(functions::of_app))
        .route("/v2/apps/{app}/functions/{fn}", get(functions::one))
        .route("/v2/apps/{app}/functions/{fn}/invoke", post(invoke::by_app))
        .route(
            "/v2/apps/{app}/functions/{fn}/runs",
            get(runs_v2::of_function),
        )
        .route("/v2/apps/{app}/syncs", post(syncs::sync))
}

/// What people who run the server do.
fn operators() -> Router<Api> {
    Router::new()
        .route("/api/functions/{slug}/pause", post(pause::pause))
        .route("/api/functions/{slug}/resume", post(pause::resume))
        .route("/api/functions/{slug}/replays", post(replays::start))
        .route("/api/replays", get(replays::list))
        .route("/api/replays/{id}", get(replays::one).delete(replays::stop))
}
