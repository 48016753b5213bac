//! How long things are kept: payloads go first, then messages with all that belongs to them. What
//! is still to be delivered stays.

use dunlin_types::{Code, Coded, Seq, Timestamp, Token};

use crate::queue::Phase;
use crate::{Answer, Context, Delivery, DeliveryState, Outcome, Write};

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
                self.cancel_waiting(message, None, Code::PayloadExpired, cx, out);
            }
            if self.queue.of_message(message).next().is_none() {
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

    /// Ends the deliveries of a message that are not under way.
    fn cancel_waiting(
        &mut self,
        message: Seq,
        endpoint: Option<Seq>,
        code: Code,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> usize {
        let waiting = self.queue.of_message(message).filter(|hot| {
            endpoint.is_none_or(|endpoint| hot.row.endpoint == endpoint)
                && matches!(hot.phase, Phase::Waiting | Phase::Ready | Phase::Blocked)
        });
        let waiting: Vec<Seq> = waiting.map(|hot| hot.row.seq).collect();
        for delivery in &waiting {
            self.queue.unready(*delivery);
            let state = DeliveryState::Cancelled;
            let token = self.end(*delivery, state, Some(code), cx, out);
            out.answer(token, Answer::Refused(Coded::plain(code)));
        }
        waiting.len()
    }

    pub(crate) fn cancel_pending(
        &mut self,
        token: Token,
        endpoint: Seq,
        created_before: Timestamp,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let of_endpoint = self.queue.rows().filter(|row| row.endpoint == endpoint);
        let messages: Vec<Seq> = of_endpoint
            .filter(|row| row.created < created_before)
            .map(|row| row.message)
            .collect();
        let mut cancelled = 0;
        for message in messages {
            let code = Code::CancelledByOwner;
            cancelled += self.cancel_waiting(message, Some(endpoint), code, cx, out);
            self.release_held(message, cx, out);
        }
        out.answer(token, Answer::Changed(cancelled));
    }
}
