//! Throttle: runs begin no faster than so many in a time; those beyond it wait their turn.

use crate::config::{RateRule, Rule, Scope};
use crate::flow::KeyValue;
use crate::flow::counters::Counters;
use crate::schedule::{GateKey, Kind, Wanted, rate_of};

/// The gate for runs of those values; none if they know nothing of its key.
pub(crate) fn gate(function: u32, rule: &RateRule, values: &[KeyValue]) -> Option<Wanted> {
    let (name, text): (u64, Box<str>) = match &rule.key {
        None => (0, "".into()),
        Some(key) => {
            let name = KeyValue::name(Rule::Throttle, Scope::Function, key);
            let value = values.iter().find(|value| value.rule == name)?;
            (name, value.text.clone())
        }
    };
    let counter = Counters::key(&text);
    let rate = rate_of(rule.limit, rule.period_ms, rule.burst);
    Some(Wanted {
        key: GateKey::Own(Rule::Throttle, function, name, text),
        kind: Kind::Rate(rate, counter),
        limit: 0,
    })
}
