//! Functions are paused, and go on: `POST /api/functions/{slug}/pause` and `/resume`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use dunlin_engine::config::FunctionRow;
use dunlin_engine::{Answer, Input};
use dunlin_types::Code;
use serde_json::json;

use super::functions::unknown;
use super::output::Names;
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) async fn pause(State(api): State<Api>, Path(slug): Path<String>) -> Reply {
    set(&api, &slug, true).await
}

pub(super) async fn resume(State(api): State<Api>, Path(slug): Path<String>) -> Reply {
    set(&api, &slug, false).await
}

/// The registered function of that composite id or UUID, with its UUID.
pub(crate) async fn function(api: &Api, id: &str) -> Result<(FunctionRow, String), Refused> {
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let function = names.find(id).ok_or_else(unknown)?;
    Ok((function.clone(), names.function_id(function.number)))
}

pub(crate) async fn set(api: &Api, id: &str, paused: bool) -> Reply {
    let (row, uuid) = function(api, id).await?;
    let function = row.number;
    let asked = api.node.engine(move |token| Input::Pause {
        token,
        function,
        paused,
    });
    match asked.await? {
        Answer::Paused { modified } => Ok(Json(json!({
            "id": uuid,
            "slug": row.slug,
            "isPaused": paused,
            "modified": modified,
        }))
        .into_response()),
        Answer::NoSuchFunction => Err(unknown()),
        _ => Err(Refused::plain(Code::ShuttingDown)),
    }
}
