//! A parsed expression and what can be asked of it.

use std::fmt;
use std::sync::Arc;

use dunlin_types::limits::EXPRESSION_EVALUATION_STEPS_MAX;
use dunlin_types::{Code, Coded, Timestamp};
use serde_json::Value;

use crate::answer::Answer;
use crate::evaluate::{self, Evaluator};
use crate::lower;
use crate::never;
use crate::node::Node;
use crate::project;
use crate::terms::{self, EqualityTerm, Path};
use crate::value::{Evaluated, Fault, Val};

/// What an expression is evaluated over.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The variable `event`.
    pub event: &'a Value,
    /// The variable `async`, where there is one: the event that came in for a wait.
    pub async_event: Option<&'a Value>,
    /// What `now()` yields.
    pub now: Timestamp,
}

/// A parsed expression. Cloning it shares it.
#[derive(Clone)]
pub struct Program(Arc<Parsed>);

struct Parsed {
    text: String,
    node: Node,
}

impl Program {
    /// Parses an expression.
    ///
    /// # Errors
    /// [`Code::ExpressionBad`] when the text is no expression of the dialect, reads a variable or
    /// calls a function that does not exist, or is over one of the limits. The detail begins with
    /// line and column, as in `1:16: …`.
    pub fn parse(text: &str) -> Result<Self, Coded> {
        let node = lower::parse(text)
            .map_err(|fault| Coded::new(Code::ExpressionBad, fault.describe(text)))?;
        let text = text.to_owned();
        Ok(Self(Arc::new(Parsed { text, node })))
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The equalities without which the expression cannot be true.
    #[must_use]
    pub fn terms(&self) -> Vec<EqualityTerm> {
        terms::terms(&self.0.node)
    }

    /// The equalities between a path of `async` and a value that is known once `event` is: null
    /// stands for a field that is missing. Sorted by path, each once. When one of them does not
    /// hold, the expression is not true.
    #[must_use]
    pub fn index_terms(&self, event: &Value) -> Vec<(Path, Value)> {
        terms::bound(&self.0.node, event)
    }

    /// The smallest part of an event over which the expression has the value and the explanation
    /// that it has over the whole: what a path reads, all of a list that a position reads, and
    /// everything where `event` itself is used.
    #[must_use]
    pub fn project(&self, event: &Value) -> Value {
        project::project(&self.0.node, event)
    }

    /// Whether the expression cannot be true for any `async`, now or later, as far as the parts
    /// tell that read neither `async` nor the clock.
    #[must_use]
    pub fn is_never(&self, event: &Value) -> bool {
        never::is_never_truthy(&self.0.node, event)
    }

    /// The value of the expression.
    ///
    /// # Errors
    /// [`Code::ExpressionFailed`] when an operation is not defined for its operands,
    /// [`Code::ExpressionTooCostly`] when the budget is used up.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Answer, Coded> {
        let mut evaluator = Evaluator::new(scope);
        let answer = evaluator
            .evaluate(&self.0.node)
            .and_then(|value| Answer::from_val(&mut evaluator.meter, &value));
        coded(answer)
    }

    /// Whether the expression is true.
    ///
    /// # Errors
    /// As [`Self::evaluate`], and [`Code::ExpressionFailed`] when the value is no boolean.
    pub fn matches(&self, scope: &Scope<'_>) -> Result<bool, Coded> {
        let value = coded(Evaluator::new(scope).evaluate(&self.0.node))?;
        match value {
            Val::Bool(verdict) => Ok(verdict),
            Val::Missing => Err(no_boolean("a missing field")),
            other => Err(no_boolean(other.type_name())),
        }
    }

    /// The paths the expression reads, as text, with the values they have; null where a field is
    /// missing.
    #[must_use]
    pub fn explain(&self, scope: &Scope<'_>) -> Vec<(String, Value)> {
        let mut routes = Vec::new();
        self.0.node.routes(&mut routes);
        let seen = routes.iter().map(|route| {
            let root = evaluate::root(scope, route.root);
            let value = root.and_then(|root| route.follow(root));
            (route.text(), value.cloned().unwrap_or(Value::Null))
        });
        seen.collect()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Program").field(&self.0.text).finish()
    }
}

fn coded<T>(outcome: Evaluated<T>) -> Result<T, Coded> {
    outcome.map_err(|fault| match fault {
        Fault::Failed(why) => Coded::new(Code::ExpressionFailed, why),
        Fault::TooCostly => Coded::new(
            Code::ExpressionTooCostly,
            format!("the expression took more than {EXPRESSION_EVALUATION_STEPS_MAX} steps"),
        ),
    })
}

fn no_boolean(what: &str) -> Coded {
    let why = format!("the expression must be true or false, but its value is {what}");
    Coded::new(Code::ExpressionFailed, why)
}
