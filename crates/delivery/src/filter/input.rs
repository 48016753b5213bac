//! A message as filters and ordering keys see it.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use dunlin_expr::{Value, parse_json};

static NULL: Value = Value::Null;

/// A message for any number of filters and ordering keys. Its body is parsed when the first of them asks, and
/// not again.
pub struct FilterInput<'a> {
    event_type: &'a str,
    body: &'a [u8],
    headers: &'a [(String, String)],
    root: OnceCell<Value>,
}

impl<'a> FilterInput<'a> {
    /// A message of that type, with the body and the headers that were received.
    #[must_use]
    pub const fn new(event_type: &'a str, body: &'a [u8], headers: &'a [(String, String)]) -> Self {
        Self {
            event_type,
            body,
            headers,
            root: OnceCell::new(),
        }
    }

    /// The parsed body; null if it is no JSON.
    #[must_use]
    pub fn payload(&self) -> &Value {
        self.root().get("payload").unwrap_or(&NULL)
    }

    /// The object that filters are about.
    pub(super) fn root(&self) -> &Value {
        self.root.get_or_init(|| {
            let members = [
                ("eventType", Value::from(self.event_type)),
                ("payload", parse_json(self.body)),
                ("headers", headers(self.headers)),
            ];
            members.into_iter().collect()
        })
    }
}

/// Names in small letters; a header that came several times is a list.
fn headers(received: &[(String, String)]) -> Value {
    let mut by_name: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, value) in received {
        let values = by_name.entry(name.to_ascii_lowercase()).or_default();
        values.push(Value::from(value.as_str()));
    }
    let members = by_name.into_iter().map(|(name, mut values)| {
        let value = match values.len() {
            1 => values.remove(0),
            _ => Value::from(values),
        };
        (name, value)
    });
    members.collect()
}
