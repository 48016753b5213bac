//! Rows of event types.

use dunlin_delivery::EventType;
use rusqlite::{Result, params};

use super::Rows;
use crate::json::{EventTypeJson, text};

impl Rows<'_> {
    pub(super) fn event_type(&self, row: &EventType) -> Result<()> {
        let fields = row.fields.as_ref();
        let schemas = fields.and_then(|fields| fields.schemas.as_ref());
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO event_type (name, spec, schemas) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![
                row.name,
                text(&EventTypeJson::from(row))?,
                schemas.map(|schemas| schemas.as_str()),
            ])?;
        Ok(())
    }

    pub(super) fn event_type_gone(&self, name: &str) -> Result<()> {
        let sql = "DELETE FROM event_type WHERE name = ?1";
        self.db.prepare_cached(sql)?.execute([name])?;
        Ok(())
    }
}
