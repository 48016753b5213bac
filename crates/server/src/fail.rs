//! Why a command failed, with the code that has a page and what to do about it.

use std::fmt;

use dunlin_types::{Code, Coded};

/// A coded error and its remedy.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What happened.
    pub(crate) error: Coded,
    /// What to do, if the code's page is not enough.
    pub(crate) remedy: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            error: Coded::new(code, detail),
            remedy: None,
        }
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failure {}

impl From<Coded> for Failure {
    fn from(error: Coded) -> Self {
        Self {
            error,
            remedy: None,
        }
    }
}
