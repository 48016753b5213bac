//! The arithmetic of rates (generic cell rate algorithm): one instant a key says all there is to know.

use dunlin_types::Timestamp;

/// Nanoseconds of a millisecond.
const NS_PER_MS: i64 = 1_000_000;

/// A rate, with what it tolerates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gcra {
    /// From one to the next if all come evenly, in nanoseconds.
    interval_ns: i64,
    /// How far ahead of that they may come together, in nanoseconds.
    tolerance_ns: i64,
}

impl Gcra {
    /// So many in so many milliseconds, `at_once` of them back to back.
    pub(crate) const fn new(limit: u32, period_ms: i64, at_once: u32) -> Self {
        let limit = if limit == 0 { 1 } else { limit as i64 };
        let interval_ns = period_ms.saturating_mul(NS_PER_MS) / limit;
        let interval_ns = if interval_ns == 0 { 1 } else { interval_ns };
        let at_once = if at_once == 0 { 1 } else { at_once as i64 };
        Self {
            interval_ns,
            tolerance_ns: interval_ns.saturating_mul(at_once),
        }
    }

    /// What the arrival time becomes if one more comes now; none if it comes too early.
    pub(crate) fn take(self, tat_ns: Option<i64>, now: Timestamp) -> Option<i64> {
        let now_ns = nanos(now);
        let next = tat_ns.unwrap_or(now_ns).max(now_ns);
        let next = next.saturating_add(self.interval_ns);
        (next <= now_ns.saturating_add(self.tolerance_ns)).then_some(next)
    }

    /// The first instant at which one more may come, `ahead` others before it.
    pub(crate) fn next(self, tat_ns: i64, ahead: u64) -> Timestamp {
        let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
        let more = self.interval_ns.saturating_mul(ahead.saturating_add(1));
        let at = tat_ns
            .saturating_add(more)
            .saturating_sub(self.tolerance_ns);
        Timestamp::from_ms(at.div_euclid(NS_PER_MS) + i64::from(at.rem_euclid(NS_PER_MS) > 0))
    }

    /// Whether that arrival time says as much as none.
    pub(crate) fn is_over(tat_ns: i64, now: Timestamp) -> bool {
        tat_ns <= nanos(now)
    }
}

const fn nanos(at: Timestamp) -> i64 {
    at.ms().saturating_mul(NS_PER_MS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same in words: a bucket of `at_once` tokens, one of which grows every interval.
    struct Bucket {
        tokens_ns: i64,
        at: i64,
        of: Gcra,
    }

    impl Bucket {
        fn take(&mut self, now: i64) -> bool {
            let grown = self.tokens_ns.saturating_add((now - self.at) * NS_PER_MS);
            self.tokens_ns = grown.min(self.of.tolerance_ns);
            self.at = now;
            let enough = self.tokens_ns >= self.of.interval_ns;
            if enough {
                self.tokens_ns -= self.of.interval_ns;
            }
            enough
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn it_lets_through_what_a_bucket_of_tokens_would(
            (limit, period_ms, at_once) in (1_u32..50, 1_i64..100_000, 1_u32..20),
            pauses in prop::collection::vec(0_i64..5_000, 1..60),
        ) {
            let of = Gcra::new(limit, period_ms, at_once);
            let mut bucket = Bucket { tokens_ns: of.tolerance_ns, at: 0, of };
            let (mut tat, mut now) = (None, 0);
            for pause in pauses {
                now += pause;
                let at = Timestamp::from_ms(now);
                let taken = of.take(tat, at);
                prop_assert_eq!(taken.is_some(), bucket.take(now));
                if let Some(early) = tat.filter(|_| taken.is_none()) {
                    let next = of.next(early, 0);
                    prop_assert!(next > at && of.take(tat, next).is_some());
                    prop_assert!(of.take(tat, next.plus_ms(-1)).is_none());
                }
                tat = taken.or(tat);
            }
        }
    }
}
