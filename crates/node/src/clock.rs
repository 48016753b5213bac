//! The clock: the wall clock made monotone, and, in test mode, moved ahead.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use dunlin_types::Timestamp;

/// The time of this process. It follows the wall clock as it was at the start by the monotonic
/// clock, takes up steps forward of the wall clock, and never goes backwards.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    started_ms: i64,
    advanced_ms: AtomicI64,
    last_ms: AtomicI64,
}

/// How far the wall clock must be ahead before it is followed: less is drift within a call.
const STEP_MS_MIN: i64 = 1_000;

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            started_ms: wall_ms(),
            advanced_ms: AtomicI64::new(0),
            last_ms: AtomicI64::new(0),
        }
    }

    /// The present instant; never before an earlier one.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let advanced = self.advanced_ms.load(Ordering::Relaxed);
        let monotone = self.started_ms + self.started.elapsed().as_millis() as i64;
        let wall = wall_ms();
        let real = if wall > monotone + STEP_MS_MIN {
            wall
        } else {
            monotone
        };
        let ms = real + advanced;
        Timestamp::from_ms(self.last_ms.fetch_max(ms, Ordering::Relaxed).max(ms))
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
fn wall_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_moves_now_and_never_back() {
        let clock = Clock::new();
        let before = clock.now();
        clock.advance(86_400_000);
        assert!(clock.now().since(before) >= 86_400_000);
        clock.advance(-1_000);
        assert!(clock.now().since(before) >= 86_400_000);
    }
}
