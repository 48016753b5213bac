//! Appending one row of the step log, and taking it into memory.

use std::sync::Arc;

use dunlin_types::{OutboundRequest, Payload, Seq, StepId, Timestamp, limits};

use crate::core::{Engine, Work};
use crate::live::ItemState;
use crate::run::invoke::Invocation;
use crate::step::{Source, StepFlags, StepKind, StepMark, StepRow};
use crate::waits::Waiter;
use crate::write::Write;

/// What is to happen once the row has its place.
pub(crate) enum After {
    /// The item that it opens is to make this request.
    Request(Arc<OutboundRequest>),
    /// Another function is to run with this event; the item that it opens waits for its end.
    Invoke(Box<Invocation>),
}

/// A row before it has its place.
pub(crate) struct NewRow {
    pub(crate) kind: StepKind,
    pub(crate) flags: StepFlags,
    pub(crate) item: Seq,
    pub(crate) attempt: u8,
    pub(crate) due: Timestamp,
    pub(crate) id: Option<StepId>,
    pub(crate) name: String,
    pub(crate) queued: Timestamp,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) payload: Payload,
    pub(crate) source: Option<Source>,
    pub(crate) after: Option<After>,
}

impl NewRow {
    /// A row of an item that is about no step.
    pub(crate) fn blank(now: Timestamp, item: Seq, flags: StepFlags) -> Self {
        Self {
            kind: StepKind::Idle,
            flags,
            item,
            attempt: 0,
            due: now,
            id: None,
            name: String::new(),
            queued: Timestamp::ZERO,
            started: Timestamp::ZERO,
            ended: now,
            payload: Payload::from_json(Vec::new()),
            source: None,
            after: None,
        }
    }
}

impl Engine {
    /// Appends the row and places the items that it opens or puts back. The run must be live.
    pub(crate) fn append(&mut self, work: &mut Work<'_, '_>, run: Seq, mut new: NewRow) {
        if new.kind == StepKind::AwaitedSignal {
            self.take_signal_over(work, &new.payload);
        }
        let invoked = match new.after.take() {
            Some(After::Invoke(invocation)) => {
                let seq = work.seq();
                let event = invocation.event(work.now(), seq);
                new.payload = invocation.spec(seq);
                work.write(Write::Event(Arc::clone(&event)));
                Some((invocation, event))
            }
            after => {
                new.after = after;
                None
            }
        };
        let seq = work.seq();
        if new.flags.has(StepFlags::CLOSES) {
            self.dequeue_if_ready(run, new.item);
        }
        let Some(live) = self.live.get_mut(&run) else {
            return;
        };
        let mark = StepMark {
            seq,
            run,
            kind: new.kind,
            flags: new.flags,
            item: new.item,
            attempt: new.attempt,
            due: new.due,
        };
        let row = StepRow {
            mark,
            prev: live.last,
            id: new.id,
            name: new.name,
            queued: new.queued,
            started: new.started,
            ended: new.ended,
            payload: new.payload,
            source: new.source,
        };
        live.apply(&mark);
        if mark.flags.has(StepFlags::CLOSES) {
            self.requests.remove(mark.item);
        }
        self.waits.open(mark.kind, run, seq, &row.payload);
        if let Some(ledger) = self.ledgers.get_mut(run) {
            ledger.apply(&row);
            ledger.dirty = work.cx.commit;
        } else {
            self.tails.appended(row.clone(), work.cx.commit);
        }
        work.write(Write::Step(row));
        self.fold.appended();
        if let Some(After::Request(request)) = new.after {
            self.requests.put(seq, request);
        }
        self.place(work.now(), run, seq);
        if new.kind == StepKind::Retried {
            self.place(work.now(), run, new.item);
        }
        if let Some((invocation, event)) = invoked {
            self.start_invoked(work, Waiter { run, item: seq }, &invocation, event);
        }
    }

    /// The run's rows are not at hand though they were asked for: its item is tried again later.
    pub(crate) fn postpone(&mut self, now: Timestamp, run: Seq, key: Seq) {
        let items = self.live.get_mut(&run).map(|live| &mut live.items);
        if let Some(item) = items.and_then(|items| items.get_mut(key)) {
            item.state = ItemState::Parked;
            item.due = now.plus_ms(limits::REDISPATCH_DELAY_MS);
            self.timers.insert((item.due, run, key), ());
        }
    }

    /// Puts a parked item where it belongs: to the timers, or in its app's queue.
    pub(crate) fn place(&mut self, now: Timestamp, run: Seq, key: Seq) {
        let Some(live) = self.live.get_mut(&run) else {
            return;
        };
        let Some(item) = live.items.get_mut(key) else {
            return;
        };
        if item.state != ItemState::Parked {
            return;
        }
        if !item.kind.is_called() || item.due > now {
            self.timers.insert((item.due, run, key), ());
        } else {
            self.enqueue(run, key);
        }
    }
}
