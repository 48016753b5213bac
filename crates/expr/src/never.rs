//! Whether an expression is bound to fail for every incoming event, once its own event is known.

use dunlin_types::Timestamp;
use serde_json::Value;

use crate::evaluate::Evaluator;
use crate::node::{Node, Root};
use crate::program::Scope;
use crate::value::Fault;

/// Whether the node can be truthy for no value of `async`, as far as its constant parts tell. All
/// of them together have the budget of one evaluation.
pub(crate) fn is_never_truthy(node: &Node, event: &Value) -> bool {
    let scope = Scope {
        event,
        async_event: None,
        now: Timestamp::ZERO,
    };
    is_never(&mut Evaluator::new(&scope), node)
}

fn is_never<'a>(evaluator: &mut Evaluator<'a>, node: &'a Node) -> bool {
    if let Some(truthy) = constant(evaluator, node) {
        return !truthy;
    }
    match node {
        Node::And(left, right) => is_never(evaluator, left) || is_never(evaluator, right),
        Node::Or(left, right) => is_never(evaluator, left) && is_never(evaluator, right),
        Node::If(parts) => {
            let [condition, yes, no] = parts.as_ref();
            match constant(evaluator, condition) {
                Some(true) => is_never(evaluator, yes),
                Some(false) => is_never(evaluator, no),
                None => is_never(evaluator, yes) && is_never(evaluator, no),
            }
        }
        _ => false,
    }
}

/// Whether a part is truthy that depends on the event alone; a part that fails is not. The clock
/// goes on, so a part that reads it has no constant value.
fn constant<'a>(evaluator: &mut Evaluator<'a>, node: &'a Node) -> Option<bool> {
    if node.reads(Root::Async) || node.reads_clock() {
        return None;
    }
    match evaluator.evaluate(node) {
        Ok(value) => Some(value.is_truthy()),
        Err(Fault::Failed(_)) => Some(false),
        Err(Fault::TooCostly) => None,
    }
}
