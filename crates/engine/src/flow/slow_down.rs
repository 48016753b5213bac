//! How many calls an app is sent at a time: as many as allowed, fewer when it says that it has too
//! much to do (429 or 503), and more again with each answer that goes well.

use dunlin_types::Timestamp;
use dunlin_types::limits::APP_PAUSE_MS_MAX;

use crate::schedule::Room;

/// The window of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlowDown {
    /// Most calls at a time.
    max: u32,
    /// Calls at a time as things stand.
    window: u32,
    /// Good answers since the window last grew.
    good: u32,
    /// Nothing goes out before.
    until: Timestamp,
    /// Calls that went out before then answer for the last time that it was slowed down.
    slowed: Timestamp,
}

impl SlowDown {
    /// As many as are allowed.
    pub(crate) const fn new(max: u32) -> Self {
        Self {
            max,
            window: max,
            good: 0,
            until: Timestamp::ZERO,
            slowed: Timestamp::ZERO,
        }
    }

    /// Calls at a time as things stand.
    pub(crate) const fn window(&self) -> u32 {
        self.window
    }

    /// The end of a pause that it asked for, if that is ahead.
    pub(crate) fn paused(&self, now: Timestamp) -> Option<Timestamp> {
        (self.until > now).then_some(self.until)
    }

    /// Whether one more may go out.
    pub(crate) fn room(&self, used: u32, now: Timestamp) -> Room {
        match self.paused(now) {
            Some(until) => Room::At(until),
            None if used < self.window => Room::Free,
            None => Room::Full,
        }
    }

    /// It has too much to do: half as many, and none for as long as it asks. One time of trouble
    /// counts once, however many calls were out.
    pub(crate) fn slow(
        &mut self,
        used: u32,
        sent: Timestamp,
        pause_ms: Option<i64>,
        now: Timestamp,
    ) {
        let pause = pause_ms.unwrap_or(0).clamp(0, APP_PAUSE_MS_MAX);
        self.until = self.until.max(now.plus_ms(pause));
        self.good = 0;
        if sent > self.slowed {
            self.window = (self.window.min(used.max(1)) / 2).max(1);
            self.slowed = now;
        }
    }

    /// An answer went well: an eighth more for each window of them, and at least one.
    pub(crate) fn went_well(&mut self) {
        if self.window >= self.max {
            return;
        }
        self.good += 1;
        if self.good >= self.window {
            self.good = 0;
            self.window = (self.window + 1 + self.window / 8).min(self.max);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    #[test]
    fn one_time_of_trouble_counts_once() {
        let mut app = SlowDown::new(256);
        for n in 0..100 {
            app.slow(200, at(1_000), Some(2_000), at(1_500 + n));
        }
        assert_eq!(app.window(), 100);
        assert_eq!(app.room(0, at(3_598)), Room::At(at(3_599)));
        assert_eq!(app.room(99, at(3_599)), Room::Free);
        assert_eq!(app.room(100, at(3_599)), Room::Full);
        app.slow(100, at(3_600), None, at(3_700));
        assert_eq!(app.window(), 50);
    }

    #[test]
    fn it_comes_back_to_all_that_is_allowed() {
        let mut app = SlowDown::new(256);
        for n in 1..20 {
            app.slow(1, at(n * 10_000), None, at(n * 10_000 + 1));
        }
        assert_eq!(app.window(), 1);
        let mut answers = 0;
        while app.window() < 256 {
            app.went_well();
            answers += 1;
        }
        assert!(answers < 4_000, "{answers}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn it_never_lets_out_more_than_its_window_nor_stops_for_good(
            steps in prop::collection::vec((0_u8..3, 0_i64..3_000), 1..80),
        ) {
            // The model: a list of calls that are out, asked one by one.
            let (mut app, mut out, mut now) = (SlowDown::new(8), Vec::new(), 0);
            for (step, pause) in steps {
                now += pause;
                match step {
                    0 => while app.room(out.len() as u32, at(now)) == Room::Free {
                        out.push(now);
                        prop_assert!(out.len() as u32 <= app.window());
                    },
                    1 => if let Some(sent) = out.pop() {
                        app.slow(out.len() as u32 + 1, at(sent), Some(pause), at(now));
                        prop_assert!(app.room(out.len() as u32, at(now)) != Room::Free || pause == 0);
                    },
                    _ => if out.pop().is_some() {
                        app.went_well();
                    },
                }
                prop_assert!((1..=8).contains(&app.window()));
                prop_assert_eq!(app.room(0, at(now + APP_PAUSE_MS_MAX)), Room::Free);
            }
        }
    }
}
