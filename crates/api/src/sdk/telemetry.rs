//! What SDKs tell of runs beside their results. It is taken and not kept.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_types::Code;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;

use super::output::{self, run_of};
use super::params::Fields;
use super::runs::unknown;
use crate::error::{Refused, Reply};
use crate::state::Api;

/// Notes on a run or one of its steps.
pub(super) async fn metadata(State(api): State<Api>, Path(id): Path<String>, body: Bytes) -> Reply {
    Fields::of(&body)?;
    let known = api.node.read(move |reader| run_of(reader, &id)).await?;
    known.ok_or_else(unknown)?;
    Ok(output::v1(json!(null), api.node.now()))
}

/// Spans of people's own code: an empty answer in the form of the question says that all arrived.
pub(super) async fn spans(headers: HeaderMap) -> Reply {
    let kind = headers.get(header::CONTENT_TYPE);
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json {
        return Ok(Json(json!({})).into_response());
    }
    let kind = HeaderValue::from_static("application/x-protobuf");
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, kind)]).into_response())
}

pub(super) async fn metrics() -> Reply {
    let detail = "this server has no metrics by environment";
    Err(Refused::new(Code::NotBuilt, detail))
}
