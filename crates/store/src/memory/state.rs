//! The rows, and how a batch changes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_delivery as delivery;
use dunlin_delivery::{
    Application, AttemptHeaders, AttemptRow, DeliveryRow, DeliveryState, Endpoint,
    EndpointVersionRow, EventType, Message, RepeatRow, Source,
};
use dunlin_delivery::{HealthRow, Integration, PortalToken, RestRow, TallyRow, TaskRow};
use dunlin_engine as engine;
use dunlin_engine::config::{AppRow, FunctionRow};
use dunlin_engine::step::StepRow;
use dunlin_engine::{CronRow, Image, RunEnd, RunRow};
use dunlin_types::{DedupeKey, Seq, Timestamp};

use super::flow::Flow;
use super::refusal::Refusals;
use crate::port::{Batch, Known};
use crate::view::{LoggedEvent, RunView, started_by};

pub(super) struct State {
    pub(super) written_to: bool,
    pub(super) unclean: bool,
    pub(super) boot: u64,
    pub(super) epoch: u64,
    pub(super) commit_no: u64,
    pub(super) next_seq: Seq,
    pub(super) fold_from: Seq,
    pub(super) events: BTreeMap<Seq, LoggedEvent>,
    pub(super) known: BTreeMap<DedupeKey, Known>,
    pub(super) runs: BTreeMap<Seq, RunView>,
    pub(super) event_runs: BTreeSet<(Seq, Seq)>,
    pub(super) steps: BTreeMap<Seq, Arc<StepRow>>,
    pub(super) images: BTreeMap<Seq, Image>,
    pub(super) crons: BTreeMap<(u32, String), CronRow>,
    pub(super) claims: BTreeSet<Seq>,
    pub(super) flow: Flow,
    pub(super) apps: BTreeMap<u32, AppRow>,
    pub(super) functions: BTreeMap<u32, FunctionRow>,
    pub(super) function_versions: BTreeMap<(u32, u32), FunctionRow>,
    pub(super) applications: BTreeMap<Seq, Arc<Application>>,
    pub(super) portal_tokens: BTreeMap<Seq, Arc<PortalToken>>,
    pub(super) integrations: BTreeMap<Seq, Arc<Integration>>,
    pub(super) sources: BTreeMap<Seq, Arc<Source>>,
    pub(super) refusals: BTreeMap<Seq, Refusals>,
    pub(super) endpoints: BTreeMap<Seq, Arc<Endpoint>>,
    pub(super) event_types: BTreeMap<String, Arc<EventType>>,
    pub(super) endpoint_versions: BTreeMap<(Seq, u32), EndpointVersionRow>,
    pub(super) messages: BTreeMap<Seq, Arc<Message>>,
    pub(super) repeats: BTreeMap<Seq, RepeatRow>,
    pub(super) deliveries: BTreeMap<Seq, DeliveryRow>,
    pub(super) message_deliveries: BTreeSet<(Seq, Seq)>,
    pub(super) pending: BTreeSet<Seq>,
    pub(super) attempts: BTreeMap<Seq, Arc<AttemptRow>>,
    pub(super) health: BTreeMap<Seq, HealthRow>,
    pub(super) rests: BTreeMap<Seq, RestRow>,
    pub(super) tallies: BTreeMap<(Seq, u32), TallyRow>,
    pub(super) tasks: BTreeMap<Seq, Arc<TaskRow>>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            written_to: false,
            unclean: false,
            boot: 0,
            epoch: 0,
            commit_no: 0,
            next_seq: Seq(1),
            fold_from: Seq(0),
            events: BTreeMap::new(),
            known: BTreeMap::new(),
            runs: BTreeMap::new(),
            event_runs: BTreeSet::new(),
            steps: BTreeMap::new(),
            images: BTreeMap::new(),
            crons: BTreeMap::new(),
            claims: BTreeSet::new(),
            flow: Flow::default(),
            apps: BTreeMap::new(),
            functions: BTreeMap::new(),
            function_versions: BTreeMap::new(),
            applications: BTreeMap::new(),
            portal_tokens: BTreeMap::new(),
            integrations: BTreeMap::new(),
            sources: BTreeMap::new(),
            refusals: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            event_types: BTreeMap::new(),
            endpoint_versions: BTreeMap::new(),
            messages: BTreeMap::new(),
            repeats: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            message_deliveries: BTreeSet::new(),
            pending: BTreeSet::new(),
            attempts: BTreeMap::new(),
            health: BTreeMap::new(),
            rests: BTreeMap::new(),
            tallies: BTreeMap::new(),
            tasks: BTreeMap::new(),
        }
    }
}

/// What a batch may append only once.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Event(Seq),
    Run(Seq),
    Ended(Seq),
    Step(Seq),
    Message(Seq),
    Repeat(Seq),
    Attempt(Seq),
    EndpointVersion(Seq, u32),
}

const TAKEN: &str = "a row of that place exists";
const NOT_LIVE: &str = "no such run is live";

impl State {
    /// Whether the batch can be applied in full.
    pub(super) fn check(&self, batch: &Batch) -> Result<(), &'static str> {
        let mut new = BTreeSet::new();
        for write in &batch.engine {
            let (place, exists) = match write {
                engine::Write::Event(e) => (Place::Event(e.seq), self.events.contains_key(&e.seq)),
                engine::Write::Lifecycle(row) => {
                    (Place::Event(row.seq), self.events.contains_key(&row.seq))
                }
                engine::Write::Run(row) => (Place::Run(row.seq), self.runs.contains_key(&row.seq)),
                engine::Write::Step(row) => (
                    Place::Step(row.mark.seq),
                    self.steps.contains_key(&row.mark.seq),
                ),
                engine::Write::RunEnd(end) => {
                    let live = match self.runs.get(&end.run) {
                        Some(run) => run.end.is_none(),
                        None => new.contains(&Place::Run(end.run)),
                    };
                    if !live || !new.insert(Place::Ended(end.run)) {
                        return Err(NOT_LIVE);
                    }
                    continue;
                }
                _ => continue,
            };
            if exists || !new.insert(place) {
                return Err(TAKEN);
            }
        }
        for write in &batch.delivery {
            let (place, exists) = match write {
                delivery::Write::Message(row) => (
                    Place::Message(row.seq),
                    self.messages.contains_key(&row.seq),
                ),
                delivery::Write::Repeat(row) => {
                    (Place::Repeat(row.seq), self.repeats.contains_key(&row.seq))
                }
                delivery::Write::Attempt(row) => (
                    Place::Attempt(row.seq),
                    self.attempts.contains_key(&row.seq),
                ),
                delivery::Write::EndpointVersion(row) => {
                    let key = (row.endpoint, row.version);
                    let exists = self.endpoint_versions.contains_key(&key);
                    (Place::EndpointVersion(key.0, key.1), exists)
                }
                _ => continue,
            };
            if exists || !new.insert(place) {
                return Err(TAKEN);
            }
        }
        Ok(())
    }

    /// Applies a batch that was checked.
    pub(super) fn apply(&mut self, batch: &Batch) {
        self.commit_no = batch.commit_no;
        let next = batch
            .last_seq()
            .map_or(Seq(0), |last| Seq(last.0.saturating_add(1)));
        self.next_seq = self.next_seq.max(next);
        batch.engine.iter().for_each(|write| self.engine(write));
        batch.delivery.iter().for_each(|write| self.delivery(write));
    }

    fn engine(&mut self, write: &engine::Write) {
        match write {
            engine::Write::Event(event) => {
                self.events
                    .insert(event.seq, LoggedEvent::Full(Arc::clone(event)));
            }
            engine::Write::Lifecycle(row) => {
                self.events
                    .insert(row.seq, LoggedEvent::Lifecycle(row.clone()));
            }
            engine::Write::Dedupe { key, seq, expires } => {
                let (at, hash) = (Timestamp::ZERO, [0; 16]);
                self.known.insert(
                    *key,
                    Known {
                        seq: *seq,
                        at,
                        hash,
                        expires: *expires,
                    },
                );
            }
            engine::Write::Run(row) => self.run(row),
            engine::Write::Step(row) => {
                self.steps.insert(row.mark.seq, Arc::new(row.clone()));
            }
            engine::Write::RunEnd(end) => self.end(end),
            engine::Write::Image(image) => {
                self.images.insert(image.run, image.clone());
            }
            engine::Write::FoldFrom(from) => self.fold_from = *from,
            engine::Write::Cron(row) => {
                let key = (row.function, row.schedule.clone());
                match row.last {
                    Some(_) => self.crons.insert(key, row.clone()),
                    None => self.crons.remove(&key),
                };
            }
            engine::Write::Claim(event) => {
                self.claims.insert(*event);
            }
            engine::Write::Claimed(event) => {
                self.claims.remove(event);
            }
            engine::Write::Counter(row) => self.flow.counter(*row),
            engine::Write::Gather(row) => self.flow.gather(row),
            engine::Write::Gathered { gather, event } => self.flow.gathered(*gather, *event),
            engine::Write::GatherEnd(gather) => self.flow.gather_end(*gather),
            engine::Write::Dropped(row) => self.flow.drop_event(row),
            engine::Write::Limit(limit) => self.flow.limit(limit),
            engine::Write::LimitGone(name) => self.flow.limit_gone(name),
            engine::Write::App(row) => {
                self.apps.insert(row.number, row.clone());
            }
            engine::Write::Function(row) => {
                self.functions.insert(row.number, (**row).clone());
                let version = (row.number, row.version);
                self.function_versions.insert(version, (**row).clone());
            }
        }
    }

    fn run(&mut self, row: &RunRow) {
        let events = started_by(row).map(|event| (event, row.seq));
        self.event_runs.extend(events);
        let (row, end) = (row.clone(), None);
        self.runs.insert(row.seq, RunView { row, end });
    }

    fn end(&mut self, end: &RunEnd) {
        if end.imaged {
            self.images.remove(&end.run);
        }
        if let Some(run) = self.runs.get_mut(&end.run) {
            run.end = Some(RunEnd {
                imaged: false,
                ..end.clone()
            });
        }
    }

    fn delivery(&mut self, write: &delivery::Write) {
        use delivery::Write;
        match write {
            Write::Application(row) => {
                self.applications.insert(row.id, Arc::clone(row));
            }
            Write::ApplicationDeleted(id) => {
                self.applications.remove(id);
            }
            Write::PortalToken(row) => {
                self.portal_tokens.insert(row.id, Arc::clone(row));
            }
            Write::PortalTokenGone(id) => {
                self.portal_tokens.remove(id);
            }
            Write::Integration(row) => {
                self.integrations.insert(row.id, Arc::clone(row));
            }
            Write::IntegrationGone(id) => {
                self.integrations.remove(id);
            }
            Write::Source(row) => {
                self.sources.insert(row.id, Arc::clone(row));
            }
            Write::SourceDeleted(id) => {
                self.sources.remove(id);
                self.refusals.remove(id);
            }
            Write::Refusal(row) => self.refusals.entry(row.source).or_default().add(row),
            Write::Endpoint(row) => {
                self.endpoints.insert(row.id, Arc::clone(row));
            }
            Write::EndpointDeleted(id) => {
                self.endpoints.remove(id);
                self.rests.remove(id);
            }
            Write::EventType(row) => {
                self.event_types.insert(row.name.clone(), Arc::clone(row));
            }
            Write::EventTypeDeleted(name) => {
                self.event_types.remove(name);
            }
            Write::EndpointVersion(row) => {
                self.endpoint_versions
                    .insert((row.endpoint, row.version), row.clone());
            }
            other => self.delivered(other),
        }
    }

    /// Of the rows of the delivery core the ones about messages.
    fn delivered(&mut self, write: &delivery::Write) {
        use delivery::Write;
        match write {
            Write::Message(row) => {
                self.messages.insert(row.seq, Arc::clone(row));
            }
            Write::ContentGone(message) => self.content_gone(*message),
            Write::MessageGone(message) => self.message_gone(*message),
            Write::ResponseGone(attempt) => {
                if let Some(row) = self.attempts.get_mut(attempt) {
                    let row = Arc::make_mut(row);
                    row.response = crate::RESPONSE_GONE.into();
                    row.headers = AttemptHeaders::default();
                    row.logs.clear();
                }
            }
            Write::Health(row) => {
                self.health.insert(row.endpoint, *row);
            }
            Write::HealthGone(endpoint) => {
                self.health.remove(endpoint);
            }
            Write::Rest(row) => {
                self.rests.insert(row.endpoint, *row);
            }
            Write::Tally(row) => {
                self.tallies.insert((row.endpoint, row.hour), *row);
            }
            Write::Task(row) => {
                self.tasks.insert(row.id, Arc::clone(row));
            }
            Write::Dedupe(row) => {
                let (seq, at, hash, expires) = (row.seq, row.at, row.hash, row.expires);
                self.known.insert(
                    row.key,
                    Known {
                        seq,
                        at,
                        hash,
                        expires,
                    },
                );
            }
            Write::DedupeGone(key, by) => {
                let ended = self.known.get(key).is_some_and(|one| one.expires <= *by);
                ended.then(|| self.known.remove(key));
            }
            Write::Repeat(row) => {
                let has_first = self.messages.contains_key(&row.message);
                has_first.then(|| self.repeats.insert(row.seq, row.clone()));
            }
            Write::Delivery(row) => self.put_delivery(row),
            Write::Attempt(row) => {
                self.attempts
                    .insert(row.seq, Arc::new(row.as_ref().clone()));
            }
            _ => {}
        }
    }

    fn content_gone(&mut self, message: Seq) {
        if let Some(row) = self.messages.get_mut(&message) {
            let row = Arc::make_mut(row);
            row.body = Default::default();
            row.params = None;
            row.expired = true;
        }
        // They come after it.
        for (_, row) in self.attempts.range_mut(message..) {
            if row.message == message {
                Arc::make_mut(row).logs.clear();
            }
        }
    }

    fn message_gone(&mut self, message: Seq) {
        self.messages.remove(&message);
        self.repeats.retain(|_, row| row.message != message);
        self.attempts.retain(|_, row| row.message != message);
        let all = (message, Seq(0))..=(message, Seq(u64::MAX));
        let deliveries: Vec<_> = self.message_deliveries.range(all).copied().collect();
        for key in deliveries {
            self.message_deliveries.remove(&key);
            self.deliveries.remove(&key.1);
        }
    }

    fn put_delivery(&mut self, row: &DeliveryRow) {
        if row.state == DeliveryState::Pending {
            self.pending.insert(row.seq);
        } else {
            self.pending.remove(&row.seq);
        }
        if let Some(old) = self.deliveries.insert(row.seq, row.clone()) {
            self.message_deliveries.remove(&(old.message, old.seq));
        }
        self.message_deliveries.insert((row.message, row.seq));
    }
}
