//! Rate limit: events that come faster than so many in a time start nothing.

use crate::config::RateRule;
use crate::flow::gcra::Gcra;

/// The rate of a rule: evenly, with a tenth of its limit as burst (as the reference server).
pub(crate) const fn rate(rule: &RateRule) -> Gcra {
    Gcra::new(rule.limit, rule.period_ms, 1 + rule.limit / 10)
}
