//! JSON text becomes a value to evaluate over.

use serde_json::Value;

/// The value of a JSON text; null if it is none. Deeper nesting than the parser's own limit (128
/// levels) counts as none.
#[must_use]
pub fn parse_json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or(Value::Null)
}
