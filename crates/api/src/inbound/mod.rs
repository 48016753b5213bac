//! Webhooks that come in: `/in/{source}`.

use axum::Router;

use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
}
