//! A run ends, once: its row is completed, its items go, and the world is told.

use std::sync::Arc;

use dunlin_types::{
    Event, EventOrigin, EventParts, Lifecycle, Payload, Seq, Timestamp, Ulid, ulid_for,
};

use crate::core::{Engine, Work};
use crate::ledger::Ledger;
use crate::run::fail::escape;
use crate::run::invoke::correlation_of;
use crate::write::{LifecycleRow, RunEnd, RunStatus, Write};

impl Engine {
    /// Ends a live run whose ledger is in memory. `output` is the return value or the error.
    pub(crate) fn end(
        &mut self,
        work: &mut Work<'_, '_>,
        run: Seq,
        status: RunStatus,
        output: Payload,
        started: Timestamp,
    ) {
        let Some(ledger) = self.ledgers.remove(run) else {
            return;
        };
        let Some(live) = self.live.get(&run) else {
            return;
        };
        let items: Vec<_> = live.items.iter().copied().collect();
        self.release_items(run, &items);
        let Some(live) = self.live.remove(&run) else {
            return;
        };
        self.schedule.leaves(live.lane, run, live.begun);
        self.locks.release(live.function, run);
        self.tallies.ended(live.function, status, work.now());
        let first = if ledger.started == Timestamp::ZERO {
            started
        } else {
            ledger.started
        };
        work.write(Write::RunEnd(RunEnd {
            run,
            status,
            started: first,
            ended: work.now(),
            output: output.clone(),
            last: live.last,
            imaged: live.imaged != Seq(0),
        }));
        self.tell_caller(work, (run, live.function), &ledger, status, &output);
        self.tell(work, run, live.function, &ledger, status, &output);
        self.start_deferred(work, run, live.function, &ledger);
    }

    /// Appends the lifecycle events. Runs that such an event started tell nothing, or a failing
    /// failure handler would call itself for ever.
    fn tell(
        &mut self,
        work: &mut Work<'_, '_>,
        run: Seq,
        function: u32,
        ledger: &Ledger,
        status: RunStatus,
        output: &Payload,
    ) {
        let trigger = ledger
            .events
            .first()
            .map_or("", |event| event.name.as_str());
        let names = [Lifecycle::Finished, Lifecycle::Failed].map(Lifecycle::event_name);
        if names.contains(&trigger) {
            return;
        }
        let more = match status {
            RunStatus::Failed => Some(Lifecycle::Failed),
            // Nor would a handler of cancellations that is always cancelled come to rest.
            RunStatus::Cancelled if trigger != Lifecycle::Cancelled.event_name() => {
                Some(Lifecycle::Cancelled)
            }
            _ => None,
        };
        for kind in [Some(Lifecycle::Finished), more].into_iter().flatten() {
            let seq = work.seq();
            let name = kind.event_name();
            if !self.catalog.is_trigger(name) && !self.waits.has_event(name) {
                let at = work.now();
                work.write(Write::Lifecycle(LifecycleRow { seq, at, kind, run }));
                continue;
            }
            let slug = self
                .catalog
                .function(function)
                .map_or("", |f| f.row.slug.as_str());
            let data = lifecycle_data(
                slug,
                ulid_for(ledger.created, run),
                &ledger.events,
                status,
                output,
            );
            let event = lifecycle_event(seq, work.now(), kind, ulid_for(ledger.created, run), data);
            work.write(Write::Event(Arc::clone(&event)));
            self.later.push_back((event, None));
        }
    }

    /// Sends out what is ready, and hands what was told to whoever waits for it or is triggered by
    /// it, until nothing of either is left. What goes out may end a run (by a limit), and what ends
    /// tells others; each run ends once, so this ends too.
    pub(crate) fn go_on(&mut self, work: &mut Work<'_, '_>) {
        self.fail_skipped(work);
        loop {
            while let Some((event, invoked)) = self.later.pop_front() {
                self.take_event(work, &event);
                let mut functions = self.catalog.triggered(&event, work.now());
                functions.retain(|function| Some(*function) != invoked);
                for function in functions {
                    self.start(work, function, &event, event.ts);
                }
            }
            self.dispatch_ready(work);
            if self.later.is_empty() {
                return;
            }
        }
    }
}

/// The body of a lifecycle event (SDK protocol, finalisation).
#[must_use]
pub fn lifecycle_data(
    slug: &str,
    run_id: Ulid,
    events: &[Arc<Event>],
    status: RunStatus,
    output: &Payload,
) -> Payload {
    let name = match status {
        RunStatus::Failed => "Failed",
        RunStatus::Cancelled => "Cancelled",
        RunStatus::Completed | RunStatus::Live | RunStatus::Skipped => "Completed",
    };
    let correlation = correlation_of(events).map_or_else(String::new, |id| {
        format!("\"correlation_id\":\"{}\",", escape(&id))
    });
    let all: Vec<String> = events
        .iter()
        .map(|e| String::from_utf8_lossy(&e.json()).into_owned())
        .collect();
    let first = all.first().map_or("null", String::as_str);
    let result = match status {
        RunStatus::Failed => format!("\"error\":{},", output.as_str()),
        RunStatus::Completed => format!("\"result\":{},", output.as_str()),
        _ => String::new(),
    };
    Payload::from_json(format!(
        "{{\"_inngest\":{{\"status\":\"{name}\"}},{correlation}{result}\"event\":{first},\"events\":[{}],\
         \"function_id\":\"{}\",\"run_id\":\"{run_id}\"}}",
        all.join(","),
        escape(slug),
    ))
}

/// A lifecycle event. Its id is the run's where it must start its handlers only once.
#[must_use]
pub fn lifecycle_event(
    seq: Seq,
    at: Timestamp,
    kind: Lifecycle,
    run_id: Ulid,
    data: Payload,
) -> Arc<Event> {
    let internal_id = ulid_for(at, seq);
    let id = if kind == Lifecycle::Finished {
        internal_id
    } else {
        run_id
    };
    Event::new(EventParts {
        seq,
        internal_id,
        id: id.to_string(),
        name: kind.event_name().to_owned(),
        received: at,
        ts: at,
        data,
        user: None,
        v: None,
        origin: EventOrigin::Internal,
    })
}
