//! A step that was open has its result, without a call: a sleep is over, an event or a signal came,
//! an invoked run ended, a wait ran out. Nothing but hot state is needed, so that a thousand such
//! ends cost no reading.

use std::sync::Arc;

use dunlin_types::{Code, Event, Payload, Seq, Timestamp};

use crate::core::{Engine, Work};
use crate::live::{ItemKind, ItemState};
use crate::run::{NewRow, error_object};
use crate::step::{Source, StepFlags, StepKind};
use crate::waits::Waiter;
use crate::write::{RunStatus, Write};

/// What a step ends with.
pub(crate) struct Resolution {
    pub(crate) kind: StepKind,
    pub(crate) payload: Payload,
    pub(crate) source: Option<Source>,
}

impl Resolution {
    /// `null`: a sleep is over, a wait has run out.
    pub(crate) fn null() -> Self {
        Self::new(StepKind::Woke, Payload::from_json(Vec::new()))
    }

    pub(crate) const fn new(kind: StepKind, payload: Payload) -> Self {
        Self {
            kind,
            payload,
            source: None,
        }
    }
}

impl Engine {
    /// Whoever waits for this event goes on, or is cancelled by it.
    pub(crate) fn take_event(&mut self, work: &mut Work<'_, '_>, event: &Arc<Event>) {
        let mut waiters = self.waits.matching(event, work.now());
        // It may have got its place before the wait did, and be taken up only now.
        waiters.retain(|waiter| waiter.item < event.seq);
        if waiters.len() > dunlin_types::limits::RESUMED_PER_TURN_MAX {
            work.write(Write::Claim(event.seq));
            self.claim(event, waiters);
            return;
        }
        for waiter in waiters {
            self.resume_by(work, waiter, event);
        }
    }

    /// An event that a wait matches.
    pub(crate) fn resume_by(&mut self, work: &mut Work<'_, '_>, waiter: Waiter, event: &Event) {
        let live = self.live.get(&waiter.run);
        match live
            .and_then(|live| live.items.get(waiter.item))
            .map(|item| item.kind)
        {
            Some(ItemKind::Wait) => {
                let found = Resolution {
                    kind: StepKind::RanRaw,
                    payload: Payload::from_json(event.json()),
                    source: Some(Source::Event(event.seq)),
                };
                self.resolve(work, waiter.run, waiter.item, found);
            }
            Some(ItemKind::CancelOn) => {
                let why = format!(
                    "{{\"event\":\"{}\",\"reason\":\"event\"}}",
                    event.internal_id
                );
                self.stop(work, waiter.run, Payload::from_json(why));
            }
            _ => {}
        }
    }

    /// Ends an open step that is not called.
    pub(crate) fn resolve(
        &mut self,
        work: &mut Work<'_, '_>,
        run: Seq,
        key: Seq,
        with: Resolution,
    ) {
        let Some(live) = self.live.get(&run) else {
            return;
        };
        let Some(item) = live.items.get(key).copied() else {
            return;
        };
        let others = || live.items.iter().filter(|other| other.key != key);
        let group_done = !others().any(|other| other.grouped);
        let last_open = !others().any(|other| other.kind.is_step());
        let version_1 = !live.flags.has(StepFlags::VERSION_2);
        let discovers = (version_1 || item.races || group_done) && !self.discovery_waits(run, key);
        let mut flags = live.flags.with(StepFlags::CLOSES, true);
        flags = flags.with(StepFlags::DISCOVERS, discovers);
        if last_open && group_done && !version_1 {
            flags.0 &= !StepFlags::FORCE_PLAN;
        }
        self.let_go(run, key);
        let now = work.now();
        let row = NewRow {
            kind: with.kind,
            started: item.due.min(now),
            payload: with.payload,
            source: with.source,
            ..NewRow::blank(now, key, flags)
        };
        self.append(work, run, row);
    }

    /// A wait has run out.
    pub(crate) fn run_out(&mut self, work: &mut Work<'_, '_>, run: Seq, key: Seq, kind: ItemKind) {
        let outcome = if kind == ItemKind::Invoke {
            let text = "Timed out waiting for invoked function to complete";
            let error = error_object(Code::InvokeTimedOut, "InngestInvokeTimeoutError", text);
            Resolution::new(StepKind::Failed, error)
        } else {
            Resolution::null()
        };
        self.resolve(work, run, key, outcome);
    }

    /// Stops a run: nothing of it goes on from here, and it ends as cancelled as soon as its ledger
    /// is at hand.
    pub(crate) fn stop(&mut self, work: &mut Work<'_, '_>, run: Seq, why: Payload) {
        if self.ledgers.get(run).is_some() {
            self.end(work, run, RunStatus::Cancelled, why, Timestamp::ZERO);
            return;
        }
        let Some(live) = self.live.get(&run) else {
            return;
        };
        let flags = live.flags;
        let items: Vec<_> = live.items.iter().copied().collect();
        if items.iter().any(|item| item.kind == ItemKind::End) {
            return;
        }
        self.release_items(run, &items);
        let row = NewRow {
            kind: StepKind::Stopped,
            payload: why,
            ..NewRow::blank(work.now(), Seq(0), flags)
        };
        self.append(work, run, row);
    }

    /// Takes an item out of all that could bring it on.
    fn let_go(&mut self, run: Seq, key: Seq) {
        let live = self.live.get(&run);
        if let Some(item) = live.and_then(|live| live.items.get(key))
            && item.state == ItemState::Parked
        {
            self.timers.remove(&(item.due, run, key));
        }
        self.waits.close(key);
        self.requests.remove(key);
    }

    /// Takes all items of a run that ends out of all that could bring them on.
    pub(crate) fn release_items(&mut self, run: Seq, items: &[crate::live::Item]) {
        for item in items {
            if item.state == ItemState::Parked {
                self.timers.remove(&(item.due, run, item.key));
            }
            self.leave_queue(run, item);
            self.waits.close(item.key);
            self.requests.remove(item.key);
        }
    }
}
