//! What an explanation looks like.

use dunlin_types::Code;
use serde::Serialize;
use serde_json::Value;

/// What became of a message or an event.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// What was decided then.
    pub(super) verdicts: Vec<Verdict>,
    /// What would nearly have taken it, as things are now.
    pub(super) near_misses: Vec<NearMiss>,
    pub(super) repeats: Repeats,
}

/// An endpoint, a function, an app, or what is explained itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Target {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) name: String,
}

/// What happened at one target, or why nothing did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Verdict {
    pub(super) target: Target,
    pub(super) outcome: &'static str,
    pub(super) code: Option<String>,
    /// One sentence for people.
    pub(super) reason: String,
    /// The facts behind it.
    pub(super) detail: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delivery_id: Option<String>,
}

impl Verdict {
    pub(super) fn new(target: Target, outcome: &'static str, reason: impl Into<String>) -> Self {
        Self {
            target,
            outcome,
            code: None,
            reason: reason.into(),
            detail: Value::Object(serde_json::Map::new()),
            run_id: None,
            delivery_id: None,
        }
    }

    pub(super) fn code(mut self, code: Option<Code>) -> Self {
        self.code = code.map(|code| code.to_string());
        self
    }

    pub(super) fn detail(mut self, detail: Value) -> Self {
        self.detail = detail;
        self
    }

    /// Adds a fact.
    pub(super) fn fact(mut self, name: &str, value: Value) -> Self {
        if let Value::Object(facts) = &mut self.detail {
            facts.insert(name.to_owned(), value);
        }
        self
    }
}

/// What would nearly have taken it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct NearMiss {
    pub(super) target: Target,
    pub(super) why: String,
}

/// How often the message came again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Repeats {
    pub(crate) count: usize,
    pub(crate) last: Option<String>,
    /// Whether one of them had another body.
    pub(crate) conflict: bool,
}
