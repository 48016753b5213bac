//! Memory is rebuilt from rows: images first, then the runs and the step log of the tail.

use std::sync::Arc;

use dunlin_types::{Event, Seq, Timestamp, limits};

use crate::config::{AppRow, FunctionRow, Limit, Rule};
use crate::core::Engine;
use crate::flow::RunKeys;
use crate::live::{ItemState, Live};
use crate::step::{StepFlags, StepMark, StepRow};
use crate::write::{CounterRow, GatherRow, Image, RunRow};

/// In an item's count of redispatches: it was due when the server stopped uncleanly.
pub(crate) const RECOVERED: u8 = 0x80;

impl Engine {
    /// Takes an app's row.
    pub fn restore_app(&mut self, row: AppRow) {
        self.catalog.restore_app(row);
    }

    /// Takes a function's newest row; its app comes first.
    pub fn restore_function(&mut self, row: FunctionRow) {
        let number = row.number;
        self.catalog.restore_function(row);
        self.govern(number);
    }

    /// Takes the image of a live run. One that cannot be read is told by `false`.
    #[must_use]
    pub fn restore_image(&mut self, image: &Image) -> bool {
        let live = Live::from_image(image);
        let (Some(mut live), Some(keys)) = (live, RunKeys::decode(&image.flow)) else {
            return false;
        };
        live.lane = self.schedule.lane(live.function, keys.values);
        if let Some(lock) = keys.singleton {
            self.locks.take(live.function, lock, image.run);
        }
        self.live.insert(image.run, live);
        true
    }

    /// Takes a live run of the tail; one that has an image is known already. One that cannot be read
    /// is told by `false`.
    #[must_use]
    pub fn restore_run(&mut self, row: &RunRow) -> bool {
        self.fold.appended();
        if self.live.contains_key(&row.seq) {
            return true;
        }
        let keys = RunKeys::decode(&row.flow);
        let read = keys.is_some();
        if let Some(keys) = keys {
            self.admit_live(row, keys);
        }
        read
    }

    /// Takes a rate's counter.
    pub fn restore_counter(&mut self, row: &CounterRow) {
        match row.rule {
            Rule::Throttle => self.schedule.counters.apply(row),
            Rule::StepLimit | Rule::HostLimit => self.schedule.late.apply(row),
            _ => self.counters.apply(row),
        }
    }

    /// Takes a debounce or a batch.
    pub fn restore_gather(&mut self, row: GatherRow) {
        self.gathers.put(row, None);
    }

    /// Takes an event of a batch beyond its first, in order.
    pub fn restore_gathered(&mut self, gather: Seq, event: Seq) {
        self.gathers.restore_event(gather, event);
    }

    /// Takes a limit of an operator.
    pub fn restore_limit(&mut self, limit: Limit) {
        self.schedule.late.put(limit);
    }

    /// Takes a row of the tail of the step log, in order.
    pub fn restore_step(&mut self, mark: &StepMark) {
        if let Some(live) = self.live.get_mut(&mark.run)
            && mark.seq > live.last
        {
            live.apply(mark);
        }
        self.fold.appended();
    }

    /// The rows that opened what live runs wait for, to be read and handed to
    /// [`Engine::restore_wait`]: all rows that bring memory up to date are in.
    #[must_use]
    pub fn waits_to_restore(&mut self) -> Vec<(Seq, Seq)> {
        self.catalog.index();
        let mut found = Vec::new();
        for (run, live) in self.live.iter_mut_from(Seq(0)) {
            let waits = live.items.iter().filter(|item| item.kind.waits());
            found.extend(waits.map(|item| (*run, item.key)));
        }
        found.sort_unstable_by_key(|(_, item)| *item);
        found
    }

    /// Takes the row that opened a wait. One that cannot be read is told by `false`.
    #[must_use]
    pub fn restore_wait(&mut self, row: &StepRow) -> bool {
        let mark = &row.mark;
        self.waits.open(mark.kind, mark.run, mark.seq, &row.payload)
    }

    /// Takes an event whose claim was not worked off when the process ended; in order.
    pub fn restore_claim(&mut self, event: &Arc<Event>) {
        let mut waiters = self.waits.matching(event, event.received);
        waiters.retain(|waiter| waiter.item < event.seq);
        self.claim(event, waiters);
    }

    /// All rows are in: timers are set. After an unclean stop, what was due goes out a second
    /// later and is counted, since each such call may be the one that stopped us.
    pub fn restored(&mut self, now: Timestamp, clean: bool) {
        self.schedule.now = now;
        self.plan_ticks(now);
        let delayed = now.plus_ms(limits::REDISPATCH_DELAY_MS);
        let mut parked: Vec<(Seq, Seq)> = Vec::new();
        for (run, live) in self.live.iter_mut_from(Seq(0)) {
            live.begun = live.flags.has(StepFlags::BEGUN) || !live.is_fresh(*run);
            self.schedule.joins(live.lane, *run, live.begun);
            let keys: Vec<Seq> = live.items.iter().map(|item| item.key).collect();
            for key in keys {
                let Some(item) = live.items.get_mut(key) else {
                    continue;
                };
                if !clean && item.due <= now && item.kind.is_called() {
                    item.redispatches |= RECOVERED;
                    item.due = delayed;
                }
                if item.state == ItemState::Parked {
                    parked.push((*run, key));
                }
            }
        }
        for (run, key) in parked {
            self.place(now, run, key);
        }
    }

    /// Sends out what [`Engine::restored`] found ready.
    pub fn resume(&mut self, cx: &mut crate::Context<'_>) -> crate::Outcome {
        let mut work = crate::core::Work {
            cx,
            known: Default::default(),
            out: Default::default(),
        };
        self.go_on(&mut work);
        work.out
    }
}
