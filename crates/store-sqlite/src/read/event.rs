//! Events of the log.

use std::sync::Arc;

use dunlin_engine::LifecycleRow;
use dunlin_store::{EventFilter, LoggedEvent, Page, seeded_key};
use dunlin_types::{
    Event, EventOrigin, EventParts, Lifecycle, Payload, Seq, Timestamp, Ulid, ulid_for,
};
use rusqlite::{Connection, Error, OptionalExtension, Result, Row, params};

use super::delivery::first_at;
use super::{known, list, page_sql};
use crate::names;
use crate::pack::{Part, bad, blob, col_at, col_bytes, col_payload, col_seq, int};

const COLUMNS: &str = "seq, kind, ref, at, ts, name, ulid, ext_id, v, user_enc, user, enc, body";

pub(super) fn event(db: &Connection, seq: Seq) -> Result<Option<LoggedEvent>> {
    db.prepare_cached(&format!("SELECT {COLUMNS} FROM event WHERE seq = ?1"))?
        .query_row([int(seq)], |row| read(db, row))
        .optional()
}

pub(super) fn event_of(db: &Connection, id: Ulid) -> Result<Option<Seq>> {
    let place = match id.seq() {
        Some(seq) => Some(seq),
        None => {
            let key = seeded_key(id);
            known(db, &[key])?.get(&key).map(|known| known.seq)
        }
    };
    let Some(seq) = place else { return Ok(None) };
    let found = event(db, seq)?.is_some_and(|event| event.internal_id() == id);
    Ok(found.then_some(seq))
}

pub(super) fn events(
    db: &Connection,
    filter: &EventFilter,
    page: Page,
) -> Result<Vec<LoggedEvent>> {
    let from = filter.received_from.map_or(i64::MIN, Timestamp::ms);
    let until = filter.received_until.map_or(i64::MAX, Timestamp::ms);
    let page = page_sql(page, "seq");
    let times = "at >= ?1 AND at < ?2";
    match &filter.name {
        None => {
            let sql = format!("SELECT {COLUMNS} FROM event WHERE {times} AND kind < 2{page}");
            list(db, &sql, [from, until], |row| read(db, row))
        }
        Some(name) => {
            let Some(number) = names::find(db, name)? else {
                return Ok(Vec::new());
            };
            // Places follow the times, so what is older or newer is not looked at.
            let mut places = String::new();
            for (sign, at) in [(">=", filter.received_from), ("<", filter.received_until)] {
                if let Some(at) = at {
                    places.push_str(&format!(" AND seq {sign} {}", first_at(db, "event", at)?));
                }
            }
            let sql =
                format!("SELECT {COLUMNS} FROM event WHERE {times} AND name = ?3{places}{page}");
            list(db, &sql, params![from, until, number], |row| read(db, row))
        }
    }
}

fn read(db: &Connection, row: &Row<'_>) -> Result<LoggedEvent> {
    let (seq, of, at) = (col_seq(row, 0)?, col_seq(row, 2)?, col_at(row, 3)?);
    let lifecycle = |kind| {
        LoggedEvent::Lifecycle(LifecycleRow {
            seq,
            at,
            kind,
            run: of,
        })
    };
    let origin = match row.get(1)? {
        0 if of == Seq(0) => EventOrigin::Api,
        0 => EventOrigin::Run(of),
        1 => EventOrigin::Message(of),
        2 => EventOrigin::Internal,
        4 => return Ok(lifecycle(Lifecycle::Finished)),
        5 => return Ok(lifecycle(Lifecycle::Failed)),
        6 => return Ok(lifecycle(Lifecycle::Cancelled)),
        _ => return Err(bad(1)),
    };
    let internal_id = match blob(row, 6)? {
        None => ulid_for(at, seq),
        Some(bytes) => Ulid(u128::from_be_bytes(bytes.try_into().map_err(|_| bad(6))?)),
    };
    let user_absent = row.get::<_, i64>(9)? == crate::pack::PLAIN && blob(row, 10)?.is_none();
    let user = match user_absent {
        true => None,
        false => Some(Payload::from_json(col_bytes(db, row, 10, seq, Part::User)?)),
    };
    Ok(LoggedEvent::Full(Event::new(EventParts {
        seq,
        internal_id,
        id: row
            .get::<_, Option<String>>(7)?
            .unwrap_or_else(|| internal_id.to_string()),
        name: names::text(db, row.get(5)?)?,
        received: at,
        ts: col_at(row, 4)?,
        data: col_payload(db, row, 12, seq)?,
        user,
        v: row.get(8)?,
        origin,
    })))
}

/// Events with their bodies, all of them.
pub(super) fn events_at(db: &Connection, seqs: &[Seq]) -> Result<Vec<Arc<Event>>> {
    let one = |seq: &Seq| full(db, *seq)?.ok_or(Error::QueryReturnedNoRows);
    seqs.iter().map(one).collect()
}

/// An event with its body, if there is one at that place.
pub(super) fn full(db: &Connection, seq: Seq) -> Result<Option<Arc<Event>>> {
    Ok(event(db, seq)?.and_then(|event| match event {
        LoggedEvent::Full(event) => Some(event),
        LoggedEvent::Lifecycle(_) => None,
    }))
}
