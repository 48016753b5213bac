//! Reading what a drawing needs.

use dunlin_store::{Reader, RunView, StoreResult, event_in_full, started_by};
use dunlin_types::{Timestamp, Ulid, ulid_for};

use crate::draw::{Known, draw};
use crate::links::Links;
use crate::span::Trace;

/// The run of that public id. The time in it must be the run's, so that ids cannot be made up.
///
/// # Errors
/// When a row cannot be read.
pub fn find_run(reader: &mut dyn Reader, id: &str) -> StoreResult<Option<RunView>> {
    let id: Option<Ulid> = id.parse().ok();
    let Some((id, seq)) = id.and_then(|id| Some((id, id.seq()?))) else {
        return Ok(None);
    };
    let run = reader.run(seq)?;
    Ok(run.filter(|run| ulid_for(run.row.created, run.row.seq) == id))
}

/// Draws a run of the function of that name, with all that its rows refer to.
///
/// # Errors
/// When a row cannot be read.
pub fn load(
    reader: &mut dyn Reader,
    run: &RunView,
    function: &str,
    now: Timestamp,
) -> StoreResult<Trace> {
    let rows = reader.steps(run.row.seq, run.end.as_ref().map(|end| end.last))?;
    let links = Links::read(reader, &rows)?;
    let mut events = Vec::with_capacity(1 + run.row.more.len());
    for seq in started_by(&run.row) {
        if let Some(event) = reader.event(seq)? {
            events.extend(event_in_full(reader, event)?);
        }
    }
    let original = match run.row.original {
        Some(seq) => reader.run(seq)?,
        None => None,
    };
    let known = Known {
        function,
        events: &events,
        original: original.map(|run| ulid_for(run.row.created, run.row.seq)),
        links: &links,
        now,
    };
    Ok(draw(run, &rows, &known))
}
