//! Runs are cancelled.

use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use dunlin_engine::{Answer, Input};
use dunlin_types::Code;
use http::StatusCode;

use super::output::row_of;
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

async fn ask(api: &Api, id: &str) -> Result<(), Refused> {
    let unknown = || Refused::new(Code::NotFound, "there is no such run");
    let (id, run) = row_of(id).ok_or_else(unknown)?;
    let created = id.at();
    match api
        .node
        .engine(move |token| Input::Cancel {
            token,
            run,
            created,
        })
        .await?
    {
        Answer::Cancelled => Ok(()),
        Answer::HadEnded => Err(Refused::plain(Code::RunEnded)),
        _ => Err(unknown()),
    }
}
