//! What tests need that drive a whole server: a clock to move, and to know when nothing is left.
//! The policy table serves these paths in test mode only.

use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use dunlin_types::Code;
use dunlin_wire::duration::parse_duration;
use serde::Deserialize;
use serde_json::json;

use crate::error::{Refused, Reply};
use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/test/", get(async || "OK"))
        .route("/test/idle", get(idle))
        .route("/test/clock/advance", post(advance))
}

/// Answers once nothing is queued, in flight or being written.
async fn idle(State(api): State<Api>) -> Reply {
    api.node.idle().await;
    Ok(Json(json!({"idle": true, "now": api.node.now().rfc3339()})).into_response())
}

#[derive(Deserialize)]
struct Advance {
    by: String,
}

async fn advance(State(api): State<Api>, body: Bytes) -> Reply {
    let bad = |detail: &str| Refused::new(Code::BadRequest, detail);
    let asked: Advance = serde_json::from_slice(&body)
        .map_err(|_| bad("the body must be an object such as {\"by\": \"14d\"}"))?;
    let ms = parse_duration(&asked.by).filter(|ms| *ms >= 0);
    let ms = ms.ok_or_else(|| bad("by must be a duration such as 14d or 1h30m"))?;
    let now = api.node.advance(ms)?;
    Ok(Json(json!({"now": now.rfc3339()})).into_response())
}
