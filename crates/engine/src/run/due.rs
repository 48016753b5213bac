//! A timer came due: a sleep is over, or an attempt is to be made again.

use dunlin_types::{Payload, Seq, Timestamp};

use crate::core::{Engine, Work};
use crate::live::{ItemKind, ItemState};
use crate::run::NewRow;
use crate::step::{StepFlags, StepKind};

impl Engine {
    pub(crate) fn due(&mut self, work: &mut Work<'_, '_>, run: Seq, key: Seq) {
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
        if item.due > work.now() {
            let due = item.due;
            self.timers.insert((due, run, key), ());
        } else if item.kind == ItemKind::Timer {
            let due = item.due;
            self.wake(work, run, key, due);
        } else {
            item.state = ItemState::Ready;
            self.schedule.push(self.catalog.app_of(function), run, key);
        }
    }

    /// A sleep is over: its step has its result.
    fn wake(&mut self, work: &mut Work<'_, '_>, run: Seq, key: Seq, due: Timestamp) {
        let Some(ledger) = self.ledgers.get(run) else {
            self.postpone(work.now(), run, key);
            return;
        };
        let Some((id, open)) = ledger.open.iter().find(|(_, open)| open.item == key) else {
            return;
        };
        let (id, name, race, since) = (id.clone(), open.name.clone(), open.race, open.since);
        let last_of_group = ledger.pending.iter().all(|pending| *pending == id);
        let version_1 = ledger.state.version < 2;
        let discovers = (version_1 || race || last_of_group) && !self.discovery_waits(run, key);
        let mut flags = self.run_flags(run).with(StepFlags::CLOSES, true);
        flags = flags.with(StepFlags::DISCOVERS, discovers);
        let last_open = ledger.open.len() == 1;
        if last_open && last_of_group && !version_1 {
            flags.0 &= !StepFlags::FORCE_PLAN;
        }
        let now = work.now();
        let row = NewRow {
            kind: StepKind::Woke,
            flags,
            item: key,
            attempt: 0,
            due: now,
            id: Some(id),
            name,
            queued: since,
            started: due,
            ended: now,
            payload: Payload::from_json(Vec::new()),
        };
        self.append(work, run, row);
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
