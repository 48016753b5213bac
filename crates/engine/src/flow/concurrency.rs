//! Concurrency: at most so many calls in flight, or runs under way, under one value of a key.

use crate::config::{ConcurrencyRule, Rule, Scope};
use crate::flow::KeyValue;
use crate::schedule::{Kind, Wanted, own_or_shared};

/// The gate of a rule for runs of those values; none if they know nothing of its key.
pub(crate) fn gate(
    rule: Rule,
    function: u32,
    of: &ConcurrencyRule,
    values: &[KeyValue],
) -> Option<Wanted> {
    let (name, text) = match &of.key {
        None => (0, "".into()),
        Some(key) => {
            let name = KeyValue::name(rule, of.scope, key);
            let value = values.iter().find(|value| value.rule == name)?;
            (name, value.text.clone())
        }
    };
    // Without a key there is nothing to count together: it holds in its function.
    let scope = if of.key.is_some() {
        of.scope
    } else {
        Scope::Function
    };
    Some(Wanted {
        key: own_or_shared(rule, function, scope, (name, text)),
        kind: if rule == Rule::Runs {
            Kind::Runs
        } else {
            Kind::Calls
        },
        limit: of.limit,
    })
}
