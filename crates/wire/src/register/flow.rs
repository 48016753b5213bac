//! Rules of a function that spread its work over time. Texts of expressions are judged by whoever
//! evaluates them.

use std::fmt;
use std::ops::RangeInclusive;

use dunlin_types::limits::{
    BATCH_EVENTS_MAX, BATCH_EVENTS_MIN, BATCH_TIMEOUT_MS_MAX, BATCH_TIMEOUT_MS_MIN,
    CONCURRENCY_RULES_MAX, DEBOUNCE_PERIOD_MS_MAX, FLOW_PERIOD_MS_MIN, RATE_LIMIT_PERIOD_MS_MAX,
    SLEEP_MS_MAX, THROTTLE_PERIOD_MS_MAX,
};

use super::rules::shown;
use crate::duration::parse_duration;
use crate::json::{self, Members};

/// What a function says about how its work is spread over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowRules {
    /// Calls at a time; a rule whose limit is 0 is none.
    pub concurrency: Vec<ConcurrencyRule>,
    /// Runs at a time, from their first call to their end.
    pub runs: Vec<ConcurrencyRule>,
    /// How often runs begin; others wait.
    pub throttle: Option<RateRule>,
    /// How often events start runs; others start none.
    pub rate_limit: Option<RateRule>,
    /// Of events that follow each other closely, the last one counts.
    pub debounce: Option<DebounceRule>,
    /// Several events make one run.
    pub batch: Option<BatchRule>,
    /// An expression: the seconds by which a run goes before others.
    pub priority: Option<String>,
    /// One run at a time.
    pub singleton: Option<SingletonRule>,
    /// An expression whose value starts one run a day.
    pub idempotency: Option<String>,
}

/// Who counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The runs of the function.
    #[default]
    Function,
    /// Those of all functions of the environment.
    Env,
    /// Those of all functions of the account.
    Account,
}

/// So many at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConcurrencyRule {
    /// From 1.
    pub limit: u32,
    /// An expression under whose value is counted.
    pub key: Option<String>,
    /// Who counts together.
    pub scope: Scope,
}

/// So many in a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateRule {
    /// From 1.
    pub limit: u32,
    /// The time.
    pub period_ms: i64,
    /// How many more at once; 0 for a rate limit.
    pub burst: u32,
    /// An expression under whose value is counted.
    pub key: Option<String>,
}

/// The last event within a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebounceRule {
    /// How long no other event must come.
    pub period_ms: i64,
    /// How long after the first event it ends at the latest.
    pub timeout_ms: Option<i64>,
    /// An expression under whose value events belong together.
    pub key: Option<String>,
}

/// Several events, one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRule {
    /// From 2.
    pub size_max: u32,
    /// How long after its first event a batch ends at the latest.
    pub timeout_ms: i64,
    /// An expression under whose value events belong together.
    pub key: Option<String>,
    /// Only events for which this is true are put in batches.
    pub condition: Option<String>,
}

/// What becomes of a second run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SingletonMode {
    /// It does not start.
    #[default]
    Skip,
    /// It takes the place of the first one.
    Cancel,
}

/// One run at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingletonRule {
    /// An expression under whose value there is one run.
    pub key: Option<String>,
    /// What becomes of the other.
    pub mode: SingletonMode,
}

pub(super) fn rules(members: &Members<'_>, why: &mut Vec<String>) -> FlowRules {
    let (concurrency, runs) = concurrency(members, why);
    let rules = FlowRules {
        concurrency,
        runs,
        throttle: Rule::of(members, "throttle", why).and_then(throttle),
        rate_limit: Rule::of(members, "rateLimit", why).and_then(rate_limit),
        debounce: Rule::of(members, "debounce", why).and_then(debounce),
        batch: Rule::of(members, "batchEvents", why).and_then(batch),
        priority: Rule::of(members, "priority", why).and_then(|mut rule| rule.text("run")),
        singleton: Rule::of(members, "singleton", why).and_then(singleton),
        idempotency: idempotency(members, why),
    };
    if asked(members, "batchEvents").is_some() {
        check_batch_alone(members, rules.priority.is_some(), why);
    }
    rules
}

/// The value under `key`, unless it says in one of the SDKs' ways that there is no rule.
fn asked<'a>(members: &Members<'a>, key: &str) -> Option<&'a str> {
    members.get(key).filter(|text| !is_nothing(text))
}

fn is_nothing(text: &str) -> bool {
    let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let members = || Members::of(text).is_some_and(|m| m.0.iter().all(|(_, v)| v.get() == "null"));
    matches!(plain.as_str(), "[]" | "\"\"" | "0" | "null") || members()
}

/// Rules that speak of one event, or of one run an event, mean nothing for a batch.
fn check_batch_alone(members: &Members<'_>, has_priority: bool, why: &mut Vec<String>) {
    let beside = [
        (
            "cancel",
            asked(members, "cancel").is_some(),
            "what cancels a run is compared with one event, and a batch has several",
        ),
        (
            "debounce",
            asked(members, "debounce").is_some(),
            "a batch keeps all events, a debounce only the last one",
        ),
        (
            "singleton",
            asked(members, "singleton").is_some(),
            "to skip or cancel a run would lose all events of its batch",
        ),
        (
            "priority",
            has_priority,
            "it is reckoned from one event, and a batch has several",
        ),
    ];
    for (key, is_there, because) in beside {
        if is_there {
            why.push(format!(
                "batchEvents and {key} exclude each other: {because}"
            ));
        }
    }
}

fn idempotency(members: &Members<'_>, why: &mut Vec<String>) -> Option<String> {
    let text = asked(members, "idempotency")?;
    let read = json::string(text);
    if read.is_none() {
        why.push(format!("its idempotency {} is no string", shown(text)));
    }
    read
}

/// Rules for calls and rules for runs. The plain forms are about calls.
fn concurrency(
    members: &Members<'_>,
    why: &mut Vec<String>,
) -> (Vec<ConcurrencyRule>, Vec<ConcurrencyRule>) {
    let Some(text) = asked(members, "concurrency") else {
        return (Vec::new(), Vec::new());
    };
    let parts = Members::of(text).filter(|m| m.get("fn").is_some() || m.get("step").is_some());
    let Some(parts) = parts else {
        return (at_a_time(text, "concurrency", why), Vec::new());
    };
    if asked(&parts, "limit").is_some() {
        why.push("its concurrency has a limit beside fn and step, it belongs in one".to_owned());
    }
    let mut part = |key, name| {
        let text = asked(&parts, key);
        text.map_or_else(Vec::new, |text| at_a_time(text, name, why))
    };
    (
        part("step", "concurrency.step"),
        part("fn", "concurrency.fn"),
    )
}

/// One rule, or a list of them.
fn at_a_time(text: &str, name: &'static str, why: &mut Vec<String>) -> Vec<ConcurrencyRule> {
    let Some(list) = json::elements(text) else {
        return concurrency_rule(text, name, why).into_iter().collect();
    };
    if list.len() > CONCURRENCY_RULES_MAX {
        why.push(format!(
            "it has {} rules for {name}, at most {CONCURRENCY_RULES_MAX} are allowed",
            list.len()
        ));
        return Vec::new();
    }
    list.into_iter()
        .filter_map(|one| concurrency_rule(one.get(), name, why))
        .collect()
}

fn concurrency_rule(
    text: &str,
    name: &'static str,
    why: &mut Vec<String>,
) -> Option<ConcurrencyRule> {
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let members = match is_number {
        true => Some(Members(Vec::new())),
        false => Members::of(text),
    };
    let Some(members) = members else {
        let text = shown(text);
        why.push(format!("its {name} {text} is neither a number nor a rule"));
        return None;
    };
    let mut rule = Rule { name, members, why };
    let limit = match is_number {
        true => rule.count_of("limit", text, 0..=u32::MAX),
        false => rule.count("limit", 0..=u32::MAX),
    };
    let key = rule.text("key");
    let scope = rule.scope()?;
    if scope != Scope::Function && key.is_none() {
        rule.refuse("needs a key, for its scope is more than one function");
        return None;
    }
    let limit = limit.filter(|limit| *limit > 0)?;
    Some(ConcurrencyRule { limit, key, scope })
}

fn throttle(mut rule: Rule<'_, '_>) -> Option<RateRule> {
    let limit = rule.count("limit", 1..=u32::MAX);
    let period_ms = rule.span("period", FLOW_PERIOD_MS_MIN..=THROTTLE_PERIOD_MS_MAX);
    let burst = match rule.members.get("burst") {
        Some(_) => rule.count("burst", 0..=u32::MAX),
        None => Some(0),
    };
    let key = rule.text("key");
    if rule.scope()? != Scope::Function {
        rule.refuse("can count in its function only, not in a wider scope");
    }
    Some(RateRule {
        limit: limit?,
        period_ms: period_ms?,
        burst: burst?,
        key,
    })
}

fn rate_limit(mut rule: Rule<'_, '_>) -> Option<RateRule> {
    let limit = rule.count("limit", 1..=u32::MAX);
    let period_ms = rule.span("period", FLOW_PERIOD_MS_MIN..=RATE_LIMIT_PERIOD_MS_MAX);
    let key = rule.text("key");
    Some(RateRule {
        limit: limit?,
        period_ms: period_ms?,
        burst: 0,
        key,
    })
}

fn debounce(mut rule: Rule<'_, '_>) -> Option<DebounceRule> {
    let period_ms = rule.span("period", FLOW_PERIOD_MS_MIN..=DEBOUNCE_PERIOD_MS_MAX);
    // Nothing, and a span of nothing, is no end.
    let timeout_ms = match rule.members.get("timeout") {
        Some(text) if !is_nothing(text) => rule.span("timeout", 0..=SLEEP_MS_MAX),
        _ => None,
    };
    let key = rule.text("key");
    Some(DebounceRule {
        period_ms: period_ms?,
        timeout_ms: timeout_ms.filter(|ms| *ms > 0),
        key,
    })
}

fn batch(mut rule: Rule<'_, '_>) -> Option<BatchRule> {
    let size_max = rule.count("maxSize", BATCH_EVENTS_MIN..=BATCH_EVENTS_MAX);
    let timeout_ms = rule.span("timeout", BATCH_TIMEOUT_MS_MIN..=BATCH_TIMEOUT_MS_MAX);
    let key = rule.text("key");
    let condition = rule.text("if");
    Some(BatchRule {
        size_max: size_max?,
        timeout_ms: timeout_ms?,
        key,
        condition,
    })
}

fn singleton(mut rule: Rule<'_, '_>) -> Option<SingletonRule> {
    let key = rule.text("key");
    let mode = rule.text("mode").unwrap_or_default();
    let mode = match mode.to_ascii_lowercase().as_str() {
        "" | "skip" => SingletonMode::Skip,
        "cancel" => SingletonMode::Cancel,
        _ => {
            let mode = shown(&mode);
            rule.refuse(format_args!("has the mode {mode:?}, skip or cancel is one"));
            return None;
        }
    };
    Some(SingletonRule { key, mode })
}

/// A rule that is being read.
struct Rule<'a, 'w> {
    name: &'static str,
    members: Members<'a>,
    why: &'w mut Vec<String>,
}

impl<'a, 'w> Rule<'a, 'w> {
    fn of(members: &Members<'a>, name: &'static str, why: &'w mut Vec<String>) -> Option<Self> {
        let text = asked(members, name)?;
        let Some(members) = Members::of(text) else {
            why.push(format!("its {name} is no object"));
            return None;
        };
        Some(Self { name, members, why })
    }

    fn refuse(&mut self, what: impl fmt::Display) {
        self.why.push(format!("its {} {what}", self.name));
    }

    /// A string that may be absent, and is if it is blank.
    fn text(&mut self, key: &str) -> Option<String> {
        let text = self.members.get(key)?;
        let read = json::string(text);
        if read.is_none() {
            let text = shown(text);
            self.refuse(format_args!("has the {key} {text}, which is no string"));
        }
        read.filter(|text| !text.trim().is_empty())
    }

    fn count(&mut self, key: &str, range: RangeInclusive<u32>) -> Option<u32> {
        match self.members.get(key) {
            Some(text) => self.count_of(key, text, range),
            None => {
                self.refuse(format_args!("has no {key}"));
                None
            }
        }
    }

    fn count_of(&mut self, key: &str, text: &str, range: RangeInclusive<u32>) -> Option<u32> {
        let count = text.parse().ok().filter(|count| range.contains(count));
        if count.is_none() {
            let (text, least, most) = (shown(text), range.start(), range.end());
            self.refuse(format_args!(
                "has the {key} {text}, {least} to {most} are allowed"
            ));
        }
        count
    }

    /// Milliseconds of a duration that must be there.
    fn span(&mut self, key: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let Some(text) = self.members.get(key).filter(|text| !is_nothing(text)) else {
            self.refuse(format_args!("has no {key}"));
            return None;
        };
        let span = json::string(text).and_then(|text| parse_duration(text.trim()));
        let text = shown(text);
        match span {
            None => self.refuse(format_args!("has the {key} {text}, which is no duration")),
            Some(ms) if !range.contains(&ms) => {
                let (least, most) = (in_words(*range.start()), in_words(*range.end()));
                self.refuse(format_args!(
                    "has the {key} {text}, {least} to {most} are allowed"
                ));
            }
            Some(ms) => return Some(ms),
        }
        None
    }

    fn scope(&mut self) -> Option<Scope> {
        let text = self.text("scope").unwrap_or_default();
        // The Go SDK's constants are shown in another letter case here and there.
        match text.to_ascii_lowercase().as_str() {
            "" | "fn" => Some(Scope::Function),
            "env" => Some(Scope::Env),
            "account" => Some(Scope::Account),
            _ => {
                let text = shown(&text);
                self.refuse(format_args!(
                    "has the scope {text:?}, fn, env or account is one"
                ));
                None
            }
        }
    }
}

/// A bound as people write it.
fn in_words(ms: i64) -> String {
    const UNITS: [(i64, &str); 4] = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ];
    let unit = UNITS.iter().find(|(unit, _)| ms > 0 && ms % unit == 0);
    unit.map_or_else(
        || format!("{ms}ms"),
        |(unit, name)| format!("{}{name}", ms / unit),
    )
}
