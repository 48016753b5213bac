//! A timer came due: a sleep is over, a wait has run out, an attempt is to be made again, or a run
//! has taken too long.

use dunlin_types::{Payload, Seq, Timestamp};

use crate::core::{Engine, Work};
use crate::live::{ItemKind, ItemState, Live};
use crate::run::NewRow;
use crate::run::resolve::Resolution;
use crate::step::StepFlags;
use crate::write::RunStatus;

impl Engine {
    pub(crate) fn due(&mut self, work: &mut Work<'_, '_>, run: Seq, key: Seq) {
        let Some(live) = self.live.get_mut(&run) else {
            return;
        };
        let Some(item) = live.items.get_mut(key) else {
            return;
        };
        if item.state != ItemState::Parked {
            return;
        }
        if item.due > work.now() {
            let due = item.due;
            self.timers.insert((due, run, key), ());
        } else if item.kind.is_called() {
            self.enqueue(run, key);
        } else {
            let kind = item.kind;
            self.ran_out(work, run, key, kind);
        }
    }

    /// The instant of something that is not called has come.
    fn ran_out(&mut self, work: &mut Work<'_, '_>, run: Seq, key: Seq, kind: ItemKind) {
        match kind {
            ItemKind::Timer => self.resolve(work, run, key, Resolution::null()),
            ItemKind::Wait | ItemKind::Invoke | ItemKind::Signal => {
                self.run_out(work, run, key, kind);
            }
            ItemKind::End => self.finish_stopped(work, run, key),
            ItemKind::CancelOn => self.close_guard(work, run, key),
            ItemKind::StartTimeout => self.start_ran_out(work, run, key),
            ItemKind::FinishTimeout => {
                let why = Payload::from_json("{\"reason\":\"timeouts.finish\"}");
                self.stop(work, run, why);
            }
            ItemKind::Discovery | ItemKind::Step | ItemKind::Gateway => {}
        }
    }

    /// A run that was stopped ends, its ledger being at hand.
    fn finish_stopped(&mut self, work: &mut Work<'_, '_>, run: Seq, key: Seq) {
        match self.ledgers.get(run) {
            Some(ledger) => {
                let why = ledger.stopped.clone().unwrap_or_else(Payload::null);
                self.end(work, run, RunStatus::Cancelled, why, Timestamp::ZERO);
            }
            None => self.postpone(work.now(), run, key),
        }
    }

    /// A guard has nothing left to guard.
    fn close_guard(&mut self, work: &mut Work<'_, '_>, run: Seq, key: Seq) {
        let Some(live) = self.live.get(&run) else {
            return;
        };
        let flags = live.flags.with(StepFlags::CLOSES, true);
        self.waits.close(key);
        let row = NewRow::blank(work.now(), key, flags);
        self.append(work, run, row);
    }

    /// The run was to begin by now.
    fn start_ran_out(&mut self, work: &mut Work<'_, '_>, run: Seq, key: Seq) {
        let Some(ledger) = self.ledgers.get(run) else {
            self.postpone(work.now(), run, key);
            return;
        };
        // After an unclean stop nobody knows whether its call was out; it goes out again in a moment.
        let called = |live: &Live| {
            let mut items = live.items.iter();
            items.any(|item| item.dispatches > 0 || item.redispatches > 0)
        };
        if ledger.started != Timestamp::ZERO || self.live.get(&run).is_some_and(called) {
            self.close_guard(work, run, key);
        } else {
            let why = Payload::from_json("{\"reason\":\"timeouts.start\"}");
            self.stop(work, run, why);
        }
    }

    /// Whether a discovery of the run, other than `except`, has yet to go out: it will see all
    /// that is known by then.
    pub(crate) fn discovery_waits(&self, run: Seq, except: Seq) -> bool {
        self.live.get(&run).is_some_and(|live| {
            live.items.iter().any(|item| {
                item.kind == ItemKind::Discovery
                    && item.key != except
                    && item.attempt == 0
                    && matches!(item.state, ItemState::Ready | ItemState::Fetching)
            })
        })
    }
}
