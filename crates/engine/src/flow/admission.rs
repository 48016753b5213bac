//! A function's rules for events that would start a run, compiled: what is asked before there is one.

use std::sync::Arc;

use dunlin_expr::{Program, Value};
use dunlin_types::limits::IDEMPOTENCY_MS;
use dunlin_types::{DedupeKey, Timestamp};

use crate::config::{BatchRule, DebounceRule, FlowRules, Rule, SingletonMode};
use crate::flow::counters::Counters;
use crate::flow::gcra::Gcra;
use crate::flow::{KeyValue, RunKeys, idempotency, key_text, priority, rate_limit, singleton};

/// A key's expression; one that does not compile (another version stored it) counts as missing.
#[derive(Clone, Debug)]
pub(crate) struct Key(Option<Program>);

impl Key {
    pub(crate) fn new(text: &str) -> Self {
        Self(Program::parse(text).ok())
    }

    /// The value as text; none if it is false.
    pub(crate) fn text(&self, event: &Value, now: Timestamp) -> Option<Box<str>> {
        match &self.0 {
            Some(program) => key_text(program, event, now),
            None => Some("".into()),
        }
    }
}

/// The text under which an event counts for a rule whose key may be missing; none if its key says
/// that the rule does not hold for it.
fn under(key: Option<&Key>, event: &Value, now: Timestamp) -> Option<Box<str>> {
    key.map_or_else(|| Some("".into()), |key| key.text(event, now))
}

/// A rate that drops what goes beyond it.
#[derive(Clone, Debug)]
pub(crate) struct Dropping {
    pub(crate) rule: Rule,
    pub(crate) rate: Gcra,
    key: Option<Key>,
}

impl Dropping {
    /// Under which text and counter the event counts, if the rule holds for it.
    pub(crate) fn counts(&self, event: &Value, now: Timestamp) -> Option<(Box<str>, DedupeKey)> {
        let text = under(self.key.as_ref(), event, now)?;
        let key = Counters::key(&text);
        Some((text, key))
    }
}

/// All of a function's rules that look at events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    pub(crate) rules: Arc<FlowRules>,
    /// Rates that drop, in the order in which they are asked.
    pub(crate) dropping: Vec<Dropping>,
    debounce: Option<Key>,
    batch: Option<Key>,
    condition: Option<Key>,
    singleton: Option<Key>,
    priority: Option<Key>,
    /// What a run counts under once it is there, by the rules' names.
    keyed: Vec<(u64, Key)>,
}

impl Flow {
    pub(crate) fn new(rules: Arc<FlowRules>) -> Self {
        let key = |text: &Option<String>| text.as_deref().map(Key::new);
        let mut dropping = Vec::new();
        if let Some(rule) = &rules.rate_limit {
            let rate = rate_limit::rate(rule);
            dropping.push(Dropping {
                rule: Rule::RateLimit,
                rate,
                key: key(&rule.key),
            });
        } else if rules.idempotency.is_some() {
            let rate = idempotency::rate(IDEMPOTENCY_MS);
            dropping.push(Dropping {
                rule: Rule::Idempotency,
                rate,
                key: key(&rules.idempotency),
            });
        }
        Self {
            dropping,
            debounce: rules.debounce.as_ref().and_then(|rule| key(&rule.key)),
            batch: rules.batch.as_ref().and_then(|rule| key(&rule.key)),
            condition: rules.batch.as_ref().and_then(|rule| key(&rule.condition)),
            singleton: rules.singleton.as_ref().and_then(|rule| key(&rule.key)),
            priority: key(&rules.priority),
            keyed: keyed(&rules),
            rules,
        }
    }

    /// Whether no rule looks at an event.
    pub(crate) fn is_plain(&self) -> bool {
        let rules = &self.rules;
        self.dropping.is_empty()
            && rules.debounce.is_none()
            && rules.batch.is_none()
            && rules.singleton.is_none()
            && self.priority.is_none()
            && self.keyed.is_empty()
    }

    /// The batch that the event belongs to; none if there is no such rule, or it is to run alone.
    pub(crate) fn batch(&self, event: &Value, now: Timestamp) -> Option<(&BatchRule, Box<str>)> {
        let rule = self.rules.batch.as_ref()?;
        let wanted = self
            .condition
            .as_ref()
            .is_none_or(|key| key.is_true(event, now));
        let text = under(self.batch.as_ref(), event, now).unwrap_or_else(|| "false".into());
        wanted.then_some((rule, text))
    }

    /// The debounce that the event joins.
    pub(crate) fn debounce(
        &self,
        event: &Value,
        now: Timestamp,
    ) -> Option<(&DebounceRule, Box<str>)> {
        let rule = self.rules.debounce.as_ref()?;
        let text = under(self.debounce.as_ref(), event, now).unwrap_or_else(|| "false".into());
        Some((rule, text))
    }

    /// The lock that a run of the event must have.
    pub(crate) fn singleton(
        &self,
        event: &Value,
        now: Timestamp,
    ) -> Option<(SingletonMode, Box<str>, DedupeKey)> {
        let rule = self.rules.singleton.as_ref()?;
        let text = under(self.singleton.as_ref(), event, now)?;
        let lock = singleton::lock(&text);
        Some((rule.mode, text, lock))
    }

    /// What the rules make of the event for the run that it starts, its lock aside.
    pub(crate) fn keys(&self, event: &Value, now: Timestamp) -> RunKeys {
        let value = |(name, key): &(u64, Key)| KeyValue {
            rule: *name,
            text: key.text(event, now).unwrap_or_else(|| "false".into()),
        };
        RunKeys {
            priority: self
                .priority
                .as_ref()
                .map_or(0, |key| priority::seconds(key, event, now)),
            singleton: None,
            values: self.keyed.iter().map(value).collect(),
        }
    }
}

impl Key {
    /// Whether it is true of the event.
    fn is_true(&self, event: &Value, now: Timestamp) -> bool {
        self.answer(event, now)
            .is_some_and(|answer| answer.is_true())
    }

    /// What it evaluates to, if it does.
    pub(crate) fn answer(&self, event: &Value, now: Timestamp) -> Option<dunlin_expr::Answer> {
        let scope = dunlin_expr::Scope {
            event,
            async_event: None,
            now,
        };
        self.0.as_ref()?.evaluate(&scope).ok()
    }
}

/// Rules with keys that hold once a run is there, each once, with their names.
fn keyed(rules: &FlowRules) -> Vec<(u64, Key)> {
    let counted = [
        (Rule::Concurrency, &rules.concurrency),
        (Rule::Runs, &rules.runs),
    ];
    let counted = counted.into_iter().flat_map(|(rule, list)| {
        list.iter()
            .filter_map(move |one| Some((rule, one.scope, one.key.as_deref()?)))
    });
    let throttle = rules.throttle.iter().filter_map(|one| {
        Some((
            Rule::Throttle,
            crate::config::Scope::Function,
            one.key.as_deref()?,
        ))
    });
    let mut out: Vec<(u64, Key)> = Vec::new();
    for (rule, scope, text) in counted.chain(throttle) {
        let name = KeyValue::name(rule, scope, text);
        if out.iter().all(|(known, _)| *known != name) {
            out.push((name, Key::new(text)));
        }
    }
    out
}
