//! Attempts: when one starts, and what its end means for the delivery and the endpoint.

use std::sync::Arc;

use bytes::Bytes;
use dunlin_types::{Code, Coded, Seq, Timestamp, Token, limits};

use crate::accept::message_id;
use crate::queue::Phase;
use crate::schedule::{self, Pace};
use crate::{
    Answer, AttemptEffect, AttemptOutcome, AttemptResult, AttemptRow, Attempted, Context, Control,
    Delivery, DeliveryState, Effect, Emit, Loaded, Message, Outcome, Trigger, Write,
};

/// The attempt itself, without what came of it.
struct Tried {
    delivery: Seq,
    url: String,
    started: Timestamp,
    ended: Timestamp,
    logs: Vec<String>,
}

/// What came of it, as its row tells.
struct Report {
    result: AttemptResult,
    status: u16,
    code: Option<Code>,
    detail: String,
    response: Bytes,
}

impl Report {
    fn of(result: AttemptResult) -> Self {
        Self {
            result,
            status: 0,
            code: None,
            detail: String::new(),
            response: Bytes::new(),
        }
    }
}

/// How the delivery goes on.
enum Next {
    At(Timestamp),
    End(DeliveryState),
}

impl Delivery {
    /// A delivery's time has come.
    pub(crate) fn due(&mut self, delivery: Seq, cx: &mut Context<'_>, out: &mut Outcome) {
        let Some(row) = self.queue.waiting(delivery) else {
            return;
        };
        let message = row.message;
        let verdict = match self.config.endpoint(row.endpoint) {
            None => Some((DeliveryState::Cancelled, Code::NotFound)),
            _ if row.next_at.is_some_and(|at| at > cx.now) => return,
            Some(found) if found.config.disabled && row.trigger != Trigger::Test => {
                Some((DeliveryState::Failed, Code::EndpointDisabled))
            }
            Some(_) => None,
        };
        match verdict {
            Some((state, code)) => {
                let token = self.end(delivery, state, Some(code), cx.now, out);
                out.answer(token, Answer::Refused(Coded::plain(code)));
                self.release_held(message, cx, out);
            }
            None => self.queue.make_ready(delivery),
        }
        self.start_ready(None, cx.now, out);
    }

    /// Starts what is ready, as far as there are places.
    pub(crate) fn start_ready(
        &mut self,
        fresh: Option<&Arc<Message>>,
        now: Timestamp,
        out: &mut Outcome,
    ) {
        while let Some(delivery) = self.queue.start_next() {
            let Some(row) = self.queue.get(delivery).map(|hot| &hot.row) else {
                continue;
            };
            let Some(endpoint) = self.config.endpoint(row.endpoint).cloned() else {
                self.queue.finished(delivery);
                self.queue.wait_until(delivery, now);
                continue;
            };
            let inline = fresh.filter(|message| message.seq == row.message);
            out.effects.push(Effect::Attempt(Box::new(AttemptEffect {
                delivery,
                message: row.message,
                message_inline: inline.cloned(),
                in_process: self.is_in_process(&endpoint.config),
                endpoint,
                attempt_no: row.tries + 1,
                trigger: row.trigger,
            })));
        }
    }

    /// An attempt has ended.
    pub(crate) fn attempted(
        &mut self,
        attempted: Attempted,
        loaded: &Loaded,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let Some(hot) = self.queue.get(attempted.delivery) else {
            return;
        };
        let expected = matches!(hot.phase, Phase::InFlight)
            && hot.row.tries.checked_add(1) == Some(attempted.attempt_no);
        if !expected {
            return;
        }
        let message = hot.row.message;
        self.queue.finished(attempted.delivery);
        if matches!(attempted.outcome, AttemptOutcome::Event { .. }) {
            self.event_made(attempted, loaded, cx, out);
        } else {
            self.conclude(attempted, cx, out);
        }
        self.release_held(message, cx, out);
        self.start_ready(None, cx.now, out);
    }

    /// Decides on an attempt that no rival has a say in, or no longer.
    pub(crate) fn conclude(
        &mut self,
        attempted: Attempted,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let (tried, outcome) = split(attempted);
        match outcome {
            AttemptOutcome::Event { event, .. } => {
                let delivery = tried.delivery;
                out.emits.push(Emit::AppendEvent { event, delivery });
                self.succeeded(tried, Report::of(AttemptResult::Succeeded), cx, out);
            }
            AttemptOutcome::Cancelled => {
                let report = Report::of(AttemptResult::Cancelled);
                self.finish(tried, report, Next::End(DeliveryState::Cancelled), cx, out);
            }
            AttemptOutcome::Sent {
                status,
                response,
                retry_after_ms,
                control,
            } => {
                let pace = Pace {
                    status,
                    retry_after_ms,
                    timed_out: false,
                };
                self.answered(tried, response, pace, control, cx, out);
            }
            AttemptOutcome::Failed {
                code,
                detail,
                status,
                response,
                retry_after_ms,
                timed_out,
            } => {
                let pace = Pace {
                    status: status.unwrap_or(0),
                    retry_after_ms,
                    timed_out,
                };
                let report = Report {
                    result: AttemptResult::Failed,
                    status: pace.status,
                    code: Some(code),
                    detail,
                    response,
                };
                self.failed(tried, report, pace, false, cx, out);
            }
        }
    }

    /// Another endpoint made the same event.
    pub(crate) fn record_duplicate(
        &mut self,
        attempted: Attempted,
        owner: Seq,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let (tried, _) = split(attempted);
        let report = Report::of(AttemptResult::DuplicateOf(owner));
        self.finish(tried, report, Next::End(DeliveryState::Duplicate), cx, out);
    }

    /// The receiver answered.
    fn answered(
        &mut self,
        tried: Tried,
        response: Bytes,
        pace: Pace,
        control: Control,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let endpoint = self.queue.get(tried.delivery).map(|hot| hot.row.endpoint);
        let mut report = Report {
            status: pace.status,
            response,
            ..Report::of(AttemptResult::Succeeded)
        };
        if (200..300).contains(&pace.status) {
            self.succeeded(tried, report, cx, out);
        } else {
            report.result = AttemptResult::Failed;
            report.code = Some(Code::DeliveryFailed);
            report.detail = format!("the receiver answered with status {}", pace.status);
            let stop = pace.status == 410 || control != Control::None;
            self.failed(tried, report, pace, stop, cx, out);
        }
        let reason = match control {
            Control::Disable => "the receiver asked for it",
            _ if pace.status == 410 => "the receiver answered 410 Gone",
            _ => return,
        };
        if let Some(endpoint) = endpoint {
            self.disable_endpoint(endpoint, reason, cx, out);
        }
    }

    fn succeeded(&mut self, tried: Tried, report: Report, cx: &mut Context<'_>, out: &mut Outcome) {
        let Some(hot) = self.queue.get(tried.delivery) else {
            return;
        };
        let (message, endpoint, trigger) = (hot.row.message, hot.row.endpoint, hot.row.trigger);
        self.finish(tried, report, Next::End(DeliveryState::Succeeded), cx, out);
        if trigger != Trigger::Manual {
            return;
        }
        // The receiver has the message now, so what still waited to send it is done as well.
        let waiting: Vec<Seq> = self
            .queue
            .of_message(message)
            .filter(|hot| hot.row.endpoint == endpoint && matches!(hot.phase, Phase::Waiting))
            .map(|hot| hot.row.seq)
            .collect();
        for delivery in waiting {
            self.end(delivery, DeliveryState::Succeeded, None, cx.now, out);
        }
    }

    fn failed(
        &mut self,
        tried: Tried,
        report: Report,
        pace: Pace,
        stop: bool,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let Some(row) = self.queue.get(tried.delivery).map(|hot| &hot.row) else {
            return;
        };
        let endpoint = self.config.endpoint(row.endpoint);
        let open = endpoint.is_some_and(|found| !found.config.disabled);
        let jitter = schedule::jitter(cx.seed, row.seq);
        let flat = self.options.retry_interval_ms;
        let delay = if stop || !open || row.trigger != Trigger::Scheduled {
            None
        } else {
            schedule::delay_ms(row.tries + 1, pace, flat, jitter)
        };
        let next = delay.map_or(Next::End(DeliveryState::Failed), |ms| {
            Next::At(cx.now.plus_ms(ms))
        });
        self.finish(tried, report, next, cx, out);
    }

    /// Writes the attempt down and moves the delivery on.
    fn finish(
        &mut self,
        tried: Tried,
        report: Report,
        next: Next,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let Some(hot) = self.queue.get_mut(tried.delivery) else {
            return;
        };
        hot.row.tries = hot.row.tries.saturating_add(1);
        let kept = limits::DELIVERY_RESPONSE_KEPT_BYTES_MAX.min(report.response.len());
        let attempt = AttemptRow {
            seq: cx.seq(),
            delivery: tried.delivery,
            message: hot.row.message,
            endpoint: hot.row.endpoint,
            at: tried.started,
            duration_ms: tried.ended.since(tried.started).max(0),
            attempt_no: hot.row.tries,
            trigger: hot.row.trigger,
            result: report.result,
            status: report.status,
            code: report.code,
            detail: report.detail,
            url: tried.url,
            response: report.response.slice(..kept),
            logs: tried.logs,
            event: None,
            next_at: match next {
                Next::At(at) => Some(at),
                Next::End(_) => None,
            },
        };
        if hot.token != Token::NONE {
            let message = message_id(hot.row.created, hot.row.message);
            let attempt = Box::new(attempt.clone());
            out.answer(hot.token, Answer::Tested { message, attempt });
        }
        out.writes.push(Write::Attempt(Box::new(attempt)));
        match next {
            Next::At(at) => {
                self.queue.wait_until(tried.delivery, at);
                let row = self.queue.get(tried.delivery).map(|hot| hot.row.clone());
                out.writes.extend(row.map(Write::Delivery));
            }
            Next::End(state) => {
                self.end(tried.delivery, state, report.code, cx.now, out);
            }
        }
    }

    /// Ends a delivery; says who waits for that.
    fn end(
        &mut self,
        delivery: Seq,
        state: DeliveryState,
        code: Option<Code>,
        now: Timestamp,
        out: &mut Outcome,
    ) -> Token {
        let Some(hot) = self.queue.remove(delivery) else {
            return Token::NONE;
        };
        let mut row = hot.row;
        row.state = state;
        row.next_at = None;
        row.ended = Some(now);
        row.code = code;
        out.writes.push(Write::Delivery(row));
        hot.token
    }
}

fn split(attempted: Attempted) -> (Tried, AttemptOutcome) {
    let tried = Tried {
        delivery: attempted.delivery,
        url: attempted.url,
        started: attempted.started,
        ended: attempted.ended,
        logs: attempted.logs,
    };
    (tried, attempted.outcome)
}
