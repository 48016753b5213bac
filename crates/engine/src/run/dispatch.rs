//! Items that are ready go out as calls, as slots allow.

use std::sync::Arc;

use dunlin_types::{Seq, StepId, Timestamp, ulid_for};

use crate::core::{Engine, Work};
use crate::effect::{Call, Effect, Request};
use crate::input::CallId;
use crate::live::{ItemKind, ItemState};
use crate::recover::RECOVERED;
use crate::run::NewRow;
use crate::schedule::Asked;
use crate::step::{StepFlags, StepKind};
use crate::write::Write;

/// Dispatches of one process that a generation leaves room for.
const DISPATCHES_PER_BOOT: u64 = 1 << 24;

impl Engine {
    /// Sends out what may go.
    pub(crate) fn dispatch_ready(&mut self, work: &mut Work<'_, '_>) {
        self.schedule.now = work.now();
        self.schedule.wake();
        self.wake_late(work);
        while let Some(picked) = self.schedule.pop() {
            let (run, key) = (picked.run, picked.item);
            for row in picked.rows {
                work.write(Write::Counter(row));
            }
            if picked.starts {
                self.begun(work, run, picked.counted);
            }
            let live = self.live.get_mut(&run);
            match live.and_then(|live| live.items.get_mut(key)) {
                Some(item) if item.state == ItemState::Ready => {
                    item.state = ItemState::Fetching;
                    if self.ledgers.get(run).is_some() {
                        self.call(work, run, key);
                    } else {
                        work.effect(Effect::Fetch(run));
                    }
                }
                _ => self.give_back(picked.lane, run, key),
            }
        }
    }

    /// Items for which limits of operators have room again queue once more.
    fn wake_late(&mut self, work: &mut Work<'_, '_>) {
        let (items, rows) = self.schedule.late.wake(work.now());
        for row in rows {
            work.write(Write::Counter(row));
        }
        for (run, key) in items {
            self.enqueue(run, key);
        }
    }

    /// The run's first call goes out; where rules count it, that is written.
    fn begun(&mut self, work: &mut Work<'_, '_>, run: Seq, counted: bool) {
        let Some(live) = self.live.get_mut(&run) else {
            return;
        };
        live.begun = true;
        if counted {
            let row = NewRow {
                kind: StepKind::Begun,
                ..NewRow::blank(work.now(), Seq(0), live.flags.with(StepFlags::BEGUN, true))
            };
            self.append(work, run, row);
        }
    }

    /// The ledger is there: calls what waited for it.
    pub(crate) fn fetched(&mut self, work: &mut Work<'_, '_>, run: Seq) {
        let Some(live) = self.live.get(&run) else {
            return;
        };
        let waiting: Vec<Seq> = live
            .items
            .iter()
            .filter(|item| item.state == ItemState::Fetching)
            .map(|item| item.key)
            .collect();
        for key in waiting {
            let item = self.live.get(&run).and_then(|live| live.items.get(key));
            if item.is_some_and(|item| item.state == ItemState::Fetching) {
                self.call(work, run, key);
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
    fn call(&mut self, work: &mut Work<'_, '_>, run: Seq, key: Seq) {
        let Some(live) = self.live.get_mut(&run) else {
            return;
        };
        let (lane, function) = (live.lane, live.function);
        if let Some(item) = live.items.get_mut(key) {
            // From here on the slot is this function's, not that of whoever ends the run.
            item.state = ItemState::Ready;
        }
        if self.ledgers.get(run).is_none() {
            self.give_back(lane, run, key);
            self.postpone(work.now(), run, key);
            return;
        }
        if self.schedule.is_stale(lane) && self.requeue(work, run, key) {
            return;
        }
        if self.over_limits(work, run) || !self.count_redispatch(work, run, key) {
            self.give_back(lane, run, key);
            return;
        }
        if !self.passes_late(work, (lane, function), run, key) {
            return;
        }
        self.guard_finish(work, run);
        let effect = match self.prepare_request(run, key) {
            Some(request) => Some(Effect::Request(Box::new(request))),
            None => self
                .prepare_call(run, key)
                .map(|call| Effect::Call(Box::new(call))),
        };
        match effect {
            Some(effect) => {
                self.tallies.called(function, work.now());
                work.effect(effect);
            }
            None => {
                self.give_back(lane, run, key);
                self.postpone(work.now(), run, key);
            }
        }
    }

    /// Whether limits of operators let the item go now; if not, it gives its slots back and waits.
    fn passes_late(
        &mut self,
        work: &mut Work<'_, '_>,
        (lane, function): (u32, u32),
        run: Seq,
        key: Seq,
    ) -> bool {
        let names = self.late_names(function, run, key);
        match self.schedule.late.ask((run, key), names, work.now()) {
            Asked::Go(rows) => {
                for row in rows {
                    work.write(Write::Counter(row));
                }
                true
            }
            Asked::Waits => {
                self.schedule.release(lane, run, key);
                false
            }
        }
    }

    /// The limits of operators that the item falls under.
    fn late_names(&self, function: u32, run: Seq, key: Seq) -> Vec<String> {
        if self.schedule.late.is_empty() {
            return Vec::new();
        }
        if let Some(request) = self.requests.get(key) {
            return self.schedule.late.of_host(host_of(&request.url));
        }
        let target = self.ledgers.get(run).and_then(|ledger| {
            let open = ledger.open.get(ledger.step_of(key)?)?;
            Some(open.name.as_str())
        });
        let slug = self.catalog.function(function).map(|f| f.row.slug.as_str());
        match (slug, target) {
            (Some(slug), Some(step)) => self.schedule.late.of_step(slug, step),
            _ => Vec::new(),
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
    fn prepare_request(&mut self, run: Seq, key: Seq) -> Option<Request> {
        let request = Arc::clone(self.requests.get(key)?);
        let ledger = self.ledgers.get(run)?;
        let step = ledger.step_of(key)?.clone();
        let name = ledger.open.get(&step)?.name.clone();
        let run_id = ulid_for(ledger.created, run);
        let after = ledger.dirty;
        let boot = self.options.boot;
        let live = self.live.get_mut(&run)?;
        let (app, lane) = (self.catalog.app_of(live.function), live.lane);
        let item = live.items.get_mut(key)?;
        item.state = ItemState::Calling;
        item.dispatches += 1;
        let generation = boot * DISPATCHES_PER_BOOT + u64::from(item.dispatches);
        Some(Request {
            id: CallId {
                run,
                item: key,
                generation,
                app,
                lane,
            },
            run_id,
            step,
            name,
            attempt: item.attempt,
            request,
            after,
        })
    }

    fn prepare_call(&mut self, run: Seq, key: Seq) -> Option<Call> {
        let boot = self.options.boot;
        let live = self.live.get_mut(&run)?;
        let function = self.catalog.function(live.function)?;
        let (app, lane) = (function.row.app, live.lane);
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
                lane,
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
            plan: ledger.state.force_plan || self.schedule.late.has_steps_of(&function.row.slug),
            after: ledger.dirty,
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

/// The host name of a URL, without brackets, user and port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
        Some((host, _)) => host,
        None => host.split_once(':').map_or(host, |(host, _)| host),
    }
}
