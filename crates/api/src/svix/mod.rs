//! Applications, endpoints, messages and attempts, after the shape of the Svix API: `/api/v1/app`.

use axum::Router;

use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
}
