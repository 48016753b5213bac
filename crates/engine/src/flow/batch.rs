//! Batching: several events make one run, when they are enough or have waited long enough.

use dunlin_types::Timestamp;
use dunlin_types::limits::BATCH_BYTES_MAX;

use crate::config::BatchRule;

/// When a batch of so many events and bytes, opened then, is to be run.
pub(crate) fn due(
    rule: &BatchRule,
    (events, bytes): (usize, u64),
    opened: Timestamp,
    now: Timestamp,
) -> Timestamp {
    let full = events >= rule.size_max as usize || bytes >= BATCH_BYTES_MAX;
    if full {
        now
    } else {
        opened.plus_ms(rule.timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn it_is_full_by_count_by_bytes_or_by_time_whatever_comes_first(
            (size_max, timeout_ms) in (2_u32..8, 1_000_i64..20_000),
            events in prop::collection::vec((0_i64..3_000, 0_u64..4_000_000), 1..20),
        ) {
            let rule = BatchRule { size_max, timeout_ms, key: None, condition: None };
            let (mut now, mut list) = (0, Vec::new());
            for (pause, bytes) in events {
                now += pause;
                list.push((now, bytes));
                let opened = list[0].0;
                let sum = list.iter().map(|(_, bytes)| bytes).sum();
                let at = Timestamp::from_ms;
                let due = due(&rule, (list.len(), sum), at(opened), at(now));
                let full = list.len() == size_max as usize || sum >= 10 * 1024 * 1024;
                prop_assert_eq!(due, at(if full { now } else { opened + timeout_ms }));
                if full || due <= at(now) {
                    list.clear();
                }
            }
        }
    }
}
