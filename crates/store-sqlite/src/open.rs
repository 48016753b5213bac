//! Connections and their settings.

use std::path::Path;
use std::time::Duration;

use dunlin_store::{StoreError, StoreResult};
use dunlin_types::{Code, limits};
use rusqlite::{Connection, OpenFlags};

use crate::error::coded;
use crate::migrate::{check_not_newer, pragma, version};

/// The database within the store's directory.
pub(crate) const FILE: &str = "dunlin.db";

/// SQLite's number for `synchronous = FULL`: each commit is synced before it returns.
const FULL: i64 = 2;

/// The connection that writes; makes the file if there is none.
pub(crate) fn writer(dir: &Path) -> StoreResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(dir.join(FILE), flags).map_err(coded)?;
    check_not_newer(version(&db)?)?;
    // Nobody else writes, so a lock that is taken is rare and not worth stalling for.
    db.busy_timeout(Duration::ZERO).map_err(coded)?;
    // Only an empty file takes this, and only before it becomes a WAL file.
    set(&db, "auto_vacuum = INCREMENTAL")?;
    let mode: String = db
        .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
        .map_err(coded)?;
    set(&db, "synchronous = FULL")?;
    let sync: i64 = pragma(&db, "synchronous")?;
    if mode != "wal" || sync != FULL {
        let detail = format!("the file system gives journal_mode {mode}, synchronous {sync}");
        return Err(StoreError {
            code: Code::StoreDead,
            detail,
        });
    }
    set(&db, "wal_autocheckpoint = 0")?;
    set(
        &db,
        &format!("journal_size_limit = {}", limits::STORE_WAL_KEPT_BYTES_MAX),
    )?;
    set(
        &db,
        &format!("cache_size = -{}", limits::STORE_WRITER_CACHE_KIB),
    )?;
    set(&db, "temp_store = MEMORY")?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// A connection that moves the log into the file.
pub(crate) fn checkpointer(dir: &Path) -> StoreResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(dir.join(FILE), flags).map_err(coded)?;
    db.busy_timeout(Duration::ZERO).map_err(coded)?;
    set(&db, "wal_autocheckpoint = 0")?;
    set(&db, "cache_size = -64")?;
    Ok(db)
}

/// A connection that reads.
pub(crate) fn reader(dir: &Path) -> StoreResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(dir.join(FILE), flags).map_err(coded)?;
    check_not_newer(version(&db)?)?;
    // Readers wait for nobody in WAL mode, but for the recovery of a log after a crash.
    db.busy_timeout(Duration::from_secs(5)).map_err(coded)?;
    set(
        &db,
        &format!("cache_size = -{}", limits::STORE_READER_CACHE_KIB),
    )?;
    set(&db, "temp_store = MEMORY")?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

fn set(db: &Connection, text: &str) -> StoreResult<()> {
    db.execute_batch(&format!("PRAGMA {text}")).map_err(coded)
}
