//! JSON text that is carried and stored, never looked into by the cores.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// JSON bytes, cheap to clone. The canonical form (RFC 8785) that call signatures need is made at
/// most once and kept beside the text.
///
/// Whoever makes one has checked that the text is one JSON value and within its size limit.
#[derive(Clone)]
pub struct Payload(Arc<Inner>);

struct Inner {
    text: Bytes,
    canonical: OnceLock<Option<Bytes>>,
}

impl Payload {
    /// Wraps text that is known to be one JSON value.
    #[must_use]
    pub fn from_json(text: impl Into<Bytes>) -> Self {
        Self(Arc::new(Inner {
            text: text.into(),
            canonical: OnceLock::new(),
        }))
    }

    /// The JSON value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self::from_json(Bytes::from_static(b"null"))
    }

    /// The JSON value `{}`.
    #[must_use]
    pub fn empty_object() -> Self {
        Self::from_json(Bytes::from_static(b"{}"))
    }

    /// The text, as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0.text
    }

    /// The text as a string; empty if it is not UTF-8, which JSON always is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0.text).unwrap_or_default()
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.text.len()
    }

    /// Whether there is no text at all (which is not JSON, and stands for "nothing").
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.text.is_empty()
    }

    /// The canonical text of RFC 8785, or the text itself where it has none.
    #[must_use]
    pub fn canonical(&self) -> Bytes {
        self.0
            .canonical
            .get_or_init(|| canonicalise(&self.0.text))
            .clone()
            .unwrap_or_else(|| self.0.text.clone())
    }
}

/// `None` when the text is canonical already (or is not JSON at all).
fn canonicalise(text: &[u8]) -> Option<Bytes> {
    if is_plainly_canonical(text) {
        return None;
    }
    let value: serde_json::Value = serde_json::from_slice(text).ok()?;
    serde_json_canonicalizer::to_vec(&value)
        .ok()
        .map(Bytes::from)
}

/// Recognises the small values that steps mostly return: scalars, and flat objects of one key.
/// Saying "no" is always safe.
fn is_plainly_canonical(text: &[u8]) -> bool {
    let plain_string = |s: &[u8]| {
        s.len() >= 2
            && s[0] == b'"'
            && s[s.len() - 1] == b'"'
            && s[1..s.len() - 1]
                .iter()
                .all(|b| (0x20..0x7F).contains(b) && *b != b'"' && *b != b'\\')
    };
    let small_integer = |s: &[u8]| {
        let digits = s.strip_prefix(b"-").unwrap_or(s);
        !digits.is_empty()
            && digits.len() <= 15
            && digits[0] != b'0'
            && digits.iter().all(u8::is_ascii_digit)
            || s == b"0"
    };
    let scalar = |s: &[u8]| {
        matches!(s, b"null" | b"true" | b"false" | b"{}" | b"[]")
            || small_integer(s)
            || plain_string(s)
    };
    if scalar(text) {
        return true;
    }
    let Some(inner) = text.strip_prefix(b"{").and_then(|t| t.strip_suffix(b"}")) else {
        return false;
    };
    let Some(colon) = inner.iter().position(|b| *b == b':') else {
        return false;
    };
    plain_string(&inner[..colon]) && scalar(&inner[colon + 1..])
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for Payload {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reference(text: &str) -> Vec<u8> {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        serde_json_canonicalizer::to_vec(&value).unwrap()
    }

    #[test]
    fn canonical_is_that_of_the_rfc() {
        for text in [
            r#"{"b":1,"a":2}"#,
            r#"{"n":5}"#,
            r#"{"n":5.0}"#,
            "1e21",
            "-0",
            "0",
            "01e0",
            r#""a\u0041""#,
            r#"{"a":{"z":1,"b":[1, 2]}}"#,
            r#"{"€":"$","a":1}"#,
            "12345678901234567890",
            "[]",
            " {} ",
        ] {
            if serde_json::from_str::<serde_json::Value>(text).is_err() {
                continue;
            }
            let payload = Payload::from_json(text.to_owned());
            assert_eq!(payload.canonical().as_ref(), reference(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_short_cut_agrees_with_the_library(key in "[a-z\"\\\\é]{0,3}", n in any::<i64>()) {
            let text = serde_json::json!({ key: n }).to_string();
            let payload = Payload::from_json(text.clone());
            prop_assert_eq!(payload.canonical().to_vec(), reference(&text));
        }
    }
}
