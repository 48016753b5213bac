//! The pending deliveries: which wait for their time, which for a free place, which are under way.
//! Every one is in exactly one phase, and each step costs the same however many there are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dunlin_types::{Seq, Timestamp, Token};

use crate::lane::{Lane, Room};
use crate::{Attempted, DeliveryRow, Standing};

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
    /// Must not overtake another delivery of its order.
    Blocked,
}

/// One pending delivery.
#[derive(Debug)]
pub(crate) struct Hot {
    pub(crate) row: DeliveryRow,
    pub(crate) phase: Phase,
    /// Who waits for the end of the attempt (samples only).
    pub(crate) token: Token,
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
    /// When endpoints that have something ready may be sent to again.
    openings: BTreeSet<(Timestamp, Seq)>,
    /// The deliveries that must not overtake each other, by endpoint and what they have in common.
    orders: BTreeMap<(Seq, u64), BTreeSet<Seq>>,
    /// How many are pending for each endpoint.
    pending: BTreeMap<Seq, usize>,
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
            openings: BTreeSet::new(),
            orders: BTreeMap::new(),
            pending: BTreeMap::new(),
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
    pub(crate) fn add_ready(&mut self, row: DeliveryRow, token: Token, now: Timestamp) {
        let delivery = row.seq;
        if self.add(row, token) {
            self.make_ready(delivery, now);
        }
    }

    /// Takes a delivery up that starts when its time comes.
    pub(crate) fn add_waiting(&mut self, row: DeliveryRow) {
        let (delivery, at) = (row.seq, row.next_at.unwrap_or(Timestamp::ZERO));
        if self.add(row, Token::NONE) {
            self.timers.insert((at, delivery));
        }
    }

    /// Whether it may go on: false if another delivery of its order comes first.
    fn add(&mut self, row: DeliveryRow, token: Token) -> bool {
        let delivery = row.seq;
        self.by_message.insert((row.message, delivery));
        *self.pending.entry(row.endpoint).or_default() += 1;
        let first = order_of(&row).is_none_or(|order| {
            let order = self.orders.entry(order).or_default();
            order.insert(delivery);
            order.first() == Some(&delivery)
        });
        let phase = if first {
            Phase::Waiting
        } else {
            Phase::Blocked
        };
        self.hot.insert(delivery, Hot { row, phase, token });
        first
    }

    /// How many are pending for that endpoint.
    pub(crate) fn pending_of(&self, endpoint: Seq) -> usize {
        self.pending.get(&endpoint).copied().unwrap_or(0)
    }

    /// How much an endpoint has to do.
    pub(crate) fn standing(&self, endpoint: Seq) -> Standing {
        let lane = self.lanes.get(&endpoint);
        Standing {
            pending: self.pending_of(endpoint),
            in_flight: lane.map_or(0, |lane| lane.in_flight),
        }
    }

    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let opening = self.openings.first().map(|(at, _)| *at);
        timer.into_iter().chain(opening).min()
    }

    pub(crate) fn take_due(&mut self, now: Timestamp, max: usize) -> Vec<Seq> {
        let mut due = Vec::new();
        while due.len() < max && self.timers.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.timers.pop_first().map(|(_, delivery)| delivery));
        }
        due
    }

    /// Endpoints that may be sent to again.
    pub(crate) fn take_open(&mut self, now: Timestamp, max: usize) -> Vec<Seq> {
        let mut open = Vec::new();
        while open.len() < max && self.openings.first().is_some_and(|(at, _)| *at <= now) {
            open.extend(self.openings.pop_first().map(|(_, endpoint)| endpoint));
        }
        open
    }

    /// A delivery whose timer went off, unless it has moved on since.
    pub(crate) fn waiting(&self, delivery: Seq) -> Option<&DeliveryRow> {
        let hot = self.hot.get(&delivery)?;
        matches!(hot.phase, Phase::Waiting).then_some(&hot.row)
    }

    /// A waiting delivery may start.
    pub(crate) fn make_ready(&mut self, delivery: Seq, now: Timestamp) {
        let Some(hot) = self.hot.get_mut(&delivery) else {
            return;
        };
        if !matches!(hot.phase, Phase::Waiting) {
            return;
        }
        hot.phase = Phase::Ready;
        let (endpoint, message) = (hot.row.endpoint, hot.row.message);
        self.timers
            .remove(&(hot.row.next_at.unwrap_or(Timestamp::ZERO), delivery));
        let lane = self.lanes.entry(endpoint).or_default();
        lane.ready.insert((message, delivery));
        self.list(endpoint, now);
    }

    /// The next delivery to start, counted as in flight from here on. `per_second` tells how
    /// many an endpoint takes.
    pub(crate) fn start_next(
        &mut self,
        now: Timestamp,
        per_second: impl Fn(Seq) -> Option<u32>,
    ) -> Option<Seq> {
        if self.in_flight >= self.caps.total {
            return None;
        }
        let endpoint = self.runnable.pop_front()?;
        let lane = self.lanes.get_mut(&endpoint)?;
        lane.listed = false;
        let (_, delivery) = lane.ready.pop_first()?;
        lane.start(now, per_second(endpoint));
        self.in_flight += 1;
        self.list(endpoint, now);
        if let Some(hot) = self.hot.get_mut(&delivery) {
            hot.phase = Phase::InFlight;
        }
        Some(delivery)
    }

    /// An attempt has ended: its place is free, the delivery waits for what is decided on it.
    pub(crate) fn finished(&mut self, delivery: Seq, now: Timestamp) {
        let Some(hot) = self.hot.get_mut(&delivery) else {
            return;
        };
        hot.phase = Phase::Waiting;
        let endpoint = hot.row.endpoint;
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        self.list(endpoint, now);
    }

    /// Changes how an endpoint is sent to.
    pub(crate) fn steer(&mut self, endpoint: Seq, now: Timestamp, how: impl FnOnce(&mut Lane)) {
        how(self.lanes.entry(endpoint).or_default());
        self.list(endpoint, now);
    }

    /// Sets the time of a delivery that has no timer.
    pub(crate) fn wait_until(&mut self, delivery: Seq, at: Timestamp) {
        if let Some(hot) = self.hot.get_mut(&delivery) {
            hot.row.next_at = Some(at);
            self.timers.insert((at, delivery));
        }
    }

    /// Drops a delivery that has ended. It must be waiting. The next of its order may go on.
    pub(crate) fn remove(&mut self, delivery: Seq) -> Option<Hot> {
        let hot = self.hot.remove(&delivery)?;
        self.by_message.remove(&(hot.row.message, delivery));
        self.timers
            .remove(&(hot.row.next_at.unwrap_or(Timestamp::ZERO), delivery));
        if let Some(pending) = self.pending.get_mut(&hot.row.endpoint) {
            *pending -= 1;
            if *pending == 0 {
                self.pending.remove(&hot.row.endpoint);
            }
        }
        if let Some(order) = order_of(&hot.row) {
            self.unblock(order, delivery);
        }
        Some(hot)
    }

    fn unblock(&mut self, order: (Seq, u64), ended: Seq) {
        let Some(members) = self.orders.get_mut(&order) else {
            return;
        };
        members.remove(&ended);
        let Some(next) = members.first().copied() else {
            self.orders.remove(&order);
            return;
        };
        if let Some(hot) = self.hot.get_mut(&next)
            && matches!(hot.phase, Phase::Blocked)
        {
            hot.phase = Phase::Waiting;
            let at = hot.row.next_at.unwrap_or(Timestamp::ZERO);
            self.timers.insert((at, next));
        }
    }

    /// Takes a delivery out of its endpoint's queue, or out of what blocks it, so that it may be
    /// dropped.
    pub(crate) fn unready(&mut self, delivery: Seq) {
        let Some(hot) = self.hot.get_mut(&delivery) else {
            return;
        };
        if let Phase::Ready = hot.phase
            && let Some(lane) = self.lanes.get_mut(&hot.row.endpoint)
        {
            lane.ready.remove(&(hot.row.message, delivery));
            if lane.ready.is_empty() && std::mem::take(&mut lane.listed) {
                let endpoint = hot.row.endpoint;
                self.runnable.retain(|one| *one != endpoint);
            }
        }
        if matches!(hot.phase, Phase::Ready | Phase::Blocked) {
            hot.phase = Phase::Waiting;
        }
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
        for (_, delivery) in ready {
            if let Some(hot) = self.hot.get_mut(&delivery) {
                hot.phase = Phase::Waiting;
                let at = hot.row.next_at.unwrap_or(now);
                self.timers.insert((at, delivery));
            }
        }
        self.list(endpoint, now);
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

    /// Lists the endpoint's lane if something in it can start, notes when it can if that is a
    /// matter of time, and forgets a lane of which there is nothing to know.
    fn list(&mut self, endpoint: Seq, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        if lane.is_forgettable(now) {
            self.lanes.remove(&endpoint);
            return;
        }
        if lane.listed || lane.ready.is_empty() {
            return;
        }
        match lane.room(now, self.caps.per_endpoint) {
            Room::Now => {
                lane.listed = true;
                self.runnable.push_back(endpoint);
            }
            Room::At(at) => {
                self.openings.insert((at, endpoint));
            }
            Room::None => {}
        }
    }

    /// The endpoint's time has come.
    pub(crate) fn opens(&mut self, endpoint: Seq, now: Timestamp) {
        self.list(endpoint, now);
    }
}

/// The order a delivery keeps. What somebody asked for by hand keeps none.
fn order_of(row: &DeliveryRow) -> Option<(Seq, u64)> {
    let keeps = row.trigger.is_retried();
    row.order_key
        .filter(|_| keeps)
        .map(|key| (row.endpoint, key))
}
