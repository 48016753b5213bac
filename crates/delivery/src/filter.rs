//! Content filters: which messages an endpoint wants, judged by what is in them.
//!
//! A filter is a JSON object over `{eventType, payload, headers}`. Names lead into the message, what
//! stands behind them must fit, and everything in one object must fit at once. A value that is missing
//! fits nothing but `{"$exist": false}` and what is turned round by `$not`. Where the message has a list,
//! one of its elements must fit. Nothing is converted: `"5"` and `5` are different.

mod evaluate;
mod explain;
mod input;
mod parse;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;
use std::sync::Arc;

use dunlin_types::{Code, Coded};

use evaluate::Meter;
pub use explain::Mismatch;
pub use input::FilterInput;
use parse::Term;
pub(crate) use value::{Exact, exact};

/// A filter that has been checked, and its text. Cheap to clone; equal if the texts are.
#[derive(Clone)]
pub struct Filter {
    source: Arc<str>,
    /// Nothing where the text could be read once and cannot be any more.
    root: Option<Arc<Term>>,
}

impl Filter {
    /// Checks a filter's text.
    ///
    /// # Errors
    /// With the place and what to write instead, if it is no filter or larger than filters may be.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        Ok(Self {
            root: Some(Arc::new(parse::parse(text)?)),
            source: text.into(),
        })
    }

    /// What is left of a filter that was kept and cannot be read any more: it wants nothing, and keeps its
    /// text. To do without it would send what nobody asked for.
    #[must_use]
    pub fn unreadable(text: &str) -> Self {
        Self {
            source: text.into(),
            root: None,
        }
    }

    /// The text it was made from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it wants the message; one that it cannot decide within its budget it does not want.
    #[must_use]
    pub fn fits(&self, input: &FilterInput<'_>) -> bool {
        self.root.as_ref().is_some_and(|root| {
            root.fits(&mut Meter::new(), Some(input.root()))
                .unwrap_or(false)
        })
    }

    /// Whether it wants the message, and if not the first term that failed.
    ///
    /// # Errors
    /// With that term, if it does not want the message.
    pub fn verdict(&self, input: &FilterInput<'_>) -> Result<(), Mismatch> {
        let Some(root) = &self.root else {
            return Err(Mismatch::unreadable());
        };
        match root.fits(&mut Meter::new(), Some(input.root())) {
            Ok(true) => Ok(()),
            Ok(false) => Err(explain::explain(root, input.root())),
            Err(_) => Err(Mismatch::too_costly()),
        }
    }
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Filter {}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.source).finish()
    }
}

/// Why a text is no filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// Where in the filter, as a JSON pointer; empty for the whole.
    pub path: String,
    /// What is wrong there, and what to write instead.
    pub why: String,
}

impl FilterError {
    fn new(why: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            why: why.into(),
        }
    }

    /// The same, of a part that has that name in the whole.
    fn within(mut self, name: &str) -> Self {
        let escaped = name.replace('~', "~0").replace('/', "~1");
        self.path.insert_str(0, &escaped);
        self.path.insert(0, '/');
        self
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "in the filter: {}", self.why),
            path => write!(f, "at {path} of the filter: {}", self.why),
        }
    }
}

impl std::error::Error for FilterError {}

impl From<FilterError> for Coded {
    fn from(error: FilterError) -> Self {
        Self::new(Code::FilterBad, error.to_string())
    }
}
