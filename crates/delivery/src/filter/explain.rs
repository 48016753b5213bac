//! Why a message was not wanted: the first term that failed, and what stood there instead.

use std::fmt;

use dunlin_expr::Value;
use dunlin_types::limits;

use super::evaluate::{Fits, Meter};
use super::parse::{Clause, Kind, Term, Test};
use super::value::{cut, shown};
use crate::json_path::push_name;

/// The first term of a filter that a message does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where in the message, such as `payload.data.currency`; empty for the whole.
    pub path: String,
    /// What the filter says there, as in its text; shortened.
    pub expected: String,
    /// The JSON value that is there, shortened; `missing` if there is none.
    pub found: String,
}

impl Mismatch {
    /// Of a message that cannot be decided within the budget.
    pub(super) fn too_costly() -> Self {
        Self {
            path: String::new(),
            expected: format!("to be decided in {} comparisons", limits::FILTER_STEPS_MAX),
            found: "more".to_owned(),
        }
    }

    /// Of any message, where the filter cannot be read any more.
    pub(super) fn unreadable() -> Self {
        Self {
            path: String::new(),
            expected: "a filter that can be read".to_owned(),
            found: "one that cannot".to_owned(),
        }
    }

    fn at(path: String, expected: fmt::Arguments<'_>, value: Option<&Value>) -> Self {
        Self {
            path,
            expected: cut(expected),
            found: value.map_or_else(|| "missing".to_owned(), shown),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match self.path.as_str() {
            "" => "message",
            path => path,
        };
        write!(
            f,
            "{path}: expected {}, found {}",
            self.expected, self.found
        )
    }
}

/// Why a term does not fit a value, given that it does not.
pub(super) fn explain(root: &Term, message: &Value) -> Mismatch {
    let (mut term, mut value, mut path) = (root, Some(message), String::new());
    let mut meter = Meter::new();
    loop {
        let Some(clause) = failing(term, &mut meter, value) else {
            return Mismatch::at(path, format_args!("{}", term.shown), value);
        };
        let next = match &clause.test {
            Test::Field(below) => {
                push_name(&mut path, &clause.name);
                value = clause.below(value);
                Some(below)
            }
            Test::Every(terms) => first(terms, |term| term.fits(&mut meter, value)),
            _ => None,
        };
        let Some(next) = next else {
            let expected = format_args!("{{\"{}\":{}}}", clause.name, clause.shown);
            return Mismatch::at(path, expected, value);
        };
        term = next;
    }
}

/// The first clause that fails by itself. What one element of a list must have together cannot be told
/// by one clause.
fn failing<'a>(term: &'a Term, meter: &mut Meter, value: Option<&Value>) -> Option<&'a Clause> {
    let Kind::Object(clauses) = &term.kind else {
        return None;
    };
    let is_list = value.is_some_and(Value::is_array);
    let alone = clauses
        .iter()
        .filter(|one| !is_list || !one.test.is_of_one_element());
    first(alone, |clause| clause.fits(meter, value))
}

fn first<T: Copy>(
    items: impl IntoIterator<Item = T>,
    mut fits: impl FnMut(T) -> Fits,
) -> Option<T> {
    let mut items = items.into_iter();
    items.find(|item| matches!(fits(*item), Ok(false)))
}
