//! Paths into a message's body, by which an endpoint keeps messages in order: `data.subscription_id`,
//! `$.data.items[0].id`, `data["odd name"]`.

use std::fmt;
use std::sync::Arc;

use dunlin_expr::Value;
use dunlin_types::{Code, Coded, DedupeKey, limits};

use crate::filter::{Exact, exact};

/// Characters that a name in brackets and quotes may have, and a plain one may not.
const SPECIAL: [char; 12] = ['.', '[', ']', '"', '\'', '*', '?', '@', '(', ')', ',', ':'];

/// A path of names and places in lists. Equal if the texts are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    source: Arc<str>,
    /// None where the text could be read once and cannot be any more.
    parts: Arc<[Part]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Name(String),
    At(usize),
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPathError {
    /// Characters before the place.
    pub at: usize,
    /// What is wrong there, and what to write instead.
    pub why: String,
}

impl fmt::Display for JsonPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "character {} of the path: {}", self.at + 1, self.why)
    }
}

impl std::error::Error for JsonPathError {}

impl From<JsonPathError> for Coded {
    fn from(error: JsonPathError) -> Self {
        Self::new(Code::OrderingKeyBad, error.to_string())
    }
}

impl JsonPath {
    /// Reads a path; a `$` at its head stands for the body and may be left out.
    ///
    /// # Errors
    /// With the place and what to write instead, if it is no path or longer than paths may be.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        let mut reader = Reader { text, at: 0 };
        if text.len() > limits::ORDERING_KEY_BYTES_MAX {
            let max = limits::ORDERING_KEY_BYTES_MAX;
            return Err(reader.error(format!("it is longer than {max} bytes")));
        }
        let rest = text.strip_prefix('$');
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])) {
            reader.at = 1;
        }
        let mut parts = Vec::new();
        while parts.is_empty() || !reader.rest().is_empty() {
            if parts.len() == limits::ORDERING_KEY_PARTS_MAX {
                let max = limits::ORDERING_KEY_PARTS_MAX;
                return Err(reader.error(format!("it has more than {max} parts")));
            }
            parts.push(reader.part()?);
        }
        Ok(Self {
            source: text.into(),
            parts: parts.into(),
        })
    }

    /// What is left of a path that was kept and cannot be read any more: all messages are in one order, for
    /// to do without it would let them overtake each other.
    #[must_use]
    pub fn unreadable(text: &str) -> Self {
        Self {
            source: text.into(),
            parts: Arc::new([]),
        }
    }

    /// The text it was made from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value at the path, if there is one.
    #[must_use]
    pub fn get<'a>(&self, body: &'a Value) -> Option<&'a Value> {
        self.parts.iter().try_fold(body, |value, part| match part {
            Part::Name(name) => value.as_object()?.get(name),
            Part::At(at) => value.as_array()?.get(*at),
        })
    }

    /// A number for the value at the path: the same for equal values, in every process. None if the value is
    /// missing or null, which puts a message in no order.
    #[must_use]
    pub fn key_hash(&self, body: &Value) -> Option<u64> {
        if self.parts.is_empty() {
            return Some(0);
        }
        let value = self.get(body).filter(|value| !value.is_null())?;
        let mut canonical = Vec::new();
        write_canonical(value, &mut canonical);
        // Customers choose some keys, so they must not be able to make two that meet.
        let DedupeKey(hash) = DedupeKey::new(b"ordering key", &canonical);
        let (head, _) = hash.split_first_chunk::<8>()?;
        Some(u64::from_be_bytes(*head))
    }
}

/// Bytes that equal values share and others do not: texts and lists with their lengths, numbers by what they
/// are worth, members of objects by name. It nests no deeper than the parser lets a body.
fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    let text = |text: &str, out: &mut Vec<u8>| {
        out.extend((text.len() as u64).to_be_bytes());
        out.extend(text.as_bytes());
    };
    match value {
        Value::Null => out.push(b'0'),
        Value::Bool(b) => out.push(if *b { b't' } else { b'f' }),
        Value::Number(_) => match exact(value) {
            Some(Exact::Whole(whole)) => {
                out.push(b'i');
                out.extend(whole.to_be_bytes());
            }
            Some(Exact::Double(double)) => {
                out.push(b'd');
                out.extend(double.to_bits().to_be_bytes());
            }
            None => out.push(b'n'),
        },
        Value::String(string) => {
            out.push(b's');
            text(string, out);
        }
        Value::Array(items) => {
            out.push(b'a');
            out.extend((items.len() as u64).to_be_bytes());
            for item in items {
                write_canonical(item, out);
            }
        }
        Value::Object(fields) => {
            out.push(b'o');
            out.extend((fields.len() as u64).to_be_bytes());
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            for (name, field) in sorted {
                text(name, out);
                write_canonical(field, out);
            }
        }
    }
}

/// Appends a name to the text of a path.
pub(crate) fn push_name(path: &mut String, name: &str) {
    if is_plain(name) {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
    } else {
        let quote = if name.contains('"') { '\'' } else { '"' };
        path.extend(['[', quote]);
        path.push_str(name);
        path.extend([quote, ']']);
    }
}

fn is_plain(name: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || SPECIAL.contains(&c);
    // A lone `$` at the head stands for the body.
    !matches!(name, "" | "$") && !name.contains(is_odd) && !is_number(name)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

struct Reader<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn error(&self, why: impl Into<String>) -> JsonPathError {
        let before = self.text.get(..self.at).unwrap_or_default();
        JsonPathError {
            at: before.chars().count(),
            why: why.into(),
        }
    }

    fn part(&mut self) -> Result<Part, JsonPathError> {
        if self.rest().starts_with('[') {
            return self.bracket();
        }
        if self.rest().starts_with('.') && self.at > 0 {
            self.at += 1;
        } else if self.at > 0 {
            return Err(self.error("a dot or a bracket must follow"));
        }
        let rest = self.rest();
        let name = &rest[..rest.find(['.', '[']).unwrap_or(rest.len())];
        if name.is_empty() {
            return Err(self.error("a name is missing; write it as in data.subscription_id"));
        }
        if is_number(name) {
            return Err(self.error(format!(
                "write [{name}] for an element of a list, [\"{name}\"] for a name"
            )));
        }
        if !is_plain(name) {
            let why = "a path leads to one value, by names and [numbers]; \
                       put a name with other characters into [\"…\"]";
            return Err(self.error(why));
        }
        self.at += name.len();
        Ok(Part::Name(name.to_owned()))
    }

    fn bracket(&mut self) -> Result<Part, JsonPathError> {
        let inside = &self.rest()[1..];
        let quote = inside.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (part, len) = match quote {
            Some(quote) => {
                let name = inside[1..].split_once(quote).map(|(name, _)| name);
                let name = name.ok_or_else(|| self.error("the quote is not closed"))?;
                (Part::Name(name.to_owned()), name.len() + 2)
            }
            None => {
                let number = &inside[..inside.find(']').unwrap_or(0)];
                let at = number.parse().ok().filter(|_| is_number(number));
                let why = "brackets hold a number, as [0], or a name in quotes, as [\"a\"]";
                (Part::At(at.ok_or_else(|| self.error(why))?), number.len())
            }
        };
        if !inside[len..].starts_with(']') {
            return Err(self.error("the bracket is not closed"));
        }
        self.at += len + 2;
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY: &str = r#"{"type": "payment.succeeded", "data": {"subscription_id": "sub_1",
        "invoice_id": null, "customer": {"customer_id": "cus_1"}, "items": [{"id": 7}, {"id": 8}],
        "0": "zero", "metadata": {"order id": "o1", "a.b": true, "": "unnamed", "__proto__": 1}}}"#;

    fn path(text: &str) -> JsonPath {
        JsonPath::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn json(text: &str) -> Value {
        text.parse().unwrap()
    }

    fn hash_of(key: &str) -> Option<u64> {
        path("key").key_hash(&json(&format!(r#"{{"key": {key}}}"#)))
    }

    #[test]
    fn a_path_leads_to_a_value() {
        let body = json(BODY);
        for (text, found) in [
            ("data.subscription_id", Some(r#""sub_1""#)),
            ("$.data.customer.customer_id", Some(r#""cus_1""#)),
            ("$[\"data\"].customer", Some(r#"{"customer_id":"cus_1"}"#)),
            ("data.items[0].id", Some("7")),
            ("data.items[1]['id']", Some("8")),
            ("data[\"0\"]", Some(r#""zero""#)),
            ("data.metadata[\"order id\"]", Some(r#""o1""#)),
            ("data.metadata['a.b']", Some("true")),
            ("data.metadata[\"\"]", Some(r#""unnamed""#)),
            ("data.metadata.__proto__", Some("1")),
            ("data.invoice_id", Some("null")),
            ("data.items[2]", None),
            ("data.items.id", None),
            ("data.items.length", None),
            ("data[0]", None),
            ("data.constructor", None),
            ("data.subscription_id.x", None),
            ("$data", None),
            ("[\"$\"]", None),
        ] {
            let value = path(text).get(&body).map(ToString::to_string);
            assert_eq!(value.as_deref(), found, "{text}");
            assert_eq!(path(text).source(), text);
        }
    }

    #[test]
    fn what_leads_to_no_single_value_is_refused_with_its_place() {
        for (text, at, why) in [
            ("", 0, "a name is missing"),
            ("$", 1, "a dot or a bracket"),
            ("data..id", 5, "a name is missing"),
            ("data.id.", 8, "a name is missing"),
            (".data", 0, "a name is missing"),
            ("é.items.0.id", 8, "write [0]"),
            ("data.items[*]", 10, "brackets hold a number"),
            ("data.*", 5, "one value"),
            ("data.a b", 5, "one value"),
            ("data.$.a", 5, "one value"),
            ("data.items[-1]", 10, "brackets hold a number"),
            ("data.items[+1]", 10, "brackets hold a number"),
            (
                "data.items[99999999999999999999999]",
                10,
                "brackets hold a number",
            ),
            ("data.items[1", 10, "brackets hold a number"),
            ("data.items[]", 10, "brackets hold a number"),
            ("data[\"a", 4, "quote is not closed"),
            ("data[\"a\"", 4, "bracket is not closed"),
            ("data[\"a\"]b", 9, "a dot or a bracket"),
        ] {
            let error = JsonPath::parse(text).unwrap_err();
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.why.contains(why), "{text}: {error}");
        }
        let parts = |count| vec!["a"; count].join(".");
        path(&parts(limits::ORDERING_KEY_PARTS_MAX));
        assert!(JsonPath::parse(&parts(limits::ORDERING_KEY_PARTS_MAX + 1)).is_err());
        assert!(JsonPath::parse(&"a".repeat(limits::ORDERING_KEY_BYTES_MAX + 1)).is_err());
        assert!(JsonPath::parse(&"[".repeat(limits::ORDERING_KEY_BYTES_MAX)).is_err());
    }

    #[test]
    fn a_missing_value_and_null_are_no_keys() {
        assert_eq!(path("other").key_hash(&json("{}")), None);
        assert_eq!(hash_of("null"), None);
        assert!(hash_of("\"\"").is_some());
        assert!(hash_of("false").is_some());
    }

    #[test]
    fn equal_keys_hash_alike_and_others_do_not() {
        assert_eq!(hash_of("1"), hash_of("1.0"));
        assert_eq!(hash_of("0"), hash_of("-0.0"));
        assert_eq!(
            hash_of(r#"{"a": 1, "b": [2]}"#),
            hash_of(r#"{"b": [2.0], "a": 1}"#)
        );
        let others = [
            "1",
            "\"1\"",
            "true",
            "\"true\"",
            "[1]",
            "[[1]]",
            "[]",
            "{}",
            "1.5",
            "\"\"",
            "[\"\"]",
            "[\"a\",\"b\"]",
            "[\"ab\"]",
            "{\"a\":\"b\"}",
            "[null]",
            "9007199254740993",
            "9007199254740992",
        ];
        let hashes: std::collections::BTreeSet<_> = others.into_iter().map(hash_of).collect();
        assert_eq!(hashes.len(), others.len());
    }

    #[test]
    fn a_key_hashes_alike_in_every_process() {
        // Queues of an older process must be found again.
        assert_eq!(hash_of("\"sub_1\""), Some(11_784_278_779_395_776_938));
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            "\\PC{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                prop::collection::btree_map("[^'\"]{0,4}", inner.clone(), 1..3)
                    .prop_map(|fields| fields.into_iter().collect()),
                prop::collection::vec(inner, 1..3).prop_map(Value::from),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_way_to_any_value_can_be_written(tree in tree(), turns in prop::collection::vec(0..3_usize, 1..5)) {
            let (mut at, mut text) = (&tree, String::new());
            for turn in turns {
                match at {
                    Value::Array(items) => {
                        let turn = turn % items.len();
                        text.push_str(&format!("[{turn}]"));
                        at = &items[turn];
                    }
                    Value::Object(fields) => {
                        let (name, value) = fields.iter().nth(turn % fields.len()).unwrap();
                        push_name(&mut text, name);
                        at = value;
                    }
                    _ => break,
                }
            }
            prop_assume!(!text.is_empty());
            let parsed = JsonPath::parse(&text);
            prop_assert!(parsed.is_ok(), "{}: {:?}", text, parsed);
            prop_assert_eq!(parsed.unwrap().get(&tree), Some(at));
        }

        #[test]
        fn no_text_is_too_odd_to_be_refused(text in "\\PC{0,40}|[$.\\[\\]\"'a0é]{0,40}") {
            if let Ok(path) = JsonPath::parse(&text) {
                prop_assert_eq!(JsonPath::parse(path.source()), Ok(path));
            }
        }
    }
}
