//! Runs are cancelled.

use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use dunlin_engine::{Answer, Input, RunStatus};
use dunlin_types::Code;
use http::StatusCode;
use serde_json::json;

use super::output::{self, row_of, run_of};
use super::runs::unknown;
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) async fn cancel(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    ask(&api, &id).await?;
    Ok(StatusCode::OK.into_response())
}

/// The older path answers without a word.
pub(super) async fn cancel_quietly(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    ask(&api, &id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn cancel_v2(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    ask(&api, &id).await?;
    Ok(output::v2(json!({ "runId": id }), api.node.now()))
}

pub(crate) async fn ask(api: &Api, text: &str) -> Result<(), Refused> {
    let (id, run) = row_of(text).ok_or_else(unknown)?;
    let created = id.at();
    let answer = api.node.engine(move |token| Input::Cancel {
        token,
        run,
        created,
    });
    if let Answer::Cancelled = answer.await? {
        return Ok(());
    }
    // The engine remembers the live ones only.
    let text = text.to_owned();
    let known = api.node.read(move |reader| run_of(reader, &text)).await?;
    let status = known.ok_or_else(unknown)?.end.map(|end| end.status);
    let word = match status {
        Some(RunStatus::Cancelled) => "run_already_cancelled",
        _ => "run_already_ended",
    };
    Err(Refused::plain(Code::RunEnded).word(word))
}
