//! One function runs another: an event that only that one gets, and a wait for its run's end.

use std::sync::Arc;

use dunlin_types::{
    Code, DedupeKey, Event, EventOrigin, EventParts, NewEvent, Payload, Seq, Timestamp, Token,
    ulid_for,
};

use crate::core::{Engine, Work};
use crate::effect::Answer;
use crate::ledger::Ledger;
use crate::run::admit::Started;
use crate::run::error_object;
use crate::run::events::start_key;
use crate::run::fail::escape;
use crate::run::resolve::Resolution;
use crate::step::{Source, StepKind};
use crate::waits::Waiter;
use crate::write::{RunStatus, Write};

/// The name of the event that an invoked function gets (SDK protocol, invoke).
pub(crate) const INVOKED_EVENT: &str = "inngest/function.invoked";

/// A function to run for a step.
pub(crate) struct Invocation {
    pub(crate) function: u32,
    pub(crate) slug: String,
    pub(crate) data: Payload,
    pub(crate) user: Option<Payload>,
    pub(crate) v: Option<String>,
    /// `<run>.<step>`.
    pub(crate) correlation: String,
    /// The name of the step.
    pub(crate) name: String,
}

impl Invocation {
    /// The payload of the row that opens the wait.
    pub(crate) fn spec(&self, event: Seq) -> Payload {
        let slug = escape(&self.slug);
        Payload::from_json(format!(
            "{{\"event\":{},\"function_id\":\"{slug}\"}}",
            event.0
        ))
    }

    /// The event that the function gets.
    pub(crate) fn event(&self, now: Timestamp, seq: Seq) -> Arc<Event> {
        let own = format!(
            "{{\"correlation_id\":\"{}\",\"fn_id\":\"{}\",\"name\":\"{}\"}}",
            escape(&self.correlation),
            escape(&self.slug),
            escape(&self.name),
        );
        let internal_id = ulid_for(now, seq);
        Event::new(EventParts {
            seq,
            internal_id,
            id: internal_id.to_string(),
            name: INVOKED_EVENT.to_owned(),
            received: now,
            ts: now,
            data: with_member(&self.data, "_inngest", &own),
            user: self.user.clone(),
            v: self.v.clone(),
            origin: EventOrigin::Internal,
        })
    }
}

/// The object with one member more, which holds over one of that name.
pub(crate) fn with_member(object: &Payload, name: &str, value: &str) -> Payload {
    let text = object.as_str().trim();
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let inner = inner.unwrap_or_default().trim();
    let comma = if inner.is_empty() { "" } else { "," };
    Payload::from_json(format!("{{{inner}{comma}\"{name}\":{value}}}"))
}

/// Who invoked the run that these events started: `<run>.<step>`.
pub(crate) fn correlation_of(events: &[Arc<Event>]) -> Option<String> {
    let event = events.first().filter(|event| event.name == INVOKED_EVENT)?;
    let data = dunlin_expr::parse_json(event.data.bytes());
    let id = data.get("_inngest")?.get("correlation_id")?.as_str()?;
    Some(id.to_owned())
}

impl Engine {
    /// Starts the function for a step that waits.
    pub(crate) fn start_invoked(
        &mut self,
        work: &mut Work<'_, '_>,
        waiter: Waiter,
        invocation: &Invocation,
        event: Arc<Event>,
    ) {
        let now = work.now();
        let started = self.start(work, invocation.function, &event, now);
        self.later.push_back((event, Some(invocation.function)));
        if let Some(text) = started.refusal(&invocation.slug) {
            let error = error_object(Code::InvokeSkipped, "Error", &text);
            self.skipped.push((waiter, error));
        }
    }

    /// The steps fail whose invocations started nothing.
    pub(crate) fn fail_skipped(&mut self, work: &mut Work<'_, '_>) {
        for (waiter, error) in std::mem::take(&mut self.skipped) {
            let outcome = Resolution::new(StepKind::Failed, error);
            self.resolve(work, waiter.run, waiter.item, outcome);
        }
    }

    /// Whoever invoked the run that ends goes on with its result. The event may have triggered
    /// others too, which nobody waits for.
    pub(crate) fn tell_caller(
        &mut self,
        work: &mut Work<'_, '_>,
        (run, function): (Seq, u32),
        ledger: &Ledger,
        status: RunStatus,
        output: &Payload,
    ) {
        let invoked = ledger
            .events
            .iter()
            .filter(|event| event.name == INVOKED_EVENT);
        let function = self.catalog.function(function);
        let slug = function.map_or("", |f| f.row.slug.as_str());
        // A batch may hold the events of several callers.
        let waiters: Vec<Waiter> = invoked
            .filter_map(|event| self.waits.invoked_by(event.seq, slug))
            .collect();
        for waiter in waiters {
            let outcome = outcome_for(run, status, output);
            self.resolve(work, waiter.run, waiter.item, outcome);
        }
    }

    /// Keys that must be looked up before a function can be started directly.
    pub(crate) fn invoke_keys(&self, function: &str, event: &NewEvent) -> Vec<DedupeKey> {
        let key = |id: &String| Some(start_key(self.catalog.find(function)?, id));
        event.id.as_ref().and_then(key).into_iter().collect()
    }

    /// Starts a function that somebody outside asks for.
    pub(crate) fn invoke_directly(
        &mut self,
        work: &mut Work<'_, '_>,
        token: Token,
        function: &str,
        new: NewEvent,
    ) {
        let Some(number) = self.catalog.find(function) else {
            work.answer(token, Answer::NoSuchFunction);
            return;
        };
        let key = new.id.as_ref().map(|id| start_key(number, id));
        if let Some(run) = key.and_then(|key| work.known.get(&key)).copied() {
            work.answer(token, Answer::StartedBefore(run));
            return;
        }
        let (now, seq) = (work.now(), work.seq());
        let internal_id = ulid_for(now, seq);
        let own = format!("{{\"fn_id\":\"{}\"}}", escape(function));
        let event = Event::new(EventParts {
            seq,
            internal_id,
            id: new.id.unwrap_or_else(|| internal_id.to_string()),
            name: INVOKED_EVENT.to_owned(),
            received: now,
            ts: new.ts.unwrap_or(now),
            data: with_member(&new.data, "_inngest", &own),
            user: new.user,
            v: new.v,
            origin: EventOrigin::Internal,
        });
        work.write(Write::Event(Arc::clone(&event)));
        let due = if new.ts_delays {
            event.ts.max(now)
        } else {
            now
        };
        let started = self.start(work, number, &event, due);
        self.later.push_back((Arc::clone(&event), Some(number)));
        if let (Some(key), Some(run)) = (key, started.run()) {
            let expires = now.plus_ms(dunlin_types::limits::EVENT_ID_DEDUPE_MS);
            self.remember(work, key, run, expires);
        }
        let answer = match started {
            Started::Run(run) => Answer::Started {
                run: ulid_for(now, run),
                event: internal_id,
            },
            Started::Skipped(_) => Answer::Skipped(internal_id),
            Started::Dropped(rule) | Started::Gathering(rule) => Answer::Held {
                event: internal_id,
                rule,
                dropped: matches!(started, Started::Dropped(_)),
            },
        };
        work.answer(token, answer);
    }

    /// What a step that invokes a function that is not there fails with.
    pub(crate) fn not_found(function: &str) -> Payload {
        let text = format!("could not find function with ID: {function}");
        error_object(Code::InvokeNotFound, "Error", &text)
    }
}

/// What a step that waited for a run's end ends with.
fn outcome_for(run: Seq, status: RunStatus, output: &Payload) -> Resolution {
    match status {
        RunStatus::Completed => Resolution {
            kind: StepKind::Ran,
            payload: output.clone(),
            source: Some(Source::Output(run)),
        },
        RunStatus::Failed => Resolution {
            kind: StepKind::Failed,
            payload: output.clone(),
            source: Some(Source::Output(run)),
        },
        _ => {
            let error = error_object(Code::InvokeCancelled, "Error", "function cancelled");
            Resolution::new(StepKind::Failed, error)
        }
    }
}
