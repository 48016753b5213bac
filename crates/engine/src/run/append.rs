//! Appending one row of the step log, and taking it into memory.

use dunlin_types::{Payload, Seq, StepId, Timestamp, limits};

use crate::core::{Engine, Work};
use crate::live::{ItemKind, ItemState};
use crate::step::{StepFlags, StepKind, StepMark, StepRow};
use crate::write::Write;

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
}

impl Engine {
    /// Appends the row and places the items that it opens or puts back. The run must be live.
    pub(crate) fn append(&mut self, work: &mut Work<'_, '_>, run: Seq, new: NewRow) {
        let seq = work.seq();
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
        };
        live.apply(&mark);
        if let Some(ledger) = self.ledgers.get_mut(run) {
            ledger.apply(&row);
            ledger.dirty = work.cx.commit;
        }
        work.write(Write::Step(row));
        self.fold.appended();
        self.place(work.now(), run, seq);
        if new.kind == StepKind::Retried {
            self.place(work.now(), run, new.item);
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
        let function = live.function;
        let Some(item) = live.items.get_mut(key) else {
            return;
        };
        if item.state != ItemState::Parked {
            return;
        }
        if item.kind == ItemKind::Timer || item.due > now {
            self.timers.insert((item.due, run, key), ());
        } else {
            item.state = ItemState::Ready;
            self.schedule.push(self.catalog.app_of(function), run, key);
        }
    }
}
