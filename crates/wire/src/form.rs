//! Bodies of forms, made into JSON: what the rest of the program reads is an object.

use dunlin_types::limits::{FORM_FIELDS_MAX, INBOUND_BODY_BYTES_MAX};
use dunlin_types::{Code, Coded};
use serde_json::{Map, Value};

/// The member that some senders put their whole JSON into.
const PAYLOAD: &str = "payload";

/// An object with a string for each field, a list of them where the field comes more than once. A
/// form whose only field is `payload` and holds an object is that object.
///
/// # Errors
/// [`Code::WebhookBodyBad`] with too many fields, [`Code::TooLarge`] when the object is too large.
pub fn to_json(body: &[u8]) -> Result<Vec<u8>, Coded> {
    let mut fields = Map::new();
    let pairs = body.split(|b| *b == b'&').filter(|pair| !pair.is_empty());
    for (n, pair) in pairs.enumerate() {
        if n == FORM_FIELDS_MAX {
            let detail = format!("the form has more than {FORM_FIELDS_MAX} fields");
            return Err(Coded::new(Code::WebhookBodyBad, detail));
        }
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        let value = Value::String(unescaped(value.get(1..).unwrap_or_default()));
        match fields.entry(unescaped(name)) {
            serde_json::map::Entry::Vacant(free) => drop(free.insert(value)),
            serde_json::map::Entry::Occupied(mut taken) => match taken.get_mut() {
                Value::Array(all) => all.push(value),
                first => *first = Value::Array(vec![first.take(), value]),
            },
        }
    }
    let json = match only_payload(&mut fields) {
        Some(json) => json.into_bytes(),
        None => Value::Object(fields).to_string().into_bytes(),
    };
    if json.len() > INBOUND_BODY_BYTES_MAX {
        let detail = "the form as JSON is larger than a body may be";
        return Err(Coded::new(Code::TooLarge, detail));
    }
    Ok(json)
}

/// Whether it is an object is seen when it is read.
fn only_payload(fields: &mut Map<String, Value>) -> Option<String> {
    match fields.get_mut(PAYLOAD) {
        Some(Value::String(text)) if text.trim_start().starts_with('{') => {
            let text = std::mem::take(text);
            if fields.len() == 1 {
                return Some(text);
            }
            fields.insert(PAYLOAD.to_owned(), Value::String(text));
            None
        }
        _ => None,
    }
}

/// A plus is a space; an escape that is none stands for itself; bytes that are no text are replaced.
fn unescaped(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16)).map(|d| d as u8);
    while let Some((first, after)) = rest.split_first() {
        let (byte, then) = match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => ((high << 4) | low, &after[2..]),
            (b'+', ..) => (b' ', after),
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = then;
    }
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(form: &str) -> String {
        String::from_utf8(to_json(form.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn fields_become_members_in_their_order() {
        for (form, expected) in [
            ("", "{}"),
            ("b=1&a=two+words&c=", r#"{"b":"1","a":"two words","c":""}"#),
            ("a=1&b=2&a=3&a=4", r#"{"a":["1","3","4"],"b":"2"}"#),
            ("a%5B0%5D=%C3%BC%20&x", r#"{"a[0]":"ü ","x":""}"#),
            ("a=%zz%4&b=%", r#"{"a":"%zz%4","b":"%"}"#),
            ("a=%ff", "{\"a\":\"\u{fffd}\"}"),
            ("a=b=c&&=d", r#"{"a":"b=c","":"d"}"#),
        ] {
            assert_eq!(json(form), expected, "{form}");
        }
    }

    #[test]
    fn a_payload_alone_is_unpacked_byte_by_byte() {
        let packed = "payload=%7B%22type%22%3A+%22block_actions%22%7D";
        assert_eq!(json(packed), r#"{"type": "block_actions"}"#);
        assert_eq!(
            json(&format!("{packed}&a=1")),
            r#"{"payload":"{\"type\": \"block_actions\"}","a":"1"}"#
        );
        assert_eq!(json("payload=text"), r#"{"payload":"text"}"#);
        assert_eq!(json("payload=1&payload=2"), r#"{"payload":["1","2"]}"#);
    }

    #[test]
    fn fields_and_bytes_are_bounded() {
        let many = "a=1&".repeat(FORM_FIELDS_MAX + 1);
        assert_eq!(
            to_json(many.as_bytes()).unwrap_err().code,
            Code::WebhookBodyBad
        );
        assert!(to_json(&many.as_bytes()[4..]).is_ok());
        let grows = format!("a={}", "\u{1}".repeat(INBOUND_BODY_BYTES_MAX / 2));
        assert_eq!(to_json(grows.as_bytes()).unwrap_err().code, Code::TooLarge);
    }
}
