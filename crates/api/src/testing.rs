//! What tests need that drive a whole server: a clock to move, and to know when nothing is left.

use axum::Router;

use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
}
