//! The equalities an expression cannot be true without, by which expressions can be indexed.

use dunlin_types::Timestamp;
use serde_json::Value;

use crate::evaluate;
use crate::node::{Comparison, Literal, Node, Root, Route, Segment};
use crate::program::Scope;

/// A path of names into one of the variables: `["async", "data", "id"]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<String>);

impl Path {
    /// Whether the path starts at `async`.
    #[must_use]
    pub fn is_async(&self) -> bool {
        self.0
            .first()
            .is_some_and(|root| root == Root::Async.name())
    }

    /// The value at the path. `None` is a missing field, which equals null.
    #[must_use]
    pub fn lookup<'a>(&self, scope: &Scope<'a>) -> Option<&'a Value> {
        let (root, names) = self.0.split_first()?;
        let root = if root == Root::Async.name() {
            Root::Async
        } else {
            Root::Event
        };
        let value = evaluate::root(scope, root)?;
        names
            .iter()
            .try_fold(value, |at, name| at.as_object()?.get(name))
    }

    fn of(route: &Route) -> Option<Self> {
        let mut names = vec![route.root.name().to_owned()];
        for segment in &route.segments {
            match segment {
                Segment::Key(name) => names.push(name.clone()),
                Segment::At(_) => return None,
            }
        }
        Some(Self(names))
    }
}

/// What a path is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum TermRight {
    /// A constant. Null is also equal to a missing field; numbers are equal by value, so `1` is
    /// equal to `1.0`.
    Literal(Value),
    /// Another path.
    Path(Path),
}

/// `left == right`, one of the conditions of a conjunction: when it is false, so is the whole.
#[derive(Clone, Debug, PartialEq)]
pub struct EqualityTerm {
    /// The path; where two are compared, the one that starts at `async`.
    pub left: Path,
    /// What it must be equal to.
    pub right: TermRight,
}

/// The equalities among the conjuncts of an expression.
pub(crate) fn terms(node: &Node) -> Vec<EqualityTerm> {
    let mut found = Vec::new();
    collect(node, &mut found);
    found
}

/// The equalities of an `async` path with what is known once the event is.
pub(crate) fn bound(node: &Node, event: &Value) -> Vec<(Path, Value)> {
    let scope = Scope {
        event,
        async_event: None,
        now: Timestamp::ZERO,
    };
    let mut bound: Vec<(Path, Value)> = Vec::new();
    for EqualityTerm { left, right } in terms(node) {
        let value = match right {
            TermRight::Literal(value) => value,
            TermRight::Path(path) if path.is_async() => continue,
            TermRight::Path(path) => path.lookup(&scope).cloned().unwrap_or(Value::Null),
        };
        if left.is_async() && !bound.iter().any(|(path, at)| *path == left && *at == value) {
            bound.push((left, value));
        }
    }
    bound.sort_by(|(a, _), (b, _)| a.cmp(b));
    bound
}

fn collect(node: &Node, found: &mut Vec<EqualityTerm>) {
    match node {
        Node::And(left, right) => {
            collect(left, found);
            collect(right, found);
        }
        Node::Compare(Comparison::Equal, left, right) => found.extend(term(left, right)),
        _ => {}
    }
}

fn term(left: &Node, right: &Node) -> Option<EqualityTerm> {
    match (left, right) {
        (Node::Route(path), Node::Literal(literal))
        | (Node::Literal(literal), Node::Route(path)) => Some(EqualityTerm {
            left: Path::of(path)?,
            right: TermRight::Literal(constant(literal)?),
        }),
        (Node::Route(left), Node::Route(right)) => {
            let (left, right) = (Path::of(left)?, Path::of(right)?);
            let (left, right) = if right.is_async() && !left.is_async() {
                (right, left)
            } else {
                (left, right)
            };
            let right = TermRight::Path(right);
            Some(EqualityTerm { left, right })
        }
        _ => None,
    }
}

/// The literal as JSON, if events can hold it.
fn constant(literal: &Literal) -> Option<Value> {
    match literal {
        Literal::Null => Some(Value::Null),
        Literal::Bool(b) => Some((*b).into()),
        Literal::Int(n) => Some((*n).into()),
        Literal::Uint(n) => Some((*n).into()),
        Literal::Double(n) => serde_json::Number::from_f64(*n).map(Value::Number),
        Literal::Text(text) => Some(text.as_str().into()),
        Literal::Bytes(_) | Literal::Type(_) => None,
    }
}
