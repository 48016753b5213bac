//! Reading events, the runs that they started, and the events that those sent in turn.

use std::collections::BTreeSet;

use dunlin_store::{EventFilter, LoggedEvent, Page, Reader, RunView, StoreResult, started_by};
use dunlin_trace::{Span, StepInfo, load as load_run};
use dunlin_types::limits::{
    JOURNEY_EVENTS_MAX, JOURNEY_GENERATIONS_MAX, JOURNEY_NODES_MAX, JOURNEY_RUNS_MAX,
    JOURNEY_SPANS_READ_MAX, JOURNEY_STEPS_MAX, JOURNEY_TOLD_READ_MAX,
};
use dunlin_types::{EventOrigin, Seq, Timestamp, Ulid, ulid_for};

use super::climb::{DEFERRED, TOLD, Way, run_behind, sent_by};
use super::facts::{Below, Cut, EventFacts, FunctionName, RunFacts};
use crate::explain::knows;
use crate::sdk::Names;

/// Reads downwards, as far as the limits let it, and always along the way.
pub(super) struct Loader<'a> {
    pub(super) reader: &'a mut dyn Reader,
    pub(super) way: &'a Way,
    names: Names,
    now: Timestamp,
    nodes_left: usize,
    spans_left: usize,
    /// Events and runs that are in the tree.
    shown: BTreeSet<Seq>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(
        reader: &'a mut dyn Reader,
        way: &'a Way,
        now: Timestamp,
    ) -> StoreResult<Self> {
        let names = Names::read(reader)?;
        Ok(Self {
            reader,
            way,
            names,
            now,
            nodes_left: JOURNEY_NODES_MAX,
            spans_left: JOURNEY_SPANS_READ_MAX,
            shown: BTreeSet::new(),
        })
    }

    /// Whether a list that has so many takes one more.
    pub(super) fn takes(&mut self, has: usize, max: usize, is_on_way: bool) -> bool {
        if is_on_way {
            return true;
        }
        if has >= max || self.nodes_left == 0 {
            return false;
        }
        self.nodes_left -= 1;
        true
    }

    pub(super) fn has_shown(&self, place: Seq) -> bool {
        self.shown.contains(&place)
    }

    /// An event, with the runs that it started. It is of that generation: so many runs came before.
    pub(super) fn event(&mut self, seq: Seq, generation: usize) -> StoreResult<Option<EventFacts>> {
        let Some(logged) = self.reader.event(seq)? else {
            return Ok(None);
        };
        let is_elsewhere = !self.shown.insert(seq);
        let runs = match is_elsewhere {
            true => Cut::default(),
            false => self.runs_of(seq, generation)?,
        };
        let id = logged.internal_id();
        Ok(Some(match logged {
            LoggedEvent::Full(event) => EventFacts {
                seq,
                id,
                name: event.name.clone(),
                sender_id: (event.id != id.to_string()).then(|| event.id.clone()),
                at: event.received,
                origin: event.origin,
                runs,
                is_elsewhere,
            },
            LoggedEvent::Lifecycle(row) => EventFacts {
                seq,
                id,
                name: row.kind.event_name().to_owned(),
                sender_id: None,
                at: row.at,
                origin: EventOrigin::Internal,
                runs,
                is_elsewhere,
            },
        }))
    }

    fn runs_of(&mut self, event: Seq, generation: usize) -> StoreResult<Cut<RunFacts>> {
        let page = Page::oldest(JOURNEY_RUNS_MAX + 1);
        let mut views = self.reader.runs_of_event(event, page)?;
        let next = self.way.next(event);
        if let Some(run) = next.filter(|run| views.iter().all(|view| view.row.seq != *run)) {
            views.extend(self.reader.run(run)?);
        }
        let mut runs = Cut::default();
        for view in views {
            let is_on_way = next == Some(view.row.seq);
            let is_near = is_on_way || generation < JOURNEY_GENERATIONS_MAX;
            if is_near && self.takes(runs.shown.len(), JOURNEY_RUNS_MAX, is_on_way) {
                runs.shown.push(self.run(view, generation)?);
            } else {
                runs.more += 1;
            }
        }
        Ok(runs)
    }

    pub(super) fn run_at(&mut self, seq: Seq, generation: usize) -> StoreResult<Option<RunFacts>> {
        match self.reader.run(seq)? {
            Some(view) => Ok(Some(self.run(view, generation)?)),
            None => Ok(None),
        }
    }

    fn run(&mut self, view: RunView, generation: usize) -> StoreResult<RunFacts> {
        let mut facts = RunFacts {
            function: self.name_of(view.row.function),
            batch: Vec::new(),
            trace: None,
            steps_more: 0,
            below: Default::default(),
            told: Vec::new(),
            is_elsewhere: !self.shown.insert(view.row.seq),
            view,
        };
        if facts.is_elsewhere {
            return Ok(facts);
        }
        facts.batch = self.batch(&facts.view)?;
        if self.spans_left == 0 && !self.way.has(facts.view.row.seq) {
            facts.steps_more = 1;
            return Ok(facts);
        }
        self.steps(&mut facts, generation)?;
        self.told(&mut facts, generation)?;
        Ok(facts)
    }

    fn name_of(&self, function: u32) -> FunctionName {
        let Some(row) = self.names.function(function) else {
            return FunctionName::default();
        };
        let name = match row.name.as_str() {
            "" => &row.slug,
            _ => &row.name,
        };
        FunctionName {
            id: row.slug.clone(),
            name: name.clone(),
        }
    }

    /// The first of the events that started the run together. Each is read in full for its id.
    fn batch(&mut self, view: &RunView) -> StoreResult<Vec<Ulid>> {
        let mut ids = Vec::new();
        if view.row.more.is_empty() {
            return Ok(ids);
        }
        for seq in started_by(&view.row).take(JOURNEY_EVENTS_MAX) {
            ids.extend(self.reader.event(seq)?.map(|event| event.internal_id()));
        }
        Ok(ids)
    }

    fn steps(&mut self, facts: &mut RunFacts, generation: usize) -> StoreResult<()> {
        let run = facts.view.row.seq;
        let mut trace = load_run(self.reader, &facts.view, &facts.function.name, self.now)?;
        let read: usize = trace
            .root
            .children
            .iter()
            .map(|one| 1 + one.children.len())
            .sum();
        self.spans_left = self.spans_left.saturating_sub(1 + read);
        let next = match self.way.next(run) {
            Some(event) => self.reader.event(event)?.map(|event| event.internal_id()),
            None => None,
        };
        let mut shown = Vec::new();
        for mut span in std::mem::take(&mut trace.root.children) {
            let sent = span.output.as_ref().map(sent_by).unwrap_or_default();
            let invoked = invoked_by(&span);
            let is_on_way = next.is_some_and(|id| sent.contains(&id) || invoked == Some(id));
            if !self.takes(shown.len(), JOURNEY_STEPS_MAX, is_on_way) {
                facts.steps_more += 1;
                continue;
            }
            let below = Below {
                events: self.sent(run, &sent, next, generation)?,
                ..self.invoked(invoked, generation)?
            };
            if below.invoked.is_some() || !below.events.shown.is_empty() || below.events.more > 0 {
                facts.below.insert(span.id.clone(), below);
            }
            strip(&mut span);
            shown.push(span);
        }
        trace.root.children = shown;
        strip(&mut trace.root);
        facts.trace = Some(trace);
        Ok(())
    }

    /// The events with these ids, as far as the run can have sent them.
    fn sent(
        &mut self,
        run: Seq,
        ids: &[Ulid],
        next: Option<Ulid>,
        generation: usize,
    ) -> StoreResult<Cut<EventFacts>> {
        let mut events = Cut::default();
        for id in ids {
            let is_on_way = next == Some(*id);
            if !self.takes(events.shown.len(), JOURNEY_EVENTS_MAX, is_on_way) {
                events.more += 1;
                continue;
            }
            // What a step says of its result is its own affair: an event that came before the
            // run, or from elsewhere, it did not send.
            let Some(seq) = self.reader.event_of(*id)?.filter(|seq| *seq > run) else {
                continue;
            };
            let logged = self.reader.event(seq)?;
            let is_sent = logged.is_some_and(|event| match event {
                LoggedEvent::Full(event) => match event.origin {
                    EventOrigin::Run(by) => by == run,
                    EventOrigin::Api => true,
                    EventOrigin::Message(_) | EventOrigin::Internal => false,
                },
                LoggedEvent::Lifecycle(_) => false,
            });
            if is_sent {
                events.shown.extend(self.event(seq, generation + 1)?);
            }
        }
        Ok(events)
    }

    /// What came of an invocation by that event.
    fn invoked(&mut self, event: Option<Ulid>, generation: usize) -> StoreResult<Below> {
        let mut below = Below::default();
        let Some(id) = event else { return Ok(below) };
        let Some(seq) = self.reader.event_of(id)? else {
            return Ok(below);
        };
        below.invoked = Some(seq);
        if self.shown.insert(seq) {
            below.runs = self.runs_of(seq, generation + 1)?;
        }
        Ok(below)
    }

    /// What tells of the run's end and started something, and what was deferred until then. They
    /// are of the same instant as the end.
    fn told(&mut self, facts: &mut RunFacts, generation: usize) -> StoreResult<()> {
        let run = facts.view.row.seq;
        let ended = facts.view.end.as_ref().map(|end| end.ended);
        let id = ulid_for(facts.view.row.created, run);
        let mut found = BTreeSet::new();
        for name in TOLD.into_iter().chain([DEFERRED]) {
            let Some(ended) = ended else { break };
            if !self.names.all_functions().any(|one| knows(one, name)) {
                continue;
            }
            let filter = EventFilter {
                name: Some(name.to_owned()),
                received_from: Some(ended),
                received_until: Some(ended.plus_ms(1)),
            };
            let page = Page::oldest(JOURNEY_TOLD_READ_MAX);
            let events = self.reader.events(&filter, page)?;
            let own = events.iter().filter(|event| match event {
                LoggedEvent::Lifecycle(row) => row.run == run,
                LoggedEvent::Full(event) => run_behind(event) == Some(id.to_string()),
            });
            found.extend(own.map(LoggedEvent::seq));
        }
        let next = self.way.next(run);
        found.extend(next.filter(|event| !self.shown.contains(event)));
        for seq in found {
            let is_on_way = next == Some(seq);
            let starts = !self.reader.runs_of_event(seq, Page::oldest(1))?.is_empty();
            if (starts || is_on_way) && self.takes(0, 1, is_on_way) {
                facts.told.extend(self.event(seq, generation + 1)?);
            }
        }
        Ok(())
    }
}

/// The event by which a step invokes a function.
fn invoked_by(span: &Span) -> Option<Ulid> {
    match &span.info {
        Some(StepInfo::Invoke(invocation)) => invocation.event,
        _ => None,
    }
}

/// What is shown of a span needs none of what it was given and gave.
fn strip(span: &mut Span) {
    (span.input, span.output, span.metadata) = (None, None, None);
    for child in &mut span.children {
        strip(child);
    }
}
