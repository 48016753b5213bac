//! Who may call what within an application.

use dunlin_delivery::{Capabilities, Integration, PortalToken};
use rusqlite::{Connection, Result};

use super::list;
use crate::json::{IntegrationJson, read};
use crate::pack::{col_at, col_seq};
use crate::seal::Seal;

pub(super) fn portal_tokens(db: &Connection) -> Result<Vec<PortalToken>> {
    let sql = "SELECT id, hash, app, capabilities, flags, session, created, expires \
               FROM portal_token ORDER BY id";
    list(db, sql, [], |row| {
        Ok(PortalToken {
            id: col_seq(row, 0)?,
            hash: row.get(1)?,
            app: col_seq(row, 2)?,
            capabilities: Capabilities::from_bits(row.get(3)?),
            feature_flags: read(row.get_ref(4)?.as_str()?, 4)?,
            session: row.get(5)?,
            created: col_at(row, 6)?,
            expires: col_at(row, 7)?,
        })
    })
}

pub(super) fn integrations(db: &Connection, seal: &Seal) -> Result<Vec<Integration>> {
    let sql = "SELECT id, hash, spec FROM integration ORDER BY id";
    list(db, sql, [], |row| {
        let id = col_seq(row, 0)?;
        let json: IntegrationJson = seal.read(id, row.get_ref(2)?.as_str()?, 2)?;
        Ok(json.row(id, row.get(1)?))
    })
}
