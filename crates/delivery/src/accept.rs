//! Messages coming in: repeats told apart, one pending delivery for each endpoint that matches.

use std::sync::Arc;

use dunlin_types::{Code, Coded, DedupeKey, Seq, Timestamp, Token, limits};

use crate::{
    Answer, Context, DedupeRow, Delivery, DeliveryRow, DeliveryState, Endpoint, Known, Loaded,
    Message, NewMessage, Outcome, RepeatRow, Trigger, Write, route,
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
            return repeat(token, known, new, cx, out);
        }
        let message = message_row(new, app, Some(source), cx);
        out.writes.push(Write::Message(Arc::clone(&message)));
        out.writes.push(Write::Dedupe(DedupeRow {
            key,
            seq: message.seq,
            at: cx.now,
            hash: message.body_hash,
            expires: cx.now.plus_ms(limits::MESSAGE_DEDUPE_MS),
        }));
        let matching = route::matching(&self.config, app, &message.event_type, &message.channels);
        self.plan(&message, &matching, cx, out);
        let id = message.id();
        out.answer(token, Answer::Accepted { message: id });
        self.start_ready(Some(&message), cx.now, out);
    }

    /// One pending delivery for each of the endpoints.
    fn plan(
        &mut self,
        message: &Message,
        endpoints: &[Arc<Endpoint>],
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let in_process = |one: &&Arc<Endpoint>| self.is_in_process(&one.config);
        let crowded = endpoints.iter().filter(in_process).count() > 1;
        for endpoint in endpoints {
            let row = DeliveryRow {
                rivals: crowded && self.is_in_process(&endpoint.config),
                ..pending(cx, message.seq, endpoint.id, Trigger::Scheduled)
            };
            out.writes.push(Write::Delivery(row.clone()));
            self.queue.add_ready(row, Token::NONE);
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
        self.queue.add_ready(row, Token::NONE);
        self.start_ready(None, cx.now, out);
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
        let message = message_row(new, app, None, cx);
        let row = pending(cx, message.seq, endpoint, Trigger::Test);
        out.writes.push(Write::Message(Arc::clone(&message)));
        out.writes.push(Write::Delivery(row.clone()));
        if !wait {
            let (message, delivery) = (message.id(), row.id());
            out.answer(token, Answer::TestSent { message, delivery });
        }
        self.queue
            .add_ready(row, if wait { token } else { Token::NONE });
        self.start_ready(Some(&message), cx.now, out);
    }
}

fn repeat(token: Token, known: &Known, new: NewMessage, cx: &mut Context<'_>, out: &mut Outcome) {
    let conflict = known.hash != new.body_hash;
    out.writes.push(Write::Repeat(RepeatRow {
        seq: cx.seq(),
        message: known.seq,
        at: cx.now,
        body_hash: new.body_hash,
        conflict,
        body: conflict.then_some(new.body),
    }));
    let message = message_id(known.at, known.seq);
    out.answer(token, Answer::Repeat { message, conflict });
}

pub(crate) fn message_id(at: Timestamp, seq: Seq) -> dunlin_types::Ksuid {
    dunlin_types::Ksuid::new(dunlin_types::KsuidKind::Message, at, seq)
}

fn message_row(
    new: NewMessage,
    app: Seq,
    source: Option<Seq>,
    cx: &mut Context<'_>,
) -> Arc<Message> {
    Arc::new(Message {
        seq: cx.seq(),
        at: cx.now,
        app,
        source,
        event_type: new.event_type,
        provider_id: new.provider_id,
        headers: new.headers,
        channels: new.channels,
        body: new.body,
        body_hash: new.body_hash,
        test: source.is_none(),
    })
}

fn pending(cx: &mut Context<'_>, message: Seq, endpoint: Seq, trigger: Trigger) -> DeliveryRow {
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
    }
}
