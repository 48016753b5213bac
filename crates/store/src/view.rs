//! What reads ask for and get.

use std::sync::Arc;

use dunlin_engine::{LifecycleRow, RunEnd, RunRow, lifecycle_data, lifecycle_event};
use dunlin_types::{DedupeKey, Event, Seq, Timestamp, Ulid, limits, ulid_for};

use crate::port::{Reader, StoreResult};

/// A slice of a list that is ordered by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows beyond this one only: smaller places when newest come first, greater ones otherwise.
    pub after: Option<Seq>,
    /// At most that many; [`limits::PAGE_ITEMS_MAX`] holds whatever is asked.
    pub items: usize,
    /// Whether the oldest come first.
    pub ascending: bool,
}

impl Page {
    /// The newest `items` rows.
    #[must_use]
    pub const fn newest(items: usize) -> Self {
        Self {
            after: None,
            items,
            ascending: false,
        }
    }

    /// The first rows, oldest first.
    #[must_use]
    pub const fn oldest(items: usize) -> Self {
        Self {
            after: None,
            items,
            ascending: true,
        }
    }

    /// The number of rows to read.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.items.min(limits::PAGE_ITEMS_MAX + 1)
    }
}

/// Which events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this name only. Without a name, internal events are left out.
    pub name: Option<String>,
    /// Received at or after.
    pub received_from: Option<Timestamp>,
    /// Received before.
    pub received_until: Option<Timestamp>,
}

/// Which messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Of this application.
    pub app: Seq,
    /// Of these types only; all if empty.
    pub event_types: Vec<String>,
    /// In this channel.
    pub channel: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// Received at or after.
    pub from: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
}

/// Which attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    /// Of this message.
    pub message: Option<Seq>,
    /// Of this endpoint.
    pub endpoint: Option<Seq>,
    /// Those that failed.
    pub failed: bool,
    /// Begun at or after.
    pub from: Option<Timestamp>,
    /// Begun before.
    pub until: Option<Timestamp>,
}

/// How often a source refused a webhook.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusalCounts {
    /// With a row, even if there are enough newer ones by now.
    pub listed: u64,
    /// Without one: too many came at once.
    pub unlisted: u64,
}

/// An event of the log; the body of an internal one may not be stored.
#[derive(Clone, Debug)]
pub enum LoggedEvent {
    /// In full.
    Full(Arc<Event>),
    /// Without a body: see [`event_in_full`].
    Lifecycle(LifecycleRow),
}

impl LoggedEvent {
    /// Its place in the log.
    #[must_use]
    pub fn seq(&self) -> Seq {
        match self {
            Self::Full(event) => event.seq,
            Self::Lifecycle(row) => row.seq,
        }
    }

    /// Its internal id.
    #[must_use]
    pub fn internal_id(&self) -> Ulid {
        match self {
            Self::Full(event) => event.internal_id,
            Self::Lifecycle(row) => ulid_for(row.at, row.seq),
        }
    }
}

/// The key under which the engine remembers an event whose internal id follows from its sender's
/// seed; a backend finds the event by it.
#[must_use]
pub fn seeded_key(id: Ulid) -> DedupeKey {
    DedupeKey::new(b"send", &id.0.to_be_bytes())
}

/// The events that started a run, in order: one, or those of a batch.
pub fn started_by(run: &RunRow) -> impl Iterator<Item = Seq> + '_ {
    std::iter::once(run.event).chain(run.more.iter().copied())
}

/// A run and how it ended, if it has.
#[derive(Clone, Debug, PartialEq)]
pub struct RunView {
    /// Its start.
    pub row: RunRow,
    /// Its end; its `imaged` is not kept.
    pub end: Option<RunEnd>,
}

/// The event with its body: that of a lifecycle event is rendered from its run.
///
/// # Errors
/// When a row cannot be read. `None` if the run is gone.
pub fn event_in_full(
    reader: &mut dyn Reader,
    logged: LoggedEvent,
) -> StoreResult<Option<Arc<Event>>> {
    let row = match logged {
        LoggedEvent::Full(event) => return Ok(Some(event)),
        LoggedEvent::Lifecycle(row) => row,
    };
    let Some(run) = reader.run(row.run)? else {
        return Ok(None);
    };
    let Some(end) = run.end else { return Ok(None) };
    let mut trigger = Vec::with_capacity(1 + run.row.more.len());
    for seq in started_by(&run.row) {
        if let Some(LoggedEvent::Full(event)) = reader.event(seq)? {
            trigger.push(event);
        }
    }
    let functions = reader.functions_at(row.seq)?;
    let slug = functions
        .iter()
        .find(|f| f.number == run.row.function)
        .map_or("", |f| &f.slug);
    let run_id = ulid_for(run.row.created, run.row.seq);
    let data = lifecycle_data(slug, run_id, &trigger, end.status, &end.output);
    Ok(Some(lifecycle_event(
        row.seq, row.at, row.kind, run_id, data,
    )))
}
