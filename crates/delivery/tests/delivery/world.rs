//! A store, a clock and a sequence for the core, all in memory. What is committed is kept as rows,
//! so that a restart can be played.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_delivery::{
    Answer, Application, AttemptEffect, AttemptOutcome, AttemptRow, Attempted, Context, Delivery,
    DeliveryOptions, DeliveryRow, DeliveryState, Effect, Emit, Endpoint, EndpointConfig,
    EndpointVersionRow, Input, Known, Loaded, Message, NewMessage, NewSource, RepeatRow, Source,
    SourceConfig, SourceKind, Write,
};
use dunlin_types::{DedupeKey, EventOrigin, NewEvent, Payload, Secret, Seq, Timestamp, Token};

pub(crate) const START: Timestamp = Timestamp::from_ms(1_800_000_000_000);

#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) applications: BTreeMap<Seq, Arc<Application>>,
    pub(crate) sources: BTreeMap<Seq, Arc<Source>>,
    pub(crate) endpoints: BTreeMap<Seq, Arc<Endpoint>>,
    pub(crate) versions: Vec<EndpointVersionRow>,
    pub(crate) messages: BTreeMap<Seq, Arc<Message>>,
    pub(crate) dedupe: BTreeMap<DedupeKey, Known>,
    pub(crate) repeats: Vec<RepeatRow>,
    pub(crate) deliveries: BTreeMap<Seq, DeliveryRow>,
    pub(crate) attempts: Vec<AttemptRow>,
    pub(crate) events: Vec<(Seq, NewEvent)>,
}

pub(crate) struct World {
    pub(crate) core: Delivery,
    pub(crate) options: DeliveryOptions,
    pub(crate) rows: Rows,
    pub(crate) now: Timestamp,
    pub(crate) seed: u64,
    seq: u64,
    /// Attempts that the shell is making.
    pub(crate) in_flight: BTreeMap<Seq, AttemptEffect>,
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
            in_flight: BTreeMap::new(),
        }
    }

    /// Decides, commits, and notes what is to be done.
    pub(crate) fn tell(&mut self, input: Input) -> Seen {
        let keys = self.core.needs(&input).dedupe;
        let known = |key: DedupeKey| Some((key, *self.rows.dedupe.get(&key)?));
        let loaded = Loaded {
            known: keys.into_iter().filter_map(known).collect(),
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
            self.rows.events.push((at, event));
        }
        for write in &outcome.writes {
            self.apply(write);
        }
        for effect in outcome.effects {
            match effect {
                Effect::Answer { answer, .. } => seen.answers.push(answer),
                Effect::Attempt(attempt) => {
                    let old = self.in_flight.insert(attempt.delivery, (*attempt).clone());
                    assert!(old.is_none(), "two attempts of one delivery at once");
                    seen.attempts.push(*attempt);
                }
            }
        }
        assert_eq!(self.core.in_flight(), self.in_flight.len());
        seen.writes = outcome.writes;
        seen
    }

    fn apply(&mut self, write: &Write) {
        let rows = &mut self.rows;
        match write.clone() {
            Write::Application(row) => drop(rows.applications.insert(row.id, row)),
            Write::ApplicationDeleted(id) => drop(rows.applications.remove(&id)),
            Write::Source(row) => drop(rows.sources.insert(row.id, row)),
            Write::SourceDeleted(id) => drop(rows.sources.remove(&id)),
            Write::Refusal(_) => {}
            Write::Endpoint(row) => drop(rows.endpoints.insert(row.id, row)),
            Write::EndpointDeleted(id) => drop(rows.endpoints.remove(&id)),
            Write::EndpointVersion(row) => rows.versions.push(row),
            Write::Message(row) => drop(rows.messages.insert(row.seq, row)),
            Write::Dedupe(row) => {
                let (seq, at, hash) = (row.seq, row.at, row.hash);
                rows.dedupe.insert(
                    row.key,
                    Known {
                        seq,
                        at,
                        hash,
                        expires: row.expires,
                    },
                );
            }
            Write::Repeat(row) => rows.repeats.push(row),
            Write::Delivery(row) => drop(rows.deliveries.insert(row.seq, row)),
            Write::Attempt(row) => rows.attempts.push(*row),
        }
    }

    /// The process dies and another one comes up from the rows.
    pub(crate) fn restart(&mut self) {
        self.in_flight.clear();
        self.core = Delivery::new(self.options.clone());
        for row in self.rows.applications.values() {
            self.core.restore_application(Application::clone(row));
        }
        for row in self.rows.sources.values() {
            self.core.restore_source(Source::clone(row));
        }
        for row in self.rows.endpoints.values() {
            self.core.restore_endpoint(Endpoint::clone(row));
        }
        for row in self.rows.deliveries.values() {
            self.core.restore_delivery(row.clone());
        }
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
        let attempt = self.in_flight.remove(&delivery).expect("it is under way");
        self.tell(Input::Attempted(Box::new(Attempted {
            delivery,
            attempt_no: attempt.attempt_no,
            outcome,
            url: attempt.endpoint.config.url.clone(),
            started: self.now,
            ended: self.now.plus_ms(12),
            logs: Vec::new(),
        })))
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
            config,
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
        headers: Vec::new(),
        channels: Vec::new(),
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
