//! What a source refused: with its reason and without its body.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use dunlin_delivery::RefusalRow;
use dunlin_types::KsuidKind;
use serde::Serialize;
use serde_json::{Value, json};

use super::source;
use crate::error::Reply;
use crate::state::Api;
use crate::svix::page::{Asked, List};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefusalOut {
    id: String,
    timestamp: String,
    error_code: String,
    reason: &'static str,
    detail: String,
    ip: Option<String>,
    headers: BTreeMap<String, String>,
    body_bytes: u64,
    unlisted_before: u64,
}

impl RefusalOut {
    /// The same for a list whose lines have ids of their own.
    pub(super) fn without_id(self) -> Value {
        let mut shown = json!(self);
        if let Value::Object(fields) = &mut shown {
            fields.remove("id");
        }
        shown
    }
}

impl From<RefusalRow> for RefusalOut {
    fn from(row: RefusalRow) -> Self {
        Self {
            id: row.id().to_string(),
            timestamp: row.at.rfc3339(),
            error_code: row.code.to_string(),
            reason: row.code.title(),
            detail: row.detail,
            ip: row.ip,
            headers: row.headers.into_iter().collect(),
            body_bytes: row.body_bytes,
            unlisted_before: row.unlisted,
        }
    }
}

#[derive(Debug, Serialize)]
struct Refusals {
    #[serde(flatten)]
    list: List<RefusalOut>,
    totals: Totals,
}

/// Since the source was made.
#[derive(Debug, Serialize)]
struct Totals {
    all: u64,
    /// Too many of them came at once to be listed each.
    unlisted: u64,
}

pub(super) async fn list(State(api): State<Api>, Path(id): Path<String>, asked: Asked) -> Reply {
    let source = source(&api, &id)?.id;
    let window = asked.window(KsuidKind::Refusal, false)?;
    let read = api.node.read(move |reader| {
        let counts = reader.refusal_counts(source)?;
        let page = |page| reader.refusals(source, page);
        let slice = window.read(page, |row: &RefusalRow| row.seq, |_| true, |_| 1)?;
        Ok((slice, counts))
    });
    let (slice, counts) = read.await?;
    let unlisted = counts.unlisted + api.refusals.unlisted(source);
    let answer = Refusals {
        list: slice.list(|row| row.id().to_string(), RefusalOut::from),
        totals: Totals {
            all: counts.listed + unlisted,
            unlisted,
        },
    };
    Ok(axum::Json(answer).into_response())
}
