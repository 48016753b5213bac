//! Debounces and batches that hold an event now.

use dunlin_engine::config::{FunctionRow, Rule};
use dunlin_engine::flow::key_text;
use dunlin_engine::look::GatherView;
use dunlin_expr::{Program, Value};
use dunlin_types::Timestamp;

/// What gathers an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gathering {
    pub(crate) rule: Rule,
    pub(crate) key: String,
    pub(crate) due: Timestamp,
}

/// The rule by which a function gathers events, with the text of its key.
fn rule_of(function: &FunctionRow) -> Option<(Rule, Option<&str>)> {
    if let Some(rule) = &function.flow.debounce {
        return Some((Rule::Debounce, rule.key.as_deref()));
    }
    let rule = function.flow.batch.as_ref()?;
    Some((Rule::Batch, rule.key.as_deref()))
}

/// Whether the function's rules let it gather events.
pub(crate) fn may_gather(function: &FunctionRow) -> bool {
    rule_of(function).is_some()
}

/// The one of those that gather for the function that has the event: of its key, and begun by then.
pub(crate) fn find(
    function: &FunctionRow,
    event: &Value,
    received: Timestamp,
    now: &[GatherView],
) -> Option<Gathering> {
    let (rule, key) = rule_of(function)?;
    let key = match key {
        None => String::new(),
        Some(text) => match Program::parse(text) {
            Ok(program) => key_text(&program, event, received)?.into(),
            Err(_) => String::new(),
        },
    };
    let found = now
        .iter()
        .find(|view| view.rule == rule && view.key == key && view.opened <= received)?;
    Some(Gathering {
        rule,
        key,
        due: found.due,
    })
}
