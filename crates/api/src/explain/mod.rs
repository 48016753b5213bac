//! What became of a message or an event, and why: `/api/events/{id}/explain`.

use axum::Router;

use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
}
