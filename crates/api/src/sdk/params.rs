//! What requests of the second version say in their query and body: camel case or snake case, lists
//! by repetition or with commas.

use axum::extract::FromRequestParts;
use axum::extract::Query;
use bytes::Bytes;
use dunlin_types::{Code, Timestamp};
use http::request::Parts;
use serde_json::{Map, Value};

use super::output::row_of;
use crate::error::Refused;

/// The query, name by name.
#[derive(Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        match query {
            Ok(Query(pairs)) => Ok(Self(pairs)),
            Err(error) => Err(Refused::new(Code::BadRequest, error.body_text())),
        }
    }
}

fn same(given: &str, camel: &str) -> bool {
    let plain = given.chars().filter(|c| *c != '_');
    plain.eq(camel.chars()) || given.replace('_', "").eq_ignore_ascii_case(camel)
}

impl Params {
    /// The value of that name; none if it is empty.
    pub(crate) fn get(&self, camel: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| same(name, camel));
        found
            .map(|(_, value)| value.as_str())
            .filter(|v| !v.is_empty())
    }

    /// All values of that name.
    pub(super) fn all(&self, camel: &str) -> Vec<&str> {
        let of_name = self.0.iter().filter(|(name, _)| same(name, camel));
        let values = of_name.flat_map(|(_, values)| values.split(','));
        values
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .collect()
    }

    pub(super) fn is_true(&self, camel: &str) -> bool {
        matches!(self.get(camel), Some("true" | "1"))
    }

    pub(super) fn instant(&self, camel: &str) -> Result<Option<Timestamp>, Refused> {
        self.get(camel).map(|text| instant(camel, text)).transpose()
    }

    /// How many items a page is to have.
    pub(crate) fn limit(&self, default: usize, max: usize) -> Result<usize, Refused> {
        let Some(text) = self.get("limit") else {
            return Ok(default);
        };
        match text.parse::<usize>() {
            Ok(limit @ 1..) => Ok(limit.min(max)),
            _ => Err(bad("limit must be a number from 1 on").word("invalid_field_format")),
        }
    }

    /// The run behind which the page begins.
    pub(super) fn cursor(&self) -> Result<Option<dunlin_types::Seq>, Refused> {
        let row = |text| {
            let row = row_of(text).map(|(_, seq)| seq);
            row.ok_or_else(|| bad("cursor is not one of ours").word("invalid_field_format"))
        };
        self.get("cursor").map(row).transpose()
    }
}

pub(super) fn bad(detail: impl Into<String>) -> Refused {
    Refused::new(Code::BadRequest, detail)
}

/// The instant that a field names.
pub(super) fn instant(field: &str, text: &str) -> Result<Timestamp, Refused> {
    let wrong = || bad(format!("{field} must be an RFC 3339 instant")).word("invalid_field_format");
    Timestamp::parse_rfc3339(text).ok_or_else(wrong)
}

/// A body that is a JSON object, or nothing.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    pub(super) fn of(body: &Bytes) -> Result<Self, Refused> {
        if body.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            _ => Err(bad("the body must be a JSON object")),
        }
    }

    /// The value of that name; none if it is null.
    pub(super) fn get(&self, camel: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(name, _)| same(name, camel));
        found
            .map(|(_, value)| value)
            .filter(|value| !value.is_null())
    }

    /// A text; none if it is empty.
    pub(super) fn text(&self, camel: &str) -> Result<Option<&str>, Refused> {
        match self.get(camel) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(_) => Err(bad(format!("{camel} must be a text")).word("invalid_field_format")),
        }
    }

    pub(super) fn instant(&self, camel: &str) -> Result<Option<Timestamp>, Refused> {
        let text = self.text(camel)?;
        text.map(|text| instant(camel, text)).transpose()
    }

    pub(super) fn is_true(&self, camel: &str) -> bool {
        self.get(camel) == Some(&Value::Bool(true))
    }

    /// A list of texts.
    pub(super) fn texts(&self, camel: &str) -> Result<Option<Vec<&str>>, Refused> {
        let wrong = || bad(format!("{camel} must be a list of texts")).word("invalid_field_format");
        match self.get(camel) {
            None => Ok(None),
            Some(Value::Array(items)) => {
                let texts = items.iter().map(Value::as_str);
                texts.collect::<Option<_>>().map(Some).ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }
}
