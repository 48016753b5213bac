//! The one writer.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dunlin_store::{Batch, CommitOutcome, SealKey, Start, StoreResult, Writer};
use dunlin_types::Timestamp;
use rusqlite::{Connection, params};

use crate::checkpoint::{Checkpointer, checkpoint};
use crate::error::{coded, outcome};
use crate::lock::Lock;
use crate::names::Names;
use crate::pack::seq;
use crate::seal::Seal;
use crate::{migrate, open, write};

/// Writes, and holds the lock that says that nobody else does.
pub(crate) struct SqliteWriter {
    db: Connection,
    names: Names,
    seal: Seal,
    /// The length of the log after the last commit, in pages.
    logged: Arc<AtomicUsize>,
    checkpointer: Checkpointer,
    _lock: Lock,
}

impl SqliteWriter {
    pub(crate) fn open(
        dir: &Path,
        keys: Option<&[SealKey]>,
        now: Timestamp,
    ) -> StoreResult<(Self, Start)> {
        let lock = Lock::take(dir)?;
        let mut db = open::writer(dir)?;
        migrate::migrate(&db)?;
        let seal = Seal::for_writing(&db, dir, keys)?;
        let start = claim(&db, now)?;
        let logged = Arc::new(AtomicUsize::new(0));
        let pages = Arc::clone(&logged);
        db.wal_hook(Some(
            move |_: &mut rusqlite::hooks::Wal, length: std::ffi::c_int| {
                pages.store(usize::try_from(length).unwrap_or(0), Ordering::Relaxed);
                Ok(())
            },
        ))
        .map_err(coded)?;
        let checkpointer = Checkpointer::start(dir)?;
        let names = Names::default();
        Ok((
            Self {
                db,
                names,
                seal,
                logged,
                checkpointer,
                _lock: lock,
            },
            start,
        ))
    }

    fn write(&mut self, batch: &Batch) -> rusqlite::Result<bool> {
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let written = write::batch(&self.db, &mut self.names, &self.seal, batch)?;
        if written {
            self.db.prepare_cached("COMMIT")?.execute([])?;
        }
        Ok(written)
    }

    /// Leaves nothing of a transaction behind. `false` when that fails.
    fn undo(&mut self) -> bool {
        self.names.forget();
        self.db.is_autocommit() || self.db.execute_batch("ROLLBACK").is_ok()
    }
}

impl Writer for SqliteWriter {
    fn commit(&mut self, batch: &Batch) -> CommitOutcome {
        match self.write(batch) {
            Ok(true) => {
                self.checkpointer
                    .logged(self.logged.load(Ordering::Relaxed));
                CommitOutcome::Done
            }
            Ok(false) if self.undo() => CommitOutcome::Fenced,
            Err(error) if self.undo() => outcome(&error),
            Ok(false) => CommitOutcome::Dead("the rollback failed".to_owned()),
            Err(error) => CommitOutcome::Dead(format!("{error}, and the rollback failed")),
        }
    }

    fn upkeep(&mut self) {
        self.checkpointer.between_commits(&self.db);
    }

    fn close(&mut self) -> StoreResult<()> {
        self.db
            .execute("UPDATE shard SET clean = 1 WHERE id = 0", [])
            .map_err(coded)?;
        // Readers in the middle of a read keep the log; the next start copies it.
        checkpoint(&self.db, "TRUNCATE")?;
        Ok(())
    }
}

/// Counts the start and takes the right to write, durably.
fn claim(db: &Connection, now: Timestamp) -> StoreResult<Start> {
    let sql = "SELECT boot, epoch, clean, next_seq, commit_no FROM shard WHERE id = 0";
    let found = db.query_row(sql, [], |row| {
        Ok(Start {
            boot: row.get::<_, i64>(0)?.cast_unsigned() + 1,
            epoch: row.get::<_, i64>(1)?.cast_unsigned() + 1,
            clean: row.get(2)?,
            next_seq: seq(row.get(3)?),
            commit_no: row.get::<_, i64>(4)?.cast_unsigned(),
        })
    });
    let start = found.map_err(coded)?;
    let sql = "UPDATE shard SET boot = ?1, epoch = ?2, clean = 0, opened = ?3 WHERE id = 0";
    db.execute(
        sql,
        params![
            start.boot.cast_signed(),
            start.epoch.cast_signed(),
            now.ms()
        ],
    )
    .map_err(coded)?;
    Ok(start)
}
