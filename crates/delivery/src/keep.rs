//! How long things are kept: payloads go first, then messages with all that belongs to them. What
//! is still to be delivered stays.

use dunlin_types::{Code, Coded, DedupeKey, Seq, Timestamp, Token, limits};

use std::collections::BTreeMap;

use crate::queue::Hot;
use crate::{Answer, Context, Delivery, DeliveryRow, DeliveryState, Outcome, Trigger, Write};

/// What became of messages that are not through yet, where the payload goes as soon as each
/// endpoint has it.
#[derive(Debug, Default)]
pub(crate) struct Wipes {
    ended: BTreeMap<Seq, Ended>,
    /// Of messages up to that one nobody knows what became of them before the restart.
    unknown_until: Seq,
}

#[derive(Debug, Default)]
struct Ended {
    arrived: bool,
    failed: bool,
}

impl Wipes {
    pub(crate) fn restored(&mut self, message: Seq) {
        self.unknown_until = self.unknown_until.max(message);
    }
}

/// Keys that mean nothing any more go; how many were asked for.
pub(crate) fn forget_keys(keys: Vec<DedupeKey>, now: Timestamp, out: &mut Outcome) -> Answer {
    let asked = keys.len();
    let gone = |key| Write::DedupeGone(key, now);
    out.writes.extend(keys.into_iter().map(gone));
    Answer::Changed(asked)
}

impl Delivery {
    pub(crate) fn expunge(
        &mut self,
        messages: Vec<Seq>,
        even_pending: bool,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Answer {
        Answer::Changed(self.content_gone(messages, even_pending, cx, out))
    }

    /// Takes payloads away; how many went.
    pub(crate) fn content_gone(
        &mut self,
        messages: impl IntoIterator<Item = Seq>,
        even_pending: bool,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> usize {
        let mut gone = 0;
        for message in messages {
            if even_pending {
                let waiting = self
                    .queue
                    .of_message(message)
                    .filter(|hot| hot.is_cancellable());
                let waiting = waiting.map(|hot| hot.row.seq).collect();
                self.cancel(waiting, Code::PayloadExpired, cx, out);
                self.release_held(message, cx, out);
            }
            // What is under way has the payload at hand; its next attempt would find it gone.
            if even_pending || self.queue.of_message(message).next().is_none() {
                self.fresh.forget(message);
                out.writes.push(Write::ContentGone(message));
                gone += 1;
            }
        }
        gone
    }

    pub(crate) fn purge(&mut self, messages: Vec<Seq>, out: &mut Outcome) -> Answer {
        let ended = messages
            .into_iter()
            .filter(|message| self.queue.of_message(*message).next().is_none());
        let before = out.writes.len();
        out.writes.extend(ended.map(Write::MessageGone));
        Answer::Changed(out.writes.len() - before)
    }

    /// Ends deliveries that are not under way.
    fn cancel(
        &mut self,
        deliveries: Vec<Seq>,
        code: Code,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        for delivery in deliveries {
            self.queue.unready(delivery, cx.now);
            let state = DeliveryState::Cancelled;
            let token = self.end(delivery, state, Some(code), cx, out);
            out.answer(token, Answer::Refused(Coded::plain(code)));
        }
    }

    /// One slice of what waits; the answer says whether there may be more behind it.
    pub(crate) fn cancel_pending(
        &mut self,
        token: Token,
        endpoint: Seq,
        created_before: Timestamp,
        after: Seq,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let fits = |hot: &&Hot| {
            let made_before = hot.row.created < created_before;
            made_before && hot.is_cancellable()
        };
        let some = self.queue.of_endpoint(endpoint, after).filter(fits);
        let (messages, waiting): (Vec<Seq>, Vec<Seq>) = some
            .take(limits::CANCEL_SLICE_DELIVERIES)
            .map(|hot| (hot.row.message, hot.row.seq))
            .unzip();
        let changed = waiting.len();
        let answer = match waiting.last() {
            Some(last) if changed == limits::CANCEL_SLICE_DELIVERIES => Answer::ChangedSome {
                changed,
                last: *last,
            },
            _ => Answer::Changed(changed),
        };
        self.cancel(waiting, Code::CancelledByOwner, cx, out);
        for message in messages {
            self.release_held(message, cx, out);
        }
        out.answer(token, answer);
    }

    /// Takes the payload away once each endpoint has it, where the application wants that. A
    /// payload stays where one gave up or that cannot be told, so that it can be sent again.
    pub(crate) fn wipe(&mut self, row: &DeliveryRow, out: &mut Outcome) {
        let app = self.config.endpoint(row.endpoint).map(|one| one.config.app);
        let others = |app| self.config.endpoints_of(app).nth(1).is_some();
        let repeated = matches!(row.trigger, Trigger::Manual | Trigger::Replay);
        let unknown = repeated || row.message <= self.wipes.unknown_until;
        let unknown = unknown && app.is_some_and(others);
        let ended = self.wipes.ended.entry(row.message).or_default();
        ended.arrived |= row.state == DeliveryState::Succeeded;
        ended.failed |= row.state == DeliveryState::Failed || unknown;
        if self.queue.of_message(row.message).next().is_some() {
            return;
        }
        let ended = self.wipes.ended.remove(&row.message);
        let app = app.and_then(|app| self.config.application(app));
        let wipes = app.is_some_and(|app| app.retention.wipe_on_success);
        if wipes && ended.is_some_and(|ended| ended.arrived && !ended.failed) {
            out.writes.push(Write::ContentGone(row.message));
        }
    }
}

#[cfg(test)]
mod tests {
    use dunlin_types::{Secret, limits::CANCEL_SLICE_DELIVERIES};

    use super::*;
    use crate::telling::{NOW, Told};
    use crate::{DEFAULT_APPLICATION, EndpointConfig, Input, NewMessage};

    #[test]
    fn what_waits_is_cancelled_in_slices_of_one_commit_each() {
        let mut told = Told::new();
        let config = EndpointConfig {
            app: DEFAULT_APPLICATION,
            url: "https://example.com/".to_owned(),
            paused: true,
            ..EndpointConfig::default()
        };
        let made = Input::CreateEndpoint {
            token: Token(1),
            config: Box::new(config),
            secret: Secret::new("whsec_"),
        };
        let Answer::Endpoint(endpoint) = told.tell(made) else {
            panic!("no endpoint");
        };
        let all = CANCEL_SLICE_DELIVERIES + 7;
        for n in 0..all {
            let message = NewMessage {
                event_type: "a".to_owned(),
                provider_id: format!("m{n}"),
                ..NewMessage::default()
            };
            let input = Input::CreateMessage {
                token: Token(1),
                application: DEFAULT_APPLICATION,
                message,
                idempotency: None,
            };
            told.tell(input);
        }
        let mut slices = Vec::new();
        let mut after = Seq(0);
        loop {
            let input = Input::CancelPending {
                token: Token(1),
                endpoint: endpoint.id,
                created_before: NOW.plus_ms(1),
                after,
            };
            let (answer, writes) = told.tell_all(input);
            let cancelled = writes.iter().filter(|write| match write {
                Write::Delivery(row) => row.state == DeliveryState::Cancelled,
                _ => false,
            });
            let cancelled = cancelled.count();
            slices.push(cancelled);
            match answer {
                Answer::ChangedSome { last, .. } => after = last,
                Answer::Changed(changed) => {
                    assert_eq!(changed, cancelled);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(slices, [CANCEL_SLICE_DELIVERIES, 7]);
    }
}
