//! Runs are cancelled.

use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use dunlin_engine::{Answer, Input};
use dunlin_types::Code;
use http::StatusCode;

use super::output::{row_of, run_of};
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

async fn ask(api: &Api, text: &str) -> Result<(), Refused> {
    let (id, run) = row_of(text).ok_or_else(unknown)?;
    let created = id.at();
    let answer = api.node.engine(move |token| Input::Cancel {
        token,
        run,
        created,
    });
    match answer.await? {
        Answer::Cancelled => return Ok(()),
        Answer::HadEnded => return Err(Refused::plain(Code::RunEnded)),
        _ => {}
    }
    // The engine remembers the live ones only.
    let text = text.to_owned();
    let known = api.node.read(move |reader| run_of(reader, &text)).await?;
    Err(known.map_or_else(unknown, |_| Refused::plain(Code::RunEnded)))
}
