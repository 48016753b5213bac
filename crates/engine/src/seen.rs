//! Looking at what waits: put together from hot state, for whoever asks. It must never change anything.

use dunlin_types::limits::{LOOK_ITEMS_MAX, LOOK_QUEUES_MAX, LOOK_RUNS_MAX};
use dunlin_types::{Seq, Timestamp};

use crate::config::{LimitTarget, Rule};
use crate::core::Engine;
use crate::live::{Item, ItemKind, ItemState, Live};
use crate::look::{
    Cause, FunctionTotals, GatherView, Held, ItemWaiting, LaneView, Look, Looked, Queues,
    RunWaiting, Totals,
};

impl Engine {
    /// What somebody wants to see.
    #[must_use]
    pub fn look(&self, look: Look, now: Timestamp) -> Looked {
        match look {
            Look::Waiting(run) => Looked::Waiting(self.waiting(run, now)),
            Look::Queues(function) => Looked::Queues(self.queues(function, now)),
            Look::Totals => Looked::Totals(Box::new(self.all_totals())),
            Look::Begun(runs) => {
                let begun = |run| self.live.get(run).map(|live| live.begun);
                Looked::Begun(runs.iter().take(LOOK_RUNS_MAX).map(begun).collect())
            }
        }
    }

    fn waiting(&self, run: Seq, now: Timestamp) -> Option<RunWaiting> {
        let live = self.live.get(&run)?;
        let items = live.items.iter().filter(|item| !item.kind.is_guard());
        Some(RunWaiting {
            function: live.function,
            begun: live.begun,
            keys: self.schedule.keys_shown(live.lane),
            items: items
                .take(LOOK_ITEMS_MAX)
                .map(|item| self.item(run, live, item, now))
                .collect(),
        })
    }

    fn item(&self, run: Seq, live: &Live, item: &Item, now: Timestamp) -> ItemWaiting {
        let mut waiting = ItemWaiting {
            item: item.key,
            kind: item.kind,
            attempt: item.attempt,
            cause: Cause::Starting,
            ahead: None,
            expected: None,
        };
        match item.state {
            ItemState::Parked if item.kind.waits() => waiting.cause = Cause::Outside(item.due),
            ItemState::Parked if item.kind != ItemKind::End => {
                waiting.cause = Cause::Time(item.due);
                waiting.expected = Some(item.due);
            }
            ItemState::Calling => {
                let since = self.schedule.held_since(live.lane, run, item.key);
                waiting.cause = Cause::InFlight(since.unwrap_or(now));
            }
            ItemState::Ready => self.ready(run, live, item, now, &mut waiting),
            ItemState::Parked | ItemState::Fetching | ItemState::Claimed => {}
        }
        waiting
    }

    fn ready(&self, run: Seq, live: &Live, item: &Item, now: Timestamp, waiting: &mut ItemWaiting) {
        let late = self.schedule.late.waits_at((run, item.key), now);
        let Some((limit, used, ahead, next)) = late else {
            let at = self
                .schedule
                .standing(live.lane, !live.begun, live.score, item.key);
            waiting.cause = at.cause;
            waiting.ahead = Some(at.ahead);
            waiting.expected = at.expected;
            return;
        };
        let (rule, key) = match &limit.target {
            LimitTarget::Step { step, .. } => (Rule::StepLimit, step.clone()),
            LimitTarget::Host(host) => (Rule::HostLimit, host.clone()),
        };
        waiting.ahead = Some(ahead as u64);
        waiting.expected = next.filter(|_| ahead == 0);
        waiting.cause = Cause::Rule(Box::new(Held {
            rule,
            scope: limit.name.clone(),
            expression: None,
            key,
            limit: limit
                .concurrency
                .or(limit.rate.map(|rate| rate.limit))
                .unwrap_or(0),
            used,
            holders: Vec::new(),
            next,
        }));
    }

    /// When the first of these became ready.
    fn oldest(&self, heads: &[(Seq, Seq)]) -> Option<Timestamp> {
        let due = |(run, item): &(Seq, Seq)| Some(self.live.get(run)?.items.get(*item)?.due);
        heads.iter().filter_map(due).min()
    }

    fn lanes(&self, function: u32) -> (Vec<LaneView>, u64) {
        let (lanes, total) = self.schedule.lanes_shown(function);
        let lanes = lanes.into_iter().map(|(mut lane, heads)| {
            lane.oldest = self.oldest(&heads);
            lane
        });
        (lanes.collect(), total)
    }

    fn queues(&self, function: u32, now: Timestamp) -> Option<Queues> {
        let known = self.catalog.function(function)?;
        let (lanes, lanes_total) = self.lanes(function);
        let (queued, in_flight, starts) = self.schedule.totals(function);
        let tally = self.tallies.of(function);
        let gathering = self.gathers.of(function);
        let shown = gathering
            .iter()
            .take(LOOK_QUEUES_MAX)
            .map(|one| GatherView {
                rule: one.row.rule,
                key: one.row.key.clone(),
                events: 1 + one.more.len() as u64,
                opened: one.row.opened,
                due: one.row.due,
            });
        Some(Queues {
            oldest: lanes.iter().filter_map(|lane| lane.oldest).min(),
            lanes,
            lanes_total,
            queued,
            starts,
            in_flight,
            held: if known.row.paused.is_some() {
                queued
            } else {
                0
            },
            runs_in: tally.made_by_minute.seen(now),
            runs_out: tally.ended_by_minute.seen(now),
            calls_out: tally.calls_by_minute.seen(now),
            gathering: shown.collect(),
            gathering_total: gathering.len() as u64,
        })
    }

    fn all_totals(&self) -> Totals {
        let functions = self.catalog.functions().iter().filter_map(|known| {
            let function = known.row.number;
            let (queued, in_flight, _) = self.schedule.totals(function);
            let gone = known.row.archived.is_some() && queued + in_flight == 0;
            let tally = self.tallies.of(function);
            (!gone).then(|| FunctionTotals {
                function,
                queued,
                in_flight,
                oldest: (queued > 0)
                    .then(|| self.lanes(function).0)
                    .and_then(|lanes| lanes.iter().filter_map(|lane| lane.oldest).min()),
                runs_in: tally.made,
                runs_out: tally.ended,
                calls: tally.calls,
                dropped: tally.dropped,
            })
        });
        Totals {
            live: self.live.len() as u64,
            backlog: self.schedule.backlog() as u64,
            queued: self.schedule.queued() as u64,
            in_flight: self.schedule.slots() as u64,
            functions: functions.collect(),
            apps: self.schedule.apps_shown(),
        }
    }
}
