//! What is read of a webhook's body: that it is a JSON object, and its type.

use std::borrow::Cow;
use std::collections::HashMap;

use dunlin_types::json_depth;
use dunlin_types::limits::{EVENT_TYPE_CHARS_MAX, JSON_DEPTH_LEVELS_MAX};
use dunlin_types::{Code, Coded};
use serde_json::value::RawValue;

/// The type of a webhook that names none.
const UNKNOWN: &str = "unknown";

/// The event type that the body names.
///
/// # Errors
/// [`Code::WebhookTooDeep`], or [`Code::WebhookBodyBad`] when it is no JSON object.
pub(super) fn event_type(body: &[u8]) -> Result<String, Coded> {
    if json_depth(body) > JSON_DEPTH_LEVELS_MAX {
        return Err(Coded::plain(Code::WebhookTooDeep));
    }
    let no_object = |_| Coded::plain(Code::WebhookBodyBad);
    let text = str::from_utf8(body).map_err(|_| Coded::plain(Code::WebhookBodyBad))?;
    let members: HashMap<Cow<'_, str>, &RawValue> =
        serde_json::from_str(text).map_err(no_object)?;
    let named = members
        .get("type")
        .and_then(|value| serde_json::from_str(value.get()).ok());
    let fits = |name: &String| {
        !name.is_empty()
            && name.chars().count() <= EVENT_TYPE_CHARS_MAX
            && !name.chars().any(char::is_control)
    };
    Ok(named.filter(fits).unwrap_or_else(|| UNKNOWN.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_what_the_body_names_whatever_it_is() {
        for (body, expected) in [
            (
                r#"{"type":"payment.succeeded","data":{}}"#,
                "payment.succeeded",
            ),
            (r#" {"type":"something.new"} "#, "something.new"),
            (r#"{"ty\u0070e":"escaped.key"}"#, "escaped.key"),
            (r#"{"type":"first","type":"last"}"#, "last"),
            ("{}", UNKNOWN),
            (r#"{"type":""}"#, UNKNOWN),
            (r#"{"type":5}"#, UNKNOWN),
            (r#"{"type":null}"#, UNKNOWN),
            (r#"{"type":"a\nb"}"#, UNKNOWN),
        ] {
            assert_eq!(
                event_type(body.as_bytes()).as_deref(),
                Ok(expected),
                "{body}"
            );
        }
        let long = format!(r#"{{"type":"{}"}}"#, "a".repeat(257));
        assert_eq!(event_type(long.as_bytes()).as_deref(), Ok(UNKNOWN));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["", "[]", "1", "null", r#""a""#, "{", "{}x", "\u{feff}{}"] {
            let refused = event_type(body.as_bytes()).unwrap_err();
            assert_eq!(refused.code, Code::WebhookBodyBad, "{body}");
        }
        assert_eq!(
            event_type(b"{\"a\":\"\xff\"}").unwrap_err().code,
            Code::WebhookBodyBad
        );
    }

    #[test]
    fn nesting_is_bounded_before_anything_recurses() {
        let nested = |levels: usize| {
            let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
            event_type(format!(r#"{{"a":{open}{close}}}"#).as_bytes())
        };
        assert_eq!(nested(128).as_deref(), Ok(UNKNOWN));
        assert_eq!(nested(129).unwrap_err().code, Code::WebhookTooDeep);
    }
}
