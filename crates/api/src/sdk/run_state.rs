//! What an app fetches itself when a call was too large to carry it: `/v0/runs/{id}/…`.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dunlin_engine::{Ledger, MemoKind};
use dunlin_store::started_by;
use dunlin_types::Code;
use dunlin_wire::call::{Memo, MemoKind as WireMemo, encode_events, encode_steps};
use http::{HeaderValue, StatusCode, header};

use super::event_log::full;
use super::output::{row_of, run_of};
use crate::error::{Refused, Reply};
use crate::state::Api;

/// The run's events.
pub(super) async fn batch(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    check(&id)?;
    let asked = id.clone();
    let events = api.node.read(move |reader| {
        let Some(run) = run_of(reader, &asked)?.filter(|run| run.end.is_none()) else {
            return Ok(None);
        };
        // A call with some of its events would be another call.
        let mut events = Vec::with_capacity(1 + run.row.more.len());
        for seq in started_by(&run.row) {
            let Some(event) = full(reader, seq)? else {
                return Ok(None);
            };
            events.push(event.json());
        }
        Ok(Some(events))
    });
    let events = events.await?.ok_or_else(|| gone(&id))?;
    Ok(json(encode_events(&events)))
}

/// The results of its steps.
pub(super) async fn actions(State(api): State<Api>, Path(id): Path<String>) -> Reply {
    check(&id)?;
    let asked = id.clone();
    let steps = api.node.read(move |reader| {
        let Some(run) = run_of(reader, &asked)?.filter(|run| run.end.is_none()) else {
            return Ok(None);
        };
        let rows = reader.steps(run.row.seq, None)?;
        let mut ledger = Ledger::new(run.row.created, [].into());
        rows.iter().for_each(|row| ledger.apply(row));
        Ok(Some(memos_of(&ledger)))
    });
    Ok(json(steps.await?.ok_or_else(|| gone(&id))?))
}

fn memos_of(ledger: &Ledger) -> Bytes {
    let memos = ledger.state.memos.iter().map(|(id, memo)| Memo {
        id,
        kind: match memo.kind {
            MemoKind::Data => WireMemo::Data,
            MemoKind::Error => WireMemo::Error,
            MemoKind::Raw => WireMemo::Raw,
            MemoKind::Null => WireMemo::Null,
        },
        value: &memo.payload,
    });
    encode_steps(&memos.collect::<Vec<_>>())
}

fn check(id: &str) -> Result<(), Refused> {
    match id.parse::<dunlin_types::Ulid>() {
        Ok(_) if row_of(id).is_some() => Ok(()),
        Ok(_) => Err(gone(id)),
        Err(_) => Err(Refused::new(
            Code::BadRequest,
            format!("invalid run id: {id}"),
        )),
    }
}

fn gone(id: &str) -> Refused {
    let detail = format!("runtime state is no longer available for runID: {id}");
    Refused::new(Code::RunEnded, detail).status(StatusCode::GONE)
}

fn json(body: Bytes) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], body).into_response()
}
