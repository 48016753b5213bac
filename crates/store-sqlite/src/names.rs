//! Numbers of event names and event types, looked up once and remembered.

use std::collections::HashMap;

use dunlin_types::limits;
use rusqlite::{Connection, OptionalExtension, Result};

/// The writer's memory of numbers; at its bound it starts over.
#[derive(Default)]
pub(crate) struct Names {
    known: HashMap<String, i64>,
}

impl Names {
    /// The number of a name, new if need be.
    pub(crate) fn number(&mut self, db: &Connection, text: &str) -> Result<i64> {
        if let Some(number) = self.known.get(text) {
            return Ok(*number);
        }
        let number = match find(db, text)? {
            Some(number) => number,
            None => db
                .prepare_cached("INSERT INTO name (text) VALUES (?1)")?
                .insert([text])?,
        };
        if self.known.len() >= limits::STORE_NAMES_CACHED_MAX {
            self.known.clear();
        }
        self.known.insert(text.to_owned(), number);
        Ok(number)
    }

    /// A commit was undone, and with it perhaps a name.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }
}

/// The number of a name, if it has one.
pub(crate) fn find(db: &Connection, text: &str) -> Result<Option<i64>> {
    db.prepare_cached("SELECT id FROM name WHERE text = ?1")?
        .query_row([text], |row| row.get(0))
        .optional()
}

/// The name of a number.
pub(crate) fn text(db: &Connection, number: i64) -> Result<String> {
    db.prepare_cached("SELECT text FROM name WHERE id = ?1")?
        .query_row([number], |row| row.get(0))
}
