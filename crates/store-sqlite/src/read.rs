//! Reads: one read-only connection for each thread that reads.

mod access;
mod config;
mod delivery;
mod event;
mod event_type;
mod flow;
mod keep;
mod refusal;
mod restore;
mod run;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use dunlin_delivery as delivery_core;
use dunlin_delivery::{AttemptRow, DeliveryRow, EndpointVersionRow, Message, RepeatRow, TallyRow};
use dunlin_engine::config::{AppRow, FunctionRow, Limit};
use dunlin_engine::step::StepRow;
use dunlin_engine::{DroppedRow, LedgerRows};
use dunlin_store::{
    AttemptFilter, EventFilter, Known, LoggedEvent, MessageFilter, Page, Reader, RefusalCounts,
    Restored, RunView, SealKey, StoreResult,
};
use dunlin_types::{DedupeKey, Event, Seq, Timestamp, Ulid};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use crate::error::coded;
use crate::open;
use crate::pack::{blob, seq};
use crate::seal::Seal;

pub(crate) use delivery::deliveries_at;

/// Reads committed rows.
pub(crate) struct SqliteReader {
    db: Connection,
    seal: Seal,
}

impl SqliteReader {
    pub(crate) fn open(dir: &Path, keys: Option<&[SealKey]>) -> StoreResult<Self> {
        Ok(Self {
            db: open::reader(dir)?,
            seal: Seal::for_reading(dir, keys)?,
        })
    }

    /// Several statements that must see, and lock, the same state.
    fn together<T>(&mut self, read: impl FnOnce(&Connection) -> Result<T>) -> StoreResult<T> {
        let transaction = self.db.transaction().map_err(coded)?;
        let out = read(&transaction).map_err(coded)?;
        transaction.commit().map_err(coded)?;
        Ok(out)
    }
}

/// The condition, the order and the bound of a page, to be put behind other conditions.
fn page_sql(page: Page, column: &str) -> String {
    page_then_sql(page, column, "")
}

/// The same, with an order among rows of one place.
fn page_then_sql(page: Page, column: &str, then: &str) -> String {
    let after = match (page.after, page.ascending) {
        (None, _) => String::new(),
        (Some(after), true) => format!(" AND {column} > {after}"),
        (Some(after), false) => format!(" AND {column} < {after}"),
    };
    let order = if page.ascending { "ASC" } else { "DESC" };
    let limit = page.limit();
    format!("{after} ORDER BY {column} {order}{then} LIMIT {limit}")
}

/// Whether rows come from a list, so that their texts are few: the cached statements.
fn list<T>(
    db: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    db.prepare_cached(sql)?.query_map(params, read)?.collect()
}

fn known(db: &Connection, keys: &[DedupeKey]) -> Result<BTreeMap<DedupeKey, Known>> {
    let sql = "SELECT seq, at, hash, expires FROM dedupe WHERE key = ?1";
    let mut statement = db.prepare_cached(sql)?;
    let mut found = BTreeMap::new();
    for key in keys {
        let row = |row: &Row<'_>| {
            let hash = blob(row, 2)?.and_then(|hash| hash.try_into().ok());
            Ok(Known {
                seq: seq(row.get(0)?),
                at: Timestamp::from_ms(row.get(1)?),
                hash: hash.unwrap_or_default(),
                expires: Timestamp::from_ms(row.get(3)?),
            })
        };
        if let Some(known) = statement.query_row([key.0], row).optional()? {
            found.insert(*key, known);
        }
    }
    Ok(found)
}

impl Reader for SqliteReader {
    fn restore(&mut self, take: &mut dyn FnMut(Restored)) -> StoreResult<()> {
        let seal = self.seal.clone();
        self.together(|db| restore::restore(db, &seal, take))
    }

    fn step_rows(&mut self, seqs: &[Seq]) -> StoreResult<Vec<StepRow>> {
        self.together(|db| run::step_rows(db, seqs))
    }

    fn claims(&mut self) -> StoreResult<Vec<Arc<Event>>> {
        self.together(|db| {
            let sql = "SELECT event FROM claim ORDER BY event";
            let seqs = list(db, sql, [], |row| Ok(seq(row.get(0)?)))?;
            let events = seqs.into_iter().map(|seq| event::full(db, seq));
            events.filter_map(Result::transpose).collect()
        })
    }

    fn events_at(&mut self, seqs: &[Seq]) -> StoreResult<Vec<Arc<Event>>> {
        self.together(|db| event::events_at(db, seqs))
    }

    fn known(&mut self, keys: &[DedupeKey]) -> StoreResult<BTreeMap<DedupeKey, Known>> {
        self.together(|db| known(db, keys))
    }

    fn ledger(&mut self, run: Seq, last: Seq) -> StoreResult<Option<LedgerRows>> {
        self.together(|db| run::ledger(db, run, last))
    }

    fn event(&mut self, seq: Seq) -> StoreResult<Option<LoggedEvent>> {
        event::event(&self.db, seq).map_err(coded)
    }

    fn event_of(&mut self, id: Ulid) -> StoreResult<Option<Seq>> {
        self.together(|db| event::event_of(db, id))
    }

    fn events(&mut self, filter: &EventFilter, page: Page) -> StoreResult<Vec<LoggedEvent>> {
        self.together(|db| event::events(db, filter, page))
    }

    fn run(&mut self, run: Seq) -> StoreResult<Option<RunView>> {
        run::run(&self.db, run).map_err(coded)
    }

    fn runs_of_event(&mut self, event: Seq, page: Page) -> StoreResult<Vec<RunView>> {
        self.together(|db| run::runs_of_event(db, event, page))
    }

    fn runs(&mut self, page: Page) -> StoreResult<Vec<RunView>> {
        self.together(|db| run::runs(db, page))
    }

    fn steps(&mut self, run: Seq, last: Option<Seq>) -> StoreResult<Vec<StepRow>> {
        self.together(|db| run::steps(db, run, last))
    }

    fn dropped_of(&mut self, event: Seq) -> StoreResult<Vec<DroppedRow>> {
        flow::dropped_of(&self.db, event).map_err(coded)
    }

    fn dropped(&mut self, function: Option<u32>, page: Page) -> StoreResult<Vec<DroppedRow>> {
        self.together(|db| flow::dropped(db, function, page))
    }

    fn limits(&mut self) -> StoreResult<Vec<Limit>> {
        flow::limits(&self.db).map_err(coded)
    }

    fn apps(&mut self) -> StoreResult<Vec<AppRow>> {
        self.together(config::apps)
    }

    fn functions_at(&mut self, seq: Seq) -> StoreResult<Vec<FunctionRow>> {
        self.together(|db| config::functions_at(db, seq))
    }

    fn message(&mut self, message: Seq) -> StoreResult<Option<Arc<Message>>> {
        delivery::message(&self.db, message).map_err(coded)
    }

    fn messages(
        &mut self,
        filter: &MessageFilter,
        page: Page,
    ) -> StoreResult<Vec<Arc<delivery_core::Message>>> {
        self.together(|db| delivery::messages(db, filter, page))
    }

    fn message_places(&mut self, filter: &MessageFilter, page: Page) -> StoreResult<Vec<Seq>> {
        self.together(|db| delivery::message_places(db, filter, page))
    }

    fn repeats(&mut self, message: Seq, page: Page) -> StoreResult<Vec<RepeatRow>> {
        self.together(|db| delivery::repeats(db, message, page))
    }

    fn newest_repeats(&mut self, page: Page) -> StoreResult<Vec<RepeatRow>> {
        delivery::newest_repeats(&self.db, page).map_err(coded)
    }

    fn refusals(&mut self, source: Seq, page: Page) -> StoreResult<Vec<delivery_core::RefusalRow>> {
        refusal::refusals(&self.db, source, page).map_err(coded)
    }

    fn refusal_counts(&mut self, source: Seq) -> StoreResult<RefusalCounts> {
        refusal::counts(&self.db, source).map_err(coded)
    }

    fn message_of_sender(&mut self, app: Seq, id: &str) -> StoreResult<Option<Seq>> {
        delivery::message_of_sender(&self.db, app, id).map_err(coded)
    }

    fn overdue_payloads(
        &mut self,
        now: Timestamp,
        after: Option<(Timestamp, Seq)>,
        items: usize,
    ) -> StoreResult<Vec<(Timestamp, Seq)>> {
        keep::overdue_payloads(&self.db, now, after, items).map_err(coded)
    }

    fn message_applications(&mut self, after: Option<Seq>, items: usize) -> StoreResult<Vec<Seq>> {
        keep::message_applications(&self.db, after, items).map_err(coded)
    }

    fn endpoint_made(&mut self, endpoint: Seq) -> StoreResult<Option<Timestamp>> {
        config::endpoint_made(&self.db, endpoint).map_err(coded)
    }

    fn overdue_keys(
        &mut self,
        keys: RangeInclusive<DedupeKey>,
        now: Timestamp,
        items: usize,
    ) -> StoreResult<Vec<DedupeKey>> {
        keep::overdue_keys(&self.db, &keys, now, items).map_err(coded)
    }

    fn oldest_messages(
        &mut self,
        app: Seq,
        before: Timestamp,
        after: Option<(Timestamp, Seq)>,
        items: usize,
    ) -> StoreResult<Vec<(Timestamp, Seq)>> {
        keep::oldest_messages(&self.db, (app, before), after, items).map_err(coded)
    }

    fn dead_letters(
        &mut self,
        endpoint: Seq,
        since: Option<Timestamp>,
        page: Page,
    ) -> StoreResult<Vec<DeliveryRow>> {
        self.together(|db| delivery::dead_letters(db, endpoint, since, page))
    }

    fn tallies(&mut self, endpoint: Seq, from: u32, until: u32) -> StoreResult<Vec<TallyRow>> {
        delivery::tallies(&self.db, endpoint, from, until).map_err(coded)
    }

    fn deliveries_of(&mut self, message: Seq) -> StoreResult<Vec<DeliveryRow>> {
        delivery::deliveries_of(&self.db, message).map_err(coded)
    }

    fn delivery(&mut self, delivery: Seq) -> StoreResult<Option<DeliveryRow>> {
        delivery::delivery(&self.db, delivery).map_err(coded)
    }

    fn attempts(&mut self, filter: &AttemptFilter, page: Page) -> StoreResult<Vec<AttemptRow>> {
        delivery::attempts(&self.db, filter, page).map_err(coded)
    }

    fn attempt(&mut self, attempt: Seq) -> StoreResult<Option<AttemptRow>> {
        delivery::attempt(&self.db, attempt).map_err(coded)
    }

    fn endpoints_at(&mut self, seq: Seq) -> StoreResult<Vec<EndpointVersionRow>> {
        let seal = self.seal.clone();
        self.together(|db| config::endpoints_at(db, &seal, seq))
    }
}
