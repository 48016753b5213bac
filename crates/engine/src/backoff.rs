//! How long after a failed attempt the next one is made.

use dunlin_types::limits::{
    BACKOFF_JITTER_SECS_MAX, BACKOFF_SECS, RETRY_AFTER_MS_MAX, RETRY_AFTER_MS_MIN,
};

/// Milliseconds after attempt `attempt` (from 0) failed: what the app asked for, or the constant
/// interval, or the table with jitter from the seed.
pub(crate) fn delay_ms(
    attempt: u8,
    retry_after_ms: Option<i64>,
    interval_ms: Option<i64>,
    seed: u64,
) -> i64 {
    if let Some(asked) = retry_after_ms {
        return asked.clamp(RETRY_AFTER_MS_MIN, RETRY_AFTER_MS_MAX);
    }
    if let Some(interval) = interval_ms {
        return interval.max(0);
    }
    let base = BACKOFF_SECS[usize::from(attempt).min(BACKOFF_SECS.len() - 1)];
    let jitter = (seed >> 16) % (BACKOFF_JITTER_SECS_MAX.unsigned_abs() + 1);
    (base + jitter as i64) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_follow_the_table_and_what_the_app_asks() {
        for (attempt, base) in [(0, 15_000), (1, 30_000), (8, 3_600_000), (19, 7_200_000)] {
            for seed in [0, u64::MAX, 77 << 16] {
                let delay = delay_ms(attempt, None, None, seed);
                assert!((base..=base + 30_000).contains(&delay), "{attempt} {delay}");
            }
        }
        assert_eq!(delay_ms(3, Some(5), None, 1), 1000);
        assert_eq!(delay_ms(3, Some(7_000), Some(50), 1), 7_000);
        assert_eq!(delay_ms(3, None, Some(50), 1), 50);
    }
}
