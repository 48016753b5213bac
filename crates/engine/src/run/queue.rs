//! Items queue for their slots, hold them, and give them back. Nothing else touches the schedule on
//! behalf of a run.

use dunlin_types::{Event, Seq, Timestamp};

use crate::core::{Engine, Work};
use crate::flow::priority;
use crate::flow::{KeyValue, RunKeys};
use crate::live::{Item, ItemKind, ItemState, Live};
use crate::write::RunRow;

impl Engine {
    /// A run is live from now on: what its function's rules made of it says where it queues.
    pub(crate) fn admit_live(&mut self, row: &RunRow, keys: RunKeys) {
        let lane = self.schedule.lane(row.function, keys.values);
        let score = priority::score(row.created.max(row.due), keys.priority);
        if let Some(lock) = keys.singleton {
            self.locks.take(row.function, lock, row.seq);
        }
        let live = Live::start(row, lane, score);
        self.live.insert(row.seq, live);
    }

    /// A live run counts in its lane from now on.
    pub(crate) fn join_lane(&mut self, run: Seq) {
        if let Some(live) = self.live.get(&run) {
            self.schedule.joins(live.lane, run, live.begun);
        }
    }

    /// What a live run counts under and holds, as it is stored. Its score is stored beside it.
    pub(crate) fn keys_of(&self, run: Seq, lane: u32) -> RunKeys {
        RunKeys {
            priority: 0,
            singleton: self.locks.of(run),
            values: self.schedule.values(lane).to_vec(),
        }
    }

    /// An item is ready: it queues.
    pub(crate) fn enqueue(&mut self, run: Seq, key: Seq) {
        let Some(live) = self.live.get_mut(&run) else {
            return;
        };
        let (lane, starts, score) = (live.lane, !live.begun, live.score);
        if let Some(item) = live.items.get_mut(key) {
            item.state = ItemState::Ready;
            self.schedule.push(lane, starts, score, run, key);
        }
    }

    /// An item that was ready is no longer to go out.
    pub(crate) fn dequeue(&mut self, run: Seq, key: Seq) {
        self.schedule.late.release((run, key));
        if let Some(live) = self.live.get(&run) {
            self.schedule
                .remove(live.lane, !live.begun, live.score, key);
        }
    }

    /// See [`Engine::dequeue`]; an item that is not ready stays where it is.
    pub(crate) fn dequeue_if_ready(&mut self, run: Seq, key: Seq) {
        let item = self.live.get(&run).and_then(|live| live.items.get(key));
        if item.is_some_and(|item| item.state == ItemState::Ready) {
            self.dequeue(run, key);
        }
    }

    /// Gives an item's slots back.
    pub(crate) fn give_back(&mut self, lane: u32, run: Seq, key: Seq) {
        self.schedule.late.release((run, key));
        self.schedule.release(lane, run, key);
    }

    /// Takes an item of a run that ends out of the queues.
    pub(crate) fn leave_queue(&mut self, run: Seq, item: &Item) {
        match item.state {
            ItemState::Ready => self.dequeue(run, item.key),
            // The fetch comes back to an item that is gone, so its slot is given back here; a
            // call's slot is given back by its reply.
            ItemState::Fetching => {
                if let Some(lane) = self.live.get(&run).map(|live| live.lane) {
                    self.give_back(lane, run, item.key);
                }
            }
            ItemState::Parked | ItemState::Calling | ItemState::Claimed => {}
        }
    }

    /// The run's function has rules that its keys know nothing of. Now that its events are at hand,
    /// they are asked, and its items queue anew: the one that holds slots gives them back. False if
    /// it queues where it did.
    pub(crate) fn requeue(&mut self, work: &Work<'_, '_>, run: Seq, holder: Seq) -> bool {
        let values = self.values_now(work, run);
        let Some(live) = self.live.get(&run) else {
            return false;
        };
        let (old, function, begun) = (live.lane, live.function, live.begun);
        let items: Vec<Item> = live.items.iter().copied().collect();
        let lane = self.schedule.own_lane(function, values);
        if lane == old {
            return false;
        }
        self.give_back(old, run, holder);
        for item in &items {
            self.leave_queue(run, item);
        }
        self.schedule.joins(lane, run, begun);
        self.schedule.leaves(old, run, begun);
        if let Some(live) = self.live.get_mut(&run) {
            live.lane = lane;
        }
        let queued = |item: &&Item| matches!(item.state, ItemState::Ready | ItemState::Fetching);
        for item in items.iter().filter(queued) {
            self.enqueue(run, item.key);
        }
        true
    }

    /// A run that does nothing for long gives up the lane that it has for itself, where there are
    /// more than there should be.
    pub(crate) fn share_lane(&mut self, run: Seq) {
        let Some(live) = self.live.get_mut(&run) else {
            return;
        };
        if let Some(lane) = self.schedule.share_with(live.lane) {
            let (old, begun) = (live.lane, live.begun);
            live.lane = lane;
            self.schedule.joins(lane, run, begun);
            self.schedule.leaves(old, run, begun);
        }
    }

    /// What a function's rules make of an event for a run that somebody asks for: where it queues.
    /// Rules that drop, gather and lock are for events that come by themselves.
    pub(crate) fn keys_for(&self, function: u32, event: &Event, now: Timestamp) -> RunKeys {
        let flow = self.catalog.function(function).map(|f| &f.flow);
        flow.filter(|flow| !flow.is_plain())
            .map_or_else(RunKeys::default, |flow| {
                flow.keys(&dunlin_expr::parse_json(&event.json()), now)
            })
    }

    /// What the rules of now make of a run whose ledger is at hand.
    fn values_now(&self, work: &Work<'_, '_>, run: Seq) -> Vec<KeyValue> {
        let function = self.live.get(&run).map(|live| live.function);
        let function = function.and_then(|function| self.catalog.function(function));
        let event = self
            .ledgers
            .get(run)
            .and_then(|ledger| ledger.events.first());
        let (Some(function), Some(event)) = (function, event) else {
            return Vec::new();
        };
        let json = dunlin_expr::parse_json(&event.json());
        function.flow.keys(&json, work.now()).values
    }
}

impl Live {
    /// Whether its first call cannot have gone out, as far as its rows tell.
    pub(crate) fn is_fresh(&self, run: Seq) -> bool {
        let first =
            |item: &Item| item.key == run && item.kind == ItemKind::Discovery && item.attempt == 0;
        self.items.iter().any(first)
    }
}
