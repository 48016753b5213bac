//! Seals anew what is plain or sealed with an older key: a few rows a transaction, so that a crash
//! leaves some rows done and the rest as they were, and a repetition does the rest.

use dunlin_store::{Keyring, StoreResult};
use dunlin_types::{Seq, limits};
use rusqlite::{Connection, Result, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Secrets, failed, of_owner, only_key, place, swept};
use crate::checkpoint::checkpoint;
use crate::error::coded;
use crate::json::{self, EndpointJson, IntegrationJson, SourceJson};
use crate::migrate::pragma;
use crate::pack::seq;

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows that have been looked at.
    pub rows: u64,
    /// Rows that there are.
    pub of: u64,
    /// Rows of them that were sealed anew.
    pub sealed: u64,
}

/// Where secrets are. `select` and `update` find a row by two numbers.
struct Table {
    count: &'static str,
    select: &'static str,
    update: &'static str,
    reseal: fn(&Keyring, Seq, &str) -> Result<Option<String>>,
}

const TABLES: [Table; 5] = [
    Table {
        count: "SELECT count(*) FROM integration",
        select: "SELECT id, 0, id, spec FROM integration WHERE id > ?1 + ?2 ORDER BY id LIMIT ?3",
        update: "UPDATE integration SET spec = ?3 WHERE id = ?1 + ?2",
        reseal: within::<IntegrationJson>,
    },
    Table {
        count: "SELECT count(*) FROM secret",
        select: "SELECT owner, n, owner, text FROM secret WHERE (owner, n) > (?1, ?2) \
                 ORDER BY owner, n LIMIT ?3",
        update: "UPDATE secret SET text = ?3 WHERE owner = ?1 AND n = ?2",
        reseal: |ring, owner, text| ring.reseal(of_owner(owner), text).map_err(failed),
    },
    Table {
        count: "SELECT count(*) FROM source",
        select: "SELECT id, 0, id, spec FROM source WHERE id > ?1 + ?2 ORDER BY id LIMIT ?3",
        update: "UPDATE source SET spec = ?3 WHERE id = ?1 + ?2",
        reseal: within::<SourceJson>,
    },
    Table {
        count: "SELECT count(*) FROM endpoint",
        select: "SELECT id, 0, id, config FROM endpoint WHERE id > ?1 + ?2 ORDER BY id LIMIT ?3",
        update: "UPDATE endpoint SET config = ?3 WHERE id = ?1 + ?2",
        reseal: within::<EndpointJson>,
    },
    Table {
        count: "SELECT count(*) FROM endpoint_version WHERE config IS NOT NULL",
        select: "SELECT endpoint, version, endpoint, config FROM endpoint_version \
                 WHERE (endpoint, version) > (?1, ?2) AND config IS NOT NULL \
                 ORDER BY endpoint, version LIMIT ?3",
        update: "UPDATE endpoint_version SET config = ?3 WHERE endpoint = ?1 AND version = ?2",
        reseal: within::<EndpointJson>,
    },
];

fn within<T: Secrets + Serialize + DeserializeOwned>(
    ring: &Keyring,
    owner: Seq,
    text: &str,
) -> Result<Option<String>> {
    let mut row: T = json::read(text, 3)?;
    let mut changed = false;
    row.each_secret(&mut |kind, name, text| {
        let sealed = ring.reseal(place(kind, owner, name), text);
        if let Some(sealed) = sealed.map_err(failed)? {
            *text = sealed;
            changed = true;
        }
        Ok(())
    })?;
    match changed {
        true => json::text(&row).map(Some),
        false => Ok(None),
    }
}

/// Seals everything with the ring's current key, and wipes what was there before.
pub(super) fn all(
    db: &Connection,
    ring: &Keyring,
    tell: &mut dyn FnMut(Progress) -> StoreResult<()>,
) -> StoreResult<Progress> {
    // What is overwritten is zeroed, in the file and not only in the log.
    let before: i64 = pragma(db, "secure_delete")?;
    let secure = |value: i64| db.execute_batch(&format!("PRAGMA secure_delete = {value}"));
    secure(1).map_err(coded)?;
    let done = rows(db, ring, tell);
    secure(before).map_err(coded)?;
    done
}

fn rows(
    db: &Connection,
    ring: &Keyring,
    tell: &mut dyn FnMut(Progress) -> StoreResult<()>,
) -> StoreResult<Progress> {
    let mut progress = Progress::default();
    for table in &TABLES {
        let count = db.query_row(table.count, [], |row| row.get::<_, i64>(0));
        progress.of += count.map_err(coded)?.cast_unsigned();
    }
    for table in &TABLES {
        let mut after = (-1, 0);
        while let Some(last) = some_rows(db, ring, table, after, &mut progress).map_err(coded)? {
            after = last;
            tell(progress)?;
        }
    }
    Ok(progress)
}

/// One transaction. The last row that it looked at, if there was one.
fn some_rows(
    db: &Connection,
    ring: &Keyring,
    table: &Table,
    after: (i64, i64),
    progress: &mut Progress,
) -> Result<Option<(i64, i64)>> {
    let transaction = db.unchecked_transaction()?;
    let mut last = None;
    {
        let mut select = transaction.prepare_cached(table.select)?;
        let mut update = transaction.prepare_cached(table.update)?;
        let most = limits::SEAL_ROWS_PER_COMMIT as i64;
        let mut found = Vec::new();
        let mut rows = select.query(params![after.0, after.1, most])?;
        while let Some(row) = rows.next()? {
            let key = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?);
            let text = row.get_ref(3)?.as_str()?;
            found.push((key, (table.reseal)(ring, seq(row.get(2)?), text)?));
        }
        for (key, sealed) in found {
            last = Some(key);
            progress.rows += 1;
            if let Some(sealed) = sealed {
                update.execute(params![key.0, key.1, sealed])?;
                progress.sealed += 1;
            }
        }
    }
    transaction.commit()?;
    Ok(last)
}

/// Seals what an older program left in plain text.
pub(super) fn sweep(db: &Connection, ring: &Keyring) -> StoreResult<()> {
    let done = all(db, ring, &mut |_| Ok(()))?;
    only_key(db, ring.current())?;
    if done.of > 0 {
        wipe(db)?;
        tracing::info!(rows = done.sealed, "sealed the secrets of the store");
    }
    swept(db)
}

/// Removes from the file and the log what rows that were changed or deleted left behind.
pub(super) fn wipe(db: &Connection) -> StoreResult<()> {
    let pages: i64 = pragma(db, "page_count")?;
    let page_bytes: i64 = pragma(db, "page_size")?;
    let bytes = pages.saturating_mul(page_bytes).cast_unsigned();
    if bytes <= limits::SEAL_VACUUM_BYTES_MAX {
        db.execute_batch("VACUUM").map_err(coded)?;
    } else {
        give_back_free_pages(db).map_err(coded)?;
        tracing::warn!(
            "the file is too large to be written anew at once; secrets that were deleted before \
             they were sealed may have left traces in it: stop the server and run VACUUM"
        );
    }
    checkpoint(db, "TRUNCATE")?;
    Ok(())
}

fn give_back_free_pages(db: &Connection) -> Result<()> {
    let mut statement = db.prepare("PRAGMA incremental_vacuum")?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
