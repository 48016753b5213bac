//! What a run's rows refer to elsewhere: events, and the runs of functions that it invoked.

use std::collections::BTreeMap;

use dunlin_engine::step::{Source, StepKind, StepRow};
use dunlin_store::{LoggedEvent, Page, Reader, StoreResult};
use dunlin_types::{Lifecycle, Seq, Ulid, ulid_for};
use serde_json::Value;

/// Public ids of what a run's rows refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Internal ids of events.
    pub events: BTreeMap<Seq, Ulid>,
    /// The run that the event of an invocation started.
    pub runs: BTreeMap<Seq, Ulid>,
    /// The event that told of an invoked run's end, by the row that took up its result.
    pub returns: BTreeMap<Seq, Ulid>,
}

impl Links {
    /// Reads what the rows refer to.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub fn read(reader: &mut dyn Reader, rows: &[StepRow]) -> StoreResult<Self> {
        let mut links = Self::default();
        for row in rows {
            links.read_row(reader, row)?;
        }
        Ok(links)
    }

    fn read_row(&mut self, reader: &mut dyn Reader, row: &StepRow) -> StoreResult<()> {
        if let Some(seq) = invoked_event(row) {
            self.read_event(reader, seq)?;
            let runs = reader.runs_of_event(seq, Page::oldest(1))?;
            let id = runs
                .first()
                .map(|run| ulid_for(run.row.created, run.row.seq));
            self.runs.extend(id.map(|id| (seq, id)));
        }
        match row.source {
            Some(Source::Event(seq)) => self.read_event(reader, seq),
            Some(Source::Output(run)) => self.read_return(reader, row.mark.seq, run),
            None => Ok(()),
        }
    }

    fn read_event(&mut self, reader: &mut dyn Reader, seq: Seq) -> StoreResult<()> {
        let event = reader.event(seq)?;
        self.events
            .extend(event.map(|event| (seq, event.internal_id())));
        Ok(())
    }

    /// A run that ends tells its caller first and the world next, so the event is the next row.
    fn read_return(&mut self, reader: &mut dyn Reader, row: Seq, run: Seq) -> StoreResult<()> {
        let next = reader.event(Seq(row.0 + 1))?;
        let name = Lifecycle::Finished.event_name();
        let told = next.filter(|event| match event {
            LoggedEvent::Lifecycle(told) => told.run == run && told.kind == Lifecycle::Finished,
            LoggedEvent::Full(event) => event.name == name,
        });
        self.returns
            .extend(told.map(|event| (row, event.internal_id())));
        Ok(())
    }

    pub(crate) fn event(&self, seq: Seq) -> Option<Ulid> {
        self.events.get(&seq).copied()
    }

    /// The event of an invocation, by the row that opened it.
    pub(crate) fn event_of(&self, row: &StepRow) -> Option<Ulid> {
        self.event(invoked_event(row)?)
    }

    /// The run of an invocation, by the row that opened it.
    pub(crate) fn run_of(&self, row: &StepRow) -> Option<Ulid> {
        self.runs.get(&invoked_event(row)?).copied()
    }

    pub(crate) fn returned(&self, row: &StepRow) -> Option<Ulid> {
        self.returns.get(&row.mark.seq).copied()
    }
}

/// The place of the event that an invocation sent.
fn invoked_event(row: &StepRow) -> Option<Seq> {
    if row.mark.kind != StepKind::Invoked {
        return None;
    }
    let payload: Value = serde_json::from_slice(row.payload.bytes()).ok()?;
    payload.get("event")?.as_u64().map(Seq)
}
