//! Functions are started directly, whatever their triggers say.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dunlin_engine::config::Rule;
use dunlin_engine::{Answer, Input};
use dunlin_store::Page;
use dunlin_types::{Code, NewEvent, Ulid};
use dunlin_wire::ingest::parse_events;
use http::{HeaderValue, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};

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
    let asked = api.node.engine_intake(1, move |token| Input::Invoke {
        token,
        function,
        event,
    });
    Ok(asked.await?)
}

/// The path of the reference's own server; the slug is the composite id. The event is taken whatever
/// the function's rules make of it, so that where it starts no run now, the answer says so beside
/// the event's id.
pub(super) async fn by_slug(
    State(api): State<Api>,
    Path(slug): Path<String>,
    body: Bytes,
) -> Reply {
    let event = event_of(members(&body)?)?;
    let (id, held) = match ask(&api, slug, event).await? {
        Answer::Started { event, .. } => (event.to_string(), None),
        Answer::Skipped(event) => (event.to_string(), Some(skipped(&api, event).await?)),
        Answer::Held {
            event,
            rule,
            dropped,
        } => (event.to_string(), Some(Held::by(event, rule, dropped))),
        Answer::StartedBefore(run) => {
            let event = api.node.read(move |reader| match reader.run(run)? {
                Some(run) => super::runs::event_id(reader, run.row.event),
                None => Ok(String::new()),
            });
            (event.await?, None)
        }
        _ => return Err(unknown()),
    };
    let mut body = json!({"id": id, "status": 200});
    if let Some(held) = held {
        body["outcome"] = held.outcome.into();
        body["rule"] = held.rule.map(Rule::name).into();
        body["message"] = held.message.into();
        body["code"] = held.code.to_string().into();
    }
    Ok(Json(body).into_response())
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
        Answer::Skipped(event) => Ok(skipped(&api, event).await?.answer(&api)),
        Answer::Held {
            event,
            rule,
            dropped,
        } => Ok(Held::by(event, rule, dropped).answer(&api)),
        _ => Err(unknown()),
    }
}

/// Why an invocation started no run now.
struct Held {
    event: Ulid,
    code: Code,
    /// As explanations of events say it.
    outcome: &'static str,
    rule: Option<Rule>,
    message: String,
}

/// A run was recorded that was never started: it says why.
async fn skipped(api: &Api, event: Ulid) -> Result<Held, Refused> {
    let reason = api.node.read(move |reader| {
        let Some(seq) = reader.event_of(event)? else {
            return Ok(None);
        };
        let runs = reader.runs_of_event(seq, Page::oldest(1))?;
        Ok(runs.first().and_then(output::reason_of))
    });
    let is_singleton = reason.await?.as_deref() == Some("Singleton");
    let message = match is_singleton {
        true => "another run of the function is live, and it is a singleton",
        false => "the function is paused",
    };
    Ok(Held {
        event,
        code: Code::InvokeSkipped,
        outcome: "skipped",
        rule: is_singleton.then_some(Rule::Singleton),
        message: message.to_owned(),
    })
}

impl Held {
    /// A rule of the function dropped the event, or has it wait.
    fn by(event: Ulid, rule: Rule, dropped: bool) -> Self {
        let (outcome, message) = match (dropped, rule) {
            (true, Rule::RateLimit) => {
                ("dropped", "the function's rateLimit is used up".to_owned())
            }
            (true, rule) => (
                "dropped",
                format!("the function's {rule} dropped the event"),
            ),
            (false, rule) => (
                "gathering",
                format!("the event waits in the function's {rule}, and will start a run"),
            ),
        };
        Self {
            event,
            code: Code::InvokeHeld,
            outcome,
            rule: Some(rule),
            message,
        }
    }

    /// In the second version, whose clients want a run's id: words and status are the SDK
    /// protocol's, which has none for batches. Nothing is wrong there, it only takes time.
    fn answer(&self, api: &Api) -> Response {
        let rule = self.rule.map(Rule::name);
        let data = json!({
            "eventId": self.event.to_string(),
            "outcome": self.outcome,
            "rule": rule,
            "message": self.message,
        });
        let word = match (self.outcome, self.rule) {
            ("gathering", Some(Rule::Batch)) => {
                let mut response = output::v2(data, api.node.now());
                *response.status_mut() = StatusCode::ACCEPTED;
                return response;
            }
            (_, Some(Rule::Debounce)) => "function_debounced",
            (_, Some(Rule::RateLimit)) => "rate_limited",
            _ => "function_skipped",
        };
        refusal(
            StatusCode::UNPROCESSABLE_ENTITY,
            self.code,
            &data,
            (word, &self.message),
        )
    }
}

/// The same idempotency key came before: the run that it made then, as a conflict (SDK protocol).
fn before(run: Option<String>) -> Response {
    let message = "a run was started with this idempotency key before";
    refusal(
        StatusCode::CONFLICT,
        Code::Conflict,
        &json!({ "runId": run }),
        ("idempotency_conflict", message),
    )
}

/// A refusal of the second version that has data.
fn refusal(
    status: StatusCode,
    code: Code,
    data: &Value,
    (word, message): (&str, &str),
) -> Response {
    let code = code.to_string();
    let body = json!({
        "data": data,
        "errors": [{"code": word, "message": message}],
        "error_code": code,
    });
    let mut response = (status, Json(body)).into_response();
    if let Ok(code) = HeaderValue::from_str(&code) {
        response.headers_mut().insert(ERROR_HEADER, code);
    }
    response
}
