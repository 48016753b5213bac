//! Whether a term fits a value. Every step is counted: messages may be long lists, and filters are
//! asked on the thread that decides.

use std::cmp::Ordering;

use dunlin_expr::Value;
use dunlin_types::limits;

use super::parse::{Among, Clause, Kind, Term, Test};
use super::value::order;

/// The budget is used up; nothing may turn this into an answer.
#[derive(Debug)]
pub(super) struct TooCostly;

pub(super) type Fits = Result<bool, TooCostly>;

/// Counts steps.
pub(super) struct Meter {
    left: usize,
}

impl Meter {
    pub(super) const fn new() -> Self {
        Self {
            left: limits::FILTER_STEPS_MAX,
        }
    }

    fn charge(&mut self, steps: usize) -> Result<(), TooCostly> {
        self.left = self.left.checked_sub(steps).ok_or(TooCostly)?;
        Ok(())
    }
}

impl Term {
    /// Whether it fits a value, `None` being one that is missing.
    pub(super) fn fits(&self, meter: &mut Meter, value: Option<&Value>) -> Fits {
        meter.charge(1)?;
        match (&self.kind, value) {
            (Kind::Object(clauses), _) => object_fits(clauses, meter, value),
            (Kind::Literal(literal), Some(value)) => has(meter, value, literal),
            (Kind::List(terms), Some(Value::Array(items))) => all(terms, |term| {
                any(items, |item| term.fits(meter, Some(item)))
            }),
            _ => Ok(false),
        }
    }
}

fn object_fits(clauses: &[Clause], meter: &mut Meter, value: Option<&Value>) -> Fits {
    if clauses.is_empty() {
        return Ok(value.is_some());
    }
    let mut whole = clauses.iter().filter(|one| !one.test.is_of_one_element());
    let fits = all(&mut whole, |clause| clause.fits(meter, value))?;
    Ok(fits && element_fits(clauses, meter, value)?)
}

/// Whether the value, or of a list one element, passes all tests that ask for one element.
fn element_fits(clauses: &[Clause], meter: &mut Meter, value: Option<&Value>) -> Fits {
    let mut asking = clauses.iter().filter(|one| one.test.is_of_one_element());
    match value {
        Some(Value::Array(items)) if asking.clone().next().is_some() => {
            meter.charge(1)?;
            any(items, |item| element_fits(clauses, meter, Some(item)))
        }
        _ => all(&mut asking, |clause| clause.fits(meter, value)),
    }
}

impl Clause {
    /// Whether it fits the value itself.
    pub(super) fn fits(&self, meter: &mut Meter, value: Option<&Value>) -> Fits {
        meter.charge(1)?;
        match (&self.test, value) {
            (Test::Field(term), _) => term.fits(meter, self.below(value)),
            (Test::Exist(wanted), _) => Ok(value.is_some() == *wanted),
            (Test::Any(terms), _) => any(terms, |term| term.fits(meter, value)),
            (Test::Every(terms), _) => all(terms, |term| term.fits(meter, value)),
            (Test::Not(term), _) => Ok(!term.fits(meter, value)?),
            (_, None) => Ok(false),
            (Test::Equal(operand), Some(value)) => has(meter, value, operand),
            (Test::NotEqual(operand), Some(value)) => Ok(!has(meter, value, operand)?),
            (Test::In(among), Some(value)) => is_among(meter, value, among),
            (Test::NotIn(among), Some(value)) => Ok(!is_among(meter, value, among)?),
            (Test::Compare { with, wanted }, Some(value)) => {
                Ok(order(value, with).is_some_and(wanted))
            }
            (Test::StartsWith(start), Some(value)) => {
                Ok(value.as_str().is_some_and(|text| text.starts_with(start)))
            }
            (Test::EndsWith(end), Some(value)) => {
                Ok(value.as_str().is_some_and(|text| text.ends_with(end)))
            }
        }
    }

    /// The value that a field's term is about.
    pub(super) fn below<'a>(&self, value: Option<&'a Value>) -> Option<&'a Value> {
        value?.as_object()?.get(&*self.name)
    }
}

/// Whether a value is equal to the operand, or is a list that has it at any depth.
fn has(meter: &mut Meter, value: &Value, operand: &Value) -> Fits {
    if equal(meter, value, operand)? {
        return Ok(true);
    }
    match value {
        Value::Array(items) => any(items, |item| has(meter, item, operand)),
        _ => Ok(false),
    }
}

fn is_among(meter: &mut Meter, value: &Value, among: &Among) -> Fits {
    match (among, value) {
        (Among::Values(operands), _) => any(operands, |operand| has(meter, value, operand)),
        (Among::Text(part), Value::String(text)) => {
            // A step is worth some nanoseconds, in which so much is searched.
            meter.charge(text.len() / 64)?;
            Ok(text.contains(part))
        }
        (Among::Text(part), Value::Array(items)) => any(items, |item| {
            meter.charge(1)?;
            Ok(item.as_str() == Some(part))
        }),
        (Among::Text(_), _) => Ok(false),
    }
}

fn equal(meter: &mut Meter, left: &Value, right: &Value) -> Fits {
    meter.charge(1)?;
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            Ok(left.len() == right.len()
                && all(left.iter().zip(right), |(a, b)| equal(meter, a, b))?)
        }
        (Value::Object(left), Value::Object(right)) => Ok(left.len() == right.len()
            && all(right, |(name, b)| match left.get(name) {
                Some(a) => equal(meter, a, b),
                None => Ok(false),
            })?),
        (Value::Null, Value::Null) => Ok(true),
        (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
        _ => Ok(order(left, right).is_some_and(Ordering::is_eq)),
    }
}

fn any<T>(items: impl IntoIterator<Item = T>, mut test: impl FnMut(T) -> Fits) -> Fits {
    for item in items {
        if test(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn all<T>(items: impl IntoIterator<Item = T>, mut test: impl FnMut(T) -> Fits) -> Fits {
    Ok(!any(items, |item| Ok(!test(item)?))?)
}
