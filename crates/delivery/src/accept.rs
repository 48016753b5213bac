//! Messages coming in: repeats told apart, one pending delivery for each endpoint that matches.

use std::sync::Arc;

use dunlin_types::{Code, Coded, DedupeKey, Seq, Timestamp, Token, limits};

use crate::{
    Answer, Context, DedupeRow, Delivery, DeliveryRow, DeliveryState, Endpoint, FilterInput, Known,
    Loaded, Message, NewMessage, Outcome, RepeatRow, Trigger, Write, route,
};

/// The key under which a provider's id is remembered.
pub(crate) fn message_key(source: Seq, provider_id: &str) -> DedupeKey {
    let space = [b"message ".as_slice(), &source.0.to_be_bytes()].concat();
    DedupeKey::new(&space, provider_id.as_bytes())
}

impl Delivery {
    pub(crate) fn accept(
        &mut self,
        token: Token,
        source: Seq,
        new: NewMessage,
        loaded: &Loaded,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let Some(app) = self.config.source(source).map(|found| found.app) else {
            let gone = Coded::plain(Code::SourceUnknown);
            return out.answer(token, Answer::Refused(gone));
        };
        let key = message_key(source, &new.provider_id);
        if let Some(known) = loaded.known.get(&key)
            && cx.now.since(known.at) < limits::MESSAGE_DEDUPE_MS
        {
            return repeat(token, known, &new, cx, out);
        }
        let hash = new.body_hash;
        let answer = self.take_in(app, Some(source), new, cx, out);
        if let Answer::Accepted { message } = answer {
            let expires = cx.now.plus_ms(limits::MESSAGE_DEDUPE_MS);
            out.writes
                .push(taken_key(key, message.seq, hash, expires, cx.now));
        }
        out.answer(token, answer);
    }

    /// Somebody sends a message of their own.
    pub(crate) fn create_message(
        &mut self,
        input: Creation,
        loaded: &Loaded,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let Creation {
            token,
            application,
            message,
            idempotency,
        } = input;
        if self.config.application(application).is_none() {
            return out.answer(token, Answer::Refused(Coded::plain(Code::NotFound)));
        }
        let now = cx.now;
        let known = |key: &DedupeKey| loaded.known.get(key).filter(|one| one.expires > now);
        if let Some(first) = idempotency.as_ref().and_then(known) {
            let conflict = first.hash != message.body_hash;
            let message = message_id(first.at, first.seq);
            return out.answer(token, Answer::Repeat { message, conflict });
        }
        let event_key = event_id_key(application, &message.provider_id);
        if event_key.as_ref().and_then(known).is_some() {
            let detail = "a message with that `eventId` exists already";
            let refusal = Coded::new(Code::Conflict, detail);
            return out.answer(token, Answer::Refused(refusal));
        }
        let hash = message.body_hash;
        let answer = self.take_in(application, None, message, cx, out);
        if let Answer::Accepted { message } = answer {
            let keys = [
                (event_key, limits::MESSAGE_EVENT_ID_MS),
                (idempotency, limits::IDEMPOTENCY_KEY_MS),
            ];
            for (key, span_ms) in keys {
                let expires = now.plus_ms(span_ms);
                let row = key.map(|key| taken_key(key, message.seq, hash, expires, now));
                out.writes.extend(row);
            }
        }
        out.answer(token, answer);
    }

    /// Takes in a message that is made here, and remembers the id that its sender gave.
    pub(crate) fn take_in_as_own(
        &mut self,
        app: Seq,
        new: NewMessage,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let (key, hash) = (event_id_key(app, &new.provider_id), new.body_hash);
        let Answer::Accepted { message } = self.take_in(app, None, new, cx, out) else {
            return;
        };
        let expires = cx.now.plus_ms(limits::MESSAGE_EVENT_ID_MS);
        let row = key.map(|key| taken_key(key, message.seq, hash, expires, cx.now));
        out.writes.extend(row);
    }

    /// Takes a message in and plans its deliveries.
    pub(crate) fn take_in(
        &mut self,
        app: Seq,
        source: Option<Seq>,
        new: NewMessage,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Answer {
        let message = self.message_row(new, app, source, false, cx);
        out.writes.push(Write::Message(Arc::clone(&message)));
        let input = FilterInput::new(&message.event_type, &message.body, &message.headers);
        let matching = route::matching(&self.config, app, &message, &input);
        self.plan(&message, &matching, &input, cx, out);
        if !matching.is_empty() {
            self.fresh.put(Arc::clone(&message));
        }
        self.start_ready(cx, out);
        Answer::Accepted {
            message: message.id(),
        }
    }

    /// One pending delivery for each of the endpoints.
    fn plan(
        &mut self,
        message: &Message,
        endpoints: &[Arc<Endpoint>],
        input: &FilterInput<'_>,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let in_process = |one: &&Arc<Endpoint>| self.is_in_process(&one.config);
        let crowded = endpoints.iter().filter(in_process).count() > 1;
        for endpoint in endpoints {
            let path = endpoint.config.ordering_key.as_ref();
            let mut row = DeliveryRow {
                rivals: crowded && self.is_in_process(&endpoint.config),
                order_key: path.and_then(|path| path.key_hash(input.payload())),
                ..pending(cx, message.seq, endpoint.id, Trigger::Scheduled)
            };
            let later = message.deliver_at.filter(|at| *at > cx.now);
            row.next_at = later.or(row.next_at);
            out.writes.push(Write::Delivery(row.clone()));
            match later {
                Some(_) => self.queue.add_waiting(row),
                None => self.queue.add_ready(row, Token::NONE, cx.now),
            }
        }
    }

    pub(crate) fn resend(
        &mut self,
        token: Token,
        message: Seq,
        endpoint: Seq,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let refusal = match self.config.endpoint(endpoint) {
            None => Some(Code::NotFound),
            Some(found) if found.config.disabled => Some(Code::EndpointDisabled),
            Some(_) => None,
        };
        if let Some(code) = refusal {
            return out.answer(token, Answer::Refused(Coded::plain(code)));
        }
        // Asking twice before the first attempt has ended asks for the same attempt.
        let asked = self
            .queue
            .of_message(message)
            .find(|hot| hot.row.endpoint == endpoint && hot.row.trigger == Trigger::Manual);
        if let Some(hot) = asked {
            let delivery = hot.row.id();
            return out.answer(token, Answer::Resent { delivery });
        }
        let row = pending(cx, message, endpoint, Trigger::Manual);
        out.writes.push(Write::Delivery(row.clone()));
        let delivery = row.id();
        out.answer(token, Answer::Resent { delivery });
        self.queue.add_ready(row, Token::NONE, cx.now);
        self.start_ready(cx, out);
    }

    pub(crate) fn send_test(
        &mut self,
        token: Token,
        endpoint: Seq,
        new: NewMessage,
        wait: bool,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let Some(app) = self.config.endpoint(endpoint).map(|found| found.config.app) else {
            let gone = Coded::plain(Code::NotFound);
            return out.answer(token, Answer::Refused(gone));
        };
        let message = self.message_row(new, app, None, true, cx);
        let row = pending(cx, message.seq, endpoint, Trigger::Test);
        out.writes.push(Write::Message(Arc::clone(&message)));
        out.writes.push(Write::Delivery(row.clone()));
        if !wait {
            let (message, delivery) = (message.id(), row.id());
            out.answer(token, Answer::TestSent { message, delivery });
        }
        self.fresh.put(Arc::clone(&message));
        let waits = if wait { token } else { Token::NONE };
        self.queue.add_ready(row, waits, cx.now);
        self.start_ready(cx, out);
    }

    fn message_row(
        &self,
        new: NewMessage,
        app: Seq,
        source: Option<Seq>,
        test: bool,
        cx: &mut Context<'_>,
    ) -> Arc<Message> {
        let kept = self.config.application(app).map(|app| app.retention);
        let kept_ms = i64::from(kept.unwrap_or_default().payload_days) * limits::DAY_MS;
        let kept_ms = new.retention_ms.map_or(kept_ms, |ms| ms.min(kept_ms));
        Arc::new(Message {
            seq: cx.seq(),
            at: cx.now,
            app,
            source,
            event_type: new.event_type,
            provider_id: new.provider_id,
            headers: new.headers,
            channels: new.channels,
            tags: new.tags,
            deliver_at: new.deliver_at,
            expires: cx.now.plus_ms(kept_ms),
            params: new.params,
            body: new.body,
            expired: false,
            body_hash: new.body_hash,
            test,
        })
    }
}

/// A message that somebody sends, and what they tell their own repeats by.
pub(crate) struct Creation {
    pub(crate) token: Token,
    pub(crate) application: Seq,
    pub(crate) message: NewMessage,
    pub(crate) idempotency: Option<DedupeKey>,
}

/// The key under which a sender's own id is remembered.
pub(crate) fn event_id_key(app: Seq, event_id: &str) -> Option<DedupeKey> {
    let space = [b"event id ".as_slice(), &app.0.to_be_bytes()].concat();
    (!event_id.is_empty()).then(|| DedupeKey::new(&space, event_id.as_bytes()))
}

fn taken_key(key: DedupeKey, seq: Seq, hash: [u8; 16], expires: Timestamp, at: Timestamp) -> Write {
    Write::Dedupe(DedupeRow {
        key,
        seq,
        at,
        hash,
        expires,
    })
}

/// Only that it came is kept, not what came: nothing reads that, and it would have to be taken away
/// with the first.
fn repeat(token: Token, known: &Known, new: &NewMessage, cx: &mut Context<'_>, out: &mut Outcome) {
    let conflict = known.hash != new.body_hash;
    out.writes.push(Write::Repeat(RepeatRow {
        seq: cx.seq(),
        message: known.seq,
        at: cx.now,
        body_hash: new.body_hash,
        conflict,
    }));
    let message = message_id(known.at, known.seq);
    out.answer(token, Answer::Repeat { message, conflict });
}

pub(crate) fn message_id(at: Timestamp, seq: Seq) -> dunlin_types::Ksuid {
    dunlin_types::Ksuid::new(dunlin_types::KsuidKind::Message, at, seq)
}

pub(crate) fn pending(
    cx: &mut Context<'_>,
    message: Seq,
    endpoint: Seq,
    trigger: Trigger,
) -> DeliveryRow {
    DeliveryRow {
        seq: cx.seq(),
        message,
        endpoint,
        trigger,
        state: DeliveryState::Pending,
        tries: 0,
        next_at: Some(cx.now),
        created: cx.now,
        ended: None,
        code: None,
        rivals: false,
        order_key: None,
    }
}
