//! Functions are started directly, whatever their triggers say.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dunlin_engine::{Answer, Input};
use dunlin_types::{Code, NewEvent};
use dunlin_wire::ingest::parse_events;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;

use super::functions::unknown;
use super::output::{self, Names};
use super::params::bad;
use crate::error::{ERROR_HEADER, Refused, Reply};
use crate::state::Api;

type Members = BTreeMap<String, Box<RawValue>>;

fn members(body: &Bytes) -> Result<Members, Refused> {
    match body.trim_ascii() {
        b"" => Ok(Members::new()),
        body => serde_json::from_slice(body).map_err(|_| bad("the body must be a JSON object")),
    }
}

/// The event that the function gets, with the fields that senders of events may set.
fn event_of(mut members: Members) -> Result<NewEvent, Refused> {
    members.retain(|name, _| ["data", "user", "id", "ts", "v"].contains(&name.as_str()));
    // The engine gives it its own name; this one only passes the rules for senders.
    let name = RawValue::from_string("\"invoke\"".to_owned());
    members.extend(name.map(|name| ("name".to_owned(), name)));
    let text = serde_json::to_vec(&members).unwrap_or_default();
    let parsed = parse_events(&Bytes::from(text), None);
    if let Some(error) = parsed.error {
        return Err(error.into());
    }
    let event = parsed.events.into_iter().next();
    event
        .map(|parsed| parsed.event)
        .ok_or_else(|| Refused::plain(Code::EventBodyBad))
}

async fn ask(api: &Api, function: String, event: NewEvent) -> Result<Answer, Refused> {
    let event = Box::new(event);
    let asked = api.node.engine(move |token| Input::Invoke {
        token,
        function,
        event,
    });
    Ok(asked.await?)
}

/// The path of the reference's own server; the slug is the composite id.
pub(super) async fn by_slug(
    State(api): State<Api>,
    Path(slug): Path<String>,
    body: Bytes,
) -> Reply {
    let event = event_of(members(&body)?)?;
    let id = match ask(&api, slug, event).await? {
        Answer::Started { event, .. } | Answer::Skipped(event) => event.to_string(),
        Answer::StartedBefore(run) => {
            let event = api.node.read(move |reader| match reader.run(run)? {
                Some(run) => super::runs::event_id(reader, run.row.event),
                None => Ok(String::new()),
            });
            event.await?
        }
        _ => return Err(unknown()),
    };
    Ok(Json(json!({"id": id, "status": 200})).into_response())
}

pub(super) async fn by_app(
    State(api): State<Api>,
    Path((app, id)): Path<(String, String)>,
    body: Bytes,
) -> Reply {
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let function = names.find_in(&app, &id).filter(|f| f.archived.is_none());
    let slug = function.ok_or_else(unknown)?.slug.clone();
    let mut members = members(&body)?;
    for name in ["idempotencyKey", "idempotency_key"] {
        if let Some(key) = members.remove(name) {
            members.insert("id".to_owned(), key);
        }
    }
    match ask(&api, slug, event_of(members)?).await? {
        Answer::Started { run, .. } => Ok(output::v2(
            json!({ "runId": run.to_string() }),
            api.node.now(),
        )),
        Answer::StartedBefore(run) => {
            let run = api.node.read(move |reader| output::run_id(reader, run));
            Ok(before(run.await?))
        }
        Answer::Skipped(_) => {
            let refused = Refused::new(Code::InvokeSkipped, "the function is paused");
            Err(refused
                .status(StatusCode::UNPROCESSABLE_ENTITY)
                .word("function_skipped"))
        }
        _ => Err(unknown()),
    }
}

/// The same idempotency key came before: the run that it made then, as a conflict (SDK protocol).
fn before(run: Option<String>) -> Response {
    let code = Code::Conflict.to_string();
    let message = "a run was started with this idempotency key before";
    let body = json!({
        "data": {"runId": run},
        "errors": [{"code": "idempotency_conflict", "message": message}],
        "error_code": code,
    });
    let mut response = (StatusCode::CONFLICT, Json(body)).into_response();
    if let Ok(code) = HeaderValue::from_str(&code) {
        response.headers_mut().insert(ERROR_HEADER, code);
    }
    response
}
