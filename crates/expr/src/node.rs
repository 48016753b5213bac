//! The form in which a parsed expression is kept: names resolved, macros recognised, literal
//! patterns compiled. Immutable, so that it can be shared between threads.

use std::fmt::Write as _;

use regex::Regex;
use serde_json::Value;

use crate::functions::Function;

/// Which of the two variables a route starts at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Event,
    Async,
}

impl Root {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Async => "async",
        }
    }
}

/// One step from a value into its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Key(String),
    At(usize),
}

/// A path whose every step is known from the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) root: Root,
    pub(crate) segments: Vec<Segment>,
}

impl Route {
    /// The value at the end of the route, starting at its root's value.
    pub(crate) fn follow<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.segments.iter().try_fold(root, |at, step| match step {
            Segment::Key(key) => at.as_object()?.get(key),
            Segment::At(index) => at.as_array()?.get(*index),
        })
    }

    /// The route as it would be written in an expression.
    pub(crate) fn text(&self) -> String {
        let mut text = self.root.name().to_owned();
        for segment in &self.segments {
            // Writing to a string cannot fail.
            let _ = match segment {
                Segment::Key(key) if is_plain(key) => write!(text, ".{key}"),
                Segment::Key(key) => write!(text, "[{key:?}]"),
                Segment::At(index) => write!(text, "[{index}]"),
            };
        }
        text
    }
}

fn is_plain(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A constant of the text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Type(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// What a comprehension makes of its elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    All,
    Exists,
    ExistsOne,
    Collect,
}

#[derive(Debug)]
pub(crate) struct Comprehension {
    pub(crate) fold: Fold,
    pub(crate) range: Node,
    /// Elements to which this is falsy are left out.
    pub(crate) test: Option<Node>,
    pub(crate) body: Node,
}

#[derive(Debug)]
pub(crate) enum Node {
    Literal(Literal),
    Route(Route),
    /// The element of the comprehension that is that many levels in.
    Local(usize),
    Field(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    Has(Box<Node>, String),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<Node>, Box<Node>),
    Or(Box<Node>, Box<Node>),
    If(Box<[Node; 3]>),
    Compare(Comparison, Box<Node>, Box<Node>),
    Arithmetic(Operator, Box<Node>, Box<Node>),
    In(Box<Node>, Box<Node>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Comprehension(Box<Comprehension>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Box<Regex>),
}

impl Node {
    /// The nodes directly below this one.
    pub(crate) fn children(&self) -> Vec<&Self> {
        match self {
            Self::Literal(_) | Self::Route(_) | Self::Local(_) => Vec::new(),
            Self::Field(one, _)
            | Self::Has(one, _)
            | Self::Not(one)
            | Self::Negate(one)
            | Self::Matches(one, _) => vec![one],
            Self::Index(left, right)
            | Self::And(left, right)
            | Self::Or(left, right)
            | Self::Compare(_, left, right)
            | Self::Arithmetic(_, left, right)
            | Self::In(left, right) => vec![left, right],
            Self::If(three) => three.iter().collect(),
            Self::List(items) | Self::Call(_, items) => items.iter().collect(),
            Self::Map(entries) => entries.iter().flat_map(|(k, v)| [k, v]).collect(),
            Self::Comprehension(each) => {
                let mut below = vec![&each.range];
                below.extend(&each.test);
                below.push(&each.body);
                below
            }
        }
    }

    /// Whether a variable is read at or below this node.
    pub(crate) fn reads(&self, root: Root) -> bool {
        matches!(self, Self::Route(route) if route.root == root)
            || self.children().iter().any(|child| child.reads(root))
    }

    /// Whether a function at or below this node reads the clock.
    pub(crate) fn reads_clock(&self) -> bool {
        matches!(self, Self::Call(function, _) if function.reads_clock())
            || self.children().iter().any(|child| child.reads_clock())
    }

    /// The routes read below this node, each once, in the order of the text.
    pub(crate) fn routes(&self, found: &mut Vec<Route>) {
        let route = match self {
            Self::Route(route) => Some(route.clone()),
            Self::Has(of, field) => match of.as_ref() {
                Self::Route(route) => {
                    let mut route = route.clone();
                    route.segments.push(Segment::Key(field.clone()));
                    Some(route)
                }
                _ => None,
            },
            _ => None,
        };
        match route {
            Some(route) if found.contains(&route) => {}
            Some(route) => found.push(route),
            None => self.children().iter().for_each(|child| child.routes(found)),
        }
    }
}
