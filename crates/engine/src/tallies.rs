//! Counts of what happened to each function since the process began, in all and by minute. For
//! looking at only; nothing is decided by them.

use dunlin_types::Timestamp;

use crate::config::Rule;
use crate::write::RunStatus;

/// Minutes that are told apart.
const MINUTES: usize = 6;
const MINUTE_MS: i64 = 60_000;

/// Counts of the last minutes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Minutes {
    counts: [u64; MINUTES],
    minute: i64,
}

impl Minutes {
    fn add(&mut self, now: Timestamp) {
        self.turn(now);
        self.counts[0] += 1;
    }

    fn turn(&mut self, now: Timestamp) {
        let minute = now.ms().div_euclid(MINUTE_MS);
        let passed = usize::try_from(minute - self.minute)
            .unwrap_or(0)
            .min(MINUTES);
        self.counts.rotate_right(passed % MINUTES);
        self.counts[..passed].fill(0);
        self.minute = minute.max(self.minute);
    }

    /// By minute, the one under way first.
    pub(crate) fn seen(mut self, now: Timestamp) -> Vec<u64> {
        self.turn(now);
        self.counts.to_vec()
    }
}

/// Of one function.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) made: u64,
    pub(crate) made_by_minute: Minutes,
    pub(crate) ended: [u64; 4],
    pub(crate) ended_by_minute: Minutes,
    pub(crate) calls: u64,
    pub(crate) calls_by_minute: Minutes,
    pub(crate) dropped: [u64; 12],
}

/// Of all functions, by number.
#[derive(Debug, Default)]
pub(crate) struct Tallies(Vec<Tally>);

impl Tallies {
    pub(crate) fn of(&self, function: u32) -> Tally {
        self.0.get(function as usize).copied().unwrap_or_default()
    }

    fn tally(&mut self, function: u32) -> &mut Tally {
        let index = function as usize;
        if self.0.len() <= index {
            self.0.resize(index + 1, Tally::default());
        }
        &mut self.0[index]
    }

    pub(crate) fn made(&mut self, function: u32, now: Timestamp) {
        let tally = self.tally(function);
        tally.made += 1;
        tally.made_by_minute.add(now);
    }

    pub(crate) fn ended(&mut self, function: u32, status: RunStatus, now: Timestamp) {
        let tally = self.tally(function);
        if let Some(count) = tally.ended.get_mut((status as usize).saturating_sub(1)) {
            *count += 1;
        }
        tally.ended_by_minute.add(now);
    }

    pub(crate) fn called(&mut self, function: u32, now: Timestamp) {
        let tally = self.tally(function);
        tally.calls += 1;
        tally.calls_by_minute.add(now);
    }

    pub(crate) fn dropped(&mut self, function: u32, rule: Rule) {
        if let Some(count) = self.tally(function).dropped.get_mut(rule as usize) {
            *count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_go_by() {
        let at = |minute: i64| Timestamp::from_ms(minute * MINUTE_MS + 5);
        let mut minutes = Minutes::default();
        for (minute, times) in [(100, 3), (101, 1), (103, 2)] {
            (0..times).for_each(|_| minutes.add(at(minute)));
        }
        assert_eq!(minutes.seen(at(103)), [2, 0, 1, 3, 0, 0]);
        assert_eq!(minutes.seen(at(104)), [0, 2, 0, 1, 3, 0]);
        assert_eq!(minutes.seen(at(200)), [0; 6]);
    }
}
