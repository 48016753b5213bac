//! The clock: the wall clock made monotone, and, in test mode, moved ahead.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use dunlin_types::Timestamp;

/// The time of this process. It ticks by the monotonic clock, takes up steps forward of the wall
/// clock at once, and never goes backwards: where it is ahead, because the wall clock was for a
/// while, it goes at half the pace until the wall clock is there, so that what is timed goes on
/// coming due.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    advanced_ms: AtomicI64,
    hand: Mutex<Hand>,
}

/// How far the wall clock must be off before that counts: less is drift within a call.
const STEP_US_MIN: i64 = 1_000_000;

/// Where the clock stands.
#[derive(Clone, Copy, Debug)]
struct Hand {
    /// Since 1970, in microseconds.
    at: i64,
    /// Of the monotonic clock, when that was so, in microseconds.
    monotone: i64,
}

impl Hand {
    /// Where it stands when the two clocks tell that.
    fn moved(self, monotone: i64, wall: i64) -> Self {
        // Another thread may have been later, although it asked before.
        let passed = (monotone - self.monotone).max(0);
        let ticked = self.at + passed;
        let at = if wall > ticked + STEP_US_MIN {
            wall
        } else if wall < ticked - STEP_US_MIN {
            self.at + passed / 2
        } else {
            ticked
        };
        Self {
            at,
            monotone: monotone.max(self.monotone),
        }
    }
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        let hand = Hand {
            at: wall_us(),
            monotone: 0,
        };
        Self {
            started: Instant::now(),
            advanced_ms: AtomicI64::new(0),
            hand: Mutex::new(hand),
        }
    }

    /// The present instant; never before an earlier one.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let monotone = i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX);
        let mut hand = self.hand.lock().unwrap_or_else(PoisonError::into_inner);
        *hand = hand.moved(monotone, wall_us());
        let at = hand.at;
        drop(hand);
        Timestamp::from_ms(at.div_euclid(1000) + self.advanced_ms.load(Ordering::Relaxed))
    }

    /// What the wall clock shows, which others' clocks agree with: for what they check the time of.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        let advanced = self.advanced_ms.load(Ordering::Relaxed);
        Timestamp::from_ms(wall_us().div_euclid(1000) + advanced)
    }

    /// Moves the clock ahead (test mode).
    pub fn advance(&self, ms: i64) {
        self.advanced_ms.fetch_add(ms.max(0), Ordering::Relaxed);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "the node owns the clock")]
fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;
    const HOUR: i64 = 3600 * SECOND;

    #[test]
    fn advancing_moves_now_and_never_back() {
        let clock = Clock::new();
        let before = clock.now();
        clock.advance(86_400_000);
        assert!(clock.now().since(before) >= 86_400_000);
        clock.advance(-1_000);
        assert!(clock.now().since(before) >= 86_400_000);
    }

    #[test]
    fn a_wall_clock_that_was_an_hour_ahead_for_a_second_stops_no_timer() {
        let start = Hand { at: 0, monotone: 0 };
        let wrong = start.moved(SECOND, HOUR);
        assert_eq!(wrong.at, HOUR, "a step forward is followed");
        let mut hand = wrong;
        for second in 2..7202 {
            let before = hand.at;
            hand = hand.moved(second * SECOND, second * SECOND);
            assert!(
                hand.at >= before + SECOND / 2,
                "it stands still at {second}"
            );
        }
        let off = hand.at - 7201 * SECOND;
        assert!((0..=2 * SECOND).contains(&off), "it is right again: {off}");
    }

    #[test]
    fn a_wall_clock_that_goes_back_is_approached_without_going_back() {
        let start = Hand {
            at: HOUR,
            monotone: 0,
        };
        let hand = start.moved(SECOND, HOUR - 600 * SECOND);
        assert_eq!(hand.at, HOUR + SECOND / 2);
        let asked_before = hand.moved(SECOND / 2, HOUR);
        assert_eq!(asked_before.at, hand.at);
    }

    #[test]
    fn drift_within_a_second_is_left_alone() {
        let start = Hand { at: 0, monotone: 0 };
        assert_eq!(start.moved(SECOND, SECOND + SECOND / 2).at, SECOND);
        assert_eq!(start.moved(SECOND, SECOND / 2).at, SECOND);
    }
}
