//! What the page on delivery says, said once more and as plainly as can be: what may start, and
//! what must have started.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_delivery::{
    AttemptEffect, AttemptResult, AttemptRow, Config, Delivery, DeliveryOptions, DeliveryRow,
    EndpointConfig, Trigger, Write,
};
use dunlin_types::{Code, Seq, Timestamp, limits};

/// How one endpoint may be sent to.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// At least, and at most so many at a time: an endpoint that has rested may be forgotten.
    least: usize,
    most: usize,
    closed_until: Timestamp,
    last_start: Option<Timestamp>,
    /// When its rate last changed.
    changed: Timestamp,
}

#[derive(Default)]
pub(crate) struct Naive {
    paces: BTreeMap<Seq, Pace>,
    configs: BTreeMap<Seq, (bool, bool, Option<u32>)>,
    /// Starts within the last second, by endpoint.
    starts: BTreeMap<Seq, Vec<Timestamp>>,
    /// What is under way.
    pub(crate) flying: BTreeMap<Seq, Seq>,
    /// What has made an event that is not decided on.
    pub(crate) held: BTreeSet<Seq>,
    /// For how long a receiver asked to be left alone.
    pub(crate) asked: BTreeMap<Seq, i64>,
    /// Until when endpoints are closed, as far as that is committed.
    closed: BTreeMap<Seq, Timestamp>,
}

impl Naive {
    /// What was decided is durable.
    pub(crate) fn commit(&mut self) {
        let closed = self.paces.iter().map(|(id, pace)| (*id, pace.closed_until));
        self.closed = closed.collect();
    }

    /// The process died.
    pub(crate) fn crash(&mut self, config: &Config) {
        let facts = |one: &EndpointConfig| (one.disabled, one.paused, one.throttle_rate);
        let configs = config.endpoints().map(|one| (one.id, facts(&one.config)));
        let closed = std::mem::take(&mut self.closed);
        *self = Self {
            configs: configs.collect(),
            closed: closed.clone(),
            ..Self::default()
        };
        // A receiver that asked for less knows nothing of that.
        for (endpoint, until) in closed {
            self.pace(endpoint).closed_until = until;
        }
    }

    /// The rate of the application has changed.
    pub(crate) fn new_rates(&mut self, now: Timestamp) {
        self.starts.clear();
        for pace in self.paces.values_mut() {
            pace.changed = pace.changed.max(now);
        }
    }

    fn pace(&mut self, endpoint: Seq) -> &mut Pace {
        self.paces.entry(endpoint).or_insert(Pace {
            least: limits::DELIVERIES_IN_FLIGHT_AT_FIRST,
            most: limits::DELIVERIES_IN_FLIGHT_AT_FIRST,
            closed_until: Timestamp::ZERO,
            last_start: None,
            changed: Timestamp::ZERO,
        })
    }

    pub(crate) fn note(&mut self, write: &Write, config: &Config, now: Timestamp) {
        match write {
            Write::Attempt(row) => {
                self.held.remove(&row.delivery);
                if row.trigger != Trigger::Test && config.endpoint(row.endpoint).is_some() {
                    self.attempted(row, now);
                }
            }
            Write::EndpointVersion(row) => {
                let Some(new) = &row.config else {
                    self.paces.remove(&row.endpoint);
                    return;
                };
                self.version(row.endpoint, new, now);
            }
            _ => {}
        }
    }

    fn version(&mut self, endpoint: Seq, new: &EndpointConfig, now: Timestamp) {
        let is = (new.disabled, new.paused, new.throttle_rate);
        let was = self.configs.insert(endpoint, is);
        let pace = self.pace(endpoint);
        let Some(was) = was else { return };
        if (was.1 && !is.1) || (was.0 && !is.0) {
            (pace.least, pace.most) = (1, 1);
        }
        if was.0 && !is.0 {
            pace.closed_until = Timestamp::ZERO;
        }
        if was.2 != is.2 {
            pace.changed = pace.changed.max(now);
            self.starts.remove(&endpoint);
        }
    }

    fn attempted(&mut self, row: &AttemptRow, now: Timestamp) {
        let asked = self.asked.remove(&row.delivery);
        let pace = self.pace(row.endpoint);
        let of_receiver = matches!(
            row.code,
            Some(Code::DeliveryFailed | Code::DeliveryTimedOut | Code::DeliveryUnreachable)
        );
        match (row.result, row.status) {
            (AttemptResult::Succeeded, _) => {
                pace.least = (pace.least * 2).min(limits::DELIVERIES_IN_FLIGHT_AT_FIRST);
                pace.most = (pace.most * 2).min(limits::DELIVERIES_IN_FLIGHT_PER_ENDPOINT_MAX);
            }
            (AttemptResult::Failed, 429) => {
                (pace.least, pace.most) = (1, 1);
                let ms = asked.unwrap_or(0).clamp(60_000, 3_600_000);
                pace.closed_until = pace.closed_until.max(now.plus_ms(ms));
            }
            (AttemptResult::Failed, 0 | 500..) if of_receiver => {
                pace.least = (pace.least / 2).max(1);
                pace.most = (pace.most / 2).max(1);
            }
            _ => {}
        }
    }

    fn flying_to(&self, endpoint: Seq) -> usize {
        self.flying.values().filter(|one| **one == endpoint).count()
    }

    /// An attempt begins.
    pub(crate) fn start(
        &mut self,
        attempt: &AttemptEffect,
        core: &Delivery,
        options: &DeliveryOptions,
        now: Timestamp,
    ) {
        let endpoint = attempt.endpoint.id;
        let config = core.config();
        let is = config
            .endpoint(endpoint)
            .expect("it goes to one that exists");
        assert_eq!(is.version, attempt.endpoint.version);
        let row = core.pending().find(|row| row.seq == attempt.delivery);
        let row = row.expect("it is pending");
        assert_eq!(row.tries + 1, attempt.attempt_no);
        assert!(
            row.next_at.is_some_and(|at| at <= now),
            "too early: {row:?}"
        );
        let most = self
            .pace(endpoint)
            .most
            .min(options.in_flight_per_endpoint_max);
        assert!(self.flying_to(endpoint) < most, "too many to {endpoint}");
        assert!(self.flying.len() < options.in_flight_max, "too many");
        assert!(self.flying.insert(row.seq, endpoint).is_none());
        if row.trigger == Trigger::Test {
            // It goes at once, and what comes after it later.
            self.pace(endpoint).changed = now.plus_ms(5000);
            return;
        }
        assert!(!is.config.disabled, "{endpoint} is disabled");
        assert!(!is.config.paused, "{endpoint} is paused");
        let mut pending = core.pending();
        let overtaken = pending.find(|other| comes_before(other, row));
        assert!(overtaken.is_none(), "{row:?} overtakes {overtaken:?}");
        let pace = self.pace(endpoint);
        assert!(pace.closed_until <= now, "{endpoint} asked for less");
        pace.last_start = Some(now);
        if let Some(rate) = config.rate_of(endpoint) {
            let starts = self.starts.entry(endpoint).or_default();
            starts.push(now);
            starts.retain(|at| now.since(*at) < 1000);
            let most = (f64::from(rate) * 1.05).ceil();
            assert!(starts.len() as f64 <= most, "{} in a second", starts.len());
        }
    }

    /// What could be under way and is not.
    pub(crate) fn idle(
        &mut self,
        core: &Delivery,
        options: &DeliveryOptions,
        now: Timestamp,
    ) -> Vec<String> {
        let total = self.flying.len();
        let shared = options.in_flight_max - options.in_flight_max / 2;
        let config = core.config();
        let mut heads = BTreeSet::new();
        let mut faults = Vec::new();
        for row in core.pending() {
            let order = row.order_key.filter(|_| row.trigger.is_retried());
            let first = order.is_none_or(|key| heads.insert((row.endpoint, key)));
            let due = row.next_at.is_some_and(|at| at <= now);
            if !first || !due || self.flying.contains_key(&row.seq) || self.held.contains(&row.seq)
            {
                continue;
            }
            let Some(endpoint) = config.endpoint(row.endpoint) else {
                faults.push(format!("{row:?} goes nowhere"));
                continue;
            };
            let flying = self.flying_to(row.endpoint);
            let rate = config.rate_of(row.endpoint);
            let pace = *self.pace(row.endpoint);
            let most = pace.least.min(options.in_flight_per_endpoint_max);
            let room =
                flying < most && total < options.in_flight_max && (flying == 0 || total < shared);
            let open = !endpoint.config.paused && pace.closed_until <= now;
            if room && open && pace.lets(rate, now) {
                faults.push(format!(
                    "{row:?} could be under way: {pace:?}, {rate:?}, {flying} to it, {total} at all, {}",
                    core.describe(row.endpoint)
                ));
            }
        }
        faults
    }
}

impl Pace {
    fn lets(&self, rate: Option<u32>, now: Timestamp) -> bool {
        let settled = now.since(self.changed) > 1100;
        let Some(last) = self.last_start else {
            return settled;
        };
        let interval = rate.map_or(0, |rate| 1000 / i64::from(rate) + 2);
        settled && now.since(last) >= interval
    }
}

fn comes_before(other: &DeliveryRow, row: &DeliveryRow) -> bool {
    row.order_key.is_some()
        && row.trigger.is_retried()
        && other.trigger.is_retried()
        && (other.endpoint, other.order_key) == (row.endpoint, row.order_key)
        && other.seq < row.seq
}
