//! What became of a request that a step asked for: the value its memo keeps, or why there is none.

use bytes::Bytes;
use dunlin_types::limits::{FOREIGN_BODY_SHOWN_BYTES_MAX, STEP_OUTPUT_BYTES_MAX};
use dunlin_types::{Code, Payload};
use http::HeaderMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Failure, error};
use crate::duration::parse_retry_after;

/// The step's value. Of a model's answer that is its JSON, if the status is one of success; of any
/// other request it is `{body, headers, status_code, url}`, whatever the status.
///
/// # Errors
/// The failure of the attempt, which may be retried.
pub fn gateway_result(
    ai: bool,
    url: &str,
    status: u16,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Payload, Failure> {
    let value = match ai {
        true => ai_value(status, headers, body)?,
        false => fetched(url, status, headers, body),
    };
    if value.len() > STEP_OUTPUT_BYTES_MAX {
        let text = format!(
            "step output size is greater than the limit: the response has {} bytes",
            value.len()
        );
        return Err(failure(ai, Code::StepOutputTooLarge, &text, None));
    }
    Ok(value)
}

/// The failure of a request that got no answer, with why in lower case.
#[must_use]
pub fn gateway_failure(ai: bool, text: &str) -> Failure {
    failure(ai, Code::OutboundFailed, text, None)
}

fn failure(ai: bool, code: Code, text: &str, stack: Option<&str>) -> Failure {
    let (name, kind) = match ai {
        true => ("AIGatewayError", "AI"),
        false => ("GatewayError", "gateway"),
    };
    let message = format!("Error making {kind} request: {text}");
    Failure {
        code,
        error: error::standard_error(code, name, &message, stack),
        raw: None,
        no_retry: false,
        retry_after: None,
    }
}

fn ai_value(status: u16, headers: &HeaderMap, body: &Bytes) -> Result<Payload, Failure> {
    let refused = |text: &str| {
        let shown = &body[..body.len().min(FOREIGN_BODY_SHOWN_BYTES_MAX)];
        let stack = String::from_utf8_lossy(shown);
        failure(true, Code::OutboundFailed, text, Some(&stack))
    };
    if !(200..300).contains(&status) {
        let after = headers.get(http::header::RETRY_AFTER);
        let after = after.and_then(|value| parse_retry_after(value.to_str().ok()?));
        return Err(Failure {
            retry_after: after,
            ..refused(&format!("unsuccessful status code: {status}"))
        });
    }
    match serde_json::from_slice::<&RawValue>(body) {
        Ok(value) => Ok(Payload::from_json(body.slice_ref(value.get().as_bytes()))),
        Err(_) => Err(refused("the response is not JSON")),
    }
}

fn fetched(url: &str, status: u16, headers: &HeaderMap, body: &[u8]) -> Payload {
    let mut all = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let texts: Vec<String> = values.map(|value| latin1(value.as_bytes())).collect();
        all.insert(capitalised(name.as_str()), texts.join(",").into());
    }
    // JavaScript refuses any body, even an empty one, with a status that has none.
    let body = match status {
        204 | 205 | 304 if body.is_empty() => Value::Null,
        _ => String::from_utf8_lossy(body).into(),
    };
    let mut out = Map::new();
    out.insert("body".to_owned(), body);
    out.insert("headers".to_owned(), Value::Object(all));
    out.insert("status_code".to_owned(), status.into());
    out.insert("url".to_owned(), url.into());
    Payload::from_json(Value::Object(out).to_string())
}

/// Headers are bytes; as these characters they survive the way back into a header.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// `content-type` as `Content-Type`, which is how apps have seen the names so far.
fn capitalised(name: &str) -> String {
    let mut start = true;
    let letters = name.chars().map(|c| {
        let upper = std::mem::replace(&mut start, c == '-');
        if upper { c.to_ascii_uppercase() } else { c }
    });
    letters.collect()
}
