//! Messages, deliveries and attempts.

use std::sync::Arc;

use bytes::Bytes;
use dunlin_delivery::{
    AttemptHeaders, AttemptResult, AttemptRow, DeliveryRow, DeliveryState, HealthRow, Message,
    RepeatRow, RestRow, TallyRow, Trigger,
};
use dunlin_store::{AttemptFilter, MessageFilter, Page, Restored};
use dunlin_types::{Seq, Timestamp, limits};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::restore::each;
use super::{list, page_sql};
use crate::json::{TaskJson, read};
use crate::label::Label;
use crate::names;
use crate::pack::{
    GONE, Part, bad, blob, col_at, col_bytes, col_code, col_hash, col_opt_at, col_opt_seq, col_seq,
    int,
};

const MESSAGE: &str = "seq, at, app, source, type, ext_id, headers, channels, tags, deliver_at, expires, hash, test, \
     params, enc, body";
const REPEAT: &str = "seq, message, at, hash, conflict";
/// What [`row`] reads.
pub(super) const COLUMNS: &str = "seq, message, endpoint, trigger, state, tries, next_at, created, ended, code, rivals, order_key";
const ATTEMPT: &str = "seq, delivery, message, endpoint, at, ms, no, trigger, result, \
                       duplicate_of, status, code, detail, url, event, next_at, logs, response, headers";

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
    let places = message_places(db, filter, page)?;
    // Only then the rows themselves, so that none is read for nothing.
    let rows = places.into_iter().map(|seq| message(db, seq));
    rows.filter_map(Result::transpose).collect()
}

pub(super) fn message_places(
    db: &Connection,
    filter: &MessageFilter,
    page: Page,
) -> Result<Vec<Seq>> {
    if filter.event_types.is_empty() {
        return places_of(db, filter, None, page);
    }
    let mut places = Vec::new();
    // An index gives the rows of one type in order, not those of several.
    for name in &filter.event_types {
        if let Some(number) = names::find(db, name)? {
            places.extend(places_of(db, filter, Some(number), page)?);
        }
    }
    places.sort_unstable();
    if !page.ascending {
        places.reverse();
    }
    places.truncate(page.limit());
    Ok(places)
}

/// Where messages of at most one type are.
fn places_of(
    db: &Connection,
    filter: &MessageFilter,
    event_type: Option<i64>,
    page: Page,
) -> Result<Vec<Seq>> {
    let labels = [(Label::Channel, &filter.channel), (Label::Tag, &filter.tag)];
    let mut labels = labels
        .into_iter()
        .filter_map(|(kind, text)| Some(kind.number(filter.app, text.as_ref()?)));
    // Where a label is asked for, its list is the shortest one, and in order.
    let mut sql = match labels.next() {
        Some(label) => format!(
            "SELECT seq FROM message_label CROSS JOIN message ON seq = message \
             WHERE label = {label} AND +app = ?1"
        ),
        None => "SELECT seq FROM message WHERE app = ?1".to_owned(),
    };
    let labelled = filter.channel.is_some() || filter.tag.is_some();
    let order = if labelled { "message" } else { "seq" };
    for label in labels {
        sql.push_str(&format!(
            " AND EXISTS (SELECT 1 FROM message_label AS other \
             WHERE other.label = {label} AND other.message = seq)"
        ));
    }
    if let Some(number) = event_type {
        let column = if labelled { "+type" } else { "type" };
        sql.push_str(&format!(" AND {column} = {number}"));
    }
    if let Some(from) = filter.from {
        let first = first_at(db, "message", from)?;
        sql.push_str(&format!(" AND {order} >= {first} AND at >= {}", from.ms()));
    }
    if let Some(until) = filter.until {
        let end = first_at(db, "message", until)?;
        sql.push_str(&format!(" AND {order} < {end} AND at < {}", until.ms()));
    }
    sql.push_str(&page_sql(page, order));
    // Its text is another each time, so it is not worth a place among the kept statements.
    let mut statement = db.prepare(&sql)?;
    statement
        .query_map([int(filter.app)], |row| col_seq(row, 0))?
        .collect()
}

/// The first place in a table whose rows come in the order of time from which on nothing is older
/// than that instant.
pub(super) fn first_at(db: &Connection, table: &str, at: Timestamp) -> Result<i64> {
    // Together in one SELECT they would read the whole table.
    let sql = format!(
        "SELECT coalesce((SELECT min(seq) FROM {table}), 0), \
         coalesce((SELECT max(seq) FROM {table}), 0)"
    );
    let (mut low, max): (i64, i64) = db
        .prepare_cached(&sql)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut high = max + 1;
    let sql = format!("SELECT seq, at FROM {table} WHERE seq >= ?1 ORDER BY seq LIMIT 1");
    let mut probe = db.prepare_cached(&sql)?;
    // All before `low` is older, nothing from `high` on is.
    while low < high {
        let middle = low + (high - low) / 2;
        let found = probe
            .query_row([middle], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
            .optional()?;
        match found {
            Some((seq, found)) if found < at.ms() => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

pub(super) fn message_of_sender(db: &Connection, app: Seq, id: &str) -> Result<Option<Seq>> {
    let days = "SELECT coalesce(min(at), 1) / ?1, coalesce(max(at), 0) / ?1 FROM \
                (SELECT at FROM message WHERE seq = (SELECT min(seq) FROM message) UNION ALL \
                 SELECT at FROM message WHERE seq = (SELECT max(seq) FROM message))";
    let (first, last): (i64, i64) = db
        .prepare_cached(days)?
        .query_row([limits::DAY_MS], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = "SELECT seq FROM message WHERE at / 86400000 = ?1 AND ext_id = ?2 AND ext_id <> '' \
               AND +app = ?3 ORDER BY seq DESC LIMIT 1";
    let mut probe = db.prepare_cached(sql)?;
    for day in (first..=last).rev() {
        let found = probe
            .query_row(rusqlite::params![day, id, int(app)], |row| col_seq(row, 0))
            .optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

pub(super) fn dead_letters(
    db: &Connection,
    endpoint: Seq,
    since: Option<Timestamp>,
    page: Page,
) -> Result<Vec<DeliveryRow>> {
    let page = page_sql(page, "seq");
    // A delivery comes after its message, so the list begins there; older messages may be behind.
    let first = since.map_or(Ok(0), |since| first_at(db, "message", since))?;
    let sql = format!(
        "SELECT {COLUMNS} FROM delivery WHERE state = 2 AND again IS NOT 1 AND endpoint = ?1 \
         AND seq >= ?2 AND message >= ?2{page}"
    );
    list(db, &sql, [int(endpoint), first], row)
}

pub(super) fn tallies(
    db: &Connection,
    endpoint: Seq,
    from: u32,
    until: u32,
) -> Result<Vec<TallyRow>> {
    let sql = format!(
        "SELECT {TALLY} FROM tally WHERE endpoint = ?1 AND hour >= ?2 AND hour < ?3 ORDER BY hour"
    );
    let range = [int(endpoint), i64::from(from), i64::from(until)];
    list(db, &sql, range, tally)
}

const TALLY: &str = "endpoint, hour, succeeded, failed, cancelled, attempts_failed";

fn tally(row: &Row<'_>) -> Result<TallyRow> {
    Ok(TallyRow {
        endpoint: col_seq(row, 0)?,
        hour: row.get(1)?,
        succeeded: row.get(2)?,
        failed: row.get(3)?,
        cancelled: row.get(4)?,
        attempts_failed: row.get(5)?,
    })
}

/// What the delivery core needs to know again besides its configuration.
pub(super) fn restore(db: &Connection, take: &mut dyn FnMut(Restored)) -> Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM delivery WHERE state = 0 ORDER BY seq");
    each(db, &sql, |columns| {
        take(Restored::Delivery(row(columns)?));
        Ok(())
    })?;
    let sql = "SELECT endpoint, failing_since, counts_since, warned, last_failed FROM health";
    each(db, sql, |row| {
        take(Restored::Health(HealthRow {
            endpoint: col_seq(row, 0)?,
            failing_since: col_at(row, 1)?,
            counts_since: col_opt_at(row, 2)?,
            warned_percent: row.get(3)?,
            last_failed: col_at(row, 4)?,
        }));
        Ok(())
    })?;
    each(db, "SELECT endpoint, until FROM rest", |row| {
        take(Restored::Rest(RestRow {
            endpoint: col_seq(row, 0)?,
            until: col_at(row, 1)?,
        }));
        Ok(())
    })?;
    let hot = i64::from(limits::TALLY_HOURS_KEPT_HOT);
    let sql =
        format!("SELECT {TALLY} FROM tally WHERE hour > (SELECT max(hour) FROM tally) - {hot}");
    each(db, &sql, |row| {
        take(Restored::Tally(tally(row)?));
        Ok(())
    })?;
    let kept = limits::TASKS_KEPT_MAX;
    let sql = format!(
        "SELECT id, status, spec FROM task WHERE status = 0 OR id IN \
         (SELECT id FROM task ORDER BY id DESC LIMIT {kept}) ORDER BY id"
    );
    each(db, &sql, |row| {
        let json: TaskJson = read(row.get_ref(2)?.as_str()?, 2)?;
        let row = json
            .row(col_seq(row, 0)?, row.get(1)?)
            .ok_or_else(|| bad(2))?;
        take(Restored::Task(Arc::new(row)));
        Ok(())
    })
}

fn message_row(db: &Connection, row: &Row<'_>) -> Result<Arc<Message>> {
    let seq = col_seq(row, 0)?;
    let expired = row.get::<_, i64>(14)? == GONE;
    Ok(Arc::new(Message {
        seq,
        at: col_at(row, 1)?,
        app: col_seq(row, 2)?,
        source: col_opt_seq(row, 3)?,
        event_type: names::text(db, row.get(4)?)?,
        provider_id: row.get(5)?,
        headers: read(row.get_ref(6)?.as_str()?, 6)?,
        channels: texts(row, 7)?,
        tags: texts(row, 8)?,
        deliver_at: col_opt_at(row, 9)?,
        expires: col_at(row, 10)?,
        body_hash: col_hash(row, 11)?,
        test: row.get(12)?,
        params: blob(row, 13)?.map(Bytes::copy_from_slice),
        expired,
        body: match expired {
            true => Bytes::new(),
            false => col_bytes(db, row, 15, seq, Part::Body)?,
        },
    }))
}

fn headers(row: &Row<'_>, column: usize) -> Result<AttemptHeaders> {
    let Some(text) = row.get_ref(column)?.as_str_or_null()? else {
        return Ok(AttemptHeaders::default());
    };
    let (sent, received) = read(text, column)?;
    Ok(AttemptHeaders { sent, received })
}

fn texts(row: &Row<'_>, column: usize) -> Result<Vec<String>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(text) => read(text, column),
        None => Ok(Vec::new()),
    }
}

/// By place, so that it costs the same however many there are.
pub(super) fn newest_repeats(db: &Connection, page: Page) -> Result<Vec<RepeatRow>> {
    let page = page_sql(page, "seq");
    let sql = format!("SELECT {REPEAT} FROM repeat WHERE true{page}");
    list(db, &sql, [], repeat)
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
    list(db, &sql, [int(message)], repeat)
}

fn repeat(row: &Row<'_>) -> Result<RepeatRow> {
    Ok(RepeatRow {
        seq: col_seq(row, 0)?,
        message: col_seq(row, 1)?,
        at: col_at(row, 2)?,
        body_hash: col_hash(row, 3)?,
        conflict: row.get(4)?,
    })
}

pub(super) fn deliveries_of(db: &Connection, message: Seq) -> Result<Vec<DeliveryRow>> {
    let sql = format!("SELECT {COLUMNS} FROM delivery WHERE message = ?1 ORDER BY seq");
    list(db, &sql, [int(message)], row)
}

/// Those to one endpoint.
pub(crate) fn deliveries_at(
    db: &Connection,
    message: Seq,
    endpoint: Seq,
) -> Result<Vec<DeliveryRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM delivery WHERE message = ?1 AND +endpoint = ?2 ORDER BY seq"
    );
    list(db, &sql, [int(message), int(endpoint)], row)
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
        order_key: row.get::<_, Option<i64>>(11)?.map(i64::cast_unsigned),
    })
}

fn trigger(row: &Row<'_>, column: usize) -> Result<Trigger> {
    Ok(match row.get(column)? {
        0 => Trigger::Scheduled,
        1 => Trigger::Manual,
        2 => Trigger::Test,
        3 => Trigger::Replay,
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
        "SELECT {ATTEMPT} FROM attempt WHERE true{}{}{}{}",
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
        bounds(db, filter)?,
        page_sql(page, "seq"),
    );
    let mut statement = db.prepare(&sql)?;
    statement.query_map([], attempt_row)?.collect()
}

/// What else a filter says.
fn bounds(db: &Connection, filter: &AttemptFilter) -> Result<String> {
    let mut sql = String::new();
    if filter.failed {
        sql.push_str(" AND result = 1");
    }
    // A row comes when its attempt has ended, so places follow the beginnings only so far.
    let longest = i64::try_from(limits::DELIVERY_TIMEOUT_MS).unwrap_or(i64::MAX) * 4;
    if let Some(from) = filter.from {
        let first = first_at(db, "attempt", from.plus_ms(-longest))?;
        sql.push_str(&format!(" AND seq >= {first} AND at >= {}", from.ms()));
    }
    if let Some(until) = filter.until {
        let end = first_at(db, "attempt", until.plus_ms(longest))?;
        sql.push_str(&format!(" AND seq < {end} AND at < {}", until.ms()));
    }
    Ok(sql)
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
        headers: headers(row, 18)?,
    })
}
