//! Who may call what within an application.

use dunlin_delivery::{Integration, PortalToken};
use dunlin_types::Seq;
use rusqlite::{Result, params};

use super::Rows;
use crate::json::{IntegrationJson, text};
use crate::pack::int;

impl Rows<'_> {
    pub(super) fn portal_token(&self, row: &PortalToken) -> Result<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO portal_token \
                   (id, hash, app, capabilities, flags, session, created, expires) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                int(row.id),
                row.hash,
                int(row.app),
                row.capabilities.bits(),
                text(&row.feature_flags)?,
                row.session,
                row.created.ms(),
                row.expires.ms(),
            ])?;
        Ok(())
    }

    pub(super) fn portal_token_gone(&self, id: Seq) -> Result<()> {
        let sql = "DELETE FROM portal_token WHERE id = ?1";
        self.db.prepare_cached(sql)?.execute([int(id)])?;
        Ok(())
    }

    pub(super) fn integration(&self, row: &Integration) -> Result<()> {
        let spec = self.seal.text(row.id, IntegrationJson::from(row))?;
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO integration (id, hash, spec) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![int(row.id), row.key.hash, spec])?;
        Ok(())
    }

    pub(super) fn integration_gone(&self, id: Seq) -> Result<()> {
        let sql = "DELETE FROM integration WHERE id = ?1";
        self.db.prepare_cached(sql)?.execute([int(id)])?;
        Ok(())
    }
}
