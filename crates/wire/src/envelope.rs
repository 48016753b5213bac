//! What is read of a verified webhook's body: that it is a JSON object, its id and its type. One
//! look at the text for each; nothing of it is built up in memory.

use std::borrow::Cow;
use std::fmt;

use dunlin_types::limits::{EVENT_TYPE_CHARS_MAX, JSON_DEPTH_LEVELS_MAX};
use dunlin_types::{Code, Coded, DedupeKey, json_depth};
use serde::Deserializer as _;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::hex;
use crate::verify::{IdAt, TypeAt, Verified, is_id};

/// The type of a webhook that names none.
pub const UNKNOWN_TYPE: &str = "unknown";

/// What a webhook says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The provider's id, or one that stands for the body.
    pub provider_id: String,
    /// The event type, [`UNKNOWN_TYPE`] if it names none that can be used.
    pub event_type: String,
}

/// Reads what a webhook says it is.
///
/// # Errors
/// [`Code::WebhookTooDeep`], or [`Code::WebhookBodyBad`] when the body is no JSON object.
pub fn envelope(verified: &Verified<'_>, body: &[u8]) -> Result<Envelope, Coded> {
    if json_depth(body) > JSON_DEPTH_LEVELS_MAX {
        return Err(Coded::plain(Code::WebhookTooDeep));
    }
    let no_object = || Coded::plain(Code::WebhookBodyBad);
    let text = str::from_utf8(body).map_err(|_| no_object())?;
    // Where the type stands in a header, or deeper, one look still has to tell what the body is.
    let event_type = match verified.event_type {
        TypeAt::Json(path) if !path.contains('.') => {
            member(text, path).ok_or_else(no_object)?.and_then(string)
        }
        elsewhere => {
            member(text, "").ok_or_else(no_object)?;
            type_at(elsewhere, text)
        }
    };
    Ok(Envelope {
        provider_id: provider_id(verified.id, text),
        event_type: event_type
            .filter(|name| is_type(name))
            .unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
    })
}

fn type_at(place: TypeAt<'_>, text: &str) -> Option<String> {
    match place {
        TypeAt::Given(name) => Some(name.to_owned()),
        TypeAt::Slashed(name) => Some(name.replace('/', ".")),
        TypeAt::Json(path) => raw_at(text, path).and_then(string),
        TypeAt::FirstOf(paths) => paths
            .iter()
            .find_map(|path| raw_at(text, path).and_then(string)),
    }
}

fn is_type(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= EVENT_TYPE_CHARS_MAX
        && !name.chars().any(char::is_control)
}

fn provider_id(place: IdAt<'_>, text: &str) -> String {
    let named = match place {
        IdAt::Given(id) => return id.to_owned(),
        IdAt::Json(path) => raw_at(text, path).and_then(scalar),
        IdAt::Body => None,
    };
    match named {
        Some(id) if is_id(&id) => id,
        // What cannot stand in a header is told by its hash.
        Some(id) => format!("id_{}", hashed(b"id", id.as_bytes())),
        None => format!("body_{}", hashed(b"body", text.as_bytes())),
    }
}

fn hashed(space: &[u8], text: &[u8]) -> String {
    hex::encode(&DedupeKey::new(space, text).0)
}

/// The string at that path of a JSON text: names of members, with dots between them.
#[must_use]
pub fn text_at(body: &[u8], path: &str) -> Option<String> {
    raw_at(str::from_utf8(body).ok()?, path).and_then(string)
}

fn raw_at<'t>(text: &'t str, path: &str) -> Option<&'t RawValue> {
    let mut names = path.split('.');
    let mut found = member(text, names.next()?)??;
    for name in names {
        found = member(found.get(), name)??;
    }
    Some(found)
}

fn string(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// A string, or a number as it is written.
fn scalar(value: &RawValue) -> Option<String> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'-' | b'0'..=b'9' => Some(text.to_owned()),
        _ => string(value),
    }
}

/// The last member of that name of an object; the outer nothing is for what is no object.
fn member<'t>(text: &'t str, name: &str) -> Option<Option<&'t RawValue>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = (&mut reader).deserialize_map(Member(name)).ok()?;
    reader.end().ok()?;
    Some(found)
}

struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(Is(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Whether a key is that one, without keeping it.
struct Is<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// The body as JSON: that of a form is made into an object, all others are left as they are. So is
/// one that only calls itself a form, as tools do by default.
///
/// # Errors
/// As [`crate::form::to_json`].
pub fn json_body<'b>(content_type: Option<&str>, body: &'b [u8]) -> Result<Cow<'b, [u8]>, Coded> {
    let kind = content_type.unwrap_or_default().split(';').next();
    let kind = kind.unwrap_or_default().trim();
    let is_json = body.trim_ascii_start().starts_with(b"{");
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") && !is_json {
        return crate::form::to_json(body).map(Cow::Owned);
    }
    Ok(Cow::Borrowed(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(verified: Verified<'_>, body: &str) -> Result<(String, String), Code> {
        let read = envelope(&verified, body.as_bytes());
        read.map(|one| (one.provider_id, one.event_type))
            .map_err(|error| error.code)
    }

    const PLAIN: Verified<'_> = Verified {
        id: IdAt::Given("evt-1"),
        event_type: TypeAt::Json("type"),
    };

    fn type_of(body: &str) -> Result<String, Code> {
        read(PLAIN, body).map(|(_, event_type)| event_type)
    }

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
            (r#"{"type":"esc\u0061ped"}"#, "escaped"),
            (r#"{"data":{"type":"within"}}"#, UNKNOWN_TYPE),
            ("{}", UNKNOWN_TYPE),
            (r#"{"type":""}"#, UNKNOWN_TYPE),
            (r#"{"type":5}"#, UNKNOWN_TYPE),
            (r#"{"type":null}"#, UNKNOWN_TYPE),
            (r#"{"type":"a\nb"}"#, UNKNOWN_TYPE),
        ] {
            assert_eq!(type_of(body).as_deref(), Ok(expected), "{body}");
        }
        let long = format!(r#"{{"type":"{}"}}"#, "a".repeat(257));
        assert_eq!(type_of(&long).as_deref(), Ok(UNKNOWN_TYPE));
    }

    #[test]
    fn what_is_no_object_is_refused_wherever_the_type_stands() {
        let places = [
            TypeAt::Json("type"),
            TypeAt::Json("a.b"),
            TypeAt::Given("x"),
            TypeAt::FirstOf(&["a"]),
        ];
        for event_type in places {
            let verified = Verified {
                event_type,
                ..PLAIN
            };
            for body in [
                "",
                "[]",
                "1",
                "null",
                r#""a""#,
                "{",
                "{}x",
                "\u{feff}{}",
                r#"{"a":}"#,
            ] {
                assert_eq!(read(verified, body), Err(Code::WebhookBodyBad), "{body}");
            }
            let refused = envelope(&verified, b"{\"a\":\"\xff\"}").unwrap_err();
            assert_eq!(refused.code, Code::WebhookBodyBad);
        }
    }

    #[test]
    fn nesting_is_bounded_before_anything_recurses() {
        let nested = |levels: usize| {
            let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
            type_of(&format!(r#"{{"a":{open}{close}}}"#))
        };
        assert_eq!(nested(128).as_deref(), Ok(UNKNOWN_TYPE));
        assert_eq!(nested(129), Err(Code::WebhookTooDeep));
    }

    #[test]
    fn types_and_ids_are_found_where_they_stand() {
        let body = r#"{"id":"evt_1","n":70,"data":{"object":{"id":"a.b"},"kind":"deep"},"event":{"type":"message"}}"#;
        for (id, event_type, expected) in [
            (
                IdAt::Json("id"),
                TypeAt::Json("data.kind"),
                ("evt_1", "deep"),
            ),
            (
                IdAt::Json("n"),
                TypeAt::Slashed("orders/create"),
                ("70", "orders.create"),
            ),
            (IdAt::Given("x"), TypeAt::Given("push"), ("x", "push")),
            (
                IdAt::Given("x"),
                TypeAt::FirstOf(&["event.type", "id"]),
                ("x", "message"),
            ),
            (
                IdAt::Given("x"),
                TypeAt::FirstOf(&["no.such", "id"]),
                ("x", "evt_1"),
            ),
            (
                IdAt::Given("x"),
                TypeAt::Json("id.deeper"),
                ("x", UNKNOWN_TYPE),
            ),
        ] {
            let read = read(Verified { id, event_type }, body).unwrap();
            assert_eq!((read.0.as_str(), read.1.as_str()), expected);
        }
    }

    #[test]
    fn a_webhook_without_a_usable_id_gets_one_that_is_always_the_same() {
        let id_of = |id, body: &str| read(Verified { id, ..PLAIN }, body).unwrap().0;
        let none = id_of(IdAt::Body, r#"{"a":1}"#);
        assert!(none.starts_with("body_") && is_id(&none), "{none}");
        assert_eq!(id_of(IdAt::Json("id"), r#"{"a":1}"#), none);
        assert_ne!(id_of(IdAt::Body, r#"{"a":2}"#), none);
        let dotted = id_of(IdAt::Json("a"), r#"{"a":"x.y","n":1}"#);
        assert!(dotted.starts_with("id_") && is_id(&dotted), "{dotted}");
        assert_eq!(id_of(IdAt::Json("a"), r#"{"a":"x.y","n":2}"#), dotted);
    }
}
