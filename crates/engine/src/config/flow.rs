//! Rules of flow control as functions register them, and limits that operators set beside them.

use std::fmt;

/// Everything a function says about how its work is spread over time (SDK protocol, flow control).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowRules {
    /// Calls in flight at a time: at most two rules. A rule without a limit (0) is left out.
    pub concurrency: Vec<ConcurrencyRule>,
    /// Runs that have begun and not ended, at a time (`concurrency.fn`): at most two rules.
    pub runs: Vec<ConcurrencyRule>,
    /// How often runs may begin; those beyond it wait.
    pub throttle: Option<RateRule>,
    /// How often events may start runs; those beyond it are dropped.
    pub rate_limit: Option<RateRule>,
    /// Of events that follow each other closely, only the last one counts.
    pub debounce: Option<DebounceRule>,
    /// Several events make one run.
    pub batch: Option<BatchRule>,
    /// Text of the expression for seconds by which a run goes before others.
    pub priority: Option<String>,
    /// One live run at a time, others are skipped or take its place.
    pub singleton: Option<SingletonRule>,
    /// Text of the expression whose value starts a run only once in 24 hours.
    pub idempotency: Option<String>,
}

/// Where a limit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Scope {
    /// In its function.
    #[default]
    Function = 0,
    /// In all functions of the environment that count under the same key.
    Env = 1,
    /// In all functions of the account that count under the same key.
    Account = 2,
}

/// So many at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrencyRule {
    /// How many, from 1.
    pub limit: u32,
    /// Text of the expression over the run's `event` under whose value is counted.
    pub key: Option<String>,
    /// Who counts together.
    pub scope: Scope,
}

/// So many in a time, under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateRule {
    /// How many, from 1.
    pub limit: u32,
    /// In how many milliseconds, from 1,000.
    pub period_ms: i64,
    /// How many more at once (a throttle; 0 for a rate limit, whose burst follows from its limit).
    pub burst: u32,
    /// Text of the expression over the `event` under whose value is counted.
    pub key: Option<String>,
}

/// The last event within a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebounceRule {
    /// How long there must be no other event, in milliseconds.
    pub period_ms: i64,
    /// How long after the first event the run starts at the latest, in milliseconds.
    pub timeout_ms: Option<i64>,
    /// Text of the expression under whose value events belong together.
    pub key: Option<String>,
}

/// Several events, one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRule {
    /// Events that fill a batch, from 2.
    pub size_max: u32,
    /// How long after its first event a batch is run at the latest, in milliseconds.
    pub timeout_ms: i64,
    /// Text of the expression under whose value events belong together.
    pub key: Option<String>,
    /// Text of the expression for which an event is put in a batch; others start runs at once.
    pub condition: Option<String>,
}

/// What becomes of a run beyond the one that a singleton allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SingletonMode {
    /// The new one is skipped.
    Skip,
    /// The one that is live is cancelled.
    Cancel,
}

/// One live run at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingletonRule {
    /// Text of the expression under whose value there is one run.
    pub key: Option<String>,
    /// What becomes of the other.
    pub mode: SingletonMode,
}

/// So many in a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, from 1.
    pub limit: u32,
    /// In how many milliseconds, from 1,000.
    pub period_ms: i64,
    /// How many more at once.
    pub burst: u32,
}

/// What a limit of an operator is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitTarget {
    /// Calls that run a step.
    Step {
        /// Composite id of the function.
        function: String,
        /// The step's id as it stands in the code, which is its name.
        step: String,
    },
    /// Requests that the server makes for steps (`step.fetch`, `step.ai.infer`) to this host name.
    Host(String),
}

/// A limit that an operator sets beside what functions register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// What it is about.
    pub target: LimitTarget,
    /// At most so many at a time, from 1.
    pub concurrency: Option<u32>,
    /// At most so often.
    pub rate: Option<Rate>,
}

/// Names a rule; the number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rule {
    /// `concurrency`, or `concurrency.step`.
    Concurrency = 1,
    /// `concurrency.fn`.
    Runs = 2,
    /// `throttle`.
    Throttle = 3,
    /// `rateLimit`.
    RateLimit = 4,
    /// `debounce`.
    Debounce = 5,
    /// `batchEvents`.
    Batch = 6,
    /// `priority`.
    Priority = 7,
    /// `singleton`.
    Singleton = 8,
    /// `idempotency`.
    Idempotency = 9,
    /// A limit of an operator for a step.
    StepLimit = 10,
    /// A limit of an operator for a host.
    HostLimit = 11,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Concurrency,
        Self::Runs,
        Self::Throttle,
        Self::RateLimit,
        Self::Debounce,
        Self::Batch,
        Self::Priority,
        Self::Singleton,
        Self::Idempotency,
        Self::StepLimit,
        Self::HostLimit,
    ];

    /// The rule of that number, as stored.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| *rule as u8 == number)
    }

    /// As users write it in a function's configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Concurrency => "concurrency",
            Self::Runs => "concurrency.fn",
            Self::Throttle => "throttle",
            Self::RateLimit => "rateLimit",
            Self::Debounce => "debounce",
            Self::Batch => "batchEvents",
            Self::Priority => "priority",
            Self::Singleton => "singleton",
            Self::Idempotency => "idempotency",
            Self::StepLimit => "stepLimit",
            Self::HostLimit => "hostLimit",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
