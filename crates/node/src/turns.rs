//! The deciding thread: takes what came, lets the turn decide, carries out its commands.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use dunlin_store::{Batch, StoreError};
use dunlin_turn::{Command, Happening, LoadId, Need, Rows, Turn};
use dunlin_types::{DedupeKey, Timestamp, Token};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tracing::error;

use crate::act::{Waiters, act};
use crate::handle::Shared;
use crate::inbox::{Letter, Taken};
use crate::pace::{Admitted, Meter};

/// The deciding thread's own state.
pub(crate) struct Turns {
    pub(crate) shared: Arc<Shared>,
    pub(crate) turn: Turn,
    pub(crate) batches: SyncSender<Batch>,
    pub(crate) runtime: Handle,
    pub(crate) epoch: u64,
    pub(crate) seeds: Seeds,
    pub(crate) meter: Meter,
}

/// A stream of seeds (SplitMix64): one random number at the start, a function of it from then on.
pub(crate) struct Seeds(pub(crate) u64);

impl Seeds {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// What the loop keeps between two rounds.
#[derive(Default)]
struct Round {
    waiters: Waiters,
    next_token: u64,
    when_idle: Vec<oneshot::Sender<()>>,
    /// New events of this turn, which count as waiting until the backlog that holds them is told.
    admitted: Vec<Admitted>,
    stopping: bool,
}

impl Turns {
    /// Runs until it is told to stop and all that was decided is durable.
    pub(crate) fn run(mut self) {
        let mut round = Round::default();
        let now = self.shared.clock.now();
        let seed = self.seeds.draw();
        self.turn.resume(now, seed);
        self.publish(true);
        self.carry_out(&mut round, now);
        while !(round.stopping && self.turn.is_settled()) {
            let now = self.shared.clock.now();
            let taken = self
                .shared
                .inbox
                .take(self.patience(&round, now), self.turn.is_full());
            let now = self.shared.clock.now();
            self.take(&mut round, taken, now);
            self.carry_out(&mut round, now);
            self.tell_idle(&mut round, now);
        }
    }

    /// How long to sleep when nothing comes: to the next timer, if there is one.
    fn patience(&self, round: &Round, now: Timestamp) -> Option<Duration> {
        if self.turn.is_full() || round.stopping {
            return None;
        }
        let wake = self.turn.next_wake()?;
        Some(Duration::from_millis(wake.since(now).max(0).unsigned_abs()))
    }

    fn take(&mut self, round: &mut Round, taken: Taken, now: Timestamp) {
        for happening in taken.happened {
            let seed = self.seeds.draw();
            self.turn.on(happening, now, seed);
        }
        for letter in taken.letters {
            if round.stopping {
                // Else somebody who goes on asking would keep it from ever being settled.
                continue;
            }
            let seed = self.seeds.draw();
            match letter {
                Letter::Input(input) => self.turn.on(Happening::Input(input), now, seed),
                Letter::Ask(ask, mut waiter) => {
                    round.admitted.extend(waiter.events.take());
                    round.next_token += 1;
                    let token = Token(round.next_token);
                    round.waiters.insert(token, waiter);
                    self.turn.on(Happening::Input(ask.make(token)), now, seed);
                }
                Letter::WhenIdle(tell) => round.when_idle.push(tell),
                Letter::Wake => {}
                Letter::Drain => self.turn.drain(),
                Letter::Stop => round.stopping = true,
            }
        }
    }

    fn carry_out(&mut self, round: &mut Round, now: Timestamp) {
        let seed = self.seeds.draw();
        let mut changed = false;
        let mut keys = Vec::new();
        for command in self.turn.flush(now, seed) {
            match command {
                Command::Load(id, need) if need.is_of_keys() => keys.push((id, need.keys)),
                Command::Load(id, need) => self.load(id, need),
                Command::Commit(decided) => {
                    self.meter.count(&decided.engine);
                    let batch = Batch {
                        commit_no: decided.commit_no,
                        epoch: self.epoch,
                        engine: decided.engine,
                        delivery: decided.delivery,
                    };
                    if self.batches.send(batch).is_err() {
                        error!("the writing thread is gone");
                        std::process::exit(70);
                    }
                }
                Command::Act(effects) => {
                    changed |= act(&self.shared, &self.runtime, &mut round.waiters, effects);
                }
            }
        }
        self.look_up(keys);
        self.publish(changed);
        let engine = self.turn.engine();
        let (backlog, live) = (engine.backlog(), engine.live_runs());
        self.shared.pace.publish(backlog, live, &mut self.meter);
        round.admitted.clear();
    }

    fn load(&self, id: LoadId, need: Need) {
        let shared = Arc::clone(&self.shared);
        self.shared.readers.load(move |reader| {
            let ledger = match need.ledger {
                Some((run, last)) => reader.ledger(run, last),
                None => Ok(None),
            };
            let known = match need.keys.is_empty() {
                true => Ok(Default::default()),
                false => reader.known(&need.keys),
            };
            let events = match need.events.is_empty() {
                true => Ok(Vec::new()),
                false => reader.events_at(&need.events),
            };
            match (ledger, known, events) {
                (Ok(ledger), Ok(known), Ok(events)) => {
                    let rows = Rows {
                        ledger,
                        known,
                        events,
                    };
                    shared.inbox.happened(Happening::Loaded(id, rows));
                }
                (Err(error), ..) | (_, Err(error), _) | (_, _, Err(error)) => unreadable(&error),
            }
        });
    }

    /// Looks up the keys of many inputs in one go: one that is new needs nothing else, and there
    /// are as many as messages.
    fn look_up(&self, asked: Vec<(LoadId, Vec<DedupeKey>)>) {
        if asked.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.shared.readers.load(move |reader| {
            let keys: Vec<DedupeKey> = asked.iter().flat_map(|(_, keys)| keys).copied().collect();
            let known = match reader.known(&keys) {
                Ok(known) => known,
                Err(error) => unreadable(&error),
            };
            let one = |(id, keys): (LoadId, Vec<DedupeKey>)| {
                let of_it = |key: DedupeKey| Some((key, *known.get(&key)?));
                let rows = Rows {
                    known: keys.into_iter().filter_map(of_it).collect(),
                    ..Rows::default()
                };
                Happening::Loaded(id, rows)
            };
            let loaded = asked.into_iter().map(one).collect();
            shared.inbox.all_happened(loaded);
        });
    }

    /// Shows the rest of the process what is configured now.
    fn publish(&self, apps_changed: bool) {
        let config = self.turn.delivery().config();
        let mut shown = self
            .shared
            .config
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !Arc::ptr_eq(&shown, &config) {
            *shown = config;
        }
        drop(shown);
        if apps_changed {
            let apps = self
                .turn
                .engine()
                .catalog()
                .apps()
                .iter()
                .map(|app| app.row.clone());
            self.shared.apps.send_replace(Arc::new(apps.collect()));
        }
    }

    fn tell_idle(&self, round: &mut Round, now: Timestamp) {
        if round.when_idle.is_empty() {
            return;
        }
        let due = self.turn.next_wake().is_some_and(|wake| wake <= now);
        if self.turn.is_idle() && !due && self.shared.inbox.is_empty() {
            for tell in round.when_idle.drain(..) {
                let _ = tell.send(());
            }
        }
    }
}

fn unreadable(error: &StoreError) -> ! {
    error!(%error, "a row that must be there cannot be read; the process ends");
    std::process::exit(70);
}
