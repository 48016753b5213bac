//! Event types.

use dunlin_delivery::EventType;
use dunlin_types::Payload;
use rusqlite::{Connection, Result};

use super::list;
use crate::json::{EventTypeJson, read};

pub(super) fn event_types(db: &Connection) -> Result<Vec<EventType>> {
    let sql = "SELECT name, spec, schemas FROM event_type ORDER BY name";
    list(db, sql, [], |row| {
        let json: EventTypeJson = read(row.get_ref(1)?.as_str()?, 1)?;
        let schemas: Option<String> = row.get(2)?;
        Ok(json.row(row.get(0)?, schemas.map(Payload::from_json)))
    })
}
