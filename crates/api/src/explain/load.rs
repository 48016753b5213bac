//! The rows that an explanation draws on.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_delivery::{
    AttemptRow, Blocker, Config, DeliveryRow, DeliveryState, EndpointVersionRow, Message,
};
use dunlin_engine::config::{AppRow, FunctionRow};
use dunlin_engine::look::GatherView;
use dunlin_store::{AttemptFilter, Page, Reader, RunView, StoreResult, event_in_full};
use dunlin_types::limits::{EXPLAINED_RUNS_MAX, PAGE_ITEMS_MAX, REPEATS_COUNTED_MAX};
use dunlin_types::{Event, EventOrigin, Seq, Ulid};

use super::shape::Repeats;
use crate::flow::{Dropped, dropped_of};
use crate::svix::{endpoint_ids, find_message_anywhere};

/// After everything that was ever written; places fit into the positive half of 64 bits.
const LATEST: Seq = Seq(i64::MAX.unsigned_abs());

/// What somebody wants explained.
#[derive(Debug)]
pub(super) enum Asked {
    Message(String),
    Event(Ulid),
}

#[derive(Debug)]
pub(super) enum Facts {
    Message(Box<MessageFacts>),
    Event(Box<EventFacts>),
}

impl Facts {
    /// The events that it is about.
    pub(super) fn events(&mut self) -> Vec<&mut EventFacts> {
        match self {
            Self::Message(facts) => facts.events.values_mut().collect(),
            Self::Event(facts) => vec![facts],
        }
    }
}

/// A message, and all that it met.
#[derive(Debug)]
pub(super) struct MessageFacts {
    pub(super) message: Arc<Message>,
    /// Its application's id and name.
    pub(super) app: (String, String),
    /// The application's endpoints as they were for it.
    pub(super) endpoints: Vec<EndpointVersionRow>,
    /// Names of endpoints that exist now, for those that did not then.
    pub(super) names: BTreeMap<Seq, String>,
    /// Public ids of endpoints.
    pub(super) ids: BTreeMap<Seq, String>,
    pub(super) deliveries: Vec<DeliveryRow>,
    /// The last attempt of each delivery.
    pub(super) attempts: BTreeMap<Seq, AttemptRow>,
    /// What each of the pending ones waits for.
    pub(super) blockers: BTreeMap<Seq, Blocker>,
    /// Public ids of messages that must be through before.
    pub(super) firsts: BTreeMap<Seq, String>,
    /// The events that its deliveries appended.
    pub(super) events: BTreeMap<Seq, EventFacts>,
    pub(super) repeats: Repeats,
}

/// An event, and all that it met.
#[derive(Debug)]
pub(super) struct EventFacts {
    pub(super) event: Arc<Event>,
    /// Functions as they were for it.
    pub(super) then: Vec<FunctionRow>,
    /// Functions as they are.
    pub(super) now: Vec<FunctionRow>,
    pub(super) apps: Vec<AppRow>,
    pub(super) runs: Vec<RunView>,
    /// Which of the live ones have begun, as far as the engine tells.
    pub(super) begun: BTreeMap<Seq, bool>,
    /// At functions whose rules dropped it.
    pub(super) dropped: Vec<Dropped>,
    /// Debounces and batches that gather events now, of functions that may have it in one.
    pub(super) gathering: BTreeMap<u32, Vec<GatherView>>,
    pub(super) repeats: Repeats,
}

pub(super) fn facts(
    reader: &mut dyn Reader,
    config: &Config,
    asked: &Asked,
) -> StoreResult<Option<Facts>> {
    match asked {
        Asked::Message(id) => {
            let Some(message) = find_message_anywhere(reader, id)? else {
                return Ok(None);
            };
            let facts = message_facts(reader, config, message)?;
            Ok(Some(Facts::Message(Box::new(facts))))
        }
        Asked::Event(id) => {
            let Some(seq) = reader.event_of(*id)? else {
                return Ok(None);
            };
            let facts = event_facts(reader, seq)?.filter(|facts| facts.event.internal_id == *id);
            Ok(facts.map(|facts| Facts::Event(Box::new(facts))))
        }
    }
}

fn message_facts(
    reader: &mut dyn Reader,
    config: &Config,
    message: Arc<Message>,
) -> StoreResult<MessageFacts> {
    let mut endpoints = reader.endpoints_at(message.seq)?;
    endpoints.retain(|row| {
        row.config
            .as_ref()
            .is_some_and(|one| one.app == message.app)
    });
    let deliveries = reader.deliveries_of(message.seq)?;
    let attempts = last_attempts(reader, message.seq)?;
    let mut events = BTreeMap::new();
    for event in attempts.values().filter_map(|attempt| attempt.event) {
        if let Some(facts) = event_facts(reader, event)? {
            events.insert(event, facts);
        }
    }
    let mentioned = endpoints.iter().map(|row| row.endpoint);
    let mentioned = mentioned.chain(deliveries.iter().map(|row| row.endpoint));
    let ids = endpoint_ids(reader, config, mentioned)?;
    let current = config.endpoints_of(message.app);
    let names = current.map(|one| (one.id, super::endpoints::name_of(&one.config)));
    let app = config.application(message.app);
    let app = app.map(|app| (app.ksuid().to_string(), app.name.clone()));
    Ok(MessageFacts {
        app: app.unwrap_or_default(),
        names: names.collect(),
        repeats: repeats(reader, message.seq)?,
        message,
        endpoints,
        ids,
        deliveries,
        attempts,
        blockers: BTreeMap::new(),
        firsts: BTreeMap::new(),
        events,
    })
}

/// The public ids of messages.
pub(super) fn message_ids(
    reader: &mut dyn Reader,
    messages: Vec<Seq>,
) -> StoreResult<BTreeMap<Seq, String>> {
    let mut ids = BTreeMap::new();
    for message in messages {
        let found = reader.message(message)?;
        ids.extend(found.map(|found| (message, found.id().to_string())));
    }
    Ok(ids)
}

/// The last attempt of each of the message's deliveries, among the newest attempts.
fn last_attempts(reader: &mut dyn Reader, message: Seq) -> StoreResult<BTreeMap<Seq, AttemptRow>> {
    let filter = AttemptFilter {
        message: Some(message),
        ..AttemptFilter::default()
    };
    let newest = reader.attempts(&filter, Page::newest(PAGE_ITEMS_MAX))?;
    let mut last = BTreeMap::new();
    for attempt in newest {
        last.entry(attempt.delivery).or_insert(attempt);
    }
    Ok(last)
}

fn event_facts(reader: &mut dyn Reader, seq: Seq) -> StoreResult<Option<EventFacts>> {
    let Some(logged) = reader.event(seq)? else {
        return Ok(None);
    };
    let Some(event) = event_in_full(reader, logged)? else {
        return Ok(None);
    };
    let repeats = match event.origin {
        EventOrigin::Message(message) => repeats(reader, message)?,
        EventOrigin::Api | EventOrigin::Run(_) | EventOrigin::Internal => Repeats::default(),
    };
    Ok(Some(EventFacts {
        then: reader.functions_at(seq)?,
        now: reader.functions_at(LATEST)?,
        apps: reader.apps()?,
        runs: runs(reader, seq)?,
        dropped: dropped_of(reader, seq)?,
        begun: BTreeMap::new(),
        gathering: BTreeMap::new(),
        event,
        repeats,
    }))
}

fn runs(reader: &mut dyn Reader, event: Seq) -> StoreResult<Vec<RunView>> {
    let mut runs = Vec::new();
    let mut page = Page::oldest(PAGE_ITEMS_MAX);
    while runs.len() < EXPLAINED_RUNS_MAX {
        let more = reader.runs_of_event(event, page)?;
        page.after = more.last().map(|run| run.row.seq);
        let ended = more.len() < PAGE_ITEMS_MAX;
        runs.extend(more);
        if ended {
            break;
        }
    }
    Ok(runs)
}

pub(crate) fn repeats(reader: &mut dyn Reader, message: Seq) -> StoreResult<Repeats> {
    let mut told = Repeats::default();
    let mut page = Page::oldest(PAGE_ITEMS_MAX);
    while told.count < REPEATS_COUNTED_MAX {
        let rows = reader.repeats(message, page)?;
        told.count += rows.len();
        told.conflict |= rows.iter().any(|row| row.conflict);
        if let Some(last) = rows.last() {
            told.last = Some(last.at.rfc3339());
            page.after = Some(last.seq);
        }
        if rows.len() < PAGE_ITEMS_MAX {
            break;
        }
    }
    Ok(told)
}

/// Whether the delivery has reached its receiver.
pub(super) fn has_arrived(row: &DeliveryRow) -> bool {
    row.state == DeliveryState::Succeeded
}
