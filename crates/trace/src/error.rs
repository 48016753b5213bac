//! Errors as they are shown: each with its code.

use dunlin_types::{Code, Payload};
use serde_json::Value;

/// Why a run, a step or an attempt failed.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanError {
    /// Ours, also where the error is the app's own.
    pub code: Code,
    /// The error's class.
    pub name: String,
    /// What it says.
    pub message: String,
    /// Where it was thrown.
    pub stack: Option<String>,
    /// What was behind it.
    pub cause: Option<Value>,
    /// The error as it is stored.
    pub raw: Payload,
}

impl SpanError {
    /// Of a stored error. What the app threw itself has no code: then it is `thrown`.
    #[must_use]
    pub fn read(raw: &Payload, thrown: Code) -> Self {
        let value = serde_json::from_slice(raw.bytes()).unwrap_or(Value::Null);
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let message = match &value {
            Value::Object(_) => text("message")
                .or_else(|| text("error"))
                .unwrap_or_default(),
            Value::String(text) => text.clone(),
            _ => raw.as_str().to_owned(),
        };
        Self {
            code: text("code").and_then(|code| parse(&code)).unwrap_or(thrown),
            name: text("name").unwrap_or_else(|| "Error".to_owned()),
            message,
            stack: text("stack"),
            cause: value.get("cause").filter(|cause| !cause.is_null()).cloned(),
            raw: raw.clone(),
        }
    }
}

fn parse(code: &str) -> Option<Code> {
    let digits = code.strip_prefix('E').filter(|digits| digits.len() == 4)?;
    Code::from_number(digits.parse().ok()?)
}
