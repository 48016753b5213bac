//! Runs and their step rows.

use dunlin_engine::step::{Source, StepFlags, StepKind, StepMark, StepRow};
use dunlin_engine::{LedgerRows, RunEnd, RunRow, RunStatus};
use dunlin_store::{Page, RunView, started_by};
use dunlin_types::{Payload, Seq, StepId};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::{event, list, page_sql};
use crate::pack::{
    EVENT, OUTPUT, bad, blob, col_at, col_opt_seq, col_payload, col_places, col_seq, int,
};

/// The part that [`row`] reads.
pub(super) const START: &str = "seq, fn, version, event, created, due, original, flow, more";
const END: &str = "status, started, ended, last, enc, out";

/// The part that [`mark`] reads.
pub(super) const MARK: &str = "seq, run, kind, flags, item, attempt, due";
const REST: &str = "prev, id, name, queued, started, ended, enc, payload";

pub(super) fn row(row: &Row<'_>) -> Result<RunRow> {
    Ok(RunRow {
        seq: col_seq(row, 0)?,
        function: row.get(1)?,
        version: row.get(2)?,
        event: col_seq(row, 3)?,
        created: col_at(row, 4)?,
        due: col_at(row, 5)?,
        original: col_opt_seq(row, 6)?,
        flow: blob(row, 7)?.unwrap_or_default().to_vec(),
        more: col_places(row, 8)?,
    })
}

fn view(db: &Connection, columns: &Row<'_>) -> Result<RunView> {
    let row = row(columns)?;
    let status = RunStatus::from_number(columns.get(9)?).ok_or_else(|| bad(9))?;
    let end = match status {
        RunStatus::Live => None,
        status => Some(RunEnd {
            run: row.seq,
            status,
            started: col_at(columns, 10)?,
            ended: col_at(columns, 11)?,
            output: col_payload(db, columns, 14, row.seq)?,
            last: col_seq(columns, 12)?,
            imaged: false,
        }),
    };
    Ok(RunView { row, end })
}

pub(super) fn run(db: &Connection, run: Seq) -> Result<Option<RunView>> {
    db.prepare_cached(&format!("SELECT {START}, {END} FROM run WHERE seq = ?1"))?
        .query_row([int(run)], |row| view(db, row))
        .optional()
}

pub(super) fn runs(db: &Connection, page: Page) -> Result<Vec<RunView>> {
    let sql = format!(
        "SELECT {START}, {END} FROM run WHERE true{}",
        page_sql(page, "seq")
    );
    list(db, &sql, [], |row| view(db, row))
}

pub(super) fn runs_of_event(db: &Connection, event: Seq, page: Page) -> Result<Vec<RunView>> {
    let page = page_sql(
        Page {
            ascending: true,
            ..page
        },
        "run",
    );
    let sql = format!("SELECT run FROM event_run WHERE event = ?1{page}");
    let runs = list(db, &sql, [int(event)], |row| col_seq(row, 0))?;
    let mut views = Vec::with_capacity(runs.len());
    for seq in runs {
        views.extend(run(db, seq)?);
    }
    Ok(views)
}

pub(super) fn ledger(db: &Connection, run: Seq, last: Seq) -> Result<Option<LedgerRows>> {
    let start = db
        .prepare_cached(&format!("SELECT {START} FROM run WHERE seq = ?1"))?
        .query_row([int(run)], row)
        .optional()?;
    let Some(start) = start else { return Ok(None) };
    let events = started_by(&start).map(|seq| event::full(db, seq));
    let events = events
        .filter_map(Result::transpose)
        .collect::<Result<_>>()?;
    Ok(Some(LedgerRows {
        run: start,
        events,
        steps: chain(db, run, last)?,
    }))
}

pub(super) fn steps(db: &Connection, run: Seq, last: Option<Seq>) -> Result<Vec<StepRow>> {
    let last = match last {
        Some(last) => last,
        None => match self::run(db, run)? {
            None => return Ok(Vec::new()),
            Some(RunView { end: Some(end), .. }) => end.last,
            Some(RunView { end: None, .. }) => newest(db, run)?,
        },
    };
    chain(db, run, last)
}

/// The end of a live run's chain: what its image says, or a newer row of the log's tail.
fn newest(db: &Connection, run: Seq) -> Result<Seq> {
    let imaged: Option<i64> = db
        .prepare_cached("SELECT last FROM image WHERE run = ?1")?
        .query_row([int(run)], |row| row.get(0))
        .optional()?;
    let known = imaged.unwrap_or(int(run));
    let newer: Option<i64> = db
        .prepare_cached(
            "SELECT seq FROM step WHERE run = ?1 \
             AND seq > max(?2, (SELECT fold_from - 1 FROM shard WHERE id = 0)) \
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([int(run), known], |row| row.get(0))
        .optional()?;
    Ok(crate::pack::seq(newer.unwrap_or(known)))
}

/// Step rows from the run's first to `last`, found backwards.
fn chain(db: &Connection, run: Seq, last: Seq) -> Result<Vec<StepRow>> {
    let sql = format!("SELECT {MARK}, {REST} FROM step WHERE seq = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = Vec::new();
    let mut at = last;
    while at != run {
        let row = statement.query_row([int(at)], |row| step(db, row))?;
        // Each row points at an older one of its run, so this ends.
        if row.mark.run != run || row.prev >= at {
            return Err(bad(1));
        }
        at = row.prev;
        rows.push(row);
    }
    rows.reverse();
    Ok(rows)
}

pub(super) fn mark(row: &Row<'_>) -> Result<StepMark> {
    Ok(StepMark {
        seq: col_seq(row, 0)?,
        run: col_seq(row, 1)?,
        kind: StepKind::from_number(row.get(2)?).ok_or_else(|| bad(2))?,
        flags: StepFlags(row.get(3)?),
        item: col_seq(row, 4)?,
        attempt: row.get(5)?,
        due: col_at(row, 6)?,
    })
}

pub(super) fn step_rows(db: &Connection, seqs: &[Seq]) -> Result<Vec<StepRow>> {
    let sql = format!("SELECT {MARK}, {REST} FROM step WHERE seq = ?1");
    let mut statement = db.prepare_cached(&sql)?;
    let one = |seq: &Seq| statement.query_row([int(*seq)], |row| step(db, row));
    seqs.iter().map(one).collect()
}

/// A row's payload, and where it is written already.
fn payload(db: &Connection, row: &Row<'_>, of: Seq) -> Result<(Payload, Option<Source>)> {
    let place = || {
        let bytes = blob(row, 14)?.and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(|bytes| Seq(u64::from_be_bytes(bytes)))
            .ok_or_else(|| bad(14))
    };
    match row.get::<_, i64>(13)? {
        EVENT => {
            let seq = place()?;
            let json = event::full(db, seq)?.map(|event| event.json());
            let payload = json.map_or_else(Payload::null, Payload::from_json);
            Ok((payload, Some(Source::Event(seq))))
        }
        OUTPUT => {
            let seq = place()?;
            let end = self::run(db, seq)?.and_then(|run| run.end);
            let payload = end.map_or_else(Payload::null, |end| end.output);
            Ok((payload, Some(Source::Output(seq))))
        }
        _ => Ok((col_payload(db, row, 14, of)?, None)),
    }
}

fn step(db: &Connection, row: &Row<'_>) -> Result<StepRow> {
    let mark = mark(row)?;
    let (payload, source) = payload(db, row, mark.seq)?;
    Ok(StepRow {
        mark,
        prev: col_seq(row, 7)?,
        id: blob(row, 8)?.map(StepId::unpack),
        name: row.get(9)?,
        queued: col_at(row, 10)?,
        started: col_at(row, 11)?,
        ended: col_at(row, 12)?,
        payload,
        source,
    })
}
