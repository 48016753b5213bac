//! The SQLite store passes the suite of every backend, reads as the in-memory store does, and
//! refuses files that it must not touch.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::path::Path;
use std::sync::Arc;

use dunlin_store::conformance::{Harness, World, show};
use dunlin_store::{CommitOutcome, MemoryStore, Store};
use dunlin_store_sqlite::SqliteStore;
use dunlin_types::{Code, Timestamp};
use proptest::prelude::*;
use tempfile::TempDir;

struct OnDisk(TempDir);

impl Harness for OnDisk {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::new(self.0.path()).unwrap())
    }
}

dunlin_store::conformance_tests!(|| -> Box<dyn Harness> {
    Box::new(OnDisk(tempfile::tempdir().unwrap()))
});

/// The same with secrets sealed, which nobody who reads by the port can tell.
mod sealed {
    use super::*;

    struct Sealed(TempDir);

    impl Harness for Sealed {
        fn open(&self) -> Arc<dyn Store> {
            Arc::new(SqliteStore::sealed(self.0.path(), Vec::new()).unwrap())
        }
    }

    dunlin_store::conformance_tests!(|| -> Box<dyn Harness> {
        Box::new(Sealed(tempfile::tempdir().unwrap()))
    });
}

fn made(dir: &Path) -> rusqlite::Connection {
    SqliteStore::new(dir)
        .unwrap()
        .writer(Timestamp::ZERO)
        .unwrap()
        .0
        .close()
        .unwrap();
    rusqlite::Connection::open(dir.join("dunlin.db")).unwrap()
}

fn refusal(dir: &Path) -> Code {
    SqliteStore::new(dir)
        .unwrap()
        .writer(Timestamp::ZERO)
        .err()
        .unwrap()
        .code
}

#[test]
fn a_newer_schema_is_refused_to_writer_and_readers() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path())
        .pragma_update(None, "user_version", 1000)
        .unwrap();
    assert_eq!(refusal(dir.path()), Code::StoreNewer);
    let reader = SqliteStore::new(dir.path()).unwrap().reader();
    assert_eq!(reader.err().unwrap().code, Code::StoreNewer);
}

#[test]
fn a_changed_migration_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path())
        .execute("UPDATE migration SET checksum = 1", [])
        .unwrap();
    assert_eq!(refusal(dir.path()), Code::StoreCorrupt);
}

#[test]
fn a_file_that_is_no_database_or_another_programs_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dunlin.db");
    let noise = "this is no database. ".repeat(500);
    std::fs::write(&file, &noise).unwrap();
    assert_eq!(refusal(dir.path()), Code::StoreCorrupt);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), noise);
    std::fs::remove_file(&file).unwrap();
    let other = rusqlite::Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    assert_eq!(refusal(dir.path()), Code::StoreCorrupt);
}

#[test]
fn a_commit_behind_another_programs_lock_may_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::new(dir.path()).unwrap();
    let (mut writer, start) = store.writer(Timestamp::ZERO).unwrap();
    let batch = World::new(&start).everything();
    let other = rusqlite::Connection::open(dir.path().join("dunlin.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(writer.commit(&batch), CommitOutcome::Retry(_)));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(writer.commit(&batch), CommitOutcome::Done);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn both_stores_read_alike_whatever_was_written(
        batches in prop::collection::vec(prop::collection::vec(any::<(u8, u8)>(), 0..30), 1..5),
        orderly in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let stores: [Arc<dyn Store>; 2] = [
            Arc::new(MemoryStore::new()),
            Arc::new(SqliteStore::new(dir.path()).unwrap()),
        ];
        let mut read = Vec::new();
        for store in stores {
            let (mut writer, start) = store.writer(Timestamp::ZERO).unwrap();
            let mut world = World::new(&start);
            for choices in &batches {
                prop_assert_eq!(writer.commit(&world.batch(choices)), CommitOutcome::Done);
            }
            if orderly {
                writer.close().unwrap();
            }
            drop(writer);
            let (_writer, start) = store.writer(Timestamp::ZERO).unwrap();
            let rows = show::all(&mut *store.reader().unwrap(), world.next_seq());
            read.push((rows, start));
        }
        let (sqlite, memory) = (read.pop().unwrap(), read.pop().unwrap());
        prop_assert_eq!(memory, sqlite);
    }
}
