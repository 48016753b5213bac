//! Attempts: when one starts, and what its end means for the delivery and the endpoint.

use bytes::Bytes;
use dunlin_types::{Code, Coded, Seq, Timestamp, Token, limits};

use crate::accept::message_id;
use crate::lane::Lane;
use crate::queue::{Hot, Phase};
use crate::schedule::{self, Pace};
use crate::{
    AboutMessage, Answer, AttemptEffect, AttemptHeaders, AttemptOutcome, AttemptResult, AttemptRow,
    Attempted, Context, Control, Delivery, DeliveryRow, DeliveryState, Effect, Emit, Loaded,
    Outcome, RestRow, Trigger, Write, operational,
};

/// The attempt itself, without what came of it.
struct Tried {
    delivery: Seq,
    url: String,
    started: Timestamp,
    ended: Timestamp,
    headers: AttemptHeaders,
    logs: Vec<String>,
    about: Option<AboutMessage>,
    endpoint_version: u32,
}

/// What came of it, as its row tells.
pub(crate) struct Report {
    pub(crate) result: AttemptResult,
    pub(crate) status: u16,
    pub(crate) code: Option<Code>,
    pub(crate) detail: String,
    pub(crate) response: Bytes,
}

/// The receiver answered with that.
pub(crate) fn answered(status: u16, response: Bytes) -> Report {
    let report = Report {
        status,
        response,
        ..Report::of(AttemptResult::Succeeded)
    };
    match status {
        200..300 => report,
        _ => Report {
            result: AttemptResult::Failed,
            code: Some(Code::DeliveryFailed),
            detail: format!("the receiver answered with status {status}"),
            ..report
        },
    }
}

impl Report {
    pub(crate) fn of(result: AttemptResult) -> Self {
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
                let token = self.end(delivery, state, Some(code), cx, out);
                out.answer(token, Answer::Refused(Coded::plain(code)));
                self.release_held(message, cx, out);
            }
            None => self.queue.make_ready(delivery, cx.now),
        }
        self.start_ready(cx, out);
    }

    /// Starts what is ready, as far as there are places.
    pub(crate) fn start_ready(&mut self, cx: &mut Context<'_>, out: &mut Outcome) {
        loop {
            if !self.draining {
                self.start_all(cx.now, out);
            }
            if !self.rivals.take_closed() {
                return;
            }
            self.release_held_back(cx, out);
        }
    }

    fn start_all(&mut self, now: Timestamp, out: &mut Outcome) {
        let config = self.config();
        while let Some(delivery) = self.queue.start_next(now, |id| config.rate_of(id)) {
            let Some(row) = self.queue.get(delivery).map(|hot| &hot.row) else {
                continue;
            };
            let Some(endpoint) = self.config.endpoint(row.endpoint).cloned() else {
                self.queue.finished(delivery, now);
                self.queue.wait_until(delivery, now);
                continue;
            };
            // What started may have used up the rate of others that somebody waits for.
            if self.queue.holds_back(row.endpoint, now) {
                self.rivals.note_closed();
            }
            let inline = self.fresh.get(row.message);
            out.effects.push(Effect::Attempt(Box::new(AttemptEffect {
                delivery,
                message: row.message,
                message_inline: inline.cloned(),
                in_process: self.is_in_process(&endpoint.config),
                endpoint,
                ordered: row.order_key.is_some(),
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
        self.queue.finished(attempted.delivery, cx.now);
        if matches!(attempted.outcome, AttemptOutcome::Event { .. }) {
            self.event_made(attempted, loaded, cx, out);
        } else {
            self.conclude(attempted, cx, out);
        }
        self.release_held(message, cx, out);
        self.start_ready(cx, out);
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
        // First, or what happens next would start more of the same.
        let reason = match control {
            Control::Disable => Some("the receiver asked for it"),
            _ if pace.status == 410 => Some("the receiver answered 410 Gone"),
            _ => None,
        };
        // A sample is nobody's traffic, and what the endpoint was like before says nothing of it.
        let row = self.queue.get(tried.delivery).map(|hot| &hot.row);
        let row = row.filter(|row| row.trigger != Trigger::Test && self.is_as_tried(row, &tried));
        if let (Some(endpoint), Some(reason)) = (row.map(|row| row.endpoint), reason) {
            self.disable_endpoint(endpoint, reason, None, cx, out);
        }
        let report = answered(pace.status, response);
        if report.result == AttemptResult::Succeeded {
            self.succeeded(tried, report, cx, out);
        } else {
            let stop = pace.status == 410 || control != Control::None;
            self.failed(tried, report, pace, stop, cx, out);
        }
    }

    fn succeeded(&mut self, tried: Tried, report: Report, cx: &mut Context<'_>, out: &mut Outcome) {
        let Some(hot) = self.queue.get(tried.delivery) else {
            return;
        };
        let (message, endpoint, trigger) = (hot.row.message, hot.row.endpoint, hot.row.trigger);
        if trigger != Trigger::Test && self.config.endpoint(endpoint).is_some() {
            self.queue.steer(endpoint, cx.now, Lane::arrived);
            self.fares_well(endpoint, out);
        }
        self.finish(tried, report, Next::End(DeliveryState::Succeeded), cx, out);
        if trigger != Trigger::Manual {
            return;
        }
        // The receiver has the message now, so what still waited to send it is done as well.
        let waits = |hot: &&Hot| {
            hot.row.endpoint == endpoint && hot.row.trigger.is_retried() && hot.is_cancellable()
        };
        let waiting = self.queue.of_message(message).filter(waits);
        let waiting: Vec<Seq> = waiting.map(|hot| hot.row.seq).collect();
        for delivery in waiting {
            self.queue.unready(delivery, cx.now);
            self.end(delivery, DeliveryState::Succeeded, None, cx, out);
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
        let (id, tries, trigger) = (row.endpoint, row.tries.saturating_add(1), row.trigger);
        let created = row.created;
        let endpoint = self.config.endpoint(id);
        let open = endpoint.is_some_and(|found| !found.config.disabled);
        // A payload that is gone does not come back.
        let stop = stop || report.code == Some(Code::PayloadExpired);
        let delay = if stop || !open || !trigger.is_retried() {
            None
        } else {
            let delays = self.delays_of(id, tried.about.as_ref());
            let flat = self.options.retry_interval_ms;
            let jitter = schedule::jitter(cx.seed, row.seq);
            schedule::delay_ms(delays, tries, pace, flat, jitter)
        };
        let next = delay.map_or(Next::End(DeliveryState::Failed), |ms| {
            Next::At(cx.now.plus_ms(ms))
        });
        let by_receiver = trigger != Trigger::Test
            && report.code.is_none_or(is_of_receiver)
            && self.config.endpoint(id).is_some();
        // Before the delivery moves on, or what that leads to would start more of the same.
        if by_receiver {
            self.slow_down(id, pace, cx.now, out);
        }
        if by_receiver && pace.status != 429 {
            self.fares_badly(id, created, cx, out);
        }
        if trigger != Trigger::Test {
            self.tally_failure(id, cx.now, out);
        }
        self.finish(tried, report, next, cx, out);
    }

    /// Whether the endpoint is still what the attempt was made at.
    fn is_as_tried(&self, row: &DeliveryRow, tried: &Tried) -> bool {
        let endpoint = self.config.endpoint(row.endpoint);
        endpoint.is_some_and(|found| found.version == tried.endpoint_version)
    }

    /// The delays between the attempts of a message of that type at that endpoint.
    fn delays_of(&self, endpoint: Seq, about: Option<&AboutMessage>) -> &[i64] {
        let own = self.config.endpoint(endpoint);
        let own = own.and_then(|found| found.config.retry_schedule_ms.as_deref());
        let of_type = || self.config.event_type_schedule_ms(&about?.event_type);
        own.or_else(of_type).unwrap_or(&limits::DELIVERY_DELAYS_MS)
    }

    /// What a failure means for whatever else is to go to the endpoint.
    fn slow_down(&mut self, endpoint: Seq, pace: Pace, now: Timestamp, out: &mut Outcome) {
        match pace.status {
            // It is well, and asks for less.
            429 => {
                let ms = schedule::slow_down_ms(pace, self.options.retry_interval_ms);
                let until = now.plus_ms(ms);
                let close = |lane: &mut Lane| lane.close_until(until);
                if self.queue.steer(endpoint, now, close) {
                    out.writes.push(Write::Rest(RestRow { endpoint, until }));
                }
                self.rivals.note_closed();
            }
            0 | 500.. => self.queue.steer(endpoint, now, Lane::stumbled),
            _ => {}
        }
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
            headers: tried.headers,
            logs: tried.logs,
            event: None,
            next_at: match next {
                Next::At(at) => Some(at),
                Next::End(_) => None,
            },
        };
        let received = tried
            .about
            .as_ref()
            .map_or(hot.row.created, |about| about.at);
        let message = message_id(received, hot.row.message);
        if hot.token != Token::NONE {
            let attempt = Box::new(attempt.clone());
            out.answer(hot.token, Answer::Tested { message, attempt });
        }
        let given_up = matches!(next, Next::End(DeliveryState::Failed));
        let event_id = tried
            .about
            .map_or_else(String::new, |about| about.provider_id);
        let of = operational::Subject { message, event_id };
        self.tell_of(&attempt, given_up, of, cx, out);
        out.writes.push(Write::Attempt(Box::new(attempt)));
        match next {
            Next::At(at) => {
                self.queue.wait_until(tried.delivery, at);
                let row = self.queue.get(tried.delivery).map(|hot| hot.row.clone());
                out.writes.extend(row.map(Write::Delivery));
            }
            Next::End(state) => {
                self.end(tried.delivery, state, report.code, cx, out);
            }
        }
    }

    /// Tells those who want to know of deliveries that fail, are given up or recover.
    fn tell_of(
        &mut self,
        attempt: &AttemptRow,
        given_up: bool,
        of: operational::Subject,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let failed = attempt.result == AttemptResult::Failed;
        let arrived = attempt.result == AttemptResult::Succeeded;
        let event_type = match attempt.attempt_no {
            _ if !attempt.trigger.is_retried() => return,
            _ if failed && given_up => "message.attempt.exhausted",
            limits::FAILING_ATTEMPTS if failed => "message.attempt.failing",
            no if arrived && no > limits::FAILING_ATTEMPTS => "message.attempt.recovered",
            _ => return,
        };
        if let Ok(endpoint) = self.endpoint(attempt.endpoint) {
            let told = operational::attempt(event_type, &endpoint, attempt, &of);
            self.tell(told, cx, out);
        }
    }

    /// Ends a delivery; says who waits for that.
    pub(crate) fn end(
        &mut self,
        delivery: Seq,
        state: DeliveryState,
        code: Option<Code>,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Token {
        let Some(hot) = self.queue.remove(delivery) else {
            return Token::NONE;
        };
        let mut row = hot.row;
        row.state = state;
        row.next_at = None;
        row.ended = Some(cx.now);
        row.code = code;
        let endpoint = row.endpoint;
        if row.trigger != Trigger::Test {
            self.tally_end(endpoint, state, cx.now, out);
        }
        if self.queue.of_message(row.message).next().is_none() {
            self.fresh.forget(row.message);
        }
        self.wipe(&row, out);
        out.writes.push(Write::Delivery(row));
        self.unpark(endpoint, out);
        hot.token
    }
}

/// Whether a failure is the receiver's, not a script's or ours.
fn is_of_receiver(code: Code) -> bool {
    matches!(
        code,
        Code::DeliveryFailed | Code::DeliveryTimedOut | Code::DeliveryUnreachable
    )
}

fn split(attempted: Attempted) -> (Tried, AttemptOutcome) {
    let tried = Tried {
        delivery: attempted.delivery,
        url: attempted.url,
        started: attempted.started,
        ended: attempted.ended,
        headers: attempted.headers,
        logs: attempted.logs,
        about: attempted.about,
        endpoint_version: attempted.endpoint_version,
    };
    (tried, attempted.outcome)
}
