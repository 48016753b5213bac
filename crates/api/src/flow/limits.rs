//! Limits that operators set beside what functions register: `/api/limits`.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_engine::config::{Limit, LimitTarget, Rate};
use dunlin_types::limits::{
    FLOW_PERIOD_MS_MIN, HOST_NAME_CHARS_MAX, OPERATOR_LIMIT_COUNT_MAX,
    OPERATOR_LIMIT_NAME_CHARS_MAX, TARGET_NAME_BYTES_MAX, THROTTLE_PERIOD_MS_MAX,
};
use dunlin_types::{Code, Coded};
use dunlin_wire::duration::parse_duration;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::error::{Refused, Reply};
use crate::sdk::Names;
use crate::state::Api;

/// What a host name looks like, for those who wrote another.
const HOST_WANTED: &str = "a host name such as api.example.com, without scheme, port and path";

pub(super) async fn list(State(api): State<Api>) -> Reply {
    let limits = api.node.read(|reader| reader.limits()).await?;
    let shown: Vec<Value> = limits.iter().map(shown).collect();
    Ok(Json(json!({ "data": shown })).into_response())
}

pub(super) async fn put(State(api): State<Api>, Path(name): Path<String>, body: Bytes) -> Reply {
    let mut limit = parse(&name, &body)?;
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let is_known = name_function(&mut limit, &names);
    let put = api.node.put_limit(limit.clone()).await;
    put.map_err(|error| match error.code {
        Code::BadRequest => Refused::from(error).status(StatusCode::UNPROCESSABLE_ENTITY),
        _ => error.into(),
    })?;
    let mut body = shown(&limit);
    if !is_known {
        body["warning"] = "no function of that id is registered now".into();
    }
    Ok(Json(body).into_response())
}

/// Writes the function as its composite id where it was named by its UUID; whether it is known.
fn name_function(limit: &mut Limit, names: &Names) -> bool {
    let LimitTarget::Step { function, .. } = &mut limit.target else {
        return true;
    };
    match names.find(function) {
        Some(found) => {
            function.clone_from(&found.slug);
            true
        }
        None => false,
    }
}

pub(super) async fn remove(State(api): State<Api>, Path(name): Path<String>) -> Reply {
    match api.node.remove_limit(name).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Refused::new(
            Code::NotFound,
            "there is no limit of that name",
        )),
    }
}

pub(super) fn shown(limit: &Limit) -> Value {
    let mut body = json!({"name": limit.name});
    match &limit.target {
        LimitTarget::Host(host) => body["host"] = host.as_str().into(),
        LimitTarget::Step { function, step } => {
            body["function"] = function.as_str().into();
            body["step"] = step.as_str().into();
        }
    }
    body["concurrency"] = limit.concurrency.into();
    let rate = |rate: &Rate| json!({"limit": rate.limit, "period": duration(rate.period_ms), "burst": rate.burst});
    body["rate"] = limit.rate.as_ref().map(rate).into();
    body
}

/// A duration in the greatest unit that holds it whole.
fn duration(ms: i64) -> String {
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ];
    let whole = units.into_iter().find(|(_, of)| ms % of == 0);
    let (unit, of) = whole.unwrap_or(("ms", 1));
    format!("{}{unit}", ms / of)
}

/// What is wrong with a request, all of it at once.
#[derive(Debug, Default)]
struct Faults(Vec<(Vec<&'static str>, String)>);

impl Faults {
    fn add(&mut self, place: &[&'static str], why: impl Into<String>) {
        self.0.push((place.to_vec(), why.into()));
    }

    fn refused(self) -> Refused {
        let shown = |(place, why): &(Vec<&str>, String)| json!({"loc": place, "msg": why, "type": "value_error"});
        let detail: Value = self.0.iter().map(shown).collect();
        let told: Vec<String> = self
            .0
            .iter()
            .map(|(place, why)| format!("{}: {why}", place.last().copied().unwrap_or_default()))
            .collect();
        Refused::from(Coded::new(Code::BadRequest, told.join("; ")))
            .status(StatusCode::UNPROCESSABLE_ENTITY)
            .detail(detail)
    }
}

/// Reads a limit from a request.
pub(super) fn parse(name: &str, body: &[u8]) -> Result<Limit, Refused> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return Err(Refused::new(
            Code::BadRequest,
            "the body must be a JSON object",
        ));
    };
    let mut faults = Faults::default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if !(1..=OPERATOR_LIMIT_NAME_CHARS_MAX).contains(&name.len()) || !name.bytes().all(plain) {
        let why = format!(
            "a name has 1 to {OPERATOR_LIMIT_NAME_CHARS_MAX} of the characters A-Z a-z 0-9 . _ -"
        );
        faults.add(&["path", "name"], why);
    }
    let known = ["name", "host", "function", "step", "concurrency", "rate"];
    unknown_fields(&fields, &known, &["body"], &mut faults);
    if given(&fields, "name").is_some_and(|own| own.as_str() != Some(name)) {
        faults.add(&["body", "name"], "the name is the one in the path");
    }
    let target = target(&fields, &mut faults);
    let concurrency = given(&fields, "concurrency")
        .and_then(|value| count(value, 1, &["body", "concurrency"], &mut faults));
    let rate = given(&fields, "rate").and_then(|value| rate(value, &mut faults));
    if given(&fields, "concurrency").is_none() && given(&fields, "rate").is_none() {
        faults.add(&["body"], "give concurrency, rate or both");
    }
    match target {
        Some(target) if faults.0.is_empty() => Ok(Limit {
            name: name.to_owned(),
            target,
            concurrency,
            rate,
        }),
        _ => Err(faults.refused()),
    }
}

/// A field that is there and not null.
fn given<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.get(name).filter(|value| !value.is_null())
}

fn unknown_fields(
    fields: &Map<String, Value>,
    known: &[&str],
    place: &[&'static str],
    faults: &mut Faults,
) {
    for name in fields.keys().filter(|name| !known.contains(&name.as_str())) {
        let shown: String = name.chars().take(80).collect();
        faults.add(place, format!("there is no field {shown:?}"));
    }
}

fn target(fields: &Map<String, Value>, faults: &mut Faults) -> Option<LimitTarget> {
    let host = given(fields, "host");
    let (function, step) = (given(fields, "function"), given(fields, "step"));
    match (host, function, step) {
        (Some(host), None, None) => {
            let host = host.as_str().and_then(host_name);
            if host.is_none() {
                faults.add(&["body", "host"], HOST_WANTED);
            }
            host.map(LimitTarget::Host)
        }
        (None, Some(function), Some(step)) => {
            let function = text(function, &["body", "function"], faults);
            let step = text(step, &["body", "step"], faults);
            Some(LimitTarget::Step {
                function: function?,
                step: step?,
            })
        }
        _ => {
            faults.add(&["body"], "give either host, or function and step");
            None
        }
    }
}

/// A host name in lower case; none if it is not one alone.
fn host_name(text: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let is_label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(plain);
    let fits = text.len() <= HOST_NAME_CHARS_MAX && text.split('.').all(is_label);
    fits.then(|| text.to_ascii_lowercase())
}

fn text(value: &Value, place: &[&'static str], faults: &mut Faults) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    let fits = text.filter(|text| text.len() <= TARGET_NAME_BYTES_MAX);
    if fits.is_none() {
        let why = format!("it must be a text of 1 to {TARGET_NAME_BYTES_MAX} bytes");
        faults.add(place, why);
    }
    fits.map(str::to_owned)
}

fn count(value: &Value, least: u32, place: &[&'static str], faults: &mut Faults) -> Option<u32> {
    let most = OPERATOR_LIMIT_COUNT_MAX;
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    let number = number.filter(|number| (least..=most).contains(number));
    if number.is_none() {
        faults.add(place, format!("it must be a number from {least} to {most}"));
    }
    number
}

fn rate(value: &Value, faults: &mut Faults) -> Option<Rate> {
    let Value::Object(fields) = value else {
        faults.add(
            &["body", "rate"],
            "it must be an object with limit and period",
        );
        return None;
    };
    unknown_fields(
        fields,
        &["limit", "period", "burst"],
        &["body", "rate"],
        faults,
    );
    let null = Value::Null;
    let field = |name: &str| fields.get(name).unwrap_or(&null);
    let limit = count(field("limit"), 1, &["body", "rate", "limit"], faults);
    let burst = match given(fields, "burst") {
        None => Some(0),
        Some(burst) => count(burst, 0, &["body", "rate", "burst"], faults),
    };
    let range = FLOW_PERIOD_MS_MIN..=THROTTLE_PERIOD_MS_MAX;
    let period = field("period").as_str().and_then(parse_duration);
    let period = period.filter(|ms| range.contains(ms));
    if period.is_none() {
        let (least, most) = (duration(*range.start()), duration(*range.end()));
        let why = format!("it must be a duration from {least} to {most}, such as 30s or 1h30m");
        faults.add(&["body", "rate", "period"], why);
    }
    Some(Rate {
        limit: limit?,
        period_ms: period?,
        burst: burst?,
    })
}
