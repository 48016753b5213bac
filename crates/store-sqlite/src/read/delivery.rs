//! Messages, deliveries and attempts.

use std::sync::Arc;

use bytes::Bytes;
use dunlin_delivery::{
    AttemptResult, AttemptRow, DeliveryRow, DeliveryState, Message, RepeatRow, Trigger,
};
use dunlin_store::{AttemptFilter, MessageFilter, Page};
use dunlin_types::{Seq, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::{list, page_sql};
use crate::json::read;
use crate::names;
use crate::pack::{
    APART, Part, bad, blob, col_at, col_bytes, col_code, col_hash, col_opt_at, col_opt_seq,
    col_seq, int,
};

const MESSAGE: &str =
    "seq, at, app, source, type, ext_id, headers, channels, hash, test, enc, body";
const REPEAT: &str = "seq, message, at, hash, conflict, enc, body";
/// What [`row`] reads.
pub(super) const COLUMNS: &str =
    "seq, message, endpoint, trigger, state, tries, next_at, created, ended, code, rivals";
const ATTEMPT: &str = "seq, delivery, message, endpoint, at, ms, no, trigger, result, \
                       duplicate_of, status, code, detail, url, event, next_at, logs, response";

pub(super) fn message(db: &Connection, seq: Seq) -> Result<Option<Arc<Message>>> {
    db.prepare_cached(&format!("SELECT {MESSAGE} FROM message WHERE seq = ?1"))?
        .query_row([int(seq)], |row| message_row(db, row))
        .optional()
}

pub(super) fn messages(
    db: &Connection,
    filter: &MessageFilter,
    page: Page,
) -> Result<Vec<Arc<Message>>> {
    let mut sql = format!("SELECT {MESSAGE} FROM message WHERE app = ?1");
    if !filter.event_types.is_empty() {
        let mut numbers = Vec::new();
        for name in &filter.event_types {
            numbers.extend(names::find(db, name)?.map(|number| number.to_string()));
        }
        sql.push_str(&format!(" AND type IN ({})", numbers.join(",")));
    }
    if let Some(from) = filter.from {
        sql.push_str(&format!(" AND at >= {}", from.ms()));
    }
    if let Some(until) = filter.until {
        sql.push_str(&format!(" AND at < {}", until.ms()));
    }
    sql.push_str(&page_sql(page, "seq"));
    // Its text is another each time, so it is not worth a place among the kept statements.
    let mut statement = db.prepare(&sql)?;
    statement
        .query_map([int(filter.app)], |row| message_row(db, row))?
        .collect()
}

fn message_row(db: &Connection, row: &Row<'_>) -> Result<Arc<Message>> {
    let seq = col_seq(row, 0)?;
    Ok(Arc::new(Message {
        seq,
        at: col_at(row, 1)?,
        app: col_seq(row, 2)?,
        source: col_opt_seq(row, 3)?,
        event_type: names::text(db, row.get(4)?)?,
        provider_id: row.get(5)?,
        headers: read(row.get_ref(6)?.as_str()?, 6)?,
        channels: texts(row, 7)?,
        body_hash: col_hash(row, 8)?,
        test: row.get(9)?,
        body: col_bytes(db, row, 11, seq, Part::Body)?,
    }))
}

fn texts(row: &Row<'_>, column: usize) -> Result<Vec<String>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(text) => read(text, column),
        None => Ok(Vec::new()),
    }
}

pub(super) fn repeats(db: &Connection, message: Seq, page: Page) -> Result<Vec<RepeatRow>> {
    let page = page_sql(
        Page {
            ascending: true,
            ..page
        },
        "seq",
    );
    let sql = format!("SELECT {REPEAT} FROM repeat WHERE message = ?1{page}");
    list(db, &sql, [int(message)], |row| {
        let seq = col_seq(row, 0)?;
        let kept = row.get::<_, i64>(5)? == APART || blob(row, 6)?.is_some();
        let body = match kept {
            true => Some(col_bytes(db, row, 6, seq, Part::Body)?),
            false => None,
        };
        Ok(RepeatRow {
            seq,
            message: col_seq(row, 1)?,
            at: col_at(row, 2)?,
            body_hash: col_hash(row, 3)?,
            conflict: row.get(4)?,
            body,
        })
    })
}

pub(super) fn deliveries_of(db: &Connection, message: Seq) -> Result<Vec<DeliveryRow>> {
    let sql = format!("SELECT {COLUMNS} FROM delivery WHERE message = ?1 ORDER BY seq");
    list(db, &sql, [int(message)], row)
}

pub(super) fn delivery(db: &Connection, seq: Seq) -> Result<Option<DeliveryRow>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM delivery WHERE seq = ?1"))?
        .query_row([int(seq)], row)
        .optional()
}

pub(super) fn row(row: &Row<'_>) -> Result<DeliveryRow> {
    Ok(DeliveryRow {
        seq: col_seq(row, 0)?,
        message: col_seq(row, 1)?,
        endpoint: col_seq(row, 2)?,
        trigger: trigger(row, 3)?,
        state: match row.get(4)? {
            0 => DeliveryState::Pending,
            1 => DeliveryState::Succeeded,
            2 => DeliveryState::Failed,
            3 => DeliveryState::Cancelled,
            4 => DeliveryState::Duplicate,
            _ => return Err(bad(4)),
        },
        tries: row.get(5)?,
        next_at: col_opt_at(row, 6)?,
        created: col_at(row, 7)?,
        ended: col_opt_at(row, 8)?,
        code: col_code(row, 9)?,
        rivals: row.get(10)?,
    })
}

fn trigger(row: &Row<'_>, column: usize) -> Result<Trigger> {
    Ok(match row.get(column)? {
        0 => Trigger::Scheduled,
        1 => Trigger::Manual,
        2 => Trigger::Test,
        _ => return Err(bad(column)),
    })
}

pub(super) fn attempts(
    db: &Connection,
    filter: &AttemptFilter,
    page: Page,
) -> Result<Vec<AttemptRow>> {
    let one = |column: &str, of: Option<Seq>| match of {
        Some(of) => format!(" AND {column} = {}", int(of)),
        None => String::new(),
    };
    let sql = format!(
        "SELECT {ATTEMPT} FROM attempt WHERE true{}{}{}",
        one("message", filter.message),
        // A message has fewer attempts than an endpoint, so its index is the better one.
        one(
            if filter.message.is_some() {
                "+endpoint"
            } else {
                "endpoint"
            },
            filter.endpoint
        ),
        page_sql(page, "seq"),
    );
    let mut statement = db.prepare(&sql)?;
    statement.query_map([], attempt_row)?.collect()
}

pub(super) fn attempt(db: &Connection, seq: Seq) -> Result<Option<AttemptRow>> {
    db.prepare_cached(&format!("SELECT {ATTEMPT} FROM attempt WHERE seq = ?1"))?
        .query_row([int(seq)], attempt_row)
        .optional()
}

fn attempt_row(row: &Row<'_>) -> Result<AttemptRow> {
    Ok(AttemptRow {
        seq: col_seq(row, 0)?,
        delivery: col_seq(row, 1)?,
        message: col_seq(row, 2)?,
        endpoint: col_seq(row, 3)?,
        at: col_at(row, 4)?,
        duration_ms: row.get(5)?,
        attempt_no: row.get(6)?,
        trigger: trigger(row, 7)?,
        result: match row.get(8)? {
            0 => AttemptResult::Succeeded,
            1 => AttemptResult::Failed,
            2 => AttemptResult::Cancelled,
            3 => AttemptResult::DuplicateOf(col_seq(row, 9)?),
            _ => return Err(bad(8)),
        },
        status: row.get(10)?,
        code: col_code(row, 11)?,
        detail: row.get(12)?,
        url: row.get(13)?,
        event: col_opt_seq(row, 14)?,
        next_at: row.get::<_, Option<i64>>(15)?.map(Timestamp::from_ms),
        logs: texts(row, 16)?,
        response: blob(row, 17)?
            .map(Bytes::copy_from_slice)
            .unwrap_or_default(),
    })
}
