//! How many requests were refused since the process began: too many at a time, not verified, not
//! allowed, wrong. `/metrics` shows it; codes and statuses are few, so its series are.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use dunlin_types::Code;
use http::{HeaderMap, StatusCode};

use crate::error::ERROR_HEADER;
use crate::policy::{Route, Who};

/// Where a request was going, the status and the code that it got.
type Kind = (&'static str, u16, Code);

/// Refusals by kind.
#[derive(Debug, Default)]
pub(crate) struct RefusedCounts(Mutex<BTreeMap<Kind, u64>>);

impl RefusedCounts {
    /// Counts a response to a request at that row, if it is a refusal.
    pub(crate) fn count(&self, row: Option<&Route>, status: StatusCode, headers: &HeaderMap) {
        let is_refusal = status.is_client_error() || status.is_server_error();
        let Some(code) = code_in(headers).filter(|_| is_refusal) else {
            return;
        };
        let kind = (place(row), status.as_u16(), code);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kind).or_default() += 1;
    }

    /// All of them.
    pub(crate) fn all(&self) -> BTreeMap<Kind, u64> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }
}

fn place(row: Option<&Route>) -> &'static str {
    match row.map(|row| row.who) {
        Some(Who::SourceSignature) => "webhooks",
        Some(Who::EventKey) => "events",
        _ => "api",
    }
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    let text = headers.get(ERROR_HEADER)?.to_str().ok()?;
    Code::from_number(text.strip_prefix('E')?.parse().ok()?)
}
