//! For tests: whether the queue hangs together, and whether anything waits in vain.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_types::{Seq, Timestamp};

use super::{Phase, Queue, order_of, place_of};
use crate::lane::Room;

impl Queue {
    /// What does not hang together, in words. To be asked when nothing that is due is left.
    pub(crate) fn audit(&self, now: Timestamp) -> Vec<String> {
        let mut faults = Vec::new();
        self.audit_phases(now, &mut faults);
        self.audit_orders(&mut faults);
        self.audit_lanes(now, &mut faults);
        self.audit_places(&mut faults);
        faults
    }

    /// Whether the owner of that endpoint holds everything back, as far as the queue knows.
    pub(crate) fn is_paused(&self, endpoint: Seq) -> bool {
        let lane = self.lanes.get(&endpoint);
        lane.is_some_and(crate::lane::Lane::is_paused)
    }

    /// How an endpoint is sent to, in words.
    pub(crate) fn describe(&self, endpoint: Seq) -> String {
        format!(
            "{:?}, {} in flight",
            self.lanes.get(&endpoint),
            self.in_flight
        )
    }

    /// The endpoints of which something is remembered.
    pub(crate) fn lane_ids(&self) -> impl Iterator<Item = Seq> {
        self.lanes.keys().copied()
    }

    fn audit_phases(&self, now: Timestamp, faults: &mut Vec<String>) {
        let timed: BTreeSet<Seq> = self.timers.iter().map(|(_, delivery)| *delivery).collect();
        let mut by_endpoint: BTreeMap<Seq, BTreeSet<Seq>> = BTreeMap::new();
        for (seq, hot) in &self.hot {
            let of_endpoint = by_endpoint.entry(hot.row.endpoint).or_default();
            of_endpoint.insert(*seq);
            let lane = self.lanes.get(&hot.row.endpoint);
            let queued = lane.is_some_and(|lane| lane.ready.contains(&place_of(&hot.row)));
            let ready = matches!(hot.phase, Phase::Ready);
            let waiting = matches!(hot.phase, Phase::Waiting);
            if queued != ready {
                faults.push(format!("{seq} is {:?}, in the queue: {queued}", hot.phase));
            }
            if waiting && !timed.contains(seq) {
                faults.push(format!("{seq} waits for a timer that it does not have"));
            }
            if !self.by_message.contains(&(hot.row.message, *seq)) {
                faults.push(format!("{seq} is not found by its message"));
            }
            if !waiting && hot.row.next_at.is_none_or(|at| at > now) && !is_blocked(&hot.phase) {
                faults.push(format!("{seq} is {:?} before its time", hot.phase));
            }
        }
        if by_endpoint != self.by_endpoint {
            let found = &self.by_endpoint;
            faults.push(format!("{by_endpoint:?} are pending, not {found:?}"));
        }
        if self.by_message.len() != self.hot.len() {
            faults.push("messages have deliveries that are gone".to_owned());
        }
    }

    fn audit_orders(&self, faults: &mut Vec<String>) {
        let mut orders: BTreeMap<(Seq, u64), BTreeSet<Seq>> = BTreeMap::new();
        for (seq, hot) in &self.hot {
            let order = order_of(&hot.row);
            if let Some(order) = order {
                orders.entry(order).or_default().insert(*seq);
            } else if is_blocked(&hot.phase) {
                faults.push(format!("{seq} is blocked without an order"));
            }
        }
        for members in orders.values() {
            for (place, seq) in members.iter().enumerate() {
                let blocked = self.hot.get(seq).is_some_and(|hot| is_blocked(&hot.phase));
                if blocked != (place > 0) {
                    faults.push(format!("{seq} is number {place} of its order: {blocked}"));
                }
            }
        }
        if orders != self.orders {
            faults.push(format!("the orders are {orders:?}, not {:?}", self.orders));
        }
    }

    fn audit_lanes(&self, now: Timestamp, faults: &mut Vec<String>) {
        let mut listed = 0;
        for (endpoint, lane) in &self.lanes {
            let turn = lane
                .listed
                .map(|turn| (turn.busy, (turn.number, *endpoint)));
            let found = turn.is_some_and(|(busy, entry)| match busy {
                true => self.busy.contains(&entry),
                false => self.idle.contains(&entry),
            });
            listed += usize::from(found);
            let opens = |at| {
                let mut openings = self.openings.iter();
                openings.any(|(opens, one)| one == endpoint && *opens <= at)
            };
            let right = match lane.room(now, self.caps.per_endpoint) {
                Room::Now => found && turn.is_some_and(|(busy, _)| busy == (lane.in_flight > 0)),
                Room::At(at) => turn.is_none() && opens(at),
                Room::None => turn.is_none(),
            };
            if !right {
                faults.push(format!("endpoint {endpoint} is listed wrongly: {lane:?}"));
            }
            let gone = |place: &(Seq, Seq)| !self.hot.contains_key(&place.1);
            if lane.ready.iter().any(gone) {
                faults.push(format!("endpoint {endpoint} queues what is gone"));
            }
        }
        if listed != self.idle.len() + self.busy.len() {
            faults.push("endpoints are listed that have no lane".to_owned());
        }
    }

    fn audit_places(&self, faults: &mut Vec<String>) {
        let mut in_flight: BTreeMap<Seq, usize> = BTreeMap::new();
        for hot in self.hot.values() {
            if matches!(hot.phase, Phase::InFlight) {
                *in_flight.entry(hot.row.endpoint).or_default() += 1;
            }
        }
        for (endpoint, lane) in &self.lanes {
            let count = in_flight.get(endpoint).copied().unwrap_or(0);
            if count != lane.in_flight || count > self.caps.per_endpoint {
                faults.push(format!("{count} are under way to {endpoint}: {lane:?}"));
            }
        }
        let total: usize = in_flight.values().sum();
        if total != self.in_flight || total > self.caps.total {
            faults.push(format!("{total} are under way, not {}", self.in_flight));
        }
        if let Some((_, endpoint)) = self.next_endpoint() {
            faults.push(format!("endpoint {endpoint} could start something"));
        }
    }
}

fn is_blocked(phase: &Phase) -> bool {
    matches!(phase, Phase::Blocked)
}
