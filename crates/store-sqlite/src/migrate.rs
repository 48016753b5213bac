//! Brings the file to this program's schema, one numbered script after the other.

use dunlin_store::{StoreError, StoreResult};
use dunlin_types::Code;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::coded;

/// What `PRAGMA application_id` says of our files: "DNLN".
pub(crate) const APPLICATION_ID: i32 = 0x444E_4C4E;

/// Every script, in order; its place, from 1, is its version. A script that was released never
/// changes again.
const SCRIPTS: [&str; 12] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_waits.sql"),
    include_str!("migrations/0003_flow.sql"),
    include_str!("migrations/0004_sources.sql"),
    include_str!("migrations/0005_deliveries.sql"),
    include_str!("migrations/0006_seal.sql"),
    include_str!("migrations/0007_catalogue.sql"),
    include_str!("migrations/0008_access.sql"),
    include_str!("migrations/0009_failing.sql"),
    include_str!("migrations/0010_again.sql"),
    include_str!("migrations/0011_rest.sql"),
    include_str!("migrations/0012_repeats.sql"),
];

/// The schema of this program.
pub(crate) const VERSION: i64 = SCRIPTS.len() as i64;

const APPLIED: &str = "CREATE TABLE IF NOT EXISTS migration (
  version INTEGER PRIMARY KEY, checksum INTEGER NOT NULL) STRICT";

/// The version of an opened file, 0 for an empty one.
pub(crate) fn version(db: &Connection) -> StoreResult<i64> {
    let id: i32 = pragma(db, "application_id")?;
    let version: i64 = pragma(db, "user_version")?;
    if id == APPLICATION_ID || (id == 0 && version == 0 && is_empty(db)?) {
        Ok(version)
    } else {
        let detail = "the file is a SQLite database of another program; name another directory";
        Err(StoreError {
            code: Code::StoreCorrupt,
            detail: detail.to_owned(),
        })
    }
}

/// Refuses a file of a newer program.
pub(crate) fn check_not_newer(version: i64) -> StoreResult<()> {
    if version <= VERSION {
        return Ok(());
    }
    let detail = format!(
        "the file has schema {version}, this program knows {VERSION}; start a newer program"
    );
    Err(StoreError {
        code: Code::StoreNewer,
        detail,
    })
}

/// Applies the scripts that are missing, all or none.
pub(crate) fn migrate(db: &Connection) -> StoreResult<()> {
    check_not_newer(version(db)?)?;
    db.execute_batch("BEGIN IMMEDIATE").map_err(coded)?;
    match apply(db, &SCRIPTS) {
        Ok(()) => db.execute_batch("COMMIT").map_err(coded),
        Err(error) => {
            // The error that counts is the first one.
            let _ = db.execute_batch("ROLLBACK");
            Err(error)
        }
    }
}

fn apply(db: &Connection, scripts: &[&str]) -> StoreResult<()> {
    db.execute_batch(APPLIED).map_err(coded)?;
    for (version, script) in (1_i64..).zip(scripts) {
        let checksum = fnv(script.as_bytes());
        let sql = "SELECT checksum FROM migration WHERE version = ?1";
        let known: Option<i64> = db
            .query_row(sql, [version], |row| row.get(0))
            .optional()
            .map_err(coded)?;
        match known {
            Some(known) if known == checksum => {}
            Some(_) => {
                let detail = format!("schema {version} of the file is not the one of this program");
                return Err(StoreError {
                    code: Code::StoreCorrupt,
                    detail,
                });
            }
            None => {
                db.execute_batch(script).map_err(coded)?;
                let sql = "INSERT INTO migration (version, checksum) VALUES (?1, ?2)";
                db.execute(sql, params![version, checksum]).map_err(coded)?;
            }
        }
    }
    db.pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(coded)?;
    db.pragma_update(None, "user_version", scripts.len() as i64)
        .map_err(coded)
}

fn is_empty(db: &Connection) -> StoreResult<bool> {
    let sql = "SELECT count(*) FROM sqlite_schema";
    db.query_row(sql, [], |row| Ok(row.get::<_, i64>(0)? == 0))
        .map_err(coded)
}

pub(crate) fn pragma<T: rusqlite::types::FromSql>(db: &Connection, name: &str) -> StoreResult<T> {
    db.pragma_query_value(None, name, |row| row.get(0))
        .map_err(coded)
}

/// FNV-1a: tells a changed script from the one that was applied; nobody attacks it.
fn fnv(bytes: &[u8]) -> i64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    }
    hash.cast_signed()
}

#[cfg(test)]
mod tests {
    use dunlin_store::{Page, Reader, Restored, Store};
    use dunlin_types::{Seq, Timestamp};

    use super::*;
    use crate::{SqliteStore, open};

    /// A folder as a program with the first `scripts` left it, with two live runs: one has an
    /// image, both came from event 1.
    fn left_by(dir: &std::path::Path, scripts: &[&str]) {
        let db = open::writer(dir).unwrap();
        apply(&db, scripts).unwrap();
        db.execute_batch(
            "INSERT INTO name VALUES (1, 'order.paid');
             INSERT INTO event VALUES (1, 1, 0, 0, 5, 5, NULL, NULL, NULL, 0, NULL, 0, X'7B7D');
             INSERT INTO run (seq, fn, version, event, created, due, status, started, ended, last,
               enc) VALUES (2, 3, 1, 1, 5, 5, 0, 5, 5, 2, 0), (4, 3, 1, 1, 6, 6, 0, 6, 6, 4, 0);
             INSERT INTO event_run VALUES (1, 2), (1, 4);
             INSERT INTO image (run, fn, last, items) VALUES (2, 3, 2, X'01');
             UPDATE shard SET fold_from = 3, next_seq = 5, commit_no = 2;",
        )
        .unwrap();
    }

    fn restored(reader: &mut dyn Reader) -> Vec<String> {
        let mut rows = Vec::new();
        let mut take = |row| match row {
            Restored::Image(row) => rows.push(format!("image {} {:?}", row.run, row.flow)),
            Restored::Run(row) => {
                rows.push(format!("run {} {:?} {:?}", row.seq, row.flow, row.more))
            }
            other => rows.push(format!("{other:?}")),
        };
        reader.restore(&mut take).unwrap();
        rows
    }

    #[test]
    fn a_folder_of_any_older_program_is_opened_and_its_live_runs_are_found() {
        for scripts in (1..SCRIPTS.len()).map(|count| &SCRIPTS[..count]) {
            let dir = tempfile::tempdir().unwrap();
            left_by(dir.path(), scripts);
            let store = SqliteStore::new(dir.path()).unwrap();
            let (mut writer, start) = store.writer(Timestamp::ZERO).unwrap();
            assert_eq!((start.next_seq, start.commit_no), (Seq(5), 2));
            let mut reader = store.reader().unwrap();
            assert_eq!(restored(&mut *reader), ["image 2 []", "run 4 [] []"]);
            let ledger = reader.ledger(Seq(2), Seq(2)).unwrap().unwrap();
            assert_eq!(ledger.run.more, []);
            assert_eq!(ledger.events[0].name, "order.paid");
            writer.close().unwrap();
            drop(writer);
            assert!(store.writer(Timestamp::ZERO).is_ok());
        }
    }

    #[test]
    fn what_an_older_program_gave_up_and_sent_again_is_listed_once_and_only_if_it_did_not_arrive() {
        let dir = tempfile::tempdir().unwrap();
        left_by(dir.path(), &SCRIPTS[..9]);
        // Message 10 failed twice, 11 is sent by hand again, 12 arrived at last, 13 is sent by hand
        // only, 14 is tried again, 15 was sent once.
        let rows = "INSERT INTO delivery \
            (seq, message, endpoint, trigger, state, tries, created, ended, rivals) VALUES \
            (20, 10, 5, 0, 2, 1, 1, 3, 0), (21, 10, 6, 0, 2, 1, 1, 3, 0), \
            (22, 10, 5, 3, 2, 1, 1, 5, 0), \
            (23, 11, 5, 0, 2, 1, 1, 3, 0), (24, 11, 5, 1, 0, 1, 1, NULL, 0), \
            (25, 12, 5, 0, 1, 1, 1, 9, 0), (26, 12, 5, 1, 2, 1, 1, 6, 0), \
            (27, 13, 5, 1, 2, 1, 1, 6, 0), \
            (28, 14, 5, 0, 2, 1, 1, 6, 0), (29, 14, 5, 3, 0, 0, 1, NULL, 0), \
            (30, 15, 5, 0, 2, 1, 1, 6, 0)";
        open::writer(dir.path())
            .unwrap()
            .execute_batch(rows)
            .unwrap();
        let store = SqliteStore::new(dir.path()).unwrap();
        let _writer = store.writer(Timestamp::ZERO).unwrap();
        let mut reader = store.reader().unwrap();
        let mut listed = |endpoint| {
            let rows = reader.dead_letters(Seq(endpoint), None, Page::oldest(9));
            let rows = rows.unwrap().into_iter().map(|row| row.seq.0);
            rows.collect::<Vec<_>>()
        };
        assert_eq!(listed(5), [22, 23, 27, 30]);
        assert_eq!(listed(6), [21]);
    }

    #[test]
    fn bodies_of_repeats_that_an_older_program_kept_are_taken_away_and_those_of_messages_gone() {
        let dir = tempfile::tempdir().unwrap();
        left_by(dir.path(), &SCRIPTS[..11]);
        let rows = "INSERT INTO message \
              (seq, at, app, type, ext_id, headers, expires, hash, test, enc, body) VALUES \
              (10, 1, 0, 1, 'm', '[]', 9, zeroblob(16), 0, 0, X'7B7D'); \
            INSERT INTO repeat VALUES (11, 10, 2, zeroblob(16), 0, 0, NULL), \
              (12, 10, 3, zeroblob(16), 1, 0, X'7B7D'), (13, 10, 4, zeroblob(16), 1, 128, NULL), \
              (14, 9, 5, zeroblob(16), 1, 128, NULL); \
            INSERT INTO payload VALUES (40, X'01'), (52, X'02'), (56, X'03')";
        open::writer(dir.path())
            .unwrap()
            .execute_batch(rows)
            .unwrap();
        let store = SqliteStore::new(dir.path()).unwrap();
        let _writer = store.writer(Timestamp::ZERO).unwrap();
        let mut reader = store.reader().unwrap();
        let repeats = reader.newest_repeats(Page::oldest(9)).unwrap();
        let left: Vec<_> = repeats
            .iter()
            .map(|row| (row.seq.0, row.conflict))
            .collect();
        assert_eq!(left, [(11, false), (12, true), (13, true)]);
        let db = open::writer(dir.path()).unwrap();
        let count = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(
            count("SELECT count(*) FROM repeat WHERE enc <> 0 OR body NOT NULL"),
            0
        );
        assert_eq!(count("SELECT sum(id) FROM payload"), 40);
    }
}
