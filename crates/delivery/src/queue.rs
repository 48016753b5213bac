//! The pending deliveries: which wait for their time, which for a free place, which are under way.
//! Every one is in exactly one phase, and each step costs the same however many there are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dunlin_types::{Seq, Timestamp, Token};

use crate::{Attempted, DeliveryRow};

/// How many may be under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    pub(crate) per_endpoint: usize,
    pub(crate) total: usize,
}

/// Where a pending delivery is.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Has a timer at its `next_at`, or one that has gone off and is not handled yet.
    Waiting,
    /// In its endpoint's queue.
    Ready,
    /// Being tried.
    InFlight,
    /// Has made an event that a rival may outdo.
    Held(Box<Attempted>),
}

/// One pending delivery.
#[derive(Debug)]
pub(crate) struct Hot {
    pub(crate) row: DeliveryRow,
    pub(crate) phase: Phase,
    /// Who waits for the end of the attempt (samples only).
    pub(crate) token: Token,
}

/// The deliveries of one endpoint that may start.
#[derive(Debug, Default)]
struct Lane {
    ready: VecDeque<Seq>,
    in_flight: usize,
    /// Whether the lane is in [`Queue::runnable`].
    listed: bool,
}

#[derive(Debug)]
pub(crate) struct Queue {
    caps: Caps,
    hot: BTreeMap<Seq, Hot>,
    /// The same by message.
    by_message: BTreeSet<(Seq, Seq)>,
    timers: BTreeSet<(Timestamp, Seq)>,
    lanes: BTreeMap<Seq, Lane>,
    /// Endpoints that have something ready and a free place, in turn.
    runnable: VecDeque<Seq>,
    in_flight: usize,
}

impl Queue {
    pub(crate) fn new(caps: Caps) -> Self {
        Self {
            caps,
            hot: BTreeMap::new(),
            by_message: BTreeSet::new(),
            timers: BTreeSet::new(),
            lanes: BTreeMap::new(),
            runnable: VecDeque::new(),
            in_flight: 0,
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &DeliveryRow> {
        self.hot.values().map(|hot| &hot.row)
    }

    pub(crate) fn get(&self, delivery: Seq) -> Option<&Hot> {
        self.hot.get(&delivery)
    }

    pub(crate) fn get_mut(&mut self, delivery: Seq) -> Option<&mut Hot> {
        self.hot.get_mut(&delivery)
    }

    /// The pending deliveries of one message.
    pub(crate) fn of_message(&self, message: Seq) -> impl Iterator<Item = &Hot> {
        let range = (message, Seq(0))..=(message, Seq(u64::MAX));
        let ids = self.by_message.range(range);
        ids.filter_map(|(_, delivery)| self.hot.get(delivery))
    }

    /// Takes a delivery up; it starts as soon as there is a place.
    pub(crate) fn add_ready(&mut self, row: DeliveryRow, token: Token) {
        let delivery = row.seq;
        self.add(row, token);
        self.make_ready(delivery);
    }

    /// Takes a delivery up that starts when its time comes.
    pub(crate) fn add_waiting(&mut self, row: DeliveryRow) {
        let (delivery, at) = (row.seq, row.next_at.unwrap_or(Timestamp::ZERO));
        self.add(row, Token::NONE);
        self.timers.insert((at, delivery));
    }

    fn add(&mut self, row: DeliveryRow, token: Token) {
        self.by_message.insert((row.message, row.seq));
        let phase = Phase::Waiting;
        self.hot.insert(row.seq, Hot { row, phase, token });
    }

    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(crate) fn take_due(&mut self, now: Timestamp, max: usize) -> Vec<Seq> {
        let mut due = Vec::new();
        while due.len() < max && self.next_wake().is_some_and(|at| at <= now) {
            due.extend(self.timers.pop_first().map(|(_, delivery)| delivery));
        }
        due
    }

    /// A delivery whose timer went off, unless it has moved on since.
    pub(crate) fn waiting(&self, delivery: Seq) -> Option<&DeliveryRow> {
        let hot = self.hot.get(&delivery)?;
        matches!(hot.phase, Phase::Waiting).then_some(&hot.row)
    }

    /// A waiting delivery may start.
    pub(crate) fn make_ready(&mut self, delivery: Seq) {
        let Some(hot) = self.hot.get_mut(&delivery) else {
            return;
        };
        if !matches!(hot.phase, Phase::Waiting) {
            return;
        }
        hot.phase = Phase::Ready;
        let endpoint = hot.row.endpoint;
        self.timers
            .remove(&(hot.row.next_at.unwrap_or(Timestamp::ZERO), delivery));
        let lane = self.lanes.entry(endpoint).or_default();
        lane.ready.push_back(delivery);
        self.list(endpoint);
    }

    /// The next delivery to start, counted as in flight from here on.
    pub(crate) fn start_next(&mut self) -> Option<Seq> {
        if self.in_flight >= self.caps.total {
            return None;
        }
        let endpoint = self.runnable.pop_front()?;
        let lane = self.lanes.get_mut(&endpoint)?;
        lane.listed = false;
        let delivery = lane.ready.pop_front()?;
        lane.in_flight += 1;
        self.in_flight += 1;
        self.list(endpoint);
        if let Some(hot) = self.hot.get_mut(&delivery) {
            hot.phase = Phase::InFlight;
        }
        Some(delivery)
    }

    /// An attempt has ended: its place is free, the delivery waits for what is decided on it.
    pub(crate) fn finished(&mut self, delivery: Seq) {
        let Some(hot) = self.hot.get_mut(&delivery) else {
            return;
        };
        hot.phase = Phase::Waiting;
        let endpoint = hot.row.endpoint;
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        self.list(endpoint);
    }

    /// Sets the time of a delivery that has no timer.
    pub(crate) fn wait_until(&mut self, delivery: Seq, at: Timestamp) {
        if let Some(hot) = self.hot.get_mut(&delivery) {
            hot.row.next_at = Some(at);
            self.timers.insert((at, delivery));
        }
    }

    /// Drops a delivery that has ended. It must be waiting.
    pub(crate) fn remove(&mut self, delivery: Seq) -> Option<Hot> {
        let hot = self.hot.remove(&delivery)?;
        self.by_message.remove(&(hot.row.message, delivery));
        self.timers
            .remove(&(hot.row.next_at.unwrap_or(Timestamp::ZERO), delivery));
        Some(hot)
    }

    /// What is ready for that endpoint becomes due instead, so that it is looked at one by one.
    pub(crate) fn ready_due(&mut self, endpoint: Seq, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        let ready = std::mem::take(&mut lane.ready);
        if std::mem::take(&mut lane.listed) {
            self.runnable.retain(|one| *one != endpoint);
        }
        for delivery in ready {
            if let Some(hot) = self.hot.get_mut(&delivery) {
                hot.phase = Phase::Waiting;
                let at = hot.row.next_at.unwrap_or(now);
                self.timers.insert((at, delivery));
            }
        }
        self.forget_idle_lane(endpoint);
    }

    /// The same for what waits, too. Looks at every pending delivery: endpoints are rarely deleted.
    pub(crate) fn all_due(&mut self, endpoint: Seq, now: Timestamp) {
        self.ready_due(endpoint, now);
        for hot in self.hot.values() {
            if hot.row.endpoint == endpoint && matches!(hot.phase, Phase::Waiting) {
                // The row keeps its time: a restart must find what memory holds.
                let listed = hot.row.next_at.unwrap_or(now);
                self.timers.remove(&(listed, hot.row.seq));
                self.timers.insert((listed.min(now), hot.row.seq));
            }
        }
    }

    /// Lists the endpoint's lane if something in it can start, and forgets an empty one.
    fn list(&mut self, endpoint: Seq) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        if !lane.listed && !lane.ready.is_empty() && lane.in_flight < self.caps.per_endpoint {
            lane.listed = true;
            self.runnable.push_back(endpoint);
        }
        self.forget_idle_lane(endpoint);
    }

    fn forget_idle_lane(&mut self, endpoint: Seq) {
        let idle = |lane: &Lane| lane.ready.is_empty() && lane.in_flight == 0;
        if self.lanes.get(&endpoint).is_some_and(idle) {
            self.lanes.remove(&endpoint);
        }
    }
}
