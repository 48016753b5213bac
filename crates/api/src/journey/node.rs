//! What one trace looks like: one kind of node, all the way down.

use dunlin_types::{Code, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

/// Something that happened, with what came of it below.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) status: &'static str,
    /// Whether this is what was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) asked: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<String>,
    /// Why it failed, was cancelled or did nothing: one sentence, which begins with the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The facts of its kind.
    pub(super) detail: Map<String, Value>,
    pub(super) children: Vec<Self>,
    /// At least so many children are not shown.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) more: usize,
    /// Whether more came before this, which is not shown; of the root only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) more_above: bool,
    /// Where one can ask who did not get it; of the root only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) explain: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Node {
    pub(super) fn new(kind: &'static str, id: String, name: String, status: &'static str) -> Self {
        Self {
            kind,
            id,
            name,
            status,
            ..Self::default()
        }
    }

    pub(super) fn asked(mut self, asked: bool) -> Self {
        self.asked = asked;
        self
    }

    /// When it began and ended, as far as that is known.
    pub(super) fn times(mut self, at: Option<Timestamp>, ended: Option<Timestamp>) -> Self {
        self.at = at.map(Timestamp::rfc3339);
        self.ended_at = ended.map(Timestamp::rfc3339);
        self
    }

    pub(super) fn lasted(mut self, ms: Option<i64>) -> Self {
        self.duration_ms = ms;
        self
    }

    /// Why it is as it is; a code without words has a title.
    pub(super) fn because(mut self, code: Option<Code>, words: &str) -> Self {
        let words = match (words, code) {
            ("", Some(code)) => code.title(),
            (words, _) => words,
        };
        self.code = code.map(|code| code.to_string());
        self.reason = match (&self.code, words) {
            (None, "") => None,
            (None, words) => Some(words.to_owned()),
            (Some(code), words) => Some(format!("{code}: {words}")),
        };
        self
    }

    /// Adds a fact, unless there is nothing to tell.
    pub(super) fn fact(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let is_nothing = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if !is_nothing {
            self.detail.insert(name.to_owned(), value);
        }
        self
    }

    pub(super) fn below(mut self, children: Vec<Self>, more: usize) -> Self {
        self.children = children;
        self.more = more;
        self
    }
}
