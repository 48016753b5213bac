//! When a failed delivery is tried again.

use dunlin_types::{Seq, limits};

/// What of a failure decides on the next attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    /// The receiver's status; 0 when there was none.
    pub(crate) status: u16,
    /// What the receiver asked for.
    pub(crate) retry_after_ms: Option<i64>,
    /// Whether the deadline ended the attempt.
    pub(crate) timed_out: bool,
}

/// The delay after the failed attempt number `tries`, of those of a schedule; none when it was the
/// last. `flat_ms` takes the place of the delays, their jitter and their floors.
pub(crate) fn delay_ms(
    delays_ms: &[i64],
    tries: u8,
    pace: Pace,
    flat_ms: Option<i64>,
    jitter: u64,
) -> Option<i64> {
    let at = usize::from(tries).checked_sub(1)?;
    let listed = *delays_ms.get(at)?;
    let delay = match flat_ms {
        Some(flat) => flat.max(0),
        None if pace.timed_out || pace.status == 429 => {
            jittered(listed, jitter).max(limits::DELIVERY_PENALTY_MS_MIN)
        }
        None => jittered(listed, jitter),
    };
    let asked = pace
        .retry_after_ms
        .filter(|_| matches!(pace.status, 429 | 503));
    let longest = (2 * delay).max(limits::DELIVERY_RETRY_AFTER_MS_MAX);
    Some(asked.map_or(delay, |ms| ms.clamp(delay, longest.max(delay))))
}

/// How long a receiver is left alone that asked for less.
pub(crate) fn slow_down_ms(pace: Pace, flat_ms: Option<i64>) -> i64 {
    let least = flat_ms.map_or(limits::DELIVERY_PENALTY_MS_MIN, |flat| flat.max(0));
    let most = least.max(limits::DELIVERY_RETRY_AFTER_MS_MAX);
    pace.retry_after_ms.unwrap_or(0).clamp(least, most)
}

fn jittered(delay: i64, jitter: u64) -> i64 {
    let span = delay * limits::DELIVERY_JITTER_PERCENT / 100;
    let place = i64::try_from(jitter % 2001).unwrap_or(1000);
    delay - span + 2 * span * place / 2000
}

/// The jitter of one delivery under the input's seed (the finaliser of SplitMix64, which spreads
/// neighbouring numbers).
pub(crate) fn jitter(seed: u64, delivery: Seq) -> u64 {
    let mut z = seed ^ delivery.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with(status: u16, retry_after_ms: Option<i64>, timed_out: bool) -> Pace {
        Pace {
            status,
            retry_after_ms,
            timed_out,
        }
    }

    #[test]
    fn eight_attempts_spread_over_more_than_a_day() {
        let delays: Vec<_> = (1..=9)
            .map(|tries| {
                delay_ms(
                    &limits::DELIVERY_DELAYS_MS,
                    tries,
                    Pace::default(),
                    None,
                    1000,
                )
            })
            .collect();
        let secs = [5, 300, 1800, 7200, 18_000, 36_000, 36_000];
        let mut expected: Vec<_> = secs.iter().map(|s| Some(s * 1000)).collect();
        expected.extend([None, None]);
        assert_eq!(delays, expected);
    }

    #[test]
    fn receivers_and_timeouts_can_only_lengthen_a_delay() {
        let cases = [
            (with(500, Some(9_000), false), 5_000),
            (with(503, Some(9_000), false), 9_000),
            (with(503, Some(1_000), false), 5_000),
            (with(503, Some(86_400_000), false), 3_600_000),
            (with(429, None, false), 60_000),
            (with(429, Some(90_000), false), 90_000),
            (with(0, None, true), 60_000),
        ];
        for (pace, expected) in cases {
            assert_eq!(
                delay_ms(&limits::DELIVERY_DELAYS_MS, 1, pace, None, 1000),
                Some(expected),
                "{pace:?}"
            );
        }
    }

    #[test]
    fn a_flat_interval_replaces_schedule_and_floors() {
        assert_eq!(
            delay_ms(
                &limits::DELIVERY_DELAYS_MS,
                3,
                with(0, None, true),
                Some(50),
                7
            ),
            Some(50)
        );
        assert_eq!(
            delay_ms(&limits::DELIVERY_DELAYS_MS, 8, Pace::default(), Some(50), 7),
            None
        );
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_fifth(tries in 1_u8..=7, seed: u64, delivery: u64) {
            let listed = limits::DELIVERY_DELAYS_MS[usize::from(tries) - 1];
            let jitter = jitter(seed, Seq(delivery));
            let delay = delay_ms(&limits::DELIVERY_DELAYS_MS, tries, Pace::default(), None, jitter).unwrap();
            prop_assert!((listed * 4 / 5..=listed * 6 / 5).contains(&delay));
        }
    }
}
