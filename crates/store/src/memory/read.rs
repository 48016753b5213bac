//! Reads of the in-memory store.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use dunlin_delivery::{
    AttemptResult, AttemptRow, DeliveryRow, DeliveryState, EndpointVersionRow, Message, RefusalRow,
    RepeatRow, TallyRow, fate,
};
use dunlin_engine::config::{AppRow, FunctionRow, Limit};
use dunlin_engine::step::StepRow;
use dunlin_engine::{DroppedRow, LedgerRows};
use dunlin_types::{Code, DedupeKey, Event, EventOrigin, Seq, Timestamp, Ulid, limits};

use super::refusal::Refusals;
use super::state::State;
use super::{MemoryReader, locked};
use crate::port::{Known, Reader, Restored, StoreError, StoreResult};
use crate::view::{
    AttemptFilter, EventFilter, LoggedEvent, MessageFilter, Page, RefusalCounts, RunView,
    seeded_key, started_by,
};

/// A page of the rows that `keep` keeps.
pub(super) fn page<V, T>(
    rows: &BTreeMap<Seq, V>,
    page: Page,
    mut keep: impl FnMut(&V) -> Option<T>,
) -> Vec<T> {
    let (from, to) = match (page.after, page.ascending) {
        (None, _) => (Bound::Unbounded, Bound::Unbounded),
        (Some(after), true) => (Bound::Excluded(after), Bound::Unbounded),
        (Some(after), false) => (Bound::Unbounded, Bound::Excluded(after)),
    };
    let range = rows.range((from, to)).map(|(_, row)| row);
    if page.ascending {
        range.filter_map(keep).take(page.limit()).collect()
    } else {
        range
            .rev()
            .filter_map(&mut keep)
            .take(page.limit())
            .collect()
    }
}

fn within(at: Timestamp, from: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    from.is_none_or(|from| at >= from) && until.is_none_or(|until| at < until)
}

fn wanted(event: &LoggedEvent, filter: &EventFilter) -> bool {
    let (name, at, internal) = match event {
        LoggedEvent::Full(event) => (
            event.name.as_str(),
            event.received,
            event.origin == EventOrigin::Internal,
        ),
        LoggedEvent::Lifecycle(row) => (row.kind.event_name(), row.at, true),
    };
    let named = filter
        .name
        .as_ref()
        .map_or(!internal, |wanted| wanted == name);
    named && within(at, filter.received_from, filter.received_until)
}

impl State {
    /// Step rows from the run's first to `last`, found backwards.
    fn chain(&self, run: Seq, last: Seq) -> StoreResult<Vec<StepRow>> {
        let mut rows = Vec::new();
        let mut at = last;
        while at != run {
            let row = self
                .steps
                .get(&at)
                .filter(|row| row.mark.run == run && row.prev < at);
            let Some(row) = row else {
                let detail = "a stored step row cannot be understood".to_owned();
                return Err(StoreError {
                    code: Code::StoreCorrupt,
                    detail,
                });
            };
            at = row.prev;
            rows.push(row.as_ref().clone());
        }
        rows.reverse();
        Ok(rows)
    }

    fn newest_step(&self, run: Seq) -> Seq {
        let known = self.images.get(&run).map_or(run, |image| image.last);
        let from = self.fold_from.max(Seq(known.0 + 1));
        let newer = self
            .steps
            .range(from..)
            .rev()
            .find(|(_, row)| row.mark.run == run);
        newer.map_or(known, |(seq, _)| *seq)
    }

    /// The event at that place, if it has a body of its own.
    fn full(&self, seq: Seq) -> Option<Arc<Event>> {
        match self.events.get(&seq)? {
            LoggedEvent::Full(event) => Some(Arc::clone(event)),
            LoggedEvent::Lifecycle(_) => None,
        }
    }

    /// A message's deliveries, in order.
    fn deliveries_of(&self, message: Seq) -> impl Iterator<Item = &DeliveryRow> {
        let all = (message, Seq(0))..=(message, Seq(u64::MAX));
        let places = self.message_deliveries.range(all);
        places.filter_map(|(_, seq)| self.deliveries.get(seq))
    }

    fn event_of(&self, id: Ulid) -> Option<Seq> {
        let seq = id
            .seq()
            .or_else(|| self.known.get(&seeded_key(id)).map(|known| known.seq))?;
        self.events
            .get(&seq)
            .filter(|event| event.internal_id() == id)?;
        Some(seq)
    }

    fn restore(&self, take: &mut dyn FnMut(Restored)) {
        self.apps
            .values()
            .for_each(|row| take(Restored::App(row.clone())));
        self.functions
            .values()
            .for_each(|row| take(Restored::Function(Box::new(row.clone()))));
        self.crons
            .values()
            .for_each(|row| take(Restored::Cron(row.clone())));
        self.flow
            .limits()
            .for_each(|limit| take(Restored::Limit(limit.clone())));
        self.images
            .values()
            .for_each(|row| take(Restored::Image(row.clone())));
        let live = self
            .runs
            .range(self.fold_from..)
            .filter(|(_, run)| run.end.is_none());
        live.for_each(|(_, run)| take(Restored::Run(run.row.clone())));
        let tail = self.steps.range(self.fold_from..);
        tail.for_each(|(_, row)| take(Restored::Step(row.mark)));
        self.flow.restore(take);
        self.applications
            .values()
            .for_each(|row| take(Restored::Application(Arc::clone(row))));
        self.portal_tokens
            .values()
            .for_each(|row| take(Restored::PortalToken(Arc::clone(row))));
        self.integrations
            .values()
            .for_each(|row| take(Restored::Integration(Arc::clone(row))));
        self.sources
            .values()
            .for_each(|row| take(Restored::Source(Arc::clone(row))));
        self.endpoints
            .values()
            .for_each(|row| take(Restored::Endpoint(Arc::clone(row))));
        self.event_types
            .values()
            .for_each(|row| take(Restored::EventType(Arc::clone(row))));
        let pending = self
            .pending
            .iter()
            .filter_map(|seq| self.deliveries.get(seq));
        pending.for_each(|row| take(Restored::Delivery(row.clone())));
        self.health
            .values()
            .for_each(|row| take(Restored::Health(*row)));
        self.rests
            .values()
            .for_each(|row| take(Restored::Rest(*row)));
        let newest = self.tallies.values().map(|row| row.hour).max().unwrap_or(0);
        let hot = self
            .tallies
            .values()
            .filter(|row| row.hour + limits::TALLY_HOURS_KEPT_HOT > newest);
        hot.for_each(|row| take(Restored::Tally(*row)));
        self.tasks
            .values()
            .for_each(|row| take(Restored::Task(Arc::clone(row))));
    }
}

fn asked(message: &Message, filter: &MessageFilter) -> bool {
    let types = &filter.event_types;
    message.app == filter.app
        && (types.is_empty() || types.contains(&message.event_type))
        && has(&message.channels, filter.channel.as_ref())
        && has(&message.tags, filter.tag.as_ref())
        && within(message.at, filter.from, filter.until)
}

/// Whether that is among them, if it is asked for.
fn has(all: &[String], asked: Option<&String>) -> bool {
    asked.is_none_or(|one| all.contains(one))
}

/// The row of the greatest version that held at `seq`, for each owner.
fn in_force<K: Copy + Ord, V: Clone>(
    versions: &BTreeMap<(K, u32), V>,
    seq: Seq,
    from: impl Fn(&V) -> Seq,
) -> Vec<V> {
    let mut newest: BTreeMap<K, &V> = BTreeMap::new();
    for ((owner, _), row) in versions {
        if from(row) <= seq {
            newest.insert(*owner, row);
        }
    }
    newest.into_values().cloned().collect()
}

impl Reader for MemoryReader {
    fn restore(&mut self, take: &mut dyn FnMut(Restored)) -> StoreResult<()> {
        locked(&self.state).restore(take);
        Ok(())
    }

    fn step_rows(&mut self, seqs: &[Seq]) -> StoreResult<Vec<StepRow>> {
        let state = locked(&self.state);
        let one = |seq: &Seq| {
            let row = state.steps.get(seq).map(|row| row.as_ref().clone());
            row.ok_or_else(|| StoreError {
                code: Code::StoreCorrupt,
                detail: format!("the step row {seq} is not there"),
            })
        };
        seqs.iter().map(one).collect()
    }

    fn claims(&mut self) -> StoreResult<Vec<Arc<Event>>> {
        let state = locked(&self.state);
        let events = state.claims.iter().filter_map(|seq| state.full(*seq));
        Ok(events.collect())
    }

    fn events_at(&mut self, seqs: &[Seq]) -> StoreResult<Vec<Arc<Event>>> {
        let state = locked(&self.state);
        let one = |seq: &Seq| {
            state.full(*seq).ok_or_else(|| StoreError {
                code: Code::StoreCorrupt,
                detail: format!("the event {seq} is not there"),
            })
        };
        seqs.iter().map(one).collect()
    }

    fn known(&mut self, keys: &[DedupeKey]) -> StoreResult<BTreeMap<DedupeKey, Known>> {
        let state = locked(&self.state);
        Ok(keys
            .iter()
            .filter_map(|key| Some((*key, *state.known.get(key)?)))
            .collect())
    }

    fn ledger(&mut self, run: Seq, last: Seq) -> StoreResult<Option<LedgerRows>> {
        let state = locked(&self.state);
        let Some(found) = state.runs.get(&run) else {
            return Ok(None);
        };
        let events = started_by(&found.row).filter_map(|seq| state.full(seq));
        let events = events.collect();
        let steps = state.chain(run, last)?;
        Ok(Some(LedgerRows {
            run: found.row.clone(),
            events,
            steps,
        }))
    }

    fn event(&mut self, seq: Seq) -> StoreResult<Option<LoggedEvent>> {
        Ok(locked(&self.state).events.get(&seq).cloned())
    }

    fn event_of(&mut self, id: Ulid) -> StoreResult<Option<Seq>> {
        Ok(locked(&self.state).event_of(id))
    }

    fn events(&mut self, filter: &EventFilter, slice: Page) -> StoreResult<Vec<LoggedEvent>> {
        let keep = |event: &LoggedEvent| wanted(event, filter).then(|| event.clone());
        Ok(page(&locked(&self.state).events, slice, keep))
    }

    fn run(&mut self, run: Seq) -> StoreResult<Option<RunView>> {
        Ok(locked(&self.state).runs.get(&run).cloned())
    }

    fn runs_of_event(&mut self, event: Seq, slice: Page) -> StoreResult<Vec<RunView>> {
        let state = locked(&self.state);
        let from = slice.after.map_or(Seq(0), |after| Seq(after.0 + 1));
        let runs = state
            .event_runs
            .range((event, from)..=(event, Seq(u64::MAX)));
        let views = runs
            .take(slice.limit())
            .filter_map(|(_, run)| state.runs.get(run));
        Ok(views.cloned().collect())
    }

    fn runs(&mut self, slice: Page) -> StoreResult<Vec<RunView>> {
        Ok(page(&locked(&self.state).runs, slice, |run| {
            Some(run.clone())
        }))
    }

    fn steps(&mut self, run: Seq, last: Option<Seq>) -> StoreResult<Vec<StepRow>> {
        let state = locked(&self.state);
        let last = match (last, state.runs.get(&run)) {
            (Some(last), _) => last,
            (None, None) => return Ok(Vec::new()),
            (None, Some(RunView { end: Some(end), .. })) => end.last,
            (None, Some(RunView { end: None, .. })) => state.newest_step(run),
        };
        state.chain(run, last)
    }

    fn dropped_of(&mut self, event: Seq) -> StoreResult<Vec<DroppedRow>> {
        Ok(locked(&self.state).flow.dropped_of(event))
    }

    fn dropped(&mut self, function: Option<u32>, slice: Page) -> StoreResult<Vec<DroppedRow>> {
        Ok(locked(&self.state).flow.dropped(function, slice))
    }

    fn limits(&mut self) -> StoreResult<Vec<Limit>> {
        Ok(locked(&self.state).flow.limits().cloned().collect())
    }

    fn apps(&mut self) -> StoreResult<Vec<AppRow>> {
        Ok(locked(&self.state).apps.values().cloned().collect())
    }

    fn functions_at(&mut self, seq: Seq) -> StoreResult<Vec<FunctionRow>> {
        Ok(in_force(
            &locked(&self.state).function_versions,
            seq,
            |row| row.from,
        ))
    }

    fn message(&mut self, message: Seq) -> StoreResult<Option<Arc<Message>>> {
        Ok(locked(&self.state).messages.get(&message).cloned())
    }

    fn messages(&mut self, filter: &MessageFilter, slice: Page) -> StoreResult<Vec<Arc<Message>>> {
        let keep = |message: &Arc<Message>| asked(message, filter).then(|| Arc::clone(message));
        Ok(page(&locked(&self.state).messages, slice, keep))
    }

    fn message_places(&mut self, filter: &MessageFilter, slice: Page) -> StoreResult<Vec<Seq>> {
        let keep = |message: &Arc<Message>| asked(message, filter).then_some(message.seq);
        Ok(page(&locked(&self.state).messages, slice, keep))
    }

    fn message_of_sender(&mut self, app: Seq, id: &str) -> StoreResult<Option<Seq>> {
        let state = locked(&self.state);
        let mut newest_first = state.messages.values().rev();
        let found = newest_first.find(|one| one.app == app && one.provider_id == id);
        Ok(found.map(|one| one.seq))
    }

    fn overdue_payloads(
        &mut self,
        now: Timestamp,
        after: Option<(Timestamp, Seq)>,
        items: usize,
    ) -> StoreResult<Vec<(Timestamp, Seq)>> {
        let state = locked(&self.state);
        let overdue = state.messages.values();
        let overdue = overdue.filter(|one| !one.expired && one.expires <= now);
        let overdue = overdue.map(|one| (one.expires, one.seq));
        let mut rest: Vec<_> = overdue.filter(|one| Some(*one) > after).collect();
        rest.sort_unstable();
        rest.truncate(items);
        Ok(rest)
    }

    fn overdue_keys(
        &mut self,
        keys: RangeInclusive<DedupeKey>,
        now: Timestamp,
        items: usize,
    ) -> StoreResult<Vec<DedupeKey>> {
        let state = locked(&self.state);
        let part = state.known.range(keys);
        let overdue = part.filter(|(_, one)| one.expires <= now);
        Ok(overdue.take(items).map(|(key, _)| *key).collect())
    }

    fn message_applications(&mut self, after: Option<Seq>, items: usize) -> StoreResult<Vec<Seq>> {
        let state = locked(&self.state);
        let apps: BTreeSet<Seq> = state.messages.values().map(|one| one.app).collect();
        let rest = apps.into_iter().filter(|app| Some(*app) > after);
        Ok(rest.take(items).collect())
    }

    fn oldest_messages(
        &mut self,
        app: Seq,
        before: Timestamp,
        after: Option<(Timestamp, Seq)>,
        items: usize,
    ) -> StoreResult<Vec<(Timestamp, Seq)>> {
        let state = locked(&self.state);
        let old = state.messages.values();
        let old = old.filter(|one| one.app == app && one.at < before);
        let rest = old.map(|one| (one.at, one.seq));
        let rest = rest.filter(|one| after.is_none_or(|after| one.1 > after.1));
        Ok(rest.take(items).collect())
    }

    fn dead_letters(
        &mut self,
        endpoint: Seq,
        since: Option<Timestamp>,
        slice: Page,
    ) -> StoreResult<Vec<DeliveryRow>> {
        let state = locked(&self.state);
        let keep = |row: &DeliveryRow| {
            let dead = row.endpoint == endpoint && row.state == DeliveryState::Failed;
            let is_new = || {
                let message = state.messages.get(&row.message);
                message.is_some_and(|message| within(message.at, since, None))
            };
            let tells = || {
                let there = state.deliveries_of(row.message);
                fate(there.filter(|one| one.endpoint == endpoint)).map(|one| one.seq)
            };
            let listed = dead && (since.is_none() || is_new()) && tells() == Some(row.seq);
            listed.then(|| row.clone())
        };
        Ok(page(&state.deliveries, slice, keep))
    }

    fn tallies(&mut self, endpoint: Seq, from: u32, until: u32) -> StoreResult<Vec<TallyRow>> {
        let state = locked(&self.state);
        let hours = state
            .tallies
            .range((endpoint, from)..(endpoint, until.max(from)));
        Ok(hours.map(|(_, row)| *row).collect())
    }

    fn repeats(&mut self, message: Seq, slice: Page) -> StoreResult<Vec<RepeatRow>> {
        let keep = |row: &RepeatRow| (row.message == message).then(|| row.clone());
        Ok(page(
            &locked(&self.state).repeats,
            Page {
                ascending: true,
                ..slice
            },
            keep,
        ))
    }

    fn newest_repeats(&mut self, slice: Page) -> StoreResult<Vec<RepeatRow>> {
        let keep = |row: &RepeatRow| Some(row.clone());
        Ok(page(&locked(&self.state).repeats, slice, keep))
    }

    fn refusals(&mut self, source: Seq, slice: Page) -> StoreResult<Vec<RefusalRow>> {
        let state = locked(&self.state);
        let of = state.refusals.get(&source);
        Ok(of.map(|all| all.read(slice)).unwrap_or_default())
    }

    fn refusal_counts(&mut self, source: Seq) -> StoreResult<RefusalCounts> {
        let state = locked(&self.state);
        let of = state.refusals.get(&source);
        Ok(of.map(Refusals::counts).unwrap_or_default())
    }

    fn deliveries_of(&mut self, message: Seq) -> StoreResult<Vec<DeliveryRow>> {
        Ok(locked(&self.state)
            .deliveries_of(message)
            .cloned()
            .collect())
    }

    fn delivery(&mut self, delivery: Seq) -> StoreResult<Option<DeliveryRow>> {
        Ok(locked(&self.state).deliveries.get(&delivery).cloned())
    }

    fn attempts(&mut self, filter: &AttemptFilter, slice: Page) -> StoreResult<Vec<AttemptRow>> {
        let keep = |row: &Arc<AttemptRow>| {
            let wanted = filter.message.is_none_or(|message| row.message == message)
                && filter
                    .endpoint
                    .is_none_or(|endpoint| row.endpoint == endpoint)
                && (!filter.failed || row.result == AttemptResult::Failed)
                && within(row.at, filter.from, filter.until);
            wanted.then(|| row.as_ref().clone())
        };
        Ok(page(&locked(&self.state).attempts, slice, keep))
    }

    fn attempt(&mut self, attempt: Seq) -> StoreResult<Option<AttemptRow>> {
        Ok(locked(&self.state)
            .attempts
            .get(&attempt)
            .map(|row| row.as_ref().clone()))
    }

    fn endpoint_made(&mut self, endpoint: Seq) -> StoreResult<Option<Timestamp>> {
        let state = locked(&self.state);
        let versions = &state.endpoint_versions;
        let first = versions.iter().filter(|(of, _)| of.0 == endpoint);
        Ok(first.min_by_key(|(of, _)| *of).map(|(_, row)| row.at))
    }

    fn endpoints_at(&mut self, seq: Seq) -> StoreResult<Vec<EndpointVersionRow>> {
        Ok(in_force(
            &locked(&self.state).endpoint_versions,
            seq,
            |row| row.from_seq,
        ))
    }
}
