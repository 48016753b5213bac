//! One message for every application, made by a task.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::post;
use dunlin_delivery::{NewTask, TaskFilter, TaskKind};
use dunlin_types::Seq;
use dunlin_types::limits::MESSAGE_BODY_BYTES_MAX;

use super::fields::{parse, read_body};
use super::message_in::MessageIn;
use super::task::{started, task_reply};
use crate::error::Reply;
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    Router::new().route("/api/v1/msg/broadcast", post(broadcast))
}

async fn broadcast(State(api): State<Api>, body: Body) -> Reply {
    let body = read_body(body, MESSAGE_BODY_BYTES_MAX).await?;
    let message = parse::<MessageIn>(&body)?.checked(api.node.now())?;
    let new = NewTask {
        kind: TaskKind::Broadcast,
        app: Seq(0),
        endpoint: None,
        filter: TaskFilter {
            given: Some(Arc::new(message)),
            ..TaskFilter::default()
        },
    };
    let row = started(&api, new).await?;
    task_reply(&row)
}
