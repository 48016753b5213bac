//! What SDKs, and people who read runs and events, call.

use axum::Router;

use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
}
