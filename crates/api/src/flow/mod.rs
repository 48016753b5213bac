//! Flow control as operators see it: why a run waits, what is queued and what was dropped of a
//! function, the limits that they set themselves, and metrics.
//!
//! What is seen comes from the engine's hot state in one look; what it means is told by pure
//! functions.

mod cause;
mod dropped;
mod exposition;
mod gathering;
mod kept;
mod limits;
mod metrics;
mod queues;
#[cfg(test)]
mod tests;
mod waiting;

use axum::Router;
use axum::routing::{get, put};

pub(crate) use self::gathering::{Gathering, find as find_gathering, may_gather};
#[cfg(test)]
pub(crate) use self::kept::Kept;
pub(crate) use self::kept::{Dropped, dropped_of};
pub(crate) use self::waiting::{Seen, see};
use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/runs/{id}/waiting", get(waiting::waiting))
        .route("/api/functions/{slug}/queues", get(queues::queues))
        .route("/api/functions/{slug}/dropped", get(dropped::dropped))
        .route("/api/limits", get(limits::list))
        .route(
            "/api/limits/{name}",
            put(limits::put).delete(limits::remove),
        )
        .route("/metrics", get(metrics::metrics))
}
