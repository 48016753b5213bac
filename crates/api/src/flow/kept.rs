//! Events that rules dropped, with what was kept instead.

use dunlin_engine::DroppedRow;
use dunlin_store::{Reader, StoreResult};
use dunlin_types::{Seq, ulid_for};
use serde_json::{Value, json};

/// What was kept instead of a dropped event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// A run, by its public id.
    Run(String),
    /// An event, by its internal id.
    Event(String),
}

/// An event that a function's rules dropped.
#[derive(Clone, Debug)]
pub(crate) struct Dropped {
    pub(crate) row: DroppedRow,
    pub(crate) kept: Option<Kept>,
}

impl Kept {
    pub(crate) fn facts(&self) -> Value {
        match self {
            Self::Run(id) => json!({"kind": "run", "id": id}),
            Self::Event(id) => json!({"kind": "event", "id": id}),
        }
    }
}

/// What became of an event at the functions that it did not start because of their rules.
pub(crate) fn dropped_of(reader: &mut dyn Reader, event: Seq) -> StoreResult<Vec<Dropped>> {
    let rows = reader.dropped_of(event)?;
    rows.into_iter().map(|row| with_kept(reader, row)).collect()
}

/// The row with the public id of what it kept. Runs and events share one order, so a place is one
/// of the two.
pub(super) fn with_kept(reader: &mut dyn Reader, row: DroppedRow) -> StoreResult<Dropped> {
    let kept = match row.kept {
        Some(seq) => match reader.run(seq)? {
            Some(run) => Some(Kept::Run(ulid_for(run.row.created, seq).to_string())),
            None => {
                let event = reader.event(seq)?;
                event.map(|event| Kept::Event(event.internal_id().to_string()))
            }
        },
        None => None,
    };
    Ok(Dropped { row, kept })
}
