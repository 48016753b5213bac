//! How fast new events may come in when the node has more to do than it gets done: overload is
//! answered by refusals, so that it never becomes memory.
//!
//! While the backlog is small, or has not been large for long, everything comes in. Beyond that,
//! events come in more slowly than runs end, the more slowly the larger the backlog, so that it
//! shrinks; the rest is refused before anything of it is read. What brings runs that exist already to their end never passes here.

mod meter;

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dunlin_types::{Code, Coded, limits};
use tracing::{info, warn};

pub(crate) use meter::Meter;

/// Part of the ends that new events may take up while the backlog is a little too large.
const SHARE_OF_ENDS: f64 = 0.9;
/// Backlogs beyond the one that is free at which next to nothing comes in.
const EXCESS_MAX: f64 = 2.0;
/// Seconds until events are tried again that too much memory kept out: nobody can tell.
const MEMORY_RETRY_SECS: f64 = 5.0;
/// A state is over once its figure is this far below its limit, in percent; else the log would
/// tell of each ripple.
const BACKLOG_OVER_PERCENT: u64 = 50;
const OTHERS_OVER_PERCENT: u64 = 95;

/// Why requests are refused for lack of room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Overload {
    /// More runs only wait for a free call than may, and no more come in for now.
    Backlog = 0,
    /// As many runs are live as may be.
    LiveRuns = 1,
    /// The process holds as much memory as it may.
    Memory = 2,
    /// Too many requests wait for their commit.
    Commits = 3,
}

impl Overload {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Backlog, Self::LiveRuns, Self::Memory, Self::Commits];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Backlog => "backlog",
            Self::LiveRuns => "live_runs",
            Self::Memory => "memory",
            Self::Commits => "commits",
        }
    }

    const fn detail(self) -> &'static str {
        match self {
            Self::Backlog => "more work is waiting than gets done; no more is taken for now",
            Self::LiveRuns => "as many runs are live as may be (--max-live-runs)",
            Self::Memory => "the server holds as much memory as it may (--memory-max)",
            Self::Commits => Code::Overloaded.title(),
        }
    }
}

/// How hard a node is pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pressure {
    /// Why new events are refused, or let in only so fast; none when all come in.
    pub overload: Option<Overload>,
    /// Items that only wait for a free call, and events that wait to be decided.
    pub backlog: u64,
    /// Backlog up to which all events come in.
    pub backlog_free_max: u64,
    /// Runs that have not ended.
    pub live_runs: u64,
    /// As many may be.
    pub live_runs_max: u64,
    /// Memory that is the process's own; none where the system does not tell.
    pub memory_bytes: Option<u64>,
    /// As much may be; none without a cap.
    pub memory_bytes_max: Option<u64>,
    /// Runs that end each second, of late.
    pub ended_per_second: u64,
    /// Events that come in each second while the backlog is too large.
    pub busy_per_second: u64,
    /// Requests that were refused since the start, in the order of [`Overload::ALL`].
    pub refused: [u64; 4],
    /// Seconds after which a refused request may be tried again.
    pub retry_after_secs: u64,
}

/// What may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaceLimits {
    pub(crate) backlog_free_max: u64,
    pub(crate) backlog_patience: Duration,
    pub(crate) live_runs_max: u64,
    pub(crate) memory_bytes_max: Option<u64>,
}

/// Events that may come in, as tokens. A request takes what it needs as long as one is left, and
/// what it took too much is waited off by those after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    at: Duration,
}

impl Bucket {
    /// A full one.
    pub(crate) fn full(per_second: f64, now: Duration) -> Self {
        Self {
            tokens: burst(per_second),
            at: now,
        }
    }

    /// Fills in what has come since.
    pub(crate) fn refill(&mut self, per_second: f64, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + passed * per_second).min(burst(per_second));
    }

    /// Whether anything may come in.
    pub(crate) fn has_room(&self) -> bool {
        self.tokens >= 1.0
    }

    /// Lets that many events in, if there is room for one.
    pub(crate) fn take(&mut self, events: usize) -> bool {
        let room = self.has_room();
        if room {
            self.tokens -= events as f64;
        }
        room
    }
}

fn burst(per_second: f64) -> f64 {
    (per_second * limits::INTAKE_BUSY_BURST_MS as f64 / 1000.0).max(1.0)
}

/// Events a second that may come in beside a backlog: fewer than runs end, going by how many runs
/// an event makes of late. `excess` is how much the backlog is too large, in backlogs that are free.
pub(crate) fn busy_rate(ended_per_second: f64, runs_per_event: f64, excess: f64) -> f64 {
    let share = SHARE_OF_ENDS * (1.0 - excess / EXCESS_MAX).max(0.0);
    let share = share * ended_per_second / runs_per_event.max(1.0);
    share.max(limits::INTAKE_BUSY_PER_SECOND_MIN as f64)
}

/// What the deciding thread tells of itself, and what those ask who let events in.
#[derive(Debug)]
pub(crate) struct Pace {
    limits: PaceLimits,
    began: Instant,
    backlog: AtomicU64,
    /// Milliseconds from `began` since which the backlog is too large; [`NEVER`] if it is not.
    large_since: AtomicU64,
    live: AtomicU64,
    memory: AtomicU64,
    ended_per_second: AtomicU64,
    busy_per_second: AtomicU64,
    /// Events that were let in and are not decided yet.
    waiting: Arc<AtomicU64>,
    /// Events that were let in since the start.
    taken: AtomicU64,
    refused: [AtomicU64; 4],
    bucket: Mutex<Bucket>,
    /// What the log was told last: an [`Overload`], or [`CALM`].
    told: AtomicU8,
}

/// That the backlog is not too large.
const NEVER: u64 = u64::MAX;
/// That nothing is wrong, among the numbers of [`Overload`].
const CALM: u8 = u8::MAX;

/// Events that were let in; they count as backlog until this is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    waiting: Arc<AtomicU64>,
    events: u64,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.events, Ordering::Relaxed);
    }
}

impl Pace {
    pub(crate) fn new(limits: PaceLimits) -> Self {
        let busy = busy_rate(0.0, 1.0, 0.0);
        Self {
            limits,
            began: Instant::now(),
            backlog: AtomicU64::new(0),
            large_since: AtomicU64::new(NEVER),
            live: AtomicU64::new(0),
            memory: AtomicU64::new(0),
            ended_per_second: AtomicU64::new(0),
            busy_per_second: AtomicU64::new(busy as u64),
            waiting: Arc::default(),
            taken: AtomicU64::new(0),
            refused: Default::default(),
            bucket: Mutex::new(Bucket::full(busy, Duration::ZERO)),
            told: AtomicU8::new(CALM),
        }
    }

    /// Whether a request with new events has a chance: asked before its body is read.
    pub(crate) fn check(&self) -> Result<(), Coded> {
        let waiting = self.waiting.load(Ordering::Relaxed);
        match self.shut(waiting, |bucket| bucket.has_room()) {
            None => Ok(()),
            Some(why) => Err(self.refuse(why)),
        }
    }

    /// Lets events in.
    pub(crate) fn admit(&self, events: usize) -> Result<Admitted, Coded> {
        let count = events as u64;
        let before = self.waiting.fetch_add(count, Ordering::Relaxed);
        let admitted = Admitted {
            waiting: Arc::clone(&self.waiting),
            events: count,
        };
        match self.shut(before, |bucket| bucket.take(events)) {
            None => {
                self.taken.fetch_add(count, Ordering::Relaxed);
                Ok(admitted)
            }
            Some(why) => Err(self.refuse(why)),
        }
    }

    /// Counts a refusal, and says it.
    pub(crate) fn refuse(&self, why: Overload) -> Coded {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
        Coded::new(Code::Overloaded, why.detail())
    }

    /// Why nothing may come in; `room` asks the bucket, and is asked only beyond the backlog that
    /// is free.
    fn shut(&self, waiting: u64, room: impl FnOnce(&mut Bucket) -> bool) -> Option<Overload> {
        let over = |max: u64, value: u64| value >= max;
        let memory = self.memory.load(Ordering::Relaxed);
        if self
            .limits
            .memory_bytes_max
            .is_some_and(|max| over(max, memory))
        {
            return Some(Overload::Memory);
        }
        let live = self.live.load(Ordering::Relaxed) + waiting;
        if over(self.limits.live_runs_max, live) {
            return Some(Overload::LiveRuns);
        }
        let backlog = self.backlog.load(Ordering::Relaxed) + waiting;
        if backlog <= self.limits.backlog_free_max || !self.is_out_of_patience() {
            return None;
        }
        let per_second = self.busy_per_second.load(Ordering::Relaxed) as f64;
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.refill(per_second, self.began.elapsed());
        (!room(&mut bucket)).then_some(Overload::Backlog)
    }

    /// Whether the backlog has been too large for longer than a burst may take.
    fn is_out_of_patience(&self) -> bool {
        if self.limits.backlog_patience.is_zero() {
            return true;
        }
        let since = self.large_since.load(Ordering::Relaxed);
        let passed = self.began.elapsed().as_millis() as u64;
        let patience = self.limits.backlog_patience.as_millis() as u64;
        since != NEVER && passed.saturating_sub(since) >= patience
    }

    /// Notes since when the backlog is too large. It is no longer when half of what is free is left.
    fn note_backlog(&self, backlog: u64) {
        let free = self.limits.backlog_free_max;
        let large = self.large_since.load(Ordering::Relaxed) != NEVER;
        let now = self.began.elapsed().as_millis() as u64;
        if backlog > limits::BACKLOG_BURST_RUNS_MAX {
            let patience = self.limits.backlog_patience.as_millis() as u64;
            let since = now.saturating_sub(patience);
            self.large_since.fetch_min(since, Ordering::Relaxed);
        } else if !large && backlog > free {
            self.large_since.store(now, Ordering::Relaxed);
        } else if large && backlog <= free * BACKLOG_OVER_PERCENT / 100 {
            self.large_since.store(NEVER, Ordering::Relaxed);
        }
    }

    /// Notes what there is after a turn of the deciding thread.
    pub(crate) fn publish(&self, backlog: usize, live: usize, meter: &mut Meter) {
        self.backlog.store(backlog as u64, Ordering::Relaxed);
        self.note_backlog(backlog as u64);
        self.live.store(live as u64, Ordering::Relaxed);
        let taken = self.taken.load(Ordering::Relaxed);
        if let Some(rates) = meter.turn(self.began.elapsed(), taken) {
            let free = self.limits.backlog_free_max.max(1) as f64;
            let excess = (backlog as f64 / free - 1.0).max(0.0);
            let busy = busy_rate(rates.ended, rates.runs_per_event, excess);
            self.ended_per_second
                .store(rates.ended as u64, Ordering::Relaxed);
            self.busy_per_second.store(busy as u64, Ordering::Relaxed);
        }
        self.tell();
    }

    /// Notes how much memory the process holds.
    pub(crate) fn sampled(&self, memory_bytes: u64) {
        self.memory.store(memory_bytes, Ordering::Relaxed);
        self.tell();
    }

    /// Says in the log when a state begins and when it is over, not that it goes on.
    fn tell(&self) {
        let told = self.told.load(Ordering::Relaxed);
        let state = self.state(told);
        let number = state.map_or(CALM, |why| why as u8);
        // Two threads come here; the one that changes it says so.
        if number == told || self.told.swap(number, Ordering::Relaxed) == number {
            return;
        }
        let seen = self.pressure();
        match state {
            Some(why) => warn!(
                code = %Code::Overloaded,
                reason = why.name(),
                backlog = seen.backlog,
                live_runs = seen.live_runs,
                memory_bytes = seen.memory_bytes.unwrap_or_default(),
                ended_per_second = seen.ended_per_second,
                "new events are held back: {}", why.detail()
            ),
            None => info!(
                refused = seen.refused.iter().sum::<u64>(),
                "all new events come in again"
            ),
        }
    }

    /// Why new events are held back, if they are; `told` is the state before.
    fn state(&self, told: u8) -> Option<Overload> {
        let exceeds = |why: Overload, value: u64, max: u64, percent: u64| {
            let max = match told == why as u8 {
                true => max.saturating_mul(percent) / 100,
                false => max,
            };
            (value > max).then_some(why)
        };
        let memory = self.limits.memory_bytes_max.and_then(|max| {
            let value = self.memory.load(Ordering::Relaxed);
            exceeds(Overload::Memory, value + 1, max, OTHERS_OVER_PERCENT)
        });
        let live = self.live.load(Ordering::Relaxed) + 1;
        let (live_max, free) = (self.limits.live_runs_max, self.limits.backlog_free_max);
        let backlog = self.backlog.load(Ordering::Relaxed);
        memory
            .or_else(|| exceeds(Overload::LiveRuns, live, live_max, OTHERS_OVER_PERCENT))
            .or_else(|| exceeds(Overload::Backlog, backlog, free, BACKLOG_OVER_PERCENT))
            .filter(|why| *why != Overload::Backlog || self.is_out_of_patience())
    }

    /// How things stand.
    pub(crate) fn pressure(&self) -> Pressure {
        let get = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let told = self.told.load(Ordering::Relaxed);
        let memory = get(&self.memory);
        let overload = Overload::ALL.into_iter().find(|why| *why as u8 == told);
        let mut seen = Pressure {
            overload,
            backlog: get(&self.backlog) + get(&self.waiting),
            backlog_free_max: self.limits.backlog_free_max,
            live_runs: get(&self.live),
            live_runs_max: self.limits.live_runs_max,
            memory_bytes: (memory > 0).then_some(memory),
            memory_bytes_max: self.limits.memory_bytes_max,
            ended_per_second: get(&self.ended_per_second),
            busy_per_second: get(&self.busy_per_second),
            refused: self.refused.each_ref().map(get),
            retry_after_secs: 1,
        };
        seen.retry_after_secs = retry_after(&seen);
        seen
    }
}

/// When what is too much will probably be gone.
fn retry_after(seen: &Pressure) -> u64 {
    let ended = seen.ended_per_second as f64;
    let excess = |value: u64, max: u64| (value + 1).saturating_sub(max) as f64;
    let secs = match seen.overload {
        Some(Overload::Memory) => MEMORY_RETRY_SECS,
        Some(Overload::LiveRuns) => excess(seen.live_runs, seen.live_runs_max) / ended.max(1.0),
        // What is taken meanwhile takes up most of what ends.
        _ => {
            let shrinks = (1.0 - SHARE_OF_ENDS) * ended;
            excess(seen.backlog, seen.backlog_free_max) / shrinks.max(1.0)
        }
    };
    (secs.ceil() as u64).clamp(1, limits::RETRY_AFTER_SECS_MAX)
}

#[cfg(test)]
mod tests;
