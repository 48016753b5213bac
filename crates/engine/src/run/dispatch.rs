//! Items that are ready go out as calls, as slots allow.

use std::sync::Arc;

use dunlin_types::{Seq, StepId, Timestamp, ulid_for};

use crate::core::{Engine, Work};
use crate::effect::{Call, Effect, Request};
use crate::input::CallId;
use crate::live::{ItemKind, ItemState};
use crate::recover::RECOVERED;
use crate::run::NewRow;
use crate::step::{StepFlags, StepKind};

/// Dispatches of one process that a generation leaves room for.
const DISPATCHES_PER_BOOT: u64 = 1 << 24;

impl Engine {
    /// Sends out what may go.
    pub(crate) fn dispatch_ready(&mut self, work: &mut Work<'_, '_>) {
        while let Some((app, run, key)) = self.schedule.pop() {
            let function = self.live.get(&run).map(|live| live.function);
            if let Some(function) = function.filter(|function| self.is_paused(*function)) {
                self.schedule.hold(app, function, run, key);
                continue;
            }
            let item = self
                .live
                .get_mut(&run)
                .and_then(|live| live.items.get_mut(key));
            match item {
                Some(item) if item.state == ItemState::Ready => {
                    item.state = ItemState::Fetching;
                    if self.ledgers.get(run).is_some() {
                        self.call(work, app, run, key);
                    } else {
                        work.effect(Effect::Fetch(run));
                    }
                }
                _ => self.schedule.release(app),
            }
        }
    }

    /// The ledger is there: calls what waited for it.
    pub(crate) fn fetched(&mut self, work: &mut Work<'_, '_>, run: Seq) {
        let Some(live) = self.live.get(&run) else {
            return;
        };
        let app = self.catalog.app_of(live.function);
        let waiting: Vec<Seq> = live
            .items
            .iter()
            .filter(|item| item.state == ItemState::Fetching)
            .map(|item| item.key)
            .collect();
        for key in waiting {
            let item = self.live.get(&run).and_then(|live| live.items.get(key));
            if item.is_some_and(|item| item.state == ItemState::Fetching) {
                self.call(work, app, run, key);
            }
        }
    }

    /// The generation that an item's current dispatch has.
    pub(crate) fn generation(&self, dispatches: u32) -> u64 {
        self.options.boot * DISPATCHES_PER_BOOT + u64::from(dispatches)
    }

    /// Whether that dispatch is the one in flight.
    pub(crate) fn is_current(&self, run: Seq, key: Seq, generation: Option<u64>) -> bool {
        self.live
            .get(&run)
            .and_then(|live| live.items.get(key))
            .is_some_and(|item| {
                item.state == ItemState::Calling
                    && generation.is_none_or(|g| g == self.generation(item.dispatches))
            })
    }

    /// Calls an item that holds a slot; gives the slot back if there is nothing to call.
    fn call(&mut self, work: &mut Work<'_, '_>, app: u32, run: Seq, key: Seq) {
        if let Some(item) = self
            .live
            .get_mut(&run)
            .and_then(|live| live.items.get_mut(key))
        {
            // From here on the slot is this function's, not that of whoever ends the run.
            item.state = ItemState::Ready;
        }
        if self.ledgers.get(run).is_none() {
            self.schedule.release(app);
            self.postpone(work.now(), run, key);
            return;
        }
        if self.over_limits(work, run) || !self.count_redispatch(work, run, key) {
            self.schedule.release(app);
            return;
        }
        self.guard_finish(work, run);
        let effect = match self.prepare_request(app, run, key) {
            Some(request) => Some(Effect::Request(Box::new(request))),
            None => self
                .prepare_call(app, run, key)
                .map(|call| Effect::Call(Box::new(call))),
        };
        match effect {
            Some(effect) => work.effect(effect),
            None => {
                self.schedule.release(app);
                self.postpone(work.now(), run, key);
            }
        }
    }

    /// Before a run's first call: opens its instant to have ended by, if its function has one.
    fn guard_finish(&mut self, work: &mut Work<'_, '_>, run: Seq) {
        let begun = self
            .ledgers
            .get(run)
            .is_none_or(|l| l.started != Timestamp::ZERO);
        let Some(live) = self.live.get(&run).filter(|_| !begun) else {
            return;
        };
        let function = self.catalog.function(live.function);
        let guarded = live
            .items
            .iter()
            .any(|item| item.kind == ItemKind::FinishTimeout);
        let ms = function.and_then(|f| f.row.timeouts.finish_ms);
        if let Some(ms) = ms.filter(|_| !guarded) {
            let due = work.now().plus_ms(ms);
            let nothing = dunlin_types::Payload::from_json(Vec::new());
            self.open_guard(work, run, StepKind::FinishTimeout, due, nothing);
        }
    }

    /// The request that an item is to make; none if it is not such an item, or the request is not
    /// in memory: then the app is called, and reports it anew.
    fn prepare_request(&mut self, app: u32, run: Seq, key: Seq) -> Option<Request> {
        let request = Arc::clone(self.requests.get(key)?);
        let ledger = self.ledgers.get(run)?;
        let step = ledger.step_of(key)?.clone();
        let name = ledger.open.get(&step)?.name.clone();
        let run_id = ulid_for(ledger.created, run);
        let boot = self.options.boot;
        let item = self.live.get_mut(&run)?.items.get_mut(key)?;
        item.state = ItemState::Calling;
        item.dispatches += 1;
        let generation = boot * DISPATCHES_PER_BOOT + u64::from(item.dispatches);
        Some(Request {
            id: CallId {
                run,
                item: key,
                generation,
                app,
                lane: 0,
            },
            run_id,
            step,
            name,
            attempt: item.attempt,
            request,
        })
    }

    fn prepare_call(&mut self, app: u32, run: Seq, key: Seq) -> Option<Call> {
        let boot = self.options.boot;
        let live = self.live.get_mut(&run)?;
        let function = self.catalog.function(live.function)?;
        let ledger = self.ledgers.get(run)?;
        let item = live.items.get_mut(key)?;
        item.state = ItemState::Calling;
        item.dispatches += 1;
        let generation = boot * DISPATCHES_PER_BOOT + u64::from(item.dispatches);
        let step = |kind| {
            (item.kind == kind)
                .then(|| ledger.step_of(key).cloned())
                .flatten()
        };
        let target = step(ItemKind::Step);
        Some(Call {
            id: CallId {
                run,
                item: key,
                generation,
                app,
                lane: 0,
            },
            run_id: ulid_for(ledger.created, run),
            function: live.function,
            url: Arc::clone(&function.url),
            sdk: Arc::clone(&self.catalog.app(app)?.sdk),
            function_id: Arc::clone(&function.id),
            cause: ledger.causes.get(&key).cloned(),
            target,
            attempt: item.attempt,
            attempts_max: function.attempts_max(self.options.retries_default),
            events: Arc::clone(&ledger.events),
            state: Arc::clone(&ledger.state),
        })
    }

    /// After an unclean stop, counts that the item goes out again; ends the attempt if that has
    /// happened too often. True if the call may go.
    fn count_redispatch(&mut self, work: &mut Work<'_, '_>, run: Seq, key: Seq) -> bool {
        let now = work.now();
        let Some(item) = self
            .live
            .get_mut(&run)
            .and_then(|live| live.items.get_mut(key))
        else {
            return false;
        };
        if item.redispatches & RECOVERED == 0 {
            return true;
        }
        item.redispatches &= !RECOVERED;
        let item = *item;
        if item.redispatches >= dunlin_types::limits::REDISPATCHES_MAX {
            self.crashed_too_often(work, run, item);
            return false;
        }
        let flags = self.run_flags(run);
        self.append(
            work,
            run,
            NewRow {
                kind: StepKind::Redispatched,
                flags,
                item: key,
                attempt: item.attempt,
                due: item.due,
                id: None::<StepId>,
                name: String::new(),
                queued: item.due,
                started: Timestamp::ZERO,
                ended: now,
                payload: dunlin_types::Payload::from_json(Vec::new()),
                source: None,
                after: None,
            },
        );
        true
    }

    /// The flags that carry the run's own settings from row to row.
    pub(crate) fn run_flags(&self, run: Seq) -> StepFlags {
        self.live
            .get(&run)
            .map_or(StepFlags::default(), |live| live.flags)
    }
}
