//! Rows of flow control: counters, what is gathered, what was dropped, limits of operators.

use dunlin_engine::config::{Limit, Rule};
use dunlin_engine::{CounterRow, DroppedRow, GatherRow};
use dunlin_store::{Page, Restored};
use dunlin_types::{DedupeKey, Seq};
use rusqlite::{Connection, Result, Row};

use super::restore::each;
use super::{list, page_sql, page_then_sql};
use crate::json::read;
use crate::limit::LimitJson;
use crate::pack::{bad, col_at, col_opt_seq, col_seq, int};

const DROPPED: &str = "event, fn, at, rule, key, kept";

pub(super) fn restore(db: &Connection, take: &mut dyn FnMut(Restored)) -> Result<()> {
    let sql = "SELECT fn, rule, key, tat, last FROM counter ORDER BY fn, rule, key";
    each(db, sql, |row| {
        take(Restored::Counter(counter(row)?));
        Ok(())
    })?;
    let sql = "SELECT seq, fn, rule, key, opened, due, event, ts, bytes FROM gather ORDER BY seq";
    each(db, sql, |row| {
        take(Restored::Gather(gather(row)?));
        Ok(())
    })?;
    let sql = "SELECT gather, event FROM gathered ORDER BY gather, event";
    each(db, sql, |row| {
        let (gather, event) = (col_seq(row, 0)?, col_seq(row, 1)?);
        take(Restored::Gathered { gather, event });
        Ok(())
    })
}

fn col_rule(row: &Row<'_>, column: usize) -> Result<Rule> {
    Rule::from_number(row.get(column)?).ok_or_else(|| bad(column))
}

fn counter(row: &Row<'_>) -> Result<CounterRow> {
    Ok(CounterRow {
        function: row.get(0)?,
        rule: col_rule(row, 1)?,
        key: DedupeKey(row.get(2)?),
        tat_ns: Some(row.get(3)?),
        last: col_seq(row, 4)?,
    })
}

fn gather(row: &Row<'_>) -> Result<GatherRow> {
    Ok(GatherRow {
        seq: col_seq(row, 0)?,
        function: row.get(1)?,
        rule: col_rule(row, 2)?,
        key: row.get(3)?,
        opened: col_at(row, 4)?,
        due: col_at(row, 5)?,
        event: col_seq(row, 6)?,
        ts: col_at(row, 7)?,
        bytes: row.get::<_, i64>(8)?.cast_unsigned(),
    })
}

fn dropped_row(row: &Row<'_>) -> Result<DroppedRow> {
    Ok(DroppedRow {
        event: col_seq(row, 0)?,
        function: row.get(1)?,
        at: col_at(row, 2)?,
        rule: col_rule(row, 3)?,
        key: row.get(4)?,
        kept: col_opt_seq(row, 5)?,
    })
}

pub(super) fn dropped_of(db: &Connection, event: Seq) -> Result<Vec<DroppedRow>> {
    let sql = format!("SELECT {DROPPED} FROM dropped WHERE event = ?1 ORDER BY fn");
    list(db, &sql, [int(event)], dropped_row)
}

pub(super) fn dropped(
    db: &Connection,
    function: Option<u32>,
    page: Page,
) -> Result<Vec<DroppedRow>> {
    // The page's texts are many, so the statements are not worth a place among the kept ones.
    let Some(function) = function else {
        let slice = page_then_sql(page, "event", ", fn");
        let sql = format!("SELECT {DROPPED} FROM dropped WHERE true{slice}");
        let mut statement = db.prepare(&sql)?;
        let rows: Result<Vec<_>> = statement.query_map([], dropped_row)?.collect();
        return whole(db, rows?);
    };
    let slice = page_sql(page, "event");
    let sql = format!("SELECT {DROPPED} FROM dropped WHERE fn = ?1{slice}");
    let mut statement = db.prepare(&sql)?;
    statement.query_map([function], dropped_row)?.collect()
}

/// Adds what the page's end cut off of its last event.
fn whole(db: &Connection, mut rows: Vec<DroppedRow>) -> Result<Vec<DroppedRow>> {
    if let Some((event, function)) = rows.last().map(|row| (row.event, row.function)) {
        let rest = dropped_of(db, event)?;
        rows.extend(rest.into_iter().filter(|row| row.function > function));
    }
    Ok(rows)
}

pub(super) fn limits(db: &Connection) -> Result<Vec<Limit>> {
    let sql = "SELECT spec, name FROM limit_rule ORDER BY name";
    list(db, sql, [], |row| {
        Ok(read::<LimitJson>(row.get_ref(0)?.as_str()?, 0)?.row(row.get(1)?))
    })
}
