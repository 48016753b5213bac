//! What a pending delivery waits for: the answer to those who ask why it has not been sent.

use dunlin_types::{Ksuid, Seq, Timestamp};

use super::{Hot, Phase, Queue, order_of};
use crate::{Delivery, Trigger};

/// What a pending delivery waits for. Of several things the one that will last longest, as far as
/// that can be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocker {
    /// Its time: its message is held back, or its last attempt failed.
    Time {
        /// When it has come.
        until: Timestamp,
        /// What it finds then, as things are now.
        finds: Finds,
    },
    /// The endpoint's owner, who holds everything back.
    Paused,
    /// The endpoint's rate.
    Rate {
        /// When the next one for the endpoint may start.
        until: Timestamp,
    },
    /// The receiver, which asked for less.
    Receiver {
        /// Before when nothing is sent to it.
        until: Timestamp,
    },
    /// A place at its endpoint, all of which are taken for now.
    EndpointFull {
        /// Attempts that are under way there.
        used: usize,
        /// As many as it gets, which changes with how it answers.
        limit: usize,
    },
    /// A place anywhere.
    ServerFull {
        /// Attempts that are under way.
        used: usize,
        /// As many as there may be for endpoints like this one.
        limit: usize,
    },
    /// Another delivery that it must not overtake.
    Order(Box<First>),
    /// A rival, whose event may take the place of the one that it has made.
    Rival {
        /// The rival's id.
        delivery: Ksuid,
    },
    /// The end of an attempt.
    InFlight {
        /// Its number.
        attempt_no: u8,
    },
    /// Nothing: it is looked at in this moment.
    Starting,
}

/// How an endpoint takes what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finds {
    /// It is sent.
    Open,
    /// It goes on waiting.
    Paused,
    /// It is given up.
    Disabled,
    /// The endpoint is gone, and it is cancelled.
    Gone,
}

/// The first delivery of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// Its id.
    pub id: Ksuid,
    /// Its message.
    pub message: Seq,
    /// Attempts that have ended.
    pub tries: u8,
    /// What it waits for itself.
    pub blocker: Blocker,
}

impl Delivery {
    /// The pending deliveries of a message, and what each waits for.
    pub(crate) fn blockers(&self, message: Seq, now: Timestamp) -> Vec<(Seq, Blocker)> {
        let pending = self.queue.of_message(message);
        let told = pending.map(|hot| (hot.row.seq, self.blocker(hot, now)));
        told.collect()
    }

    pub(crate) fn blocker(&self, hot: &Hot, now: Timestamp) -> Blocker {
        match &hot.phase {
            Phase::Waiting => self.time(hot, now),
            Phase::Ready => self.queue.want(hot, now),
            Phase::Blocked => match self.queue.first_before(hot) {
                Some(first) => Blocker::Order(Box::new(First {
                    id: first.row.id(),
                    message: first.row.message,
                    tries: first.row.tries,
                    blocker: self.blocker(first, now),
                })),
                None => Blocker::Starting,
            },
            Phase::InFlight => Blocker::InFlight {
                attempt_no: hot.row.tries.saturating_add(1),
            },
            Phase::Held(_) => match self.rival_of(hot.row.message, now) {
                Some(rival) => Blocker::Rival {
                    delivery: rival.row.id(),
                },
                None => Blocker::Starting,
            },
        }
    }

    fn time(&self, hot: &Hot, now: Timestamp) -> Blocker {
        let row = &hot.row;
        let Some(until) = row.next_at.filter(|at| *at > now) else {
            return Blocker::Starting;
        };
        let config = self.config.endpoint(row.endpoint).map(|one| &one.config);
        let finds = match config {
            None => Finds::Gone,
            _ if row.trigger == Trigger::Test => Finds::Open,
            Some(config) if config.disabled => Finds::Disabled,
            Some(config) if config.paused => Finds::Paused,
            Some(_) => Finds::Open,
        };
        Blocker::Time { until, finds }
    }
}

impl Queue {
    /// What one that is ready lacks.
    fn want(&self, hot: &Hot, now: Timestamp) -> Blocker {
        let Some(lane) = self.lanes.get(&hot.row.endpoint) else {
            return Blocker::Starting;
        };
        let asked = hot.row.trigger == Trigger::Test;
        if let Some(held) = lane.holds(asked, now, self.caps.per_endpoint) {
            return held;
        }
        let limit = match lane.in_flight {
            0 => self.caps.total,
            _ => self.caps.shared(),
        };
        let used = self.in_flight;
        match used >= limit {
            true => Blocker::ServerFull { used, limit },
            false => Blocker::Starting,
        }
    }

    /// The first of its order, unless it is that itself.
    fn first_before(&self, hot: &Hot) -> Option<&Hot> {
        let members = self.orders.get(&order_of(&hot.row)?)?;
        let first = members.first().filter(|first| **first < hot.row.seq)?;
        self.hot.get(first)
    }
}
