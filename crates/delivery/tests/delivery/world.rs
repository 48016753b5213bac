//! A store, a clock and a sequence for the core, all in memory. What is committed is kept as rows,
//! so that a restart can be played, and with it the loss of what was not committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_delivery::{
    AboutMessage, Answer, Application, AttemptEffect, AttemptOutcome, AttemptRow, Attempted,
    Context, Delivery, DeliveryOptions, DeliveryRow, DeliveryState, Effect, Emit, Endpoint,
    EndpointConfig, EndpointVersionRow, EventType, HealthRow, Input, Known, Loaded, Message,
    NewMessage, NewSource, RepeatRow, RestRow, Source, SourceConfig, SourceKind, TallyRow, TaskRow,
    Write,
};
use dunlin_types::{DedupeKey, EventOrigin, NewEvent, Payload, Secret, Seq, Timestamp, Token};

pub(crate) const START: Timestamp = Timestamp::from_ms(1_800_000_000_000);

#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) applications: BTreeMap<Seq, Arc<Application>>,
    pub(crate) sources: BTreeMap<Seq, Arc<Source>>,
    pub(crate) endpoints: BTreeMap<Seq, Arc<Endpoint>>,
    pub(crate) event_types: BTreeMap<String, Arc<EventType>>,
    pub(crate) versions: Vec<EndpointVersionRow>,
    pub(crate) messages: BTreeMap<Seq, Arc<Message>>,
    pub(crate) dedupe: BTreeMap<DedupeKey, Known>,
    pub(crate) repeats: Vec<RepeatRow>,
    pub(crate) deliveries: BTreeMap<Seq, DeliveryRow>,
    pub(crate) attempts: Vec<AttemptRow>,
    pub(crate) health: BTreeMap<Seq, HealthRow>,
    pub(crate) rests: BTreeMap<Seq, RestRow>,
    pub(crate) tallies: BTreeMap<(u32, Seq), TallyRow>,
    pub(crate) tasks: BTreeMap<Seq, Arc<TaskRow>>,
    pub(crate) events: Vec<(Seq, NewEvent)>,
}

impl Rows {
    fn apply(&mut self, write: &Write) {
        match write.clone() {
            Write::Application(row) => drop(self.applications.insert(row.id, row)),
            Write::ApplicationDeleted(id) => drop(self.applications.remove(&id)),
            Write::Source(row) => drop(self.sources.insert(row.id, row)),
            Write::SourceDeleted(id) => drop(self.sources.remove(&id)),
            Write::Endpoint(row) => drop(self.endpoints.insert(row.id, row)),
            Write::EndpointDeleted(id) => {
                self.endpoints.remove(&id);
                self.rests.remove(&id);
            }
            Write::EndpointVersion(row) => self.versions.push(row),
            Write::EventType(row) => drop(self.event_types.insert(row.name.clone(), row)),
            Write::EventTypeDeleted(name) => drop(self.event_types.remove(&name)),
            Write::Message(row) => drop(self.messages.insert(row.seq, row)),
            Write::Dedupe(row) => drop(self.dedupe.insert(row.key, known(&row))),
            Write::DedupeGone(key, by) => {
                if self.dedupe.get(&key).is_some_and(|one| one.expires <= by) {
                    self.dedupe.remove(&key);
                }
            }
            Write::Repeat(row) => self.repeats.push(row),
            Write::Delivery(row) => drop(self.deliveries.insert(row.seq, row)),
            Write::Attempt(row) => self.attempts.push(*row),
            Write::Health(row) => drop(self.health.insert(row.endpoint, row)),
            Write::HealthGone(endpoint) => drop(self.health.remove(&endpoint)),
            Write::Rest(row) => drop(self.rests.insert(row.endpoint, row)),
            Write::Tally(row) => drop(self.tallies.insert((row.hour, row.endpoint), row)),
            Write::Task(row) => drop(self.tasks.insert(row.id, row)),
            Write::ContentGone(message) => {
                if let Some(row) = self.messages.get_mut(&message) {
                    let row = Arc::make_mut(row);
                    row.body = Bytes::new();
                    row.expired = true;
                }
            }
            Write::MessageGone(message) => {
                self.messages.remove(&message);
                self.deliveries.retain(|_, row| row.message != message);
                self.attempts.retain(|row| row.message != message);
                self.repeats.retain(|row| row.message != message);
            }
            Write::ResponseGone(attempt) => {
                let row = self.attempts.iter_mut().find(|row| row.seq == attempt);
                row.expect("the attempt exists").response = Bytes::new();
            }
            Write::PortalToken(_)
            | Write::PortalTokenGone(_)
            | Write::Integration(_)
            | Write::IntegrationGone(_)
            | Write::Refusal(_) => {}
        }
    }
}

fn known(row: &dunlin_delivery::DedupeRow) -> Known {
    Known {
        seq: row.seq,
        at: row.at,
        hash: row.hash,
        expires: row.expires,
    }
}

/// What is decided and not committed yet.
#[derive(Default)]
struct Forming {
    writes: Vec<Write>,
    events: Vec<(Seq, NewEvent)>,
    attempts: Vec<AttemptEffect>,
}

pub(crate) struct World {
    pub(crate) core: Delivery,
    pub(crate) options: DeliveryOptions,
    pub(crate) rows: Rows,
    pub(crate) now: Timestamp,
    pub(crate) seed: u64,
    seq: u64,
    forming: Forming,
    /// Attempts that the shell is making, and since when.
    pub(crate) in_flight: BTreeMap<Seq, AttemptEffect>,
    pub(crate) since: BTreeMap<Seq, Timestamp>,
}

/// What one input led to, in the order of the decision.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) writes: Vec<Write>,
    pub(crate) events: Vec<(Seq, NewEvent)>,
    pub(crate) attempts: Vec<AttemptEffect>,
    pub(crate) answers: Vec<Answer>,
}

impl World {
    pub(crate) fn new(options: DeliveryOptions) -> Self {
        Self {
            core: Delivery::new(options.clone()),
            options,
            rows: Rows::default(),
            now: START,
            seed: 1,
            seq: 0,
            forming: Forming::default(),
            in_flight: BTreeMap::new(),
            since: BTreeMap::new(),
        }
    }

    /// Decides, commits, and notes what is to be done.
    pub(crate) fn tell(&mut self, input: Input) -> Seen {
        let seen = self.decide(input);
        self.commit();
        assert_eq!(self.core.in_flight(), self.in_flight.len());
        seen
    }

    /// Decides, and commits nothing.
    pub(crate) fn decide(&mut self, input: Input) -> Seen {
        let keys = self.core.needs(&input).dedupe;
        let loaded = Loaded {
            known: keys
                .into_iter()
                .filter_map(|key| Some((key, self.known(key)?)))
                .collect(),
        };
        let seq = &mut self.seq;
        let mut next_seq = || {
            *seq += 1;
            Seq(*seq)
        };
        let mut cx = Context {
            now: self.now,
            seed: self.seed,
            next_seq: &mut next_seq,
        };
        let mut outcome = self.core.handle(input, &loaded, &mut cx);
        let mut seen = Seen::default();
        for emit in std::mem::take(&mut outcome.emits) {
            let Emit::AppendEvent { event, delivery } = emit;
            let at = next_seq();
            outcome.set_event(delivery, at);
            seen.events.push((delivery, event.clone()));
            self.forming.events.push((at, event));
        }
        for effect in outcome.effects {
            match effect {
                Effect::Answer { answer, .. } => seen.answers.push(answer),
                Effect::Attempt(attempt) => {
                    self.forming.attempts.push((*attempt).clone());
                    seen.attempts.push(*attempt);
                }
            }
        }
        self.forming.writes.extend(outcome.writes.iter().cloned());
        seen.writes = outcome.writes;
        seen
    }

    fn known(&self, key: DedupeKey) -> Option<Known> {
        let forming = self.forming.writes.iter().rev();
        let forming = forming.filter_map(|write| match write {
            Write::Dedupe(row) if row.key == key => Some(known(row)),
            _ => None,
        });
        forming.chain(self.rows.dedupe.get(&key).copied()).next()
    }

    /// What was decided becomes durable, and only then things are done.
    pub(crate) fn commit(&mut self) {
        let forming = std::mem::take(&mut self.forming);
        for write in &forming.writes {
            self.rows.apply(write);
        }
        self.rows.events.extend(forming.events);
        for attempt in forming.attempts {
            self.since.insert(attempt.delivery, self.now);
            let old = self.in_flight.insert(attempt.delivery, attempt);
            assert!(old.is_none(), "two attempts of one delivery at once");
        }
    }

    /// Whether everything that was decided is durable.
    pub(crate) fn is_committed(&self) -> bool {
        self.forming.writes.is_empty() && self.forming.attempts.is_empty()
    }

    /// The process dies and another one comes up from the rows.
    pub(crate) fn restart(&mut self) {
        self.in_flight.clear();
        self.since.clear();
        self.forming = Forming::default();
        self.core = self.rebuilt();
    }

    /// What a process would know that comes up now.
    pub(crate) fn rebuilt(&self) -> Delivery {
        let mut core = Delivery::new(self.options.clone());
        for row in self.rows.applications.values() {
            core.restore_application(Application::clone(row));
        }
        for row in self.rows.sources.values() {
            core.restore_source(Source::clone(row));
        }
        for row in self.rows.endpoints.values() {
            core.restore_endpoint(Endpoint::clone(row));
        }
        for row in self.rows.event_types.values() {
            core.restore_event_type(Arc::clone(row));
        }
        for row in self.rows.deliveries.values() {
            core.restore_delivery(row.clone());
        }
        for row in self.rows.health.values() {
            core.restore_health(*row);
        }
        for row in self.rows.rests.values() {
            core.restore_rest(*row);
        }
        for row in self.rows.tallies.values() {
            core.restore_tally(*row);
        }
        for row in self.rows.tasks.values() {
            core.restore_task(TaskRow::clone(row));
        }
        core
    }

    /// What the rows say is pending.
    pub(crate) fn pending_rows(&self) -> Vec<DeliveryRow> {
        let rows = self.rows.deliveries.values();
        rows.filter(|row| row.state == DeliveryState::Pending)
            .cloned()
            .collect()
    }

    /// Everything that is due now.
    pub(crate) fn due(&mut self) -> Vec<Seen> {
        let due = self.core.take_due(self.now, usize::MAX);
        due.into_iter().map(|input| self.tell(input)).collect()
    }

    /// An attempt comes back.
    pub(crate) fn come_back(&mut self, delivery: Seq, outcome: AttemptOutcome) -> Seen {
        let input = self.return_of(delivery, outcome);
        self.tell(input)
    }

    /// What is told when an attempt comes back.
    pub(crate) fn return_of(&mut self, delivery: Seq, outcome: AttemptOutcome) -> Input {
        let attempt = self.in_flight.remove(&delivery).expect("it is under way");
        let since = self.since.remove(&delivery).expect("it has begun");
        let message = self.rows.messages.get(&attempt.message);
        Input::Attempted(Box::new(Attempted {
            delivery,
            attempt_no: attempt.attempt_no,
            endpoint_version: attempt.endpoint.version,
            outcome,
            url: attempt.endpoint.config.url.clone(),
            started: since,
            ended: self.now,
            headers: dunlin_delivery::AttemptHeaders::default(),
            logs: Vec::new(),
            about: message.map(|message| AboutMessage {
                event_type: message.event_type.clone(),
                at: message.at,
                provider_id: message.provider_id.clone(),
            }),
        }))
    }

    pub(crate) fn add_source(&mut self, name: &str) -> Seen {
        self.tell(Input::CreateSource {
            token: Token(1),
            new: NewSource {
                name: name.to_owned(),
                uid: None,
                kind: SourceKind::Dodo,
                config: SourceConfig::default(),
                mode: None,
                app: dunlin_delivery::DEFAULT_APPLICATION,
                metadata: BTreeMap::new(),
                secret: Secret::new("whsec_one"),
            },
        })
    }

    pub(crate) fn add_endpoint(&mut self, config: EndpointConfig) -> Seen {
        self.tell(Input::CreateEndpoint {
            token: Token(1),
            config: Box::new(config),
            secret: Secret::new("whsec_one"),
        })
    }

    pub(crate) fn accept(&mut self, id: &str, event_type: &str, body: &str) -> Seen {
        let source = *self.rows.sources.keys().next().expect("there is a source");
        self.tell(Input::Accept {
            token: Token(1),
            source,
            message: message(id, event_type, body),
        })
    }
}

pub(crate) fn message(id: &str, event_type: &str, body: &str) -> NewMessage {
    let mut body_hash = [0; 16];
    for (place, byte) in body_hash.iter_mut().zip(body.bytes()) {
        *place = byte;
    }
    NewMessage {
        provider_id: id.to_owned(),
        event_type: event_type.to_owned(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        body_hash,
        ..NewMessage::default()
    }
}

pub(crate) fn event(name: &str, id: &str, named: bool, message: Seq) -> AttemptOutcome {
    AttemptOutcome::Event {
        event: NewEvent {
            name: name.to_owned(),
            data: Payload::empty_object(),
            user: None,
            id: Some(id.to_owned()),
            seeded: None,
            ts: None,
            v: None,
            origin: EventOrigin::Message(message),
            ts_delays: false,
        },
        name_set_by_script: named,
    }
}

/// The receiver answered with that status.
pub(crate) fn sent(status: u16, retry_after_ms: Option<i64>) -> AttemptOutcome {
    AttemptOutcome::Sent {
        status,
        response: Bytes::from_static(b"answer"),
        retry_after_ms,
        control: dunlin_delivery::Control::None,
    }
}

/// There was no answer.
pub(crate) fn failed(code: dunlin_types::Code, detail: &str, timed_out: bool) -> AttemptOutcome {
    AttemptOutcome::Failed {
        code,
        detail: detail.to_owned(),
        status: None,
        response: Bytes::new(),
        retry_after_ms: None,
        timed_out,
    }
}
