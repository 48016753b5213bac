//! Worlds: endpoints of all kinds, changing, with messages, orders, rates, pauses, tasks, and a
//! process that dies now and then and loses what is not committed. After each instant what should
//! be under way is; in the end every message has come to its end at every endpoint that wanted it.
//!
//! `DUNLIN_SEED` lives one world only, `DUNLIN_WORLDS` says how many.

mod check;
mod naive;

use std::collections::{BTreeMap, BTreeSet};

use dunlin_delivery::{
    Answer, AttemptOutcome, Control, DEFAULT_APPLICATION, DeliveryOptions, EndpointConfig,
    INTERNAL_EVENTS_URL, Input, JsonPath, NewApplication, NewTask, Retention, TaskFilter, TaskKind,
    TaskSlice, Verdict, Write, order_key, verdict,
};
use dunlin_types::{Code, Secret, Seq, Timestamp, Token, limits};

use crate::world::{Seen, World, event, failed, message, sent};
use naive::Naive;

const WORLDS: u64 = 5000;

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let z = (z ^ (z >> 31)) >> 16;
        usize::try_from(z % end.max(1) as u64).expect("it is small")
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// How a receiver behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Slow,
    Broken,
    Refusing,
    Hanging,
    Unreachable,
    AsksForLess,
    Flapping,
    Gone,
    ScriptThrows,
    Cancels,
    Disables,
}

const MOODS: [Mood; 14] = [
    Mood::Well,
    Mood::Well,
    Mood::Slow,
    Mood::Broken,
    Mood::Broken,
    Mood::Refusing,
    Mood::Hanging,
    Mood::Unreachable,
    Mood::AsksForLess,
    Mood::Flapping,
    Mood::Gone,
    Mood::ScriptThrows,
    Mood::Cancels,
    Mood::Disables,
];

const SCHEDULES: [&[i64]; 3] = [&[], &[1000, 60_000], &[5000, 5000, 7_200_000, 90_000_000]];
const PASSES: [i64; 8] = [
    1, 40, 900, 15_000, 70_000, 3_600_000, 50_000_000, 90_000_000,
];

/// What worlds reach.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    crashes: usize,
    deliveries: usize,
    attempts: usize,
    ordered: usize,
    asked_for_less: usize,
    disabled: usize,
    replayed: usize,
    wiped: usize,
    duplicates: usize,
}

struct Life {
    world: World,
    dice: Dice,
    naive: Naive,
    moods: BTreeMap<Seq, Mood>,
    /// When attempts come back.
    returns: BTreeSet<(Timestamp, Seq)>,
    /// Pairs of message and endpoint that must have a delivery; and those not committed yet.
    wanted: BTreeSet<(Seq, Seq)>,
    wanted_forming: Vec<(Seq, Seq)>,
    /// Payloads that went because everybody has them, and whether there was one endpoint only.
    wiped: BTreeMap<Seq, bool>,
    wiped_forming: Vec<(Seq, bool)>,
    /// Tasks of which a slice is being worked on.
    slices: BTreeSet<Seq>,
    sent: usize,
    purges: bool,
    wipes: bool,
    /// Whether the application was told to wipe only later.
    application_came_late: bool,
    reached: Reached,
}

impl Life {
    fn begin(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let (per_endpoint, total) = (1 + dice.below(4), 1 + dice.below(9));
        let world = World::new(DeliveryOptions {
            in_flight_per_endpoint_max: per_endpoint,
            in_flight_max: total,
            disable_after_ms: dice.of(&[limits::ENDPOINT_DISABLED_AFTER_MS, 0, limits::DAY_MS]),
            replays_waiting_max: 1 + dice.below(4),
            ..DeliveryOptions::default()
        });
        let mut life = Self {
            world,
            naive: Naive::default(),
            moods: BTreeMap::new(),
            returns: BTreeSet::new(),
            wanted: BTreeSet::new(),
            wanted_forming: Vec::new(),
            wiped: BTreeMap::new(),
            wiped_forming: Vec::new(),
            slices: BTreeSet::new(),
            sent: 0,
            purges: dice.one_in(4),
            wipes: dice.one_in(3),
            application_came_late: true,
            reached: Reached::default(),
            dice,
        };
        life.world.add_source("dodo");
        if life.dice.one_in(2) {
            life.set_application();
            life.application_came_late = false;
        }
        if life.dice.one_in(2) {
            let token = Token(1);
            life.decide(Input::OperationalApplication { token });
            let app = life.world.core.config().operational().map(|app| app.id);
            life.add_endpoint(app.expect("it was made"));
        }
        for _ in 0..1 + life.dice.below(4) {
            life.add_endpoint(DEFAULT_APPLICATION);
        }
        life.commit();
        life
    }

    fn set_application(&mut self) {
        let throttle_rate = self.rate();
        self.naive.new_rates(self.world.now);
        self.decide(Input::UpdateApplication {
            token: Token(1),
            application: DEFAULT_APPLICATION,
            new: NewApplication {
                name: "default".to_owned(),
                uid: Some("default".to_owned()),
                throttle_rate,
                retention: Retention {
                    wipe_on_success: self.wipes,
                    ..Retention::default()
                },
                ..NewApplication::default()
            },
        });
    }

    fn rate(&mut self) -> Option<u32> {
        self.dice.of(&[None, None, Some(1), Some(20), Some(50)])
    }

    fn add_endpoint(&mut self, app: Seq) {
        let own = app == DEFAULT_APPLICATION;
        let dice = &mut self.dice;
        let in_process = own && dice.one_in(3);
        let url = match in_process {
            true => INTERNAL_EVENTS_URL,
            false => "https://example.com",
        };
        let order = dice.one_in(3).then(|| JsonPath::parse("k"));
        let schedule = dice.one_in(2).then(|| dice.of(&SCHEDULES).to_vec());
        let paused = dice.one_in(8);
        let only = dice.one_in(4) && own;
        let throttle_rate = self.rate();
        let config = EndpointConfig {
            app,
            url: url.to_owned(),
            paused,
            throttle_rate,
            event_types: only.then(|| "a".to_owned()).into_iter().collect(),
            retry_schedule_ms: schedule,
            ordering_key: order.map(|path| path.expect("it is a path")),
            ..EndpointConfig::default()
        };
        self.decide(Input::CreateEndpoint {
            token: Token(1),
            config: Box::new(config),
            secret: Secret::new("whsec_one"),
        });
    }

    /// Tells the core, and looks at what it decides.
    fn decide(&mut self, input: Input) {
        let insisted = matches!(input, Input::Expunge { .. } | Input::TaskSlice { .. });
        let slice = match &input {
            Input::TaskSlice { task, .. } => Some(*task),
            _ => None,
        };
        let seen = self.world.decide(input);
        if !seen.answers.is_empty() {
            self.slices.retain(|task| Some(*task) != slice);
        }
        self.look_at(&seen, insisted);
    }

    fn look_at(&mut self, seen: &Seen, insisted: bool) {
        let config = self.world.core.config();
        for write in &seen.writes {
            self.naive.note(write, &config, self.world.now);
            match write {
                Write::Message(row) if !row.test => {
                    let endpoints = config.endpoints_of(row.app);
                    let matching = endpoints
                        .filter(|one| verdict(&one.config, row) == Verdict::Matched)
                        .map(|one| (row.seq, one.id));
                    self.wanted_forming.extend(matching);
                }
                Write::ContentGone(message) if !insisted => {
                    assert!(self.wipes, "a payload goes that is to be kept");
                    let alone = config.endpoints_of(DEFAULT_APPLICATION).nth(1).is_none();
                    self.wiped_forming.push((*message, alone));
                }
                _ => {}
            }
        }
        for answer in &seen.answers {
            if let Answer::Task(row) = answer {
                self.slices.remove(&row.id);
            }
        }
        let options = self.world.options.clone();
        for attempt in &seen.attempts {
            self.naive
                .start(attempt, &self.world.core, &options, self.world.now);
        }
    }

    fn commit(&mut self) {
        if self.world.is_committed() {
            return;
        }
        self.world.commit();
        self.naive.commit();
        self.wanted.extend(self.wanted_forming.drain(..));
        self.wiped.extend(self.wiped_forming.drain(..));
        let waiting: BTreeSet<Seq> = self.returns.iter().map(|(_, delivery)| *delivery).collect();
        let fresh: Vec<(Seq, Seq)> = (self.world.in_flight.values())
            .filter(|attempt| !waiting.contains(&attempt.delivery))
            .map(|attempt| (attempt.delivery, attempt.endpoint.id))
            .collect();
        for (delivery, endpoint) in fresh {
            let ms = match self.mood(endpoint) {
                Mood::Hanging => 15_000,
                Mood::Slow => 1 + self.dice.below(10_000) as i64,
                _ => self.dice.below(50) as i64,
            };
            self.returns.insert((self.world.now.plus_ms(ms), delivery));
        }
    }

    fn mood(&mut self, endpoint: Seq) -> Mood {
        let dice = &mut self.dice;
        let mood = self
            .moods
            .entry(endpoint)
            .or_insert_with(|| dice.of(&MOODS));
        let minute = self.world.now.ms() / 60_000;
        match *mood {
            Mood::Flapping if minute % 2 == 0 => Mood::Broken,
            Mood::Flapping => Mood::Well,
            Mood::Gone | Mood::Disables | Mood::Cancels if !dice.one_in(4) => Mood::Well,
            other => other,
        }
    }

    fn come_back(&mut self, delivery: Seq) {
        let attempt = self.world.in_flight[&delivery].clone();
        let mood = self.mood(attempt.endpoint.id);
        let retry_after = self
            .dice
            .of(&[None, Some(5000), Some(100_000), Some(9_000_000)]);
        let outcome = match mood {
            Mood::Well | Mood::Slow | Mood::Flapping if attempt.in_process => {
                let id = format!("{}", attempt.message);
                self.naive.held.insert(delivery);
                event("a", &id, self.dice.one_in(3), attempt.message)
            }
            _ if attempt.in_process => failed(Code::TransformThrew, "", false),
            Mood::Well | Mood::Slow | Mood::Flapping => sent(200, None),
            Mood::Broken => sent(self.dice.of(&[500, 503]), retry_after),
            Mood::Refusing => sent(self.dice.of(&[404, 302, 400]), None),
            Mood::Hanging => failed(Code::DeliveryTimedOut, "", true),
            Mood::Unreachable => failed(Code::DeliveryUnreachable, "", false),
            Mood::AsksForLess => {
                self.reached.asked_for_less += 1;
                self.naive
                    .asked
                    .extend(retry_after.map(|ms| (delivery, ms)));
                sent(429, retry_after)
            }
            Mood::Gone => sent(410, None),
            Mood::ScriptThrows => failed(Code::TransformThrew, "", false),
            Mood::Cancels => AttemptOutcome::Cancelled,
            Mood::Disables => AttemptOutcome::Sent {
                status: self.dice.of(&[200, 500]),
                response: bytes::Bytes::new(),
                retry_after_ms: None,
                control: self.dice.of(&[Control::Disable, Control::Abort]),
            },
        };
        self.naive.flying.remove(&delivery);
        let input = self.world.return_of(delivery, outcome);
        self.decide(input);
    }

    /// Everything that is to happen at this instant.
    fn settle(&mut self) {
        loop {
            let back = self.returns.first().copied();
            let back = back.filter(|(at, _)| *at <= self.world.now);
            if let Some(entry) = back {
                self.returns.remove(&entry);
                self.come_back(entry.1);
            }
            let max = 1 + self.dice.below(8);
            let due = self.world.core.take_due(self.world.now, max);
            if due.is_empty() && back.is_none() {
                break;
            }
            for input in due {
                self.decide(input);
            }
            if self.dice.one_in(3) {
                self.commit();
            }
        }
        let now = self.world.now;
        let mut faults = self.naive.idle(&self.world.core, &self.world.options, now);
        // It costs more than all else.
        if self.dice.one_in(4) {
            faults.extend(self.world.core.audit(now));
        }
        assert!(faults.is_empty(), "{faults:#?}");
    }

    fn pass(&mut self, ms: i64) {
        let end = self.world.now.plus_ms(ms);
        while let Some(at) = self.next_instant().filter(|at| *at <= end) {
            self.world.now = self.world.now.max(at);
            self.settle();
        }
        self.world.now = end;
    }

    fn next_instant(&mut self) -> Option<Timestamp> {
        self.commit();
        let back = self.returns.first().map(|(at, _)| *at);
        back.into_iter().chain(self.world.core.next_wake()).min()
    }

    fn crash(&mut self) {
        self.reached.crashes += 1;
        if self.world.is_committed() {
            check::same(&self.world.core, &self.world.rebuilt());
        }
        self.world.restart();
        self.naive.crash(&self.world.core.config());
        self.returns.clear();
        self.wanted_forming.clear();
        self.wiped_forming.clear();
        self.slices.clear();
        let pending: Vec<_> = self.world.core.pending().cloned().collect();
        assert_eq!(pending, self.world.pending_rows());
    }

    fn send(&mut self) {
        self.sent += 1;
        let body = self
            .dice
            .of(&["{}", r#"{"k":1}"#, r#"{"k":1}"#, r#"{"k":2}"#]);
        let event_type = self.dice.of(&["a", "b"]);
        let id = format!("m{}", self.dice.below(60));
        let mut new = message(&id, event_type, body);
        if self.dice.one_in(2) {
            let source = *self.world.rows.sources.keys().next().expect("there is one");
            let (token, message) = (Token(1), new);
            return self.decide(Input::Accept {
                token,
                source,
                message,
            });
        }
        let later = self.dice.one_in(8);
        new.deliver_at = later.then(|| self.world.now.plus_ms(self.dice.of(&PASSES)));
        self.decide(Input::CreateMessage {
            token: Token(1),
            application: DEFAULT_APPLICATION,
            message: new,
            idempotency: None,
        });
    }

    fn an_endpoint(&mut self) -> Option<Seq> {
        let config = self.world.core.config();
        let ids: Vec<Seq> = config.endpoints().map(|one| one.id).collect();
        (!ids.is_empty()).then(|| self.dice.of(&ids))
    }

    fn a_message(&mut self) -> Option<Seq> {
        let kept = self.world.rows.messages.values();
        let ids: Vec<Seq> = (kept.filter(|row| row.app == DEFAULT_APPLICATION))
            .map(|row| row.seq)
            .collect();
        (!ids.is_empty()).then(|| self.dice.of(&ids))
    }

    fn change(&mut self, change: impl FnOnce(&mut Dice, &mut EndpointConfig)) {
        let Some(endpoint) = self.an_endpoint() else {
            return;
        };
        let config = self.world.core.config();
        let config = config.endpoint(endpoint).expect("it is there");
        let mut config = EndpointConfig::clone(&config.config);
        let was_disabled = config.disabled;
        change(&mut self.dice, &mut config);
        self.decide(Input::UpdateEndpoint {
            token: Token(1),
            endpoint,
            config: Box::new(config),
            was_disabled,
        });
    }

    fn something(&mut self) {
        match self.dice.below(40) {
            0..=11 => (0..=self.dice.below(3)).for_each(|_| self.send()),
            12..=21 => {
                let ms = self.dice.of(&PASSES);
                return self.pass(ms);
            }
            22..=23 => self.crash(),
            24..=25 => self.change(|_, config| config.paused = !config.paused),
            26 => self.change(|_, config| config.disabled = !config.disabled),
            27..=28 => self.change(|_, config| config.disabled = false),
            29 => {
                let rate = self.rate();
                self.change(|_, config| config.throttle_rate = rate);
            }
            30..=31 => {
                let endpoint = self.an_endpoint();
                let mood = self.dice.of(&MOODS);
                self.moods.extend(endpoint.map(|id| (id, mood)));
            }
            32 => self.set_application(),
            33..=35 => self.ask(),
            36..=37 => self.start_task(),
            _ => {
                self.slice(false);
            }
        }
        self.settle();
        if self.dice.one_in(4) {
            self.commit();
        }
    }

    /// Somebody asks for something that is about one message or endpoint.
    fn ask(&mut self) {
        let token = Token(1);
        let (one, endpoint) = (self.a_message(), self.an_endpoint());
        let (Some(one), Some(endpoint)) = (one, endpoint) else {
            return;
        };
        let messages = vec![one];
        let input = match self.dice.below(10) {
            0..=2 if self.is_of_default(endpoint) => Input::Resend {
                token,
                message: one,
                endpoint,
            },
            3..=4 => Input::SendTest {
                token,
                endpoint,
                message: message("sample", "a", "{}"),
                wait: true,
            },
            5 => Input::CancelPending {
                token,
                endpoint,
                created_before: self.world.now,
                after: Seq(0),
            },
            6 => Input::Expunge {
                token,
                messages,
                even_pending: self.dice.one_in(2),
            },
            7 if self.purges => Input::Purge { token, messages },
            8 if self.dice.one_in(3) => Input::DeleteEndpoint { token, endpoint },
            _ => return,
        };
        self.decide(input);
    }

    fn is_of_default(&self, endpoint: Seq) -> bool {
        let config = self.world.core.config();
        let found = config.endpoint(endpoint);
        found.is_some_and(|one| one.config.app == DEFAULT_APPLICATION)
    }

    fn start_task(&mut self) {
        let endpoint = self.an_endpoint();
        let Some(endpoint) = endpoint.filter(|id| self.is_of_default(*id)) else {
            return;
        };
        let purges = self.dice.one_in(6);
        self.decide(Input::StartTask {
            token: Token(1),
            new: Box::new(NewTask {
                kind: match purges {
                    true => TaskKind::PurgeContent,
                    false => TaskKind::Recover,
                },
                app: DEFAULT_APPLICATION,
                endpoint: (!purges).then_some(endpoint),
                filter: TaskFilter::default(),
            }),
        });
    }

    /// The next slice of a task is found, if one is looked for.
    fn slice(&mut self, last: bool) -> bool {
        let config = self.world.core.config();
        let mut running = config.running_tasks();
        let Some(task) = running.find(|task| !self.slices.contains(&task.id)) else {
            return false;
        };
        let endpoint = task.endpoint.and_then(|id| config.endpoint(id));
        let kept = self.world.rows.messages.values();
        let messages: Vec<(Seq, Option<u64>)> = kept
            .filter(|row| row.app == task.app && row.seq > task.cursor && !row.expired)
            .take(3)
            .map(|row| {
                (
                    row.seq,
                    endpoint.and_then(|one| order_key(&one.config, row)),
                )
            })
            .collect();
        self.slices.insert(task.id);
        let slice = TaskSlice {
            cursor: messages.last().map_or(task.cursor, |last| last.0),
            looked: messages.len() as u64,
            ended: last || messages.is_empty(),
            messages,
            result: None,
            failed: None,
        };
        self.decide(Input::TaskSlice {
            token: Token(1),
            task: task.id,
            slice,
        });
        true
    }

    /// All faults stop, and everything comes to its end.
    fn finish(&mut self) {
        let config = self.world.core.config();
        for endpoint in config.endpoints() {
            let mood = self.dice.of(&[Mood::Well, Mood::Broken, Mood::Hanging]);
            self.moods.insert(endpoint.id, mood);
            if endpoint.config.paused {
                let mut config = EndpointConfig::clone(&endpoint.config);
                config.paused = false;
                self.decide(Input::UpdateEndpoint {
                    token: Token(1),
                    endpoint: endpoint.id,
                    config: Box::new(config),
                    was_disabled: endpoint.config.disabled,
                });
            }
        }
        self.settle();
        for _ in 0..100_000 {
            while self.slice(true) {}
            self.settle();
            let Some(at) = self.next_instant() else { break };
            self.world.now = self.world.now.max(at);
            self.settle();
        }
        self.commit();
    }
}

fn live(seed: u64) -> Reached {
    let mut life = Life::begin(seed);
    for _ in 0..10 + life.dice.below(45) {
        life.something();
    }
    life.finish();
    check::ended(&life);
    life.reach()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn live_all(from: u64) {
    let seeds = match number("DUNLIN_SEED") {
        Some(seed) => seed..seed + 1,
        None => from..from + number("DUNLIN_WORLDS").unwrap_or(WORLDS),
    };
    let mut all = Reached::default();
    let worlds = seeds.end - seeds.start;
    for seed in seeds {
        let one = std::panic::catch_unwind(|| live(seed));
        let Ok(one) = one else {
            panic!("DUNLIN_SEED={seed} shows it");
        };
        all.add(one);
    }
    if worlds >= 1000 {
        all.check();
    }
}

#[test]
fn every_delivery_comes_to_its_end_and_none_waits_in_vain() {
    live_all(0);
}

#[test]
fn every_delivery_comes_to_its_end_in_further_worlds_too() {
    live_all(1_000_000);
}
