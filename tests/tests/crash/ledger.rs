//! What lies in the store, read past the server: the tests' own view of what was committed.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use dunlin_tests::{StepOf, step_name};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::deliveries::{Logged, Stored};
use crate::receivers::Manner;

/// Rows of the step log that hold a step's result, and those that count its failed attempts.
const RESULTS: &str = "SELECT e.ext_id, s.id, s.kind, s.attempt FROM step s \
    JOIN run r ON r.seq = s.run JOIN event e ON e.seq = r.event \
    WHERE s.kind IN (1, 2, 3, 7) AND s.id IS NOT NULL AND e.ext_id IS NOT NULL";

/// Deliveries and their attempts.
const DELIVERIES: &str = "SELECT d.seq, m.ext_id, json_extract(p.config, '$.url'), d.state, d.tries \
    FROM delivery d JOIN message m ON m.seq = d.message JOIN endpoint p ON p.id = d.endpoint \
    ORDER BY d.seq";
const ATTEMPTS: &str =
    "SELECT delivery, no, status, CAST(response AS TEXT) FROM attempt ORDER BY seq";

/// The kind of a row that says that an attempt failed.
const RETRIED: u8 = 7;

/// A store, as it is at one time or from then on.
pub(crate) struct Ledger {
    db: Connection,
}

/// A run as it is stored.
pub(crate) struct Run {
    pub(crate) status: u8,
    pub(crate) output: Option<Value>,
    /// Events that say that it finished, failed or was cancelled.
    pub(crate) endings: u32,
}

impl Ledger {
    /// The store of a server that is alive.
    pub(crate) fn live(folder: &Path) -> Option<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(folder.join("data/dunlin.db"), flags).ok()?;
        db.busy_timeout(Duration::from_secs(2)).ok()?;
        Some(Self { db })
    }

    /// A copy of the store of a server that is dead: reading the original would change its log.
    pub(crate) fn copy(folder: &Path, copy: &Path) -> Self {
        std::fs::create_dir_all(copy).expect("there is room");
        for name in ["dunlin.db", "dunlin.db-wal"] {
            let _ = std::fs::remove_file(copy.join(name));
            // A store that was closed in order has no log.
            let _ = std::fs::copy(folder.join("data").join(name), copy.join(name));
        }
        let db = Connection::open(copy.join("dunlin.db")).expect("a store can be read");
        let check: String = db
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .expect("a store can be checked");
        assert_eq!(check, "ok");
        Self { db }
    }

    /// Whether no run is live and no delivery pending.
    pub(crate) fn is_drained(&self) -> bool {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM run WHERE status = 0) \
            AND NOT EXISTS (SELECT 1 FROM delivery WHERE state = 0)";
        self.db
            .query_row(sql, [], |row| row.get(0))
            .unwrap_or(false)
    }

    /// For each step with a result, that no attempt of it may be made any more; for each with
    /// failed attempts, below which none may.
    pub(crate) fn results(&self) -> BTreeMap<StepOf, u64> {
        let mut query = self.db.prepare(RESULTS).expect("the schema is known");
        let rows = query.query_map([], |row| {
            let id: Vec<u8> = row.get(1)?;
            let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            let failed = row.get::<_, u8>(2)? == RETRIED;
            let bound = if failed {
                u64::from(row.get::<_, u32>(3)?)
            } else {
                u64::MAX
            };
            Ok(((row.get::<_, String>(0)?, step_name(&hex)), bound))
        });
        let mut results = BTreeMap::new();
        for row in rows.expect("the schema is known") {
            let (step, bound) = row.expect("a row reads");
            let known: &mut u64 = results.entry(step).or_default();
            *known = bound.max(*known);
        }
        results
    }

    /// Events whose runs have ended.
    pub(crate) fn ended(&self) -> Vec<String> {
        let sql = "SELECT e.ext_id FROM run r JOIN event e ON e.seq = r.event \
            WHERE r.status <> 0 AND e.ext_id IS NOT NULL";
        let mut query = self.db.prepare(sql).expect("the schema is known");
        let rows = query
            .query_map([], |row| row.get(0))
            .expect("the schema is known");
        rows.map(|row| row.expect("a row reads")).collect()
    }

    /// All runs that events of that id started.
    pub(crate) fn runs(&self, event: &str) -> Vec<Run> {
        let sql = "SELECT r.status, r.out, (SELECT count(*) FROM event f \
              WHERE f.kind IN (4, 5, 6) AND f.ref = r.seq) \
            FROM event e JOIN event_run er ON er.event = e.seq JOIN run r ON r.seq = er.run \
            WHERE e.ext_id = ?1";
        let mut query = self.db.prepare(sql).expect("the schema is known");
        let rows = query.query_map([event], |row| {
            let output: Option<Vec<u8>> = row.get(1)?;
            Ok(Run {
                status: row.get(0)?,
                output: output.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
                endings: row.get(2)?,
            })
        });
        let rows = rows.expect("the schema is known");
        rows.map(|row| row.expect("a row reads")).collect()
    }

    /// The data of all events of that id.
    pub(crate) fn data(&self, event: &str) -> Vec<Value> {
        let sql = "SELECT body FROM event WHERE ext_id = ?1";
        let mut query = self.db.prepare(sql).expect("the schema is known");
        let rows = query.query_map([event], |row| row.get::<_, Vec<u8>>(0));
        let rows = rows.expect("the schema is known");
        rows.map(|row| serde_json::from_slice(&row.expect("a row reads")).unwrap_or_default())
            .collect()
    }

    /// How many messages have that provider's id.
    pub(crate) fn messages(&self, id: &str) -> u32 {
        let sql = "SELECT count(*) FROM message WHERE ext_id = ?1";
        self.db
            .query_row(sql, [id], |row| row.get(0))
            .expect("the schema is known")
    }

    /// The deliveries to receivers, with their attempts.
    pub(crate) fn deliveries(&self) -> Vec<Stored> {
        let mut query = self.db.prepare(DELIVERIES).expect("the schema is known");
        let rows = query.query_map([], |row| {
            let url: String = row.get(2)?;
            let stored = Manner::of_url(&url).map(|manner| Stored {
                message: row.get(1).expect("the schema is known"),
                manner,
                state: row.get(3).expect("the schema is known"),
                tries: row.get(4).expect("the schema is known"),
                log: Vec::new(),
            });
            Ok(stored.map(|stored| (row.get::<_, i64>(0).expect("an id"), stored)))
        });
        let rows = rows.expect("the schema is known");
        let rows = rows.filter_map(|row| row.expect("a row reads"));
        let mut deliveries: BTreeMap<i64, Stored> = rows.collect();
        for (delivery, attempt) in self.attempts() {
            if let Some(stored) = deliveries.get_mut(&delivery) {
                stored.log.push(attempt);
            }
        }
        deliveries.into_values().collect()
    }

    fn attempts(&self) -> Vec<(i64, Logged)> {
        let mut query = self.db.prepare(ATTEMPTS).expect("the schema is known");
        let rows = query.query_map([], |row| {
            let response: String = row.get(3)?;
            let logged = Logged {
                number: row.get(1)?,
                status: row.get(2)?,
                serial: response.parse().ok(),
            };
            Ok((row.get(0)?, logged))
        });
        let rows = rows.expect("the schema is known");
        rows.map(|row| row.expect("a row reads")).collect()
    }

    /// The place of each message in the order in which they were accepted.
    pub(crate) fn order(&self) -> BTreeMap<String, usize> {
        let sql = "SELECT ext_id FROM message ORDER BY seq";
        let mut query = self.db.prepare(sql).expect("the schema is known");
        let rows = query.query_map([], |row| row.get(0));
        let rows = rows.expect("the schema is known").enumerate();
        rows.map(|(at, row)| (row.expect("a row reads"), at))
            .collect()
    }

    /// How many runs there are.
    pub(crate) fn run_count(&self) -> u32 {
        self.db
            .query_row("SELECT count(*) FROM run", [], |row| row.get(0))
            .expect("a count")
    }
}
