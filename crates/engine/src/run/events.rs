//! Events come in: each is appended once and starts what it triggers.

use std::sync::Arc;

use dunlin_types::limits::EVENT_ID_DEDUPE_MS;
use dunlin_types::{DedupeKey, Event, EventParts, NewEvent, Seq, Timestamp, Token, Ulid, ulid_for};

use crate::core::{Engine, Work};
use crate::effect::Answer;
use crate::write::Write;

/// The key under which one send of an event arrives only once.
fn send_key(seeded: Ulid) -> DedupeKey {
    DedupeKey::new(b"send", &seeded.0.to_be_bytes())
}

/// The key under which an event id starts a function only once.
pub(crate) fn start_key(function: u32, event_id: &str) -> DedupeKey {
    DedupeKey::new(
        &[&b"start"[..], &function.to_be_bytes()].concat(),
        event_id.as_bytes(),
    )
}

impl Engine {
    /// Keys that must be looked up before these events can be taken.
    pub(crate) fn event_keys(&self, events: &[NewEvent]) -> Vec<DedupeKey> {
        let mut keys = Vec::new();
        for event in events {
            keys.extend(event.seeded.map(send_key));
            if let Some(id) = &event.id {
                let functions = self.catalog.named(&event.name);
                keys.extend(
                    functions
                        .into_iter()
                        .map(|function| start_key(function, id)),
                );
            }
        }
        keys
    }

    pub(crate) fn append_events(
        &mut self,
        work: &mut Work<'_, '_>,
        token: Token,
        events: Vec<NewEvent>,
    ) {
        let ids = events
            .into_iter()
            .map(|event| self.append_event(work, event))
            .collect();
        work.answer(token, Answer::Events(ids));
    }

    fn append_event(&mut self, work: &mut Work<'_, '_>, new: NewEvent) -> Ulid {
        let now = work.now();
        let send = new.seeded.map(|seeded| (send_key(seeded), seeded));
        if let Some((key, seeded)) = send
            && work.known.contains_key(&key)
        {
            return seeded;
        }
        let seq = work.seq();
        if let Some((key, _)) = send {
            self.remember(work, key, seq, Timestamp::MAX);
        }
        let internal_id = new.seeded.unwrap_or_else(|| ulid_for(now, seq));
        let ts = new.ts.unwrap_or(now);
        let due = if new.ts_delays && ts > now { ts } else { now };
        let by_id = new.id.is_some();
        let event = Event::new(EventParts {
            seq,
            internal_id,
            id: new.id.unwrap_or_else(|| internal_id.to_string()),
            name: new.name,
            received: now,
            ts,
            data: new.data,
            user: new.user,
            v: new.v,
            origin: new.origin,
        });
        work.write(Write::Event(Arc::clone(&event)));
        self.take_event(work, &event);
        self.start_triggered(work, &event, due, by_id);
        internal_id
    }

    pub(crate) fn remember(
        &self,
        work: &mut Work<'_, '_>,
        key: DedupeKey,
        seq: Seq,
        expires: Timestamp,
    ) {
        work.known.insert(key, seq);
        work.write(Write::Dedupe { key, seq, expires });
    }

    /// Starts each function that the event triggers, once.
    fn start_triggered(
        &mut self,
        work: &mut Work<'_, '_>,
        event: &Arc<Event>,
        due: Timestamp,
        by_id: bool,
    ) {
        for function in self.catalog.triggered(event, work.now()) {
            let key = by_id.then(|| start_key(function, &event.id));
            if key.is_some_and(|key| work.known.contains_key(&key)) {
                continue;
            }
            let started = self.start(work, function, event, due);
            if let Some(key) = key {
                // The run, as an invocation under the same id asks for it.
                let expires = work.now().plus_ms(EVENT_ID_DEDUPE_MS);
                self.remember(work, key, started.run().unwrap_or(event.seq), expires);
            }
        }
    }
}
