//! How many runs end and are made each second, as the deciding thread counts them.

use std::time::Duration;

use dunlin_engine::Write;

/// Counts are turned into rates this often; over less they say little.
const WINDOW: Duration = Duration::from_millis(50);
/// Older counts fade over about this time.
const FADES: Duration = Duration::from_secs(1);

/// What happened of late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rates {
    /// Runs that end each second.
    pub(crate) ended: f64,
    /// Runs made for each event that was let in, all others that were made included.
    pub(crate) runs_per_event: f64,
}

/// Averages in which the last second weighs most.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    since: Duration,
    ended: u64,
    made: u64,
    taken_before: u64,
    ended_rate: f64,
    made_rate: f64,
    taken_rate: f64,
}

impl Meter {
    /// Counts what a commit holds.
    pub(crate) fn count(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::RunEnd(_) => self.ended += 1,
                Write::Run(_) => self.made += 1,
                _ => {}
            }
        }
    }

    /// The rates, when enough time has passed since they were told last. `taken` counts events
    /// since the start.
    pub(crate) fn turn(&mut self, now: Duration, taken: u64) -> Option<Rates> {
        let passed = now.saturating_sub(self.since);
        if passed < WINDOW {
            return None;
        }
        let secs = passed.as_secs_f64();
        let weight = 1.0 - (-secs / FADES.as_secs_f64()).exp();
        let fade = |rate: &mut f64, count: u64| *rate += weight * (count as f64 / secs - *rate);
        fade(&mut self.ended_rate, std::mem::take(&mut self.ended));
        fade(&mut self.made_rate, std::mem::take(&mut self.made));
        fade(
            &mut self.taken_rate,
            taken.saturating_sub(self.taken_before),
        );
        (self.since, self.taken_before) = (now, taken);
        // Below one event a second the share says nothing; the least rate holds then.
        Some(Rates {
            ended: self.ended_rate,
            runs_per_event: self.made_rate / self.taken_rate.max(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_near_to_what_happens_and_fade_when_it_ends() {
        let mut meter = Meter::default();
        let mut rates = None;
        for tick in 1..=100 {
            (meter.ended, meter.made) = (100, 300);
            rates = meter
                .turn(Duration::from_millis(tick * 100), tick * 100)
                .or(rates);
        }
        let seen = rates.unwrap();
        assert!((seen.ended - 1_000.0).abs() < 1.0, "{seen:?}");
        assert!((seen.runs_per_event - 3.0).abs() < 0.01, "{seen:?}");
        let later = meter.turn(Duration::from_secs(20), 10_000).unwrap();
        assert!(later.ended < 1.0, "{later:?}");
    }

    #[test]
    fn a_moment_says_nothing() {
        let mut meter = Meter {
            ended: 10,
            ..Meter::default()
        };
        assert_eq!(meter.turn(Duration::from_millis(1), 10), None);
        let seen = meter.turn(Duration::from_millis(100), 10).unwrap();
        assert!(seen.ended > 5.0 && seen.ended < 100.0, "{seen:?}");
    }
}
