//! Sources, after the shape of the ingest API: `/ingest/api/v1/source`.

use axum::Router;

use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
}
