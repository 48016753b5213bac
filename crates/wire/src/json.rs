//! Reading JSON without building values of it: members stay slices of the text they came in.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use dunlin_types::Payload;
use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON string, borrowed where it has no escapes; `null` reads as empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Self)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }
}

/// The members of one JSON object, in order, values unread.
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The members of `text`, or `None` when that is no JSON object.
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The value under `key`, letter case aside. The last one wins; `null` counts as absent.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        let found = self
            .0
            .iter()
            .rev()
            .find(|(k, _)| k.eq_ignore_ascii_case(key));
        found
            .map(|(_, value)| value.get())
            .filter(|text| *text != "null")
    }

    /// The string under `key`, empty when it is absent or no string.
    pub(crate) fn string(&self, key: &str) -> String {
        self.get(key).and_then(string).unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Self)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((key, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
            members.push((key.0, value));
        }
        Ok(members)
    }
}

/// The elements of a JSON array, unread, or `None` when `text` is no array.
pub(crate) fn elements(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// The string that `text` is, or `None` when it is something else.
pub(crate) fn string(text: &str) -> Option<String> {
    serde_json::from_str(text).ok()
}

/// `text` as a JSON string.
pub(crate) fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Appends `text` as a JSON string, with the escapes of RFC 8785.
pub(crate) fn push_quoted(out: &mut Vec<u8>, text: &str) {
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.extend_from_slice(b"\"\"");
    }
}

/// Below this a body is kept whole for the sake of any part of it.
const KEPT_WHOLE_BYTES_MAX: usize = 4096;

/// A part of `body` as a payload of its own: shared, unless that would keep a large body alive for
/// the sake of a small part.
pub(crate) fn cut(body: &Bytes, part: &str) -> Payload {
    if body.len() > KEPT_WHOLE_BYTES_MAX && part.len() < body.len() / 2 {
        return Payload::from_json(Bytes::copy_from_slice(part.as_bytes()));
    }
    Payload::from_json(body.slice_ref(part.as_bytes()))
}

/// What can be told of JSON text at a glance.
pub(crate) struct Scan {
    /// Nesting of objects and arrays.
    pub(crate) depth: usize,
    /// Whether it may hold what is JSON by grammar but has no value: half a surrogate pair, or a
    /// number beyond all numbers.
    pub(crate) doubtful: bool,
}

/// Digits in a row that may be beyond all numbers.
const DIGITS_PLAIN_MAX: usize = 300;

/// Looks at every byte once.
pub(crate) fn scan(text: &[u8]) -> Scan {
    let (mut depth, mut deepest, mut digits) = (0_usize, 0_usize, 0_usize);
    let (mut quoted, mut escaped, mut doubtful) = (false, false, false);
    for byte in text {
        if quoted {
            match byte {
                _ if escaped => {
                    escaped = false;
                    doubtful |= *byte == b'u';
                }
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                doubtful |= digits > DIGITS_PLAIN_MAX;
                continue;
            }
            b'e' | b'E' => doubtful |= digits > 0,
            b'"' => quoted = true,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        digits = 0;
    }
    Scan {
        depth: deepest,
        doubtful,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        for (text, depth) in [
            ("1", 0),
            ("{}", 1),
            (r#"[{"a":"[[["},{"b":[1]}]"#, 3),
            (r#"{"a\"[":"\\","b":[[]]}"#, 3),
        ] {
            assert_eq!(scan(text.as_bytes()).depth, depth, "{text}");
        }
    }
}
