//! What is kept too long, for whoever takes it away.

use std::ops::RangeInclusive;

use dunlin_types::{DedupeKey, Seq, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::list;
use crate::pack::{col_at, col_seq, int};

pub(super) fn overdue_payloads(
    db: &Connection,
    now: Timestamp,
    after: Option<(Timestamp, Seq)>,
    items: usize,
) -> Result<Vec<(Timestamp, Seq)>> {
    let (from, last) = after.map_or((i64::MIN, -1), |(at, seq)| (at.ms(), int(seq)));
    let sql = "SELECT expires, seq FROM message WHERE enc <> 64 AND expires BETWEEN ?1 AND ?3 \
               AND (expires > ?1 OR seq > ?2) ORDER BY expires, seq LIMIT ?4";
    let found = list(db, sql, [from, last, now.ms(), whole(items)], due)?;
    fetch(db, &found, &OF_PAYLOADS)?;
    Ok(found)
}

pub(super) fn overdue_keys(
    db: &Connection,
    keys: &RangeInclusive<DedupeKey>,
    now: Timestamp,
    items: usize,
) -> Result<Vec<DedupeKey>> {
    // Reads the rows of that part one after the other: an index by their ends would cost every
    // write more than this costs all of them.
    let sql = "SELECT key FROM dedupe WHERE key BETWEEN ?1 AND ?2 AND expires <= ?3 \
               ORDER BY key LIMIT ?4";
    let values = (keys.start().0, keys.end().0, now.ms(), whole(items));
    list(db, sql, values, |row| Ok(DedupeKey(row.get(0)?)))
}

pub(super) fn message_applications(
    db: &Connection,
    after: Option<Seq>,
    items: usize,
) -> Result<Vec<Seq>> {
    // From one application to the next by the index: a list without repeats would read it whole.
    let sql = "SELECT app FROM message WHERE app > ?1 ORDER BY app LIMIT 1";
    let mut next = db.prepare_cached(sql)?;
    let (mut apps, mut last) = (Vec::new(), after.map_or(-1, int));
    while apps.len() < items {
        let Some(app) = next.query_row([last], |row| col_seq(row, 0)).optional()? else {
            break;
        };
        last = int(app);
        apps.push(app);
    }
    Ok(apps)
}

pub(super) fn oldest_messages(
    db: &Connection,
    (app, before): (Seq, Timestamp),
    after: Option<(Timestamp, Seq)>,
    items: usize,
) -> Result<Vec<(Timestamp, Seq)>> {
    let last = after.map_or(-1, |(_, seq)| int(seq));
    // The oldest are looked at, whatever their age: the list ends where they are too young.
    let sql = "SELECT at, seq FROM message WHERE app = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
    let mut old = list(db, sql, [int(app), last, whole(items)], due)?;
    let too_young = old.iter().position(|(at, _)| *at >= before);
    old.truncate(too_young.unwrap_or(old.len()));
    fetch(db, &old, &OF_PAYLOADS)?;
    fetch(db, &old, &OF_MESSAGES)?;
    Ok(old)
}

/// What the writer reads where a payload goes; to the last byte, which is on the last page.
const OF_PAYLOADS: [&str; 3] = [
    "SELECT substr(body, -1), substr(params, -1) FROM message WHERE seq = ?1",
    "SELECT substr(bytes, -1) FROM payload WHERE id = ?1 * 4",
    "SELECT substr(response, -1) FROM attempt WHERE message = ?1",
];
/// And besides where the whole message goes.
const OF_MESSAGES: [&str; 2] = [
    "SELECT state FROM delivery WHERE message = ?1",
    "SELECT conflict FROM repeat WHERE message = ?1",
];

/// Reads rows that are about to go, for nothing but the pages that they are on: what has not been
/// used for months comes from disk, and the writer would wait for it with everybody behind it.
fn fetch(db: &Connection, messages: &[(Timestamp, Seq)], reads: &[&str]) -> Result<()> {
    for sql in reads {
        let mut statement = db.prepare_cached(sql)?;
        for (_, message) in messages {
            let mut rows = statement.query([int(*message)])?;
            while rows.next()?.is_some() {}
        }
    }
    Ok(())
}

fn due(row: &Row<'_>) -> Result<(Timestamp, Seq)> {
    Ok((col_at(row, 0)?, col_seq(row, 1)?))
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
