//! An app reports steps while its call goes on: `POST /v1/checkpoint/{run}/async`.

use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_engine::{Answer, Checkpoint, Input};
use dunlin_node::ops_of;
use dunlin_types::{Code, Seq, Timestamp, Token, Ulid};
use dunlin_wire::response::{self as wire, parse_checkpoint};
use http::StatusCode;
use serde_json::json;

use super::output::{row_of, run_of};
use super::runs::unknown;
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) async fn checkpoint(
    State(api): State<Api>,
    Path(run): Path<String>,
    body: Bytes,
) -> Reply {
    let data = json!({ "run_id": run });
    match report(&api, run, &body).await {
        Ok(()) => Ok(StatusCode::OK.into_response()),
        Err(refused) => Err(refused.data(data)),
    }
}

async fn report(api: &Api, run: String, body: &Bytes) -> Result<(), Refused> {
    let now = api.node.now();
    let parsed = parse_checkpoint(body, now)?;
    let report = report_of(parsed, &run, now)?;
    let answer = api
        .node
        .engine(move |token| Input::Checkpoint(Checkpoint { token, ..report }));
    match answer.await? {
        Answer::Checkpointed => Ok(()),
        Answer::CheckpointRefused(Code::RunEnded, why) => {
            Err(ended_or_unknown(api, run, why).await?)
        }
        Answer::CheckpointRefused(code, why) => Err(Refused::new(code, why)),
        _ => Err(unknown()),
    }
}

fn report_of(parsed: wire::Checkpoint, run: &str, now: Timestamp) -> Result<Checkpoint, Refused> {
    let bad = |detail: &str| Refused::new(Code::BadRequest, detail);
    if parsed.run_id != run {
        return Err(bad("run_id differs from the run in the path"));
    }
    let (id, row) = row_of(run).ok_or_else(unknown)?;
    // A queue item is named by its run and its number.
    let item = parsed
        .qi_id
        .strip_prefix(run)
        .and_then(|rest| rest.strip_prefix('-'));
    let item = item.and_then(|number| number.parse().ok());
    let item = item.ok_or_else(|| bad("qi_id names no item of this run"))?;
    // The id of a request begins with the time at which its call went out.
    let request: Option<Ulid> = parsed.request_id.and_then(|id| id.parse().ok());
    Ok(Checkpoint {
        token: Token::NONE,
        run: row,
        created: id.at(),
        item: Seq(item),
        generation: parsed
            .generation_id
            .map(|number| u64::try_from(number).unwrap_or(0)),
        started: request.map_or(now, |id| id.at().min(now)),
        ops: ops_of(parsed.ops, now),
    })
}

async fn ended_or_unknown(api: &Api, run: String, why: String) -> Result<Refused, Refused> {
    let known = api
        .node
        .read(move |reader| run_of(reader, &run))
        .await?
        .is_some();
    Ok(if known {
        Refused::new(Code::RunEnded, why)
    } else {
        unknown()
    })
}
