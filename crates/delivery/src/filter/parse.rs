//! A filter's text becomes terms. All that could be written wrongly without being noticed is refused here:
//! a filter that can never fit loses messages silently.

use std::cmp::Ordering;

use dunlin_expr::Value;
use dunlin_types::{json_depth, limits};

use super::FilterError;
use super::value::shown;

const OPERATORS: [&str; 14] = [
    "$eq",
    "$neq",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$in",
    "$nin",
    "$startsWith",
    "$endsWith",
    "$exist",
    "$or",
    "$and",
    "$not",
];

/// What a value must be like.
pub(super) struct Term {
    pub(super) kind: Kind,
    /// Its text, shortened.
    pub(super) shown: Box<str>,
}

pub(super) enum Kind {
    /// Null, a truth value, a number or a text.
    Literal(Value),
    /// A list: each term fits an element.
    List(Vec<Term>),
    /// An object: everything in it fits.
    Object(Vec<Clause>),
}

/// A member of an object: a field or an operator.
pub(super) struct Clause {
    pub(super) name: Box<str>,
    /// The text behind the name, shortened.
    pub(super) shown: Box<str>,
    pub(super) test: Test,
}

pub(super) enum Test {
    Field(Term),
    Equal(Value),
    NotEqual(Value),
    Compare {
        with: Value,
        wanted: fn(Ordering) -> bool,
    },
    In(Among),
    NotIn(Among),
    StartsWith(String),
    EndsWith(String),
    Exist(bool),
    Any(Vec<Term>),
    Every(Vec<Term>),
    Not(Term),
}

impl Test {
    /// Whether of a list one element must pass all such tests, instead of the list each of them.
    pub(super) const fn is_of_one_element(&self) -> bool {
        matches!(
            self,
            Self::Field(_) | Self::Compare { .. } | Self::StartsWith(_) | Self::EndsWith(_)
        )
    }
}

/// The operand of `$in` and `$nin`.
pub(super) enum Among {
    /// Values of which one must be equal.
    Values(Vec<Value>),
    /// A text that must be contained.
    Text(String),
}

/// Where a term stands, which decides what it may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The message.
    Root,
    /// Its headers, whose names have no case.
    Headers,
    /// Some value in it.
    Inside,
}

pub(super) fn parse(text: &str) -> Result<Term, FilterError> {
    if text.len() > limits::FILTER_BYTES_MAX {
        return Err(FilterError::new(format!(
            "it has {} bytes; at most {} are allowed",
            text.len(),
            limits::FILTER_BYTES_MAX
        )));
    }
    let levels = json_depth(text.as_bytes());
    if levels > limits::FILTER_DEPTH_LEVELS_MAX {
        return Err(FilterError::new(format!(
            "it nests {levels} levels deep; at most {} are allowed",
            limits::FILTER_DEPTH_LEVELS_MAX
        )));
    }
    let value: Value = text
        .parse()
        .map_err(|error| FilterError::new(format!("it is not JSON: {error}")))?;
    if members(&value) != colons(text) {
        let why = "an object has the same name twice, of which only one would count; \
                   put both conditions into one \"$and\": [{…}, {…}]";
        return Err(FilterError::new(why));
    }
    let mut parser = Parser { terms: 0 };
    parser.term(value, Place::Root)
}

/// Members of all objects in a value.
fn members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(fields) => fields.len() + fields.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

/// Colons outside of strings: each belongs to a member that was written.
fn colons(text: &str) -> usize {
    let (mut quoted, mut escaped, mut count) = (false, false, 0);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b':' if !quoted => count += 1,
            _ => {}
        }
    }
    count
}

struct Parser {
    terms: usize,
}

impl Parser {
    fn count(&mut self) -> Result<(), FilterError> {
        self.terms += 1;
        if self.terms <= limits::FILTER_TERMS_MAX {
            return Ok(());
        }
        Err(FilterError::new(format!(
            "here it has more than {} terms; give a long list of values to one $in",
            limits::FILTER_TERMS_MAX
        )))
    }

    fn term(&mut self, value: Value, place: Place) -> Result<Term, FilterError> {
        self.count()?;
        let shown = shown(&value).into();
        let kind = match value {
            Value::Object(fields) => {
                let clauses = fields.into_iter().map(|(name, operand)| {
                    let of_name = name.clone();
                    let clause = self.clause(name, operand, place);
                    clause.map_err(|error| error.within(&of_name))
                });
                Kind::Object(clauses.collect::<Result<_, _>>()?)
            }
            _ if place == Place::Root => {
                let why = "a filter is an object, such as {\"payload\": {\"data\": {\"currency\": \"EUR\"}}}";
                return Err(FilterError::new(why));
            }
            _ if place == Place::Headers => {
                let why = "headers are named, such as {\"x-tenant\": \"a\"}";
                return Err(FilterError::new(why));
            }
            Value::Array(items) => Kind::List(self.terms(items, place)?),
            literal => Kind::Literal(literal),
        };
        Ok(Term { kind, shown })
    }

    fn terms(&mut self, items: Vec<Value>, place: Place) -> Result<Vec<Term>, FilterError> {
        let items = items.into_iter().enumerate();
        items
            .map(|(at, item)| {
                let term = self.term(item, place);
                term.map_err(|error| error.within(&at.to_string()))
            })
            .collect()
    }

    fn clause(
        &mut self,
        name: String,
        operand: Value,
        place: Place,
    ) -> Result<Clause, FilterError> {
        let shown = shown(&operand).into();
        if name.starts_with('$') {
            self.count()?;
            let test = self.operator(&name, operand, place)?;
            let name = name.into();
            return Ok(Clause { name, shown, test });
        }
        let (name, below) = match place {
            Place::Root => (name.clone(), below_root(&name)?),
            Place::Headers => (name.to_ascii_lowercase(), Place::Inside),
            Place::Inside => (name, Place::Inside),
        };
        Ok(Clause {
            test: Test::Field(self.term(operand, below)?),
            name: name.into(),
            shown,
        })
    }

    fn operator(&mut self, name: &str, operand: Value, place: Place) -> Result<Test, FilterError> {
        let test = match name {
            "$or" => Test::Any(self.branches(operand, place)?),
            "$and" => Test::Every(self.branches(operand, place)?),
            "$not" => Test::Not(self.term(operand, place)?),
            _ if !OPERATORS.contains(&name) => {
                let known = OPERATORS.join(", ");
                let why = format!("there is no such operator; there are {known}");
                return Err(FilterError::new(why));
            }
            _ if place == Place::Root => {
                let why = format!("{name} belongs behind the name of a value, not at the top");
                return Err(FilterError::new(why));
            }
            "$eq" => Test::Equal(operand),
            "$neq" => Test::NotEqual(operand),
            "$gt" => compare(operand, Ordering::is_gt)?,
            "$gte" => compare(operand, Ordering::is_ge)?,
            "$lt" => compare(operand, Ordering::is_lt)?,
            "$lte" => compare(operand, Ordering::is_le)?,
            "$in" => Test::In(among(operand)?),
            "$nin" => Test::NotIn(among(operand)?),
            "$startsWith" => Test::StartsWith(text(operand)?),
            "$endsWith" => Test::EndsWith(text(operand)?),
            _ => Test::Exist(match operand {
                Value::Bool(wanted) => wanted,
                _ => return Err(FilterError::new("$exist takes true or false")),
            }),
        };
        Ok(test)
    }

    fn branches(&mut self, operand: Value, place: Place) -> Result<Vec<Term>, FilterError> {
        match operand {
            Value::Array(items) if !items.is_empty() => self.terms(items, place),
            _ => Err(FilterError::new(
                "it takes a list of conditions, at least one: [{…}, {…}]",
            )),
        }
    }
}

fn below_root(name: &str) -> Result<Place, FilterError> {
    match name {
        "headers" => Ok(Place::Headers),
        "eventType" | "payload" => Ok(Place::Inside),
        _ => Err(FilterError::new(
            "a message has eventType, payload and headers; fields of its body stand behind \
             payload: {\"payload\": {\"data\": {…}}}",
        )),
    }
}

fn compare(with: Value, wanted: fn(Ordering) -> bool) -> Result<Test, FilterError> {
    match with {
        Value::Number(_) | Value::String(_) => Ok(Test::Compare { with, wanted }),
        _ => Err(FilterError::new("it takes a number or a text")),
    }
}

fn among(operand: Value) -> Result<Among, FilterError> {
    match operand {
        Value::Array(values) if !values.is_empty() => Ok(Among::Values(values)),
        Value::String(text) => Ok(Among::Text(text)),
        _ => Err(FilterError::new(
            "it takes a list of values, at least one, or a text to look for",
        )),
    }
}

fn text(operand: Value) -> Result<String, FilterError> {
    match operand {
        Value::String(text) => Ok(text),
        _ => Err(FilterError::new("it takes a text")),
    }
}
