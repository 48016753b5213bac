//! Idempotency: a value of the expression starts one run in a period; a rate limit of one.

use crate::flow::gcra::Gcra;

/// The rate of one in that time.
pub(crate) const fn rate(period_ms: i64) -> Gcra {
    Gcra::new(1, period_ms, 1)
}
