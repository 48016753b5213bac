//! Errors of apps in their many shapes, brought into the one shape that is stored.

use std::fmt::Write as _;

use bytes::Bytes;
use dunlin_types::limits::{
    ERROR_TEXT_BYTES_MAX, FOREIGN_BODY_SHOWN_BYTES_MAX, STEP_OUTPUT_BYTES_MAX,
};
use dunlin_types::{Code, Payload};
use serde_json::{Map, Value};

use super::Failure;
use super::head::Head;
use crate::json;

/// `{code, error, message, name, stack?}` as JSON: what is our own finding names its code.
#[must_use]
pub fn standard_error(code: Code, name: &str, message: &str, stack: Option<&str>) -> Payload {
    let mut out = Map::new();
    out.insert("code".to_owned(), code.to_string().into());
    out.insert("error".to_owned(), message.into());
    out.insert("message".to_owned(), message.into());
    out.insert("name".to_owned(), name.into());
    if let Some(stack) = stack {
        out.insert("stack".to_owned(), stack.into());
    }
    Payload::from_json(Value::Object(out).to_string())
}

/// The failure that a status outside of 2xx is.
pub(super) fn of_status(status: u16, body: &Bytes, head: &Head) -> Failure {
    let no_retry = head.is_final(status);
    if head.sdk.is_none() {
        return Failure {
            error: not_from_sdk(status, body),
            raw: None,
            no_retry,
            retry_after: head.retry_after,
            code: Code::CallHttpError,
        };
    }
    let transport = match no_retry {
        true => "NonRetriableError".to_owned(),
        false => format!("invalid status code: {status}"),
    };
    // These an SDK gives before any code of the function has run.
    let code = match status {
        401 | 403 | 404 | 405 | 410 => Code::CallHttpError,
        _ => Code::FunctionError,
    };
    Failure {
        code,
        error: normalise(body, &transport, code),
        raw: raw(body),
        no_retry,
        retry_after: head.retry_after,
    }
}

fn not_from_sdk(status: u16, body: &[u8]) -> Payload {
    let shown = &body[..body.len().min(FOREIGN_BODY_SHOWN_BYTES_MAX)];
    let message = format!("Your server returned HTTP {status} before the SDK responded.");
    let mut stack = String::from(
        "The answer lacks the header that SDKs set, so it came from something in front of the app \
         (a proxy, a login page, a crashed process). It began with:\n\n",
    );
    let _ = write!(stack, "{}", String::from_utf8_lossy(shown));
    standard_error(
        Code::CallHttpError,
        "Server returned a fatal error",
        &message,
        Some(&stack),
    )
}

/// The body as JSON: itself where it is JSON, a string otherwise, nothing where it is too large.
fn raw(body: &Bytes) -> Option<Payload> {
    if body.len() > STEP_OUTPUT_BYTES_MAX || body.trim_ascii().is_empty() {
        return None;
    }
    Some(super::result(body))
}

/// Finds the error object in the body, which may be JSON within JSON and sit under `error` or
/// `body`, and fills what it lacks.
fn normalise(body: &[u8], transport: &str, code: Code) -> Payload {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_ascii();
    let fields = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(outer)) => nested(&outer).unwrap_or(outer),
        Ok(Value::String(inner)) => match serde_json::from_str::<Value>(&inner) {
            Ok(Value::Object(outer)) => nested(&outer).unwrap_or(outer),
            _ => message_only(&inner),
        },
        Ok(Value::Null) => Map::new(),
        _ => message_only(text),
    };
    let string = |key: &str| match fields.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(shortened(text)),
        _ => None,
    };
    let mut out = Map::new();
    if code != Code::FunctionError {
        out.insert("code".to_owned(), code.to_string().into());
    }
    let mut put = |key: &str, value: &str| out.insert(key.to_owned(), value.into());
    put("error", string("error").unwrap_or(transport));
    put("message", string("message").unwrap_or(transport));
    put("name", string("name").unwrap_or("Error"));
    if let Some(stack) = string("stack") {
        put("stack", stack);
    }
    if let Some(cause) = fields.get("cause").filter(|cause| fits(cause)) {
        out.insert("cause".to_owned(), cause.clone());
    }
    Payload::from_json(Value::Object(out).to_string())
}

fn nested(outer: &Map<String, Value>) -> Option<Map<String, Value>> {
    ["error", "body"]
        .iter()
        .find_map(|key| match outer.get(*key)? {
            Value::Object(inner) => Some(inner.clone()),
            Value::String(text) if text.len() <= ERROR_TEXT_BYTES_MAX => {
                match serde_json::from_str(text) {
                    Ok(Value::Object(inner)) => Some(inner),
                    _ => None,
                }
            }
            _ => None,
        })
}

fn message_only(text: &str) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("message".to_owned(), shortened(text).into());
    out
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(ERROR_TEXT_BYTES_MAX)]
}

fn fits(cause: &Value) -> bool {
    !cause.is_null() && cause.to_string().len() <= ERROR_TEXT_BYTES_MAX
}

/// The error of an op, as steps remember it: name and message always (Python insists), stack, data
/// and cause where there are any. The flag tells whether it asks not to be retried.
pub(super) fn of_op(text: &str) -> (Payload, bool) {
    let mut out = Map::new();
    let mut no_retry = false;
    match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(mut given)) => {
            no_retry = given.get("noRetry") == Some(&Value::Bool(true));
            for key in ["cause", "data", "message", "name", "stack"] {
                match given.remove(key) {
                    None | Some(Value::Null) => {}
                    Some(value) if value.is_string() || matches!(key, "cause" | "data") => {
                        out.insert(key.to_owned(), value);
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(Value::String(message)) => {
            out.insert("message".to_owned(), message.into());
        }
        _ => {
            out.insert("message".to_owned(), shortened(text).into());
        }
    }
    out.entry("message").or_insert_with(|| "".into());
    out.entry("name").or_insert_with(|| "Error".into());
    (Payload::from_json(Value::Object(out).to_string()), no_retry)
}

/// The error of a step with a field `data`, which the Go SDK cannot do without.
#[must_use]
pub fn ensure_error_data(error: &Payload) -> Payload {
    let has_data = json::Members::of(error.as_str())
        .is_none_or(|members| members.0.iter().any(|(key, _)| key == "data"));
    if has_data {
        return error.clone();
    }
    let inner = error.as_str().trim_ascii().trim_start_matches('{');
    let separator = if inner.trim_ascii_start() == "}" {
        ""
    } else {
        ","
    };
    Payload::from_json(format!("{{\"data\":null{separator}{inner}"))
}
