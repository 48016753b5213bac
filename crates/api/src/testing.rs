//! What tests need that drive a whole server: a clock to move, and to know when nothing is left.
//! The policy table serves these paths in test mode only.

use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use dunlin_engine::{Answer, Input};
use dunlin_types::Code;
use dunlin_wire::duration::parse_duration;
use serde::Deserialize;
use serde_json::json;

use crate::error::{Refused, Reply};
use crate::sdk::{Params, cancel_run, function, queued_of, set_paused};
use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/test/", get(async || "OK"))
        .route("/test/idle", get(idle))
        .route("/test/clock/advance", post(advance))
        .route("/test/reset", post(reset))
        .route("/test/function/pause", post(pause))
        .route("/test/function/runs/cancel", post(cancel))
        .route("/test/queue/function-queue-size", get(queue_size))
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

/// Stops all runs, so that the next suite finds nothing under way; the log stays.
async fn reset(State(api): State<Api>) -> Reply {
    match api.node.engine(|token| Input::StopAll { token }).await? {
        Answer::Done => Ok("ok".into_response()),
        _ => Err(Refused::plain(Code::ShuttingDown)),
    }
}

fn required<'a>(params: &'a Params, name: &str) -> Result<&'a str, Refused> {
    let missing = || Refused::new(Code::BadRequest, format!("{name} is required"));
    params.get(name).ok_or_else(missing)
}

async fn pause(State(api): State<Api>, params: Params) -> Reply {
    set_paused(&api, required(&params, "fnId")?, true).await
}

async fn cancel(State(api): State<Api>, params: Params) -> Reply {
    cancel_run(&api, required(&params, "runId")?).await?;
    Ok("ok".into_response())
}

async fn queue_size(State(api): State<Api>, params: Params) -> Reply {
    let (row, _) = function(&api, required(&params, "fnId")?).await?;
    let count = api.node.read(move |reader| queued_of(reader, row.number));
    Ok(Json(json!({ "count": count.await? })).into_response())
}
