//! Turns the rows of a commit into inserts.

mod access;
mod delivery;
mod engine;
mod event_type;
mod flow;
mod keep;
mod refusal;

use dunlin_store::Batch;
use dunlin_types::Seq;
use rusqlite::{CachedStatement, Connection, Result, params};

use crate::names::Names;
use crate::pack::{Part, apart_id};
use crate::seal::Seal;

/// A statement that many rows of a commit use: prepared once, held for the whole commit.
#[derive(Clone, Copy)]
enum Hot {
    Step,
    Event,
    Run,
    EventRun,
    RunEnd,
    Dedupe,
    Message,
    Delivery,
    Attempt,
    Tally,
    Label,
    OneOfSeveral,
}

const HOT: [&str; 12] = [
    "INSERT INTO step (seq, run, prev, kind, flags, item, attempt, due, id, name, queued, started, \
     ended, enc, payload) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    "INSERT INTO event (seq, name, kind, ref, at, ts, ulid, ext_id, v, user_enc, user, enc, body) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    "INSERT INTO run (seq, fn, version, event, created, due, status, started, ended, last, enc, \
     original, flow, more) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?5, ?5, ?1, 0, ?7, ?8, ?9)",
    "INSERT INTO event_run (event, run) VALUES (?1, ?2)",
    "UPDATE run SET status = ?2, started = ?3, ended = ?4, last = ?5, enc = ?6, out = ?7 \
     WHERE seq = ?1 AND status = 0",
    "INSERT INTO dedupe (key, seq, at, expires, hash) VALUES (?1, ?2, ?3, ?4, ?5) \
     ON CONFLICT (key) DO UPDATE SET seq = ?2, at = ?3, expires = ?4, hash = ?5",
    "INSERT INTO message (seq, at, app, source, type, ext_id, headers, channels, tags, deliver_at, \
     expires, hash, test, params, enc, body) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    "INSERT INTO delivery (seq, message, endpoint, trigger, state, tries, next_at, created, ended, \
     code, rivals, order_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) \
     ON CONFLICT (seq) DO UPDATE SET state = ?5, tries = ?6, next_at = ?7, ended = ?9, code = ?10",
    "INSERT INTO attempt (seq, delivery, message, endpoint, at, ms, no, trigger, result, \
     duplicate_of, status, code, detail, url, event, next_at, logs, response, headers) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)",
    "INSERT INTO tally (endpoint, hour, succeeded, failed, cancelled, attempts_failed) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (endpoint, hour) DO UPDATE SET \
     succeeded = ?3, failed = ?4, cancelled = ?5, attempts_failed = ?6",
    "INSERT OR IGNORE INTO message_label (label, message) VALUES (?1, ?2)",
    "SELECT again NOT NULL FROM delivery WHERE seq = ?1",
];

/// The rows of one transaction on their way in.
struct Rows<'c> {
    db: &'c Connection,
    names: &'c mut Names,
    seal: &'c Seal,
    hot: [Option<CachedStatement<'c>>; HOT.len()],
}

/// Writes the batch and the commit's number within an open transaction. `false`: the right to
/// write has gone to another.
pub(crate) fn batch(
    db: &Connection,
    names: &mut Names,
    seal: &Seal,
    batch: &Batch,
) -> Result<bool> {
    let next = batch
        .last_seq()
        .map_or(0, |last| last.0.saturating_add(1))
        .cast_signed();
    let (number, epoch) = (batch.commit_no.cast_signed(), batch.epoch.cast_signed());
    let counted = db
        .prepare_cached(
            "UPDATE shard SET commit_no = ?1, next_seq = max(next_seq, ?2) \
             WHERE id = 0 AND epoch = ?3",
        )?
        .execute(params![number, next, epoch])?;
    if counted == 0 {
        return Ok(false);
    }
    let mut rows = Rows {
        db,
        names,
        seal,
        hot: [const { None }; HOT.len()],
    };
    for row in &batch.engine {
        rows.engine(row)?;
    }
    for row in &batch.delivery {
        rows.delivery(row)?;
    }
    Ok(true)
}

impl<'c> Rows<'c> {
    fn hot(&mut self, which: Hot) -> Result<&mut CachedStatement<'c>> {
        let slot = &mut self.hot[which as usize];
        let statement = match slot.take() {
            Some(statement) => statement,
            None => self.db.prepare_cached(HOT[which as usize])?,
        };
        Ok(slot.insert(statement))
    }

    fn name(&mut self, text: &str) -> Result<i64> {
        self.names.number(self.db, text)
    }

    /// Keeps a large body apart, where [`crate::pack::inline`] left it out of the row.
    fn apart(&self, of: Seq, part: Part, bytes: &[u8], inline: Option<&[u8]>) -> Result<()> {
        if inline.is_none() {
            self.db
                .prepare_cached("INSERT INTO payload (id, bytes) VALUES (?1, ?2)")?
                .execute(params![apart_id(of, part), bytes])?;
        }
        Ok(())
    }
}
