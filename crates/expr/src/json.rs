//! JSON text becomes a value to evaluate over.

use dunlin_types::json_depth;
use dunlin_types::limits::JSON_DEPTH_LEVELS_MAX;
use serde_json::{Deserializer, Value};

/// Levels that the server's own events wrap around one that was taken in: the trigger of a run is
/// part of what is told of its end.
const WRAPPED_LEVELS_MAX: usize = 16;

/// The value of a JSON text; null if it is none, or nested deeper than an event that was taken in
/// and what the server wraps around it.
#[must_use]
pub fn parse_json(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap_or_else(|_| deep(text).unwrap_or(Value::Null))
}

/// What the parser takes to be nested too deep, within our own bound.
fn deep(text: &[u8]) -> Option<Value> {
    if json_depth(text) > JSON_DEPTH_LEVELS_MAX + WRAPPED_LEVELS_MAX {
        return None;
    }
    let mut parser = Deserializer::from_slice(text);
    parser.disable_recursion_limit();
    let mut values = parser.into_iter();
    let value = values.next()?.ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}\"]\"{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[test]
    fn what_the_server_wraps_around_a_deep_event_is_still_read() {
        assert!(
            parse_json(nested(JSON_DEPTH_LEVELS_MAX + WRAPPED_LEVELS_MAX).as_bytes()).is_array()
        );
        assert!(
            parse_json(nested(JSON_DEPTH_LEVELS_MAX + WRAPPED_LEVELS_MAX + 1).as_bytes()).is_null()
        );
        assert!(parse_json(nested(1_000_000).as_bytes()).is_null());
        assert!(parse_json(b"[1").is_null());
        assert!(parse_json(format!("{} x", nested(130)).as_bytes()).is_null());
    }
}
