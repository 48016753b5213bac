//! Rate limit: events that come faster than so many in a time start nothing.

use crate::config::RateRule;
use crate::flow::gcra::Gcra;

/// The rate of a rule: evenly, with a tenth of its limit as burst (as the reference server).
pub(crate) const fn rate(rule: &RateRule) -> Gcra {
    Gcra::new(rule.limit, rule.period_ms, 1 + rule.limit / 10)
}

#[cfg(test)]
mod tests {
    use dunlin_types::Timestamp;
    use proptest::prelude::*;

    use super::*;

    /// The same over a list of what was let through: whoever comes must not be further ahead of an
    /// even pace since any of them than the burst allows.
    fn fits(let_through: &[i64], now: i64, rule: &RateRule) -> bool {
        let each = rule.period_ms * 1_000_000 / i64::from(rule.limit);
        let burst = i64::from(rule.limit / 10);
        let since = |(n, at): (usize, &i64)| {
            let count = (let_through.len() - n) as i64;
            count * each <= (now - at) * 1_000_000 + burst * each
        };
        let_through.iter().enumerate().all(since)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn it_lets_through_an_even_pace_and_a_tenth_of_the_limit_more(
            (limit, period_ms) in (1_u32..60, 1_000_i64..100_000),
            pauses in prop::collection::vec(0_i64..4_000, 1..40),
        ) {
            let rule = RateRule { limit, period_ms, burst: 0, key: None };
            let (mut tat, mut now, mut let_through) = (None, 0, Vec::new());
            for pause in pauses {
                now += pause;
                let taken = rate(&rule).take(tat, Timestamp::from_ms(now));
                prop_assert_eq!(taken.is_some(), fits(&let_through, now, &rule));
                if taken.is_some() {
                    (tat, _) = (taken, let_through.push(now));
                }
            }
        }
    }
}
