//! The turn: input by input, one commit at a time.
//!
//! ```text
//! input ─► needs ─┬─ at hand ──────────────► decide ─► forming commit ─► commit ─► act
//!                 └─ Load ─► Loaded ───────────▲            (one in flight)
//! ```

use std::collections::{BTreeMap, VecDeque};

use dunlin_delivery::{self as delivery, Delivery, Known};
use dunlin_engine::{self as engine, Engine};
use dunlin_types::{DedupeKey, Seq, Timestamp, limits};

use crate::command::{Command, Decided, Effect, Happening, Input, LoadId, Need, Rows};
use crate::keys::Keys;
use crate::load::{Loads, Waiting};

/// Images written in one turn.
const IMAGES_PER_TURN_MAX: usize = 500;
/// Emits of one input that are handled in its own commit.
const EMITS_PER_INPUT_MAX: usize = 64;

/// What the two cores and their queues are, between two happenings.
pub struct Turn {
    engine: Engine,
    delivery: Delivery,
    keys: Keys,
    loads: Loads,
    next_seq: u64,
    committed: u64,
    forming: Decided,
    forming_bytes: usize,
    forming_effects: Vec<Effect>,
    /// Effects that follow from what is durable already: they wait for no commit.
    free_effects: Vec<Effect>,
    /// Effects of the commit in flight.
    in_flight: Option<Vec<Effect>>,
    /// Rows before this place are durable, and those before the other are with the commit in flight.
    durable_below: u64,
    in_flight_below: u64,
    /// The last commit that changed an endpoint.
    endpoints_changed: u64,
    commands: Vec<Command>,
    draining: bool,
}

impl Turn {
    /// A turn over two cores that hold what the store held. `next_seq` is the first free place,
    /// `commit_no` the last commit.
    #[must_use]
    pub fn new(engine: Engine, delivery: Delivery, next_seq: Seq, commit_no: u64) -> Self {
        Self {
            engine,
            delivery,
            keys: Keys::default(),
            loads: Loads::default(),
            next_seq: next_seq.0,
            committed: commit_no,
            forming: Decided {
                commit_no: commit_no + 1,
                ..Decided::default()
            },
            forming_bytes: 0,
            forming_effects: Vec::new(),
            free_effects: Vec::new(),
            in_flight: None,
            durable_below: next_seq.0,
            in_flight_below: next_seq.0,
            endpoints_changed: 0,
            commands: Vec::new(),
            draining: false,
        }
    }

    /// The engine, to look at.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The delivery core, to look at.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Whether the forming commit is so large that no more should be decided into it.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.forming.rows() >= limits::COMMIT_ROWS_MAX
            || self.forming_bytes >= limits::COMMIT_BYTES_MAX
    }

    /// Whether nothing is in flight, loading, or waiting to be committed or called.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none()
            && self.forming.rows() == 0
            && self.loads.is_empty()
            && self.engine.busy() == 0
            && self.delivery.in_flight() == 0
    }

    /// Whether all that was decided is durable.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.in_flight.is_none() && self.forming.rows() == 0
    }

    /// No more calls and attempts go out from here on, and what comes due is left to the next
    /// process: there may be hours of it.
    pub fn drain(&mut self) {
        self.draining = true;
        self.engine.drain();
        self.delivery.drain();
    }

    /// When something comes due by itself.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        let engine = self.engine.next_wake().filter(|_| !self.draining);
        engine.into_iter().chain(self.delivery.next_wake()).min()
    }

    /// After a restart: sends out what is ready.
    pub fn resume(&mut self, now: Timestamp, seed: u64) {
        let commit = self.forming.commit_no;
        let next = &mut self.next_seq;
        let mut draw = || draw(next);
        let mut cx = engine::Context {
            now,
            seed,
            commit,
            next_seq: &mut draw,
        };
        let out = self.engine.resume(&mut cx);
        self.take_engine(out, now, seed);
    }

    /// Takes in something that happened.
    pub fn on(&mut self, happening: Happening, now: Timestamp, seed: u64) {
        match happening {
            Happening::Input(input) => self.submit(input, now, seed),
            Happening::Loaded(id, rows) => self.loaded(id, rows, now, seed),
            Happening::Committed(commit) => self.durable(commit),
        }
    }

    /// Takes up timers, and says what is to be done.
    pub fn flush(&mut self, now: Timestamp, seed: u64) -> Vec<Command> {
        if !self.is_full() {
            if !self.draining {
                for input in self.engine.take_due(now, limits::TIMERS_PER_TURN_MAX) {
                    self.submit(Input::Engine(input), now, seed);
                }
            }
            for input in self.delivery.take_due(now, limits::TIMERS_PER_TURN_MAX) {
                self.submit(Input::Delivery(input), now, seed);
            }
            if !self.draining {
                let pictures = self.engine.picture(Seq(self.next_seq), IMAGES_PER_TURN_MAX);
                self.forming.engine.extend(pictures);
            }
        }
        self.send_commit();
        std::mem::take(&mut self.commands)
    }

    fn send_commit(&mut self) {
        let free = std::mem::take(&mut self.free_effects);
        if !free.is_empty() {
            self.commands.push(Command::Act(free));
        }
        if self.in_flight.is_some() {
            return;
        }
        let effects = std::mem::take(&mut self.forming_effects);
        if self.forming.rows() == 0 {
            if !effects.is_empty() {
                self.commands.push(Command::Act(effects));
            }
            return;
        }
        let next = Decided {
            commit_no: self.forming.commit_no + 1,
            ..Decided::default()
        };
        let decided = std::mem::replace(&mut self.forming, next);
        self.forming_bytes = 0;
        self.in_flight_below = self.next_seq;
        self.in_flight = Some(effects);
        self.commands.push(Command::Commit(decided));
    }

    fn durable(&mut self, commit: u64) {
        self.committed = commit;
        self.durable_below = self.in_flight_below;
        self.engine.committed(commit);
        if let Some(effects) = self.in_flight.take()
            && !effects.is_empty()
        {
            self.commands.push(Command::Act(effects));
        }
        while let Some((id, need)) = self.loads.next_delayed(commit) {
            self.commands.push(Command::Load(id, need));
        }
    }

    fn submit(&mut self, input: Input, now: Timestamp, seed: u64) {
        let run = run_of(&input);
        let Some(input) = self.loads.queue_behind(run, input) else {
            return;
        };
        let (ledger, keys) = self.needs(&input);
        let events = self.events_needed(&input);
        let ledger = ledger.map(|run| (run, self.engine.load_begins(run)));
        let unknown: Vec<DedupeKey> = keys
            .iter()
            .filter(|key| self.keys.get(key, now).is_none())
            .copied()
            .collect();
        if ledger.is_none() && unknown.is_empty() && events.is_empty() {
            let known = self.known(&keys, &BTreeMap::new(), now);
            self.decide(input, Rows::default(), &known, now, seed);
            return;
        }
        let id = self
            .loads
            .start(ledger.map(|(run, _)| run), Waiting { input, keys });
        let after = if events.is_empty() {
            0
        } else {
            self.last_decided()
        };
        let need = Need {
            ledger,
            keys: unknown,
            events,
        };
        if after > self.committed {
            self.loads.delay(after, id, need);
        } else {
            self.commands.push(Command::Load(id, need));
        }
    }

    /// Events that an input needs.
    fn events_needed(&self, input: &Input) -> Vec<Seq> {
        match input {
            Input::Engine(input @ engine::Input::Gathered { .. }) => {
                self.engine.needs(input).events
            }
            _ => Vec::new(),
        }
    }

    /// The last commit that anything was decided into.
    fn last_decided(&self) -> u64 {
        let forming = self.forming.commit_no;
        if self.forming.rows() > 0 {
            forming
        } else {
            forming - 1
        }
    }

    fn needs(&self, input: &Input) -> (Option<Seq>, Vec<DedupeKey>) {
        match input {
            Input::Engine(input) => {
                let needs = self.engine.needs(input);
                (needs.ledger, needs.dedupe)
            }
            Input::Delivery(input) => {
                let mut keys = self.delivery.needs(input).dedupe;
                // The event goes to the engine in the same commit, so its keys are read now.
                if let delivery::Input::Attempted(attempted) = input
                    && let delivery::AttemptOutcome::Event { event, .. } = &attempted.outcome
                {
                    keys.extend(self.engine.event_keys_of(event));
                }
                (None, keys)
            }
        }
    }

    fn loaded(&mut self, id: LoadId, rows: Rows, now: Timestamp, seed: u64) {
        let Some(waiting) = self.loads.finish(id) else {
            return;
        };
        let run = run_of(&waiting.input);
        if run.is_none() && self.needs(&waiting.input).1 != waiting.keys {
            // An app registered meanwhile: other functions ask for other keys.
            self.submit(waiting.input, now, seed);
            return;
        }
        let known = self.known(&waiting.keys, &rows.known, now);
        self.decide(waiting.input, rows, &known, now, seed);
        let Some(run) = run else { return };
        for (n, input) in self.loads.release(run).into_iter().enumerate() {
            self.submit(input, now, seed.rotate_left(n as u32 + 1));
        }
    }

    fn decide(
        &mut self,
        input: Input,
        rows: Rows,
        known: &BTreeMap<DedupeKey, Known>,
        now: Timestamp,
        seed: u64,
    ) {
        match input {
            Input::Engine(input) => self.decide_engine(input, rows, known, now, seed),
            Input::Delivery(input) => self.decide_delivery(input, known, now, seed),
        }
    }

    fn decide_engine(
        &mut self,
        input: engine::Input,
        rows: Rows,
        known: &BTreeMap<DedupeKey, Known>,
        now: Timestamp,
        seed: u64,
    ) {
        let known = known.iter().map(|(key, one)| (*key, one.seq)).collect();
        let commit = self.forming.commit_no;
        let next = &mut self.next_seq;
        let mut draw = || draw(next);
        let mut cx = engine::Context {
            now,
            seed,
            commit,
            next_seq: &mut draw,
        };
        let loaded = engine::Loaded {
            ledger: rows.ledger,
            known,
            events: rows.events,
        };
        let out = self.engine.handle(input, loaded, &mut cx);
        self.take_engine(out, now, seed);
    }

    /// Takes the engine's rows and effects; a fetch is a load of ours.
    fn take_engine(&mut self, out: engine::Outcome, now: Timestamp, seed: u64) {
        for write in &out.writes {
            self.forming_bytes += write.weight_bytes();
            if let engine::Write::Dedupe { key, seq, expires } = write {
                let known = Known {
                    seq: *seq,
                    at: Timestamp::ZERO,
                    hash: [0; 16],
                    expires: *expires,
                };
                self.keys.wrote(*key, known, *expires);
            }
        }
        self.forming.engine.extend(out.writes);
        let mut fetches = VecDeque::new();
        for effect in out.effects {
            match effect {
                engine::Effect::Fetch(run) => fetches.push_back(run),
                effect => self.take_effect(effect),
            }
        }
        for run in fetches {
            self.submit(Input::Engine(engine::Input::Fetched { run }), now, seed);
        }
    }

    /// Puts an effect with the commit that it follows from.
    fn take_effect(&mut self, effect: engine::Effect) {
        let after = match &effect {
            engine::Effect::Call(call) => call.after,
            engine::Effect::Request(request) => request.after,
            _ => u64::MAX,
        };
        self.put_effect(after, Effect::Engine(effect));
    }

    fn put_effect(&mut self, after: u64, effect: Effect) {
        if after <= self.committed {
            self.free_effects.push(effect);
            return;
        }
        match &mut self.in_flight {
            Some(effects) if after < self.forming.commit_no => effects.push(effect),
            _ => self.forming_effects.push(effect),
        }
    }

    fn decide_delivery(
        &mut self,
        input: delivery::Input,
        known: &BTreeMap<DedupeKey, Known>,
        now: Timestamp,
        seed: u64,
    ) {
        let loaded = delivery::Loaded {
            known: known.clone(),
        };
        let next = &mut self.next_seq;
        let mut draw = || draw(next);
        let mut cx = delivery::Context {
            now,
            seed,
            next_seq: &mut draw,
        };
        let mut out = self.delivery.handle(input, &loaded, &mut cx);
        let emits = std::mem::take(&mut out.emits);
        debug_assert!(
            emits.len() <= EMITS_PER_INPUT_MAX,
            "one event an endpoint at most"
        );
        for delivery::Emit::AppendEvent { event, delivery } in emits {
            let keys = self.engine.event_keys_of(&event);
            let known = self.known(&keys, known, now);
            let from = self.forming.engine.len();
            let events = vec![event];
            let input = engine::Input::Events {
                token: dunlin_types::Token::NONE,
                events,
            };
            self.decide_engine(input, Rows::default(), &known, now, seed);
            let appended = self.forming.engine[from..]
                .iter()
                .find_map(|write| match write {
                    engine::Write::Event(event) => Some(event.seq),
                    _ => None,
                });
            if let Some(seq) = appended {
                out.set_event(delivery, seq);
            }
        }
        for write in &out.writes {
            if let delivery::Write::Dedupe(row) = write {
                let known = Known {
                    seq: row.seq,
                    at: row.at,
                    hash: row.hash,
                    expires: row.expires,
                };
                self.keys.wrote(row.key, known, row.expires);
            }
        }
        if out.writes.iter().any(delivery::Write::is_of_endpoint) {
            self.endpoints_changed = self.forming.commit_no;
        }
        self.forming.delivery.extend(out.writes);
        for effect in out.effects {
            let after = self.attempt_follows(&effect);
            self.put_effect(after, Effect::Delivery(effect));
        }
    }

    /// The commit that an attempt follows from: that of its delivery and of what its endpoint is
    /// like now. A place that was given back would stand idle if it waited for another one.
    fn attempt_follows(&self, effect: &delivery::Effect) -> u64 {
        let delivery::Effect::Attempt(attempt) = effect else {
            return u64::MAX;
        };
        let of_delivery = match attempt.delivery.0 {
            // It begins because another one has ended, which is decided just now.
            _ if attempt.ordered => return u64::MAX,
            seq if seq < self.durable_below => self.committed,
            seq if seq < self.in_flight_below => self.forming.commit_no - 1,
            _ => return u64::MAX,
        };
        of_delivery.max(self.endpoints_changed)
    }

    /// What is known of the keys: what was written here of late, else what was read.
    fn known(
        &self,
        keys: &[DedupeKey],
        read: &BTreeMap<DedupeKey, Known>,
        now: Timestamp,
    ) -> BTreeMap<DedupeKey, Known> {
        let one = |key: &DedupeKey| match self.keys.get(key, now) {
            Some(recent) => recent,
            None => read.get(key).copied().filter(|known| known.expires > now),
        };
        keys.iter()
            .filter_map(|key| Some((*key, one(key)?)))
            .collect()
    }
}

fn run_of(input: &Input) -> Option<Seq> {
    match input {
        Input::Engine(input) => Engine::run_of(input),
        Input::Delivery(_) => None,
    }
}

fn draw(next: &mut u64) -> Seq {
    let seq = Seq(*next);
    *next += 1;
    seq
}
