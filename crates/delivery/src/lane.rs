//! How one endpoint is sent to: what may start there, how many at a time, and from when on.
//!
//! An endpoint that answers slowly or not at all gets fewer at a time, down to one, and more again
//! with each that arrives. So one that hangs takes up next to nothing, and one that is back after
//! hours is not overrun.

use std::collections::BTreeSet;

use dunlin_types::{Seq, Timestamp, limits};

use crate::Blocker;

/// The deliveries of one endpoint that may start.
#[derive(Debug)]
pub(crate) struct Lane {
    /// Oldest message first.
    pub(crate) ready: BTreeSet<(Seq, Seq)>,
    pub(crate) in_flight: usize,
    /// Its turn, while it is among those that can start something.
    pub(crate) listed: Option<Turn>,
    /// Whether its owner holds everything back.
    paused: bool,
    /// Whether the endpoint is gone.
    gone: bool,
    /// As many may be in flight as the receiver has shown that it can take.
    window: usize,
    /// Nothing starts before.
    opens: Timestamp,
    /// When the next may start by the endpoint's rate, in microseconds (GCRA).
    paced_us: i64,
}

/// A lane's place among those that can start something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Whether something of it is under way.
    pub(crate) busy: bool,
    pub(crate) number: u64,
}

/// Where a sample stands among what is ready: somebody waits for it.
pub(crate) const ASKED: Seq = Seq(0);

impl Default for Lane {
    fn default() -> Self {
        Self {
            ready: BTreeSet::new(),
            in_flight: 0,
            listed: None,
            paused: false,
            gone: false,
            window: limits::DELIVERIES_IN_FLIGHT_AT_FIRST,
            opens: Timestamp::ZERO,
            paced_us: 0,
        }
    }
}

/// Whether something may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// Yes.
    Now,
    /// From then on.
    At(Timestamp),
    /// Not until something ends or somebody allows it.
    None,
}

impl Lane {
    /// What the first of those that are ready finds.
    pub(crate) fn room(&self, now: Timestamp, in_flight_max: usize) -> Room {
        let Some((place, _)) = self.ready.first() else {
            return Room::None;
        };
        let opens = self.opens();
        if self.in_flight >= self.window.min(in_flight_max) {
            Room::None
        } else if *place == ASKED {
            Room::Now
        } else if self.paused {
            Room::None
        } else if opens > now {
            Room::At(opens)
        } else {
            Room::Now
        }
    }

    /// From when on its rate and its receiver let one more start.
    pub(crate) fn opens(&self) -> Timestamp {
        self.opens.max(self.paced())
    }

    /// Whether its owner, its rate or its receiver keeps back what is ready. Samples don't wait.
    pub(crate) fn holds_back(&self, now: Timestamp) -> bool {
        self.paused || self.opens() > now
    }

    /// The first that would start, were it not for its rate or its receiver. Samples don't wait.
    pub(crate) fn first_held(&self, now: Timestamp) -> Option<(Seq, Seq)> {
        let after_samples = (Seq(ASKED.0 + 1), Seq(0));
        let first = self.ready.range(after_samples..).next().copied();
        first.filter(|_| !self.paused && self.opens() > now)
    }

    /// Why one that is ready does not start, as far as this lane knows; `asked` for a sample. First
    /// what lasts however soon something ends.
    pub(crate) fn holds(
        &self,
        asked: bool,
        now: Timestamp,
        in_flight_max: usize,
    ) -> Option<Blocker> {
        let (used, limit) = (self.in_flight, self.window.min(in_flight_max));
        let until = self.opens();
        if self.paused && !asked {
            Some(Blocker::Paused)
        } else if until > now && !asked {
            Some(match self.opens >= self.paced() {
                true => Blocker::Receiver { until },
                false => Blocker::Rate { until },
            })
        } else {
            (used >= limit).then_some(Blocker::EndpointFull { used, limit })
        }
    }

    /// The millisecond from which on the rate lets one more start.
    fn paced(&self) -> Timestamp {
        Timestamp::from_ms(self.paced_us.div_euclid(1000))
    }

    /// One more is in flight.
    pub(crate) fn start(&mut self, now: Timestamp, per_second: Option<u32>) {
        self.in_flight += 1;
        if let Some(per_second) = per_second {
            let interval = 1_000_000 / i64::from(per_second.max(1));
            // What was not used up within a twentieth of a second is lost.
            let earliest = now.ms() * 1000 - limits::DELIVERY_RATE_BURST_US.min(interval);
            self.paced_us = self.paced_us.max(earliest) + interval;
        }
    }

    /// Something arrived.
    pub(crate) fn arrived(&mut self) {
        self.window = (self.window * 2).min(limits::DELIVERIES_IN_FLIGHT_PER_ENDPOINT_MAX);
    }

    /// Something got no answer, or one that says that the receiver is not well.
    pub(crate) fn stumbled(&mut self) {
        self.window = (self.window / 2).max(1);
    }

    /// Nothing starts before that, and then carefully. Whether it was to open sooner.
    pub(crate) fn close_until(&mut self, at: Timestamp) -> bool {
        let later = self.opens < at;
        self.rest_until(at);
        self.window = 1;
        later
    }

    /// Nothing starts before that.
    pub(crate) fn rest_until(&mut self, at: Timestamp) {
        self.opens = self.opens.max(at);
    }

    /// Its owner holds everything back, or lets it go on.
    pub(crate) fn pause(&mut self, paused: bool) {
        if self.paused && !paused {
            self.window = 1;
        }
        self.paused = paused;
    }

    /// The endpoint was switched on: what has gathered is not to overrun it. Whether its receiver
    /// had asked for more time.
    pub(crate) fn begin_carefully(&mut self, now: Timestamp) -> bool {
        let rested = self.opens > now;
        self.window = 1;
        self.opens = Timestamp::ZERO;
        rested
    }

    /// The endpoint is gone: there is nothing to remember.
    pub(crate) fn end(&mut self) {
        self.gone = true;
    }

    /// Whether its owner holds everything back.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether a new lane would be the same.
    pub(crate) fn is_forgettable(&self, now: Timestamp) -> bool {
        let usual = !self.paused
            && self.window >= limits::DELIVERIES_IN_FLIGHT_AT_FIRST
            && self.opens <= now
            && self.paced_us + limits::DELIVERY_RATE_BURST_US <= now.ms() * 1000;
        self.ready.is_empty() && self.in_flight == 0 && (usual || self.gone)
    }
}
