//! Apps and functions as they are registered.

mod flow;

pub use flow::{
    BatchRule, ConcurrencyRule, DebounceRule, FlowRules, Limit, LimitTarget, Rate, RateRule, Rule,
    Scope, SingletonMode, SingletonRule,
};

use dunlin_types::{Code, Payload, Seq, Timestamp};

/// One trigger of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerSpec {
    /// Events of a name, or of a prefix and `*`, for which the expression holds.
    Event {
        /// Name or pattern.
        name: String,
        /// Text of the expression.
        expression: Option<String>,
    },
    /// A time table.
    Cron {
        /// The schedule.
        schedule: String,
        /// Ticks are spread over so many milliseconds.
        jitter_ms: Option<i64>,
    },
}

/// Events that cancel a function's runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRule {
    /// The event's name.
    pub event: String,
    /// Text of the expression over the run's `event` and the incoming `async`.
    pub condition: Option<String>,
    /// Until when the rule holds; a year when absent.
    pub until: Option<RuleTime>,
}

/// An end that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleTime {
    /// Milliseconds after the run was made.
    AfterMs(i64),
    /// An instant.
    At(Timestamp),
}

/// How long a function's runs may take, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// From being made to the first call.
    pub start_ms: Option<i64>,
    /// From the first call to the end.
    pub finish_ms: Option<i64>,
}

/// A function as an app registers it.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSpec {
    /// Composite id: app, `-`, function.
    pub slug: String,
    /// The name users see.
    pub name: String,
    /// What starts it.
    pub triggers: Vec<TriggerSpec>,
    /// Where it is called, with `fnId`.
    pub url: String,
    /// Retries after the first attempt, if it says.
    pub retries: Option<u8>,
    /// What cancels its runs.
    pub cancel: Vec<CancelRule>,
    /// How long its runs may take.
    pub timeouts: Timeouts,
    /// How its work is spread over time.
    pub flow: FlowRules,
    /// The configuration as it came.
    pub config: Payload,
}

/// What an app registers.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The app's name, which is its identity.
    pub app: String,
    /// Its serve URL, to dial.
    pub url: String,
    /// Its serve URL in the form in which two are compared.
    pub identity_url: String,
    /// Such as `js:v4.24.0`.
    pub sdk: String,
    /// Such as `nextjs`.
    pub framework: String,
    /// Its version, if it gives one.
    pub version: Option<String>,
    /// A hash of what matters in the registration.
    pub checksum: [u8; 32],
    /// Its functions.
    pub functions: Vec<FunctionSpec>,
}

/// An app's row.
#[derive(Clone, Debug, PartialEq)]
pub struct AppRow {
    /// Its number, from 0.
    pub number: u32,
    /// Its name; empty for a URL that has not answered yet.
    pub name: String,
    /// Its serve URL.
    pub url: String,
    /// See [`Registration::identity_url`].
    pub identity_url: String,
    /// See [`Registration::sdk`].
    pub sdk: String,
    /// See [`Registration::framework`].
    pub framework: String,
    /// See [`Registration::version`].
    pub version: Option<String>,
    /// See [`Registration::checksum`].
    pub checksum: [u8; 32],
    /// When it first appeared.
    pub created: Timestamp,
    /// When it last registered something new.
    pub synced: Timestamp,
    /// Why it cannot be reached or synced, if so.
    pub error: Option<(Code, String)>,
}

impl AppRow {
    /// Whether the row stands for nothing any more: it was a URL until an app that was known
    /// already registered from there.
    #[must_use]
    pub fn is_vacant(&self) -> bool {
        self.name.is_empty() && self.url.is_empty()
    }
}

/// A function's row.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionRow {
    /// Its number, from 0.
    pub number: u32,
    /// Its app.
    pub app: u32,
    /// Composite id.
    pub slug: String,
    /// The name users see.
    pub name: String,
    /// Counts up with each change.
    pub version: u32,
    /// The first place in the order of the world for which this version counts.
    pub from: Seq,
    /// When it first appeared.
    pub created: Timestamp,
    /// When its app stopped registering it.
    pub archived: Option<Timestamp>,
    /// When somebody paused it: events start no runs then, and its runs make no calls.
    pub paused: Option<Timestamp>,
    /// What starts it.
    pub triggers: Vec<TriggerSpec>,
    /// Where it is called.
    pub url: String,
    /// Retries after the first attempt.
    pub retries: Option<u8>,
    /// What cancels its runs.
    pub cancel: Vec<CancelRule>,
    /// How long its runs may take.
    pub timeouts: Timeouts,
    /// How its work is spread over time.
    pub flow: FlowRules,
    /// The configuration as it came.
    pub config: Payload,
}
