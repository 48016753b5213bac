//! Idempotency: a value of the expression starts one run in a period; a rate limit of one.

use crate::flow::gcra::Gcra;

/// The rate of one in that time.
pub(crate) const fn rate(period_ms: i64) -> Gcra {
    Gcra::new(1, period_ms, 1)
}

#[cfg(test)]
mod tests {
    use dunlin_types::Timestamp;
    use dunlin_types::limits::IDEMPOTENCY_MS;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn a_value_starts_one_run_a_day(
            pauses in prop::collection::vec((0_i64..3, 0_i64..50_000_000), 1..40),
        ) {
            let of = rate(IDEMPOTENCY_MS);
            let (mut tat, mut now, mut last) = (None, 0, None);
            for (kind, pause) in pauses {
                // Now and then to the very instant at which the day is over.
                let over = last.map_or(now, |last| last + IDEMPOTENCY_MS);
                now = if kind == 0 { over.max(now) } else { now + pause };
                let fits = last.is_none_or(|last| now - last >= IDEMPOTENCY_MS);
                let taken = of.take(tat, Timestamp::from_ms(now));
                prop_assert_eq!(taken.is_some(), fits);
                if fits {
                    (tat, last) = (taken, Some(now));
                }
            }
        }
    }
}
