//! Signals: `POST /v1/signals`.

use axum::extract::State;
use bytes::Bytes;
use dunlin_engine::{Answer, Input};
use dunlin_types::Code;
use dunlin_wire::signal::parse_signal;
use serde_json::json;

use super::output;
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) async fn send(State(api): State<Api>, body: Bytes) -> Reply {
    let (name, data) = parse_signal(&body)?;
    let answer = api
        .node
        .engine(move |token| Input::Signal { token, name, data });
    match answer.await? {
        Answer::Signalled(run) => {
            let run = api.node.read(move |reader| output::run_id(reader, run));
            Ok(output::v1(json!({ "run_id": run.await? }), api.node.now()))
        }
        // The text is the SDK protocol's.
        _ => Err(Refused::new(Code::NotFound, "No signal found")),
    }
}
