//! From what was asked for up to where it began.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_delivery::DEFAULT_APPLICATION;
use dunlin_store::{LoggedEvent, Reader, StoreResult};
use dunlin_trace::find_run;
use dunlin_types::limits::{EVENT_BATCH_EVENTS_MAX, JOURNEY_CLIMB_MAX};
use dunlin_types::{Event, EventOrigin, Ksuid, KsuidKind, Payload, Seq, Ulid};
use serde::Deserialize;
use serde_json::Value;

use super::facts::Asked;

/// Internal events that belong to a run (SDK protocol, internal events).
const INVOKED: &str = "inngest/function.invoked";
pub(super) const DEFERRED: &str = "inngest/deferred.schedule";
pub(super) const TOLD: [&str; 3] = [
    "inngest/function.finished",
    "inngest/function.failed",
    "inngest/function.cancelled",
];

/// A place in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Message(Seq),
    Event(Seq),
    Run(Seq),
}

impl Place {
    const fn seq(self) -> Seq {
        match self {
            Self::Message(seq) | Self::Event(seq) | Self::Run(seq) => seq,
        }
    }
}

/// The way from the root down to what was asked for: it is shown, whatever is cut.
#[derive(Debug, Default)]
pub(super) struct Way {
    places: BTreeSet<Seq>,
    next: BTreeMap<Seq, Seq>,
}

impl Way {
    pub(super) fn has(&self, place: Seq) -> bool {
        self.places.contains(&place)
    }

    /// Where it goes on below that place.
    pub(super) fn next(&self, place: Seq) -> Option<Seq> {
        self.next.get(&place).copied()
    }
}

/// Where to begin, and how to come back.
#[derive(Debug)]
pub(super) struct Climbed {
    pub(super) asked: Asked,
    pub(super) root: Place,
    pub(super) way: Way,
    pub(super) more_above: bool,
}

/// Finds what an id names, and climbs from there.
pub(super) fn climb(reader: &mut dyn Reader, id: &str) -> StoreResult<Option<Climbed>> {
    let mut way = Way::default();
    let Some((asked, mut at)) = find(reader, id, &mut way)? else {
        return Ok(None);
    };
    let mut climbed = 0;
    way.places.insert(at.seq());
    while let Some(above) = cause(reader, at)? {
        if climbed == JOURNEY_CLIMB_MAX {
            return Ok(Some(Climbed {
                asked,
                root: at,
                way,
                more_above: true,
            }));
        }
        climbed += 1;
        way.places.insert(above.seq());
        way.next.insert(above.seq(), at.seq());
        at = above;
    }
    Ok(Some(Climbed {
        asked,
        root: at,
        way,
        more_above: false,
    }))
}

fn find(reader: &mut dyn Reader, text: &str, way: &mut Way) -> StoreResult<Option<(Asked, Place)>> {
    let row = |seq, place| Ok(Some((Asked::Row(seq), place)));
    // The time in an id guards against made-up ones.
    if let Ok(id) = Ksuid::parse(KsuidKind::Message, text)
        && let Some(found) = reader.message(id.seq)?.filter(|one| one.id() == id)
    {
        return row(found.seq, Place::Message(found.seq));
    }
    if let Ok(id) = Ksuid::parse(KsuidKind::Attempt, text)
        && let Some(found) = reader.attempt(id.seq)?.filter(|one| one.id() == id)
    {
        way.places.extend([found.seq, found.delivery]);
        return row(found.seq, Place::Message(found.message));
    }
    if let Ok(id) = Ksuid::parse(KsuidKind::Delivery, text)
        && let Some(found) = reader.delivery(id.seq)?.filter(|one| one.id() == id)
    {
        way.places.insert(found.seq);
        return row(found.seq, Place::Message(found.message));
    }
    if let Ok(id) = text.parse::<Ulid>()
        && let Some(seq) = reader.event_of(id)?
    {
        return row(seq, Place::Event(seq));
    }
    if let Some(run) = find_run(reader, text)? {
        return row(run.row.seq, Place::Run(run.row.seq));
    }
    // Providers' ids may look like ours.
    let message = reader.message_of_sender(DEFAULT_APPLICATION, text)?;
    Ok(message.map(|seq| (Asked::Request, Place::Message(seq))))
}

/// What led to it. Places of causes are smaller than those of what they led to, so climbing ends.
fn cause(reader: &mut dyn Reader, place: Place) -> StoreResult<Option<Place>> {
    let above = match place {
        Place::Message(_) => None,
        Place::Run(seq) => {
            let run = reader.run(seq)?;
            let event = run.map(|run| run.row.event);
            existing_event(reader, event)?.map(Place::Event)
        }
        Place::Event(seq) => match reader.event(seq)? {
            None => None,
            Some(LoggedEvent::Lifecycle(row)) => Some(Place::Run(row.run)),
            Some(LoggedEvent::Full(event)) => cause_of_event(reader, &event)?,
        },
    };
    Ok(above.filter(|above| above.seq() < place.seq()))
}

fn existing_event(reader: &mut dyn Reader, event: Option<Seq>) -> StoreResult<Option<Seq>> {
    match event {
        Some(seq) => Ok(reader.event(seq)?.map(|event| event.seq())),
        None => Ok(None),
    }
}

fn cause_of_event(reader: &mut dyn Reader, event: &Event) -> StoreResult<Option<Place>> {
    match event.origin {
        EventOrigin::Api => Ok(None),
        EventOrigin::Message(seq) => {
            let message = reader.message(seq)?;
            Ok(message.map(|message| Place::Message(message.seq)))
        }
        EventOrigin::Run(seq) => {
            let is_so = is_sent_by(reader, event, seq)?;
            Ok(is_so.then_some(Place::Run(seq)))
        }
        EventOrigin::Internal => match run_behind(event) {
            Some(id) => Ok(find_run(reader, &id)?.map(|run| Place::Run(run.row.seq))),
            None => Ok(None),
        },
    }
}

/// Whether a step of the run has the event in its result. Who sends an event can name any run; the
/// result came from the run's own app.
fn is_sent_by(reader: &mut dyn Reader, event: &Event, run: Seq) -> StoreResult<bool> {
    let Some(run) = reader.run(run)? else {
        return Ok(false);
    };
    let last = run.end.as_ref().map(|end| end.last);
    let rows = reader.steps(run.row.seq, last)?;
    let mut sent = rows.iter().flat_map(|row| sent_by(&row.payload));
    Ok(sent.any(|id| id == event.internal_id))
}

/// The run that an internal event is about, or came from.
pub(super) fn run_behind(event: &Event) -> Option<String> {
    let data: Value = serde_json::from_slice(event.data.bytes()).ok()?;
    let run = match event.name.as_str() {
        INVOKED => data["_inngest"]["correlation_id"]
            .as_str()?
            .split_once('.')
            .map(|(run, _)| run),
        DEFERRED => data["_inngest"]["parent_run_id"].as_str(),
        name if TOLD.contains(&name) => data["run_id"].as_str(),
        _ => None,
    };
    run.map(str::to_owned)
}

/// What SDKs give as the result of a step that sends events.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sent {
    Answer { ids: Vec<String> },
    List(Vec<String>),
    One(String),
}

/// The internal ids of events that a step sent, as its result tells.
pub(super) fn sent_by(result: &Payload) -> Vec<Ulid> {
    let text = result.as_str().trim_start();
    // A quoted id of an event with a comma takes 29 bytes. Other results are not parsed.
    let is_short = text.len() <= 64 + 32 * EVENT_BATCH_EVENTS_MAX;
    let head = text.get(..64.min(text.len())).unwrap_or_default();
    let may_be =
        head.starts_with(['[', '"']) || (head.starts_with('{') && head.contains("\"ids\""));
    if !is_short || !may_be {
        return Vec::new();
    }
    let ids = match serde_json::from_str(text) {
        Ok(Sent::Answer { ids } | Sent::List(ids)) => ids,
        Ok(Sent::One(id)) => vec![id],
        Err(_) => return Vec::new(),
    };
    ids.iter().filter_map(|id| id.parse().ok()).collect()
}
