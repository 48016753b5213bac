//! The pending deliveries: which wait for their time, which for a free place, which are under way.
//! Every one is in exactly one phase, and each step costs the same however many there are.

mod audit;
pub(crate) mod blocker;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use dunlin_types::{Seq, Timestamp, Token};

use crate::lane::{ASKED, Lane, Room, Turn};
use crate::{Attempted, DeliveryRow, Held, Standing, Trigger};

/// How many may be under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Caps {
    pub(crate) per_endpoint: usize,
    pub(crate) total: usize,
}

impl Caps {
    /// Places that an endpoint may take that has one already. The others are for endpoints with
    /// nothing under way, so that a few that hang cannot keep all others waiting.
    fn shared(self) -> usize {
        self.total - self.total / 2
    }
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

impl Hot {
    /// Whether it may be dropped: it is not under way, and has not made anything either.
    pub(crate) fn is_cancellable(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Ready | Phase::Blocked)
    }
}

#[derive(Debug)]
pub(crate) struct Queue {
    caps: Caps,
    hot: BTreeMap<Seq, Hot>,
    /// The same by message.
    by_message: BTreeSet<(Seq, Seq)>,
    timers: BTreeSet<(Timestamp, Seq)>,
    lanes: BTreeMap<Seq, Lane>,
    /// Endpoints that have something ready and may start it, in turn; those with nothing under way
    /// apart from the others.
    idle: BTreeSet<(u64, Seq)>,
    busy: BTreeSet<(u64, Seq)>,
    turns: u64,
    /// When endpoints that have something ready may be sent to again.
    openings: BTreeSet<(Timestamp, Seq)>,
    /// The deliveries that must not overtake each other, by endpoint and what they have in common.
    orders: BTreeMap<(Seq, u64), BTreeSet<Seq>>,
    /// All of them by endpoint.
    by_endpoint: BTreeMap<Seq, BTreeSet<Seq>>,
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
            idle: BTreeSet::new(),
            busy: BTreeSet::new(),
            turns: 0,
            openings: BTreeSet::new(),
            orders: BTreeMap::new(),
            by_endpoint: BTreeMap::new(),
            in_flight: 0,
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &DeliveryRow> {
        self.hot.values().map(|hot| &hot.row)
    }

    /// Those of one endpoint behind that one, in order.
    pub(crate) fn of_endpoint(&self, endpoint: Seq, after: Seq) -> impl Iterator<Item = &Hot> {
        let behind = (Bound::Excluded(after), Bound::Unbounded);
        let ids = self.by_endpoint.get(&endpoint);
        let ids = ids.into_iter().flat_map(move |ids| ids.range(behind));
        ids.filter_map(|delivery| self.hot.get(delivery))
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Hot> {
        self.hot.values()
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
        let of_endpoint = self.by_endpoint.entry(row.endpoint).or_default();
        of_endpoint.insert(delivery);
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
        self.by_endpoint.get(&endpoint).map_or(0, BTreeSet::len)
    }

    /// How much an endpoint has to do.
    pub(crate) fn standing(&self, endpoint: Seq, now: Timestamp) -> Standing {
        let lane = self.lanes.get(&endpoint);
        Standing {
            pending: self.pending_of(endpoint),
            in_flight: lane.map_or(0, |lane| lane.in_flight),
            held: lane.and_then(|lane| self.held(lane, now)),
        }
    }

    /// Whether nothing may start at that endpoint, though there were places.
    pub(crate) fn holds_back(&self, endpoint: Seq, now: Timestamp) -> bool {
        let lane = self.lanes.get(&endpoint);
        lane.is_some_and(|lane| lane.holds_back(now))
    }

    /// Whether what is ready there waits for its rate or its receiver.
    fn held(&self, lane: &Lane, now: Timestamp) -> Option<Held> {
        let (_, first) = lane.first_held(now)?;
        let row = &self.hot.get(&first)?.row;
        Some(Held {
            since: row.next_at.unwrap_or(row.created),
            until: lane.opens(),
        })
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
        let (endpoint, place) = (hot.row.endpoint, place_of(&hot.row));
        self.timers
            .remove(&(hot.row.next_at.unwrap_or(Timestamp::ZERO), delivery));
        let lane = self.lanes.entry(endpoint).or_default();
        lane.ready.insert(place);
        self.list(endpoint, now);
    }

    /// The next delivery to start, counted as in flight from here on. `per_second` tells how
    /// many an endpoint takes.
    pub(crate) fn start_next(
        &mut self,
        now: Timestamp,
        per_second: impl Fn(Seq) -> Option<u32>,
    ) -> Option<Seq> {
        let (_, endpoint) = self.next_endpoint()?;
        let lane = self.lanes.get_mut(&endpoint)?;
        let (_, delivery) = lane.ready.pop_first()?;
        lane.start(now, per_second(endpoint));
        self.in_flight += 1;
        self.strike_off(endpoint);
        self.list(endpoint, now);
        if let Some(hot) = self.hot.get_mut(&delivery) {
            hot.phase = Phase::InFlight;
        }
        Some(delivery)
    }

    fn next_endpoint(&self) -> Option<(u64, Seq)> {
        let shared = self.in_flight < self.caps.shared();
        let any = self.in_flight < self.caps.total;
        let idle = self.idle.first().filter(|_| any);
        idle.or_else(|| self.busy.first().filter(|_| shared))
            .copied()
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
    pub(crate) fn steer<T>(
        &mut self,
        endpoint: Seq,
        now: Timestamp,
        how: impl FnOnce(&mut Lane) -> T,
    ) -> T {
        let answer = how(self.lanes.entry(endpoint).or_default());
        self.list(endpoint, now);
        answer
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
        if let Some(of_endpoint) = self.by_endpoint.get_mut(&hot.row.endpoint) {
            of_endpoint.remove(&delivery);
            if of_endpoint.is_empty() {
                self.by_endpoint.remove(&hot.row.endpoint);
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
    pub(crate) fn unready(&mut self, delivery: Seq, now: Timestamp) {
        let Some(hot) = self.hot.get_mut(&delivery) else {
            return;
        };
        let (endpoint, place) = (hot.row.endpoint, place_of(&hot.row));
        if matches!(hot.phase, Phase::Ready | Phase::Blocked) {
            hot.phase = Phase::Waiting;
        }
        if let Some(lane) = self.lanes.get_mut(&endpoint)
            && lane.ready.remove(&place)
        {
            self.list(endpoint, now);
        }
    }

    /// What is ready for that endpoint becomes due instead, so that it is looked at one by one.
    pub(crate) fn ready_due(&mut self, endpoint: Seq, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        let ready = std::mem::take(&mut lane.ready);
        for (_, delivery) in ready {
            if let Some(hot) = self.hot.get_mut(&delivery) {
                hot.phase = Phase::Waiting;
                let at = hot.row.next_at.unwrap_or(now);
                self.timers.insert((at, delivery));
            }
        }
        self.list(endpoint, now);
    }

    /// The same for what waits, too.
    pub(crate) fn all_due(&mut self, endpoint: Seq, now: Timestamp) {
        self.ready_due(endpoint, now);
        for delivery in self.by_endpoint.get(&endpoint).into_iter().flatten() {
            if let Some(hot) = self.hot.get(delivery)
                && matches!(hot.phase, Phase::Waiting)
            {
                // The row keeps its time: a restart must find what memory holds.
                let listed = hot.row.next_at.unwrap_or(now);
                self.timers.remove(&(listed, *delivery));
                self.timers.insert((listed.min(now), *delivery));
            }
        }
    }

    /// Lists the endpoint's lane if something in it can start and else strikes it off, notes when
    /// it can if that is a matter of time, and forgets a lane of which there is nothing to know.
    /// To be called whenever something about the lane has changed.
    fn list(&mut self, endpoint: Seq, now: Timestamp) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else {
            return;
        };
        let room = lane.room(now, self.caps.per_endpoint);
        let busy = lane.in_flight > 0;
        if room == Room::Now && lane.listed.is_some_and(|turn| turn.busy == busy) {
            return;
        }
        let forgettable = lane.is_forgettable(now);
        self.strike_off(endpoint);
        match room {
            Room::Now => {
                self.turns += 1;
                let number = self.turns;
                if let Some(lane) = self.lanes.get_mut(&endpoint) {
                    lane.listed = Some(Turn { busy, number });
                }
                self.listed(busy).insert((number, endpoint));
            }
            Room::At(at) => {
                self.openings.insert((at, endpoint));
            }
            Room::None if forgettable => {
                self.lanes.remove(&endpoint);
            }
            Room::None => {}
        }
    }

    /// Takes the endpoint's lane off the list; it loses its turn.
    fn strike_off(&mut self, endpoint: Seq) {
        let lane = self.lanes.get_mut(&endpoint);
        if let Some(turn) = lane.and_then(|lane| lane.listed.take()) {
            self.listed(turn.busy).remove(&(turn.number, endpoint));
        }
    }

    fn listed(&mut self, busy: bool) -> &mut BTreeSet<(u64, Seq)> {
        match busy {
            true => &mut self.busy,
            false => &mut self.idle,
        }
    }

    /// The endpoint's time has come.
    pub(crate) fn opens(&mut self, endpoint: Seq, now: Timestamp) {
        self.list(endpoint, now);
    }
}

/// Where a delivery stands among those of its endpoint that are ready.
fn place_of(row: &DeliveryRow) -> (Seq, Seq) {
    let first = match row.trigger {
        Trigger::Test => ASKED,
        _ => row.message,
    };
    (first, row.seq)
}

/// The order a delivery keeps. What somebody asked for by hand keeps none.
fn order_of(row: &DeliveryRow) -> Option<(Seq, u64)> {
    let keeps = row.trigger.is_retried();
    row.order_key
        .filter(|_| keeps)
        .map(|key| (row.endpoint, key))
}
