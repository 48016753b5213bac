//! Batches that a real core could have made: each row follows from those before.

use std::sync::Arc;

use dunlin_delivery as delivery;
use dunlin_delivery::{DedupeRow, DeliveryRow, EndpointVersionRow, Trigger};
use dunlin_engine as engine;
use dunlin_engine::LifecycleRow;
use dunlin_types::{DedupeKey, Lifecycle, Seq};

use super::access;
use super::event_types::event_type;
use super::flow_rows::{self, Gathers};
use super::rows;
use crate::port::{Batch, Start};

/// Kinds of choices: 0 to 8 the engine's, 9 to 15 the delivery core's, the rest flow control's.
const KINDS: u8 = 22;

/// What has been written so far, as far as the next batch depends on it.
#[derive(Clone, Debug)]
pub struct World {
    next: u64,
    commit_no: u64,
    epoch: u64,
    events: Vec<Seq>,
    /// Live runs: the run, the end of its chain, whether it has an image.
    live: Vec<(Seq, Seq, bool)>,
    gathers: Gathers,
    versions: [u32; 4],
    endpoints: Vec<(Seq, u32)>,
    messages: Vec<Seq>,
    deliveries: Vec<DeliveryRow>,
    attempts: Vec<Seq>,
}

impl World {
    /// An empty world of a store that was just opened.
    #[must_use]
    pub fn new(start: &Start) -> Self {
        Self {
            // Places below are those of applications and sources.
            next: start.next_seq.0.max(8),
            commit_no: start.commit_no,
            epoch: start.epoch,
            events: Vec::new(),
            live: Vec::new(),
            gathers: Gathers::default(),
            versions: [0; 4],
            endpoints: Vec::new(),
            messages: Vec::new(),
            deliveries: Vec::new(),
            attempts: Vec::new(),
        }
    }

    /// The place that the next row gets.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        Seq(self.next)
    }

    /// The number of the last commit.
    #[must_use]
    pub fn commit_no(&self) -> u64 {
        self.commit_no
    }

    /// Goes on after a restart.
    pub fn restarted(&mut self, start: &Start) {
        self.epoch = start.epoch;
    }

    /// An empty batch.
    #[must_use]
    pub fn empty(&mut self) -> Batch {
        self.commit_no += 1;
        Batch {
            commit_no: self.commit_no,
            epoch: self.epoch,
            ..Batch::default()
        }
    }

    /// A batch with a row or two for each choice.
    #[must_use]
    pub fn batch(&mut self, choices: &[(u8, u8)]) -> Batch {
        let mut batch = self.empty();
        for (kind, pick) in choices {
            let pick = usize::from(*pick);
            match kind % KINDS {
                kind @ 0..9 => self.engine(kind, pick, &mut batch.engine),
                kind @ 9..16 => self.delivery(kind, pick, &mut batch.delivery),
                kind => self.flow(kind, pick, &mut batch.engine),
            }
        }
        batch
    }

    /// A batch that holds every kind of row.
    #[must_use]
    pub fn everything(&mut self) -> Batch {
        let choices: Vec<(u8, u8)> = (0..10 * KINDS)
            .map(|n| (n % KINDS, (n / KINDS).wrapping_mul(37)))
            .collect();
        self.batch(&choices)
    }

    fn seq(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn engine(&mut self, kind: u8, pick: usize, out: &mut Vec<engine::Write>) {
        let n = self.seq();
        match kind {
            0 => {
                self.events.push(Seq(n));
                out.push(engine::Write::Event(rows::event(n)));
            }
            1 => {
                let first = pick % self.events.len().max(1);
                let mut events = self.events[first..].iter().copied();
                let run = rows::run(n, events.next().unwrap_or(Seq(0)));
                out.push(engine::Write::Run(engine::RunRow {
                    more: events.take(n as usize % 3).collect(),
                    ..run
                }));
                self.live.push((Seq(n), Seq(n), false));
            }
            2 | 3 => {
                let count = self.live.len().max(1);
                let Some((run, last, _)) = self.live.get_mut(pick % count) else {
                    return;
                };
                out.push(engine::Write::Step(rows::step(n, *run, *last)));
                *last = Seq(n);
            }
            4 => self.end(n, pick, out),
            5 => {
                let (key, expires) = (rows::key(pick as u64 % 8), rows::at(n + 100));
                out.push(engine::Write::Dedupe {
                    key,
                    seq: Seq(n),
                    expires,
                });
            }
            6 => self.fold(n, out),
            7 => out.push(engine::Write::App(rows::app(n, pick as u32 % 3))),
            _ => {
                let number = pick % 4;
                self.versions[number] += 1;
                let row = rows::function(n, number as u32, self.versions[number]);
                out.push(engine::Write::Function(Box::new(row)));
            }
        }
    }

    fn end(&mut self, n: u64, pick: usize, out: &mut Vec<engine::Write>) {
        if self.live.is_empty() {
            return;
        }
        let (run, last, imaged) = self.live.swap_remove(pick % self.live.len());
        out.push(engine::Write::RunEnd(rows::run_end(n, run, last, imaged)));
        let kind = [Lifecycle::Finished, Lifecycle::Failed, Lifecycle::Cancelled][n as usize % 3];
        let at = rows::at(n);
        out.push(engine::Write::Lifecycle(LifecycleRow {
            seq: Seq(n),
            at,
            kind,
            run,
        }));
    }

    /// All live runs get an image, as the engine's rounds give them.
    fn fold(&mut self, n: u64, out: &mut Vec<engine::Write>) {
        for (run, last, imaged) in &mut self.live {
            *imaged = true;
            out.push(engine::Write::Image(rows::image(n, *run, *last)));
        }
        out.push(engine::Write::FoldFrom(Seq(n)));
    }

    fn flow(&mut self, kind: u8, pick: usize, out: &mut Vec<engine::Write>) {
        let n = self.seq();
        match kind {
            16 => out.push(engine::Write::Counter(flow_rows::counter(n, pick as u64))),
            17 => out.push(self.gathers.put(n, pick)),
            18 => out.extend(self.gathers.add(n, pick)),
            19 => out.extend(self.gathers.end(pick)),
            20 => {
                let event = self.events.get(pick % self.events.len().max(1));
                let row = flow_rows::dropped(n, event.copied().unwrap_or(Seq(0)), pick as u32 % 3);
                out.push(engine::Write::Dropped(row));
            }
            _ if pick % 4 == 3 => {
                let name = flow_rows::limit(n, pick as u64 / 4).name;
                out.push(engine::Write::LimitGone(name));
            }
            _ => out.push(engine::Write::Limit(flow_rows::limit(n, pick as u64 / 4))),
        }
    }

    fn delivery(&mut self, kind: u8, pick: usize, out: &mut Vec<delivery::Write>) {
        let n = self.seq();
        let message = self
            .messages
            .get(pick % self.messages.len().max(1))
            .copied();
        let message = message.unwrap_or(Seq(0));
        match kind {
            9 => {
                self.messages.push(Seq(n));
                out.push(delivery::Write::Message(rows::message(n)));
            }
            10 => self.put_delivery(n, pick, message, out),
            11 => {
                let Some(of) = self.deliveries.get(pick % self.deliveries.len().max(1)) else {
                    return;
                };
                out.push(delivery::Write::Attempt(Box::new(rows::attempt(n, of))));
                self.attempts.push(Seq(n));
            }
            12 if message == Seq(0) => {}
            12 => out.push(delivery::Write::Repeat(rows::repeat(n, message))),
            13 => {
                let (at, expires) = (rows::at(n), rows::at(n + 50));
                let (key, hash) = (rows::key(8 + pick as u64 % 8), [n as u8; 16]);
                let row = DedupeRow {
                    key,
                    seq: Seq(n),
                    at,
                    hash,
                    expires,
                };
                out.push(delivery::Write::Dedupe(row));
            }
            14 if pick.is_multiple_of(7) => {
                let (key, by) = (rows::key(pick as u64 % 16), rows::at(n));
                out.push(delivery::Write::DedupeGone(key, by));
            }
            14 if pick.is_multiple_of(3) => out.push(self.upkeep(n, pick, message)),
            14 => self.endpoint(n, pick, out),
            _ => self.set_up(n, pick, out),
        }
    }

    /// What goes, and what is counted.
    fn upkeep(&mut self, n: u64, pick: usize, message: Seq) -> delivery::Write {
        match pick % 8 {
            0 => delivery::Write::ContentGone(message),
            5 => {
                let attempt = self.attempts.get(pick % self.attempts.len().max(1));
                delivery::Write::ResponseGone(attempt.copied().unwrap_or(Seq(0)))
            }
            1 => {
                self.messages.retain(|one| *one != message);
                self.deliveries.retain(|one| one.message != message);
                delivery::Write::MessageGone(message)
            }
            2 => delivery::Write::Tally(rows::tally(n, pick as u64 % 3)),
            3 => delivery::Write::Health(rows::health(n, pick as u64 % 3)),
            7 => delivery::Write::Rest(rows::rest(n, pick as u64 % 3)),
            _ => delivery::Write::HealthGone(Seq(pick as u64 % 3)),
        }
    }

    fn put_delivery(&mut self, n: u64, pick: usize, of: Seq, out: &mut Vec<delivery::Write>) {
        let known = self.deliveries.len();
        if of == Seq(0) {
            return;
        }
        let row = if pick.is_multiple_of(3) && known > 0 {
            let old = &mut self.deliveries[pick % known];
            // What a delivery is made as it stays.
            let new = rows::delivery(n, old.seq, old.message);
            (old.state, old.tries, old.next_at) = (new.state, new.tries, new.next_at);
            (old.ended, old.code) = (new.ended, new.code);
            old.clone()
        } else {
            let row = self.new_delivery(n, pick, of);
            self.deliveries.push(row.clone());
            row
        };
        out.push(delivery::Write::Delivery(row));
    }

    /// Of a message that goes there for the first time or, by hand, once more.
    fn new_delivery(&self, n: u64, pick: usize, of: Seq) -> DeliveryRow {
        let mut row = rows::delivery(n, Seq(n), of);
        if let Some(old) = self.deliveries.get(pick).filter(|_| n.is_multiple_of(2)) {
            (row.message, row.endpoint) = (old.message, old.endpoint);
        }
        let same = |old: &DeliveryRow| (old.message, old.endpoint) == (row.message, row.endpoint);
        if self.deliveries.iter().any(same) {
            row.trigger = [Trigger::Manual, Trigger::Replay][pick % 2];
        }
        row
    }

    fn endpoint(&mut self, n: u64, pick: usize, out: &mut Vec<delivery::Write>) {
        let known = self.endpoints.len();
        if pick % 7 == 6 && known > 0 {
            let (endpoint, version) = self.endpoints.swap_remove(pick % known);
            out.push(delivery::Write::EndpointDeleted(endpoint));
            out.push(delivery::Write::EndpointVersion(EndpointVersionRow {
                endpoint,
                version: version + 1,
                from_seq: Seq(n),
                at: rows::at(n),
                config: None,
            }));
            return;
        }
        let (id, version) = if pick.is_multiple_of(2) && known > 0 {
            let old = &mut self.endpoints[pick % known];
            old.1 += 1;
            *old
        } else {
            self.endpoints.push((Seq(n), 1));
            (Seq(n), 1)
        };
        let row = rows::endpoint(n, id, version);
        out.push(delivery::Write::EndpointVersion(EndpointVersionRow {
            endpoint: id,
            version,
            from_seq: Seq(n),
            at: row.updated,
            config: Some(Arc::clone(&row.config)),
        }));
        out.push(delivery::Write::Endpoint(row));
    }

    fn set_up(&mut self, n: u64, pick: usize, out: &mut Vec<delivery::Write>) {
        // Each of them has its own, as rows of one counter do.
        let id = |kind: u64| Seq(2 * (pick as u64 % 4) + kind);
        if pick % 7 == 6 {
            let row = rows::refusal(n, id(1));
            return out.push(delivery::Write::Refusal(Box::new(row)));
        }
        if pick % 7 == 4 {
            return out.push(access::some_change(n, Seq(pick as u64 % 4)));
        }
        if pick % 7 == 5 {
            let name = pick as u64 % 4;
            return out.push(match n % 3 {
                0 => delivery::Write::EventTypeDeleted(event_type(n, name).name.clone()),
                _ => delivery::Write::EventType(event_type(n, name)),
            });
        }
        out.push(match pick % 5 {
            0 | 1 => delivery::Write::Application(rows::application(n, id(0))),
            2 | 3 => delivery::Write::Source(rows::source(n, id(1))),
            _ if pick.is_multiple_of(2) => delivery::Write::ApplicationDeleted(id(0)),
            _ => delivery::Write::SourceDeleted(id(1)),
        });
    }

    /// Every key that a batch may hold.
    #[must_use]
    pub fn keys() -> Vec<DedupeKey> {
        (0..16).map(rows::key).collect()
    }
}
