//! Apps, functions, applications, sources and endpoints, as they are and as they were.

use std::sync::Arc;

use dunlin_delivery::{
    Application, Endpoint, EndpointConfig, EndpointVersionRow, SecretVersion, Source,
};
use dunlin_engine::config::{AppRow, FunctionRow};
use dunlin_types::{Secret, Seq, Timestamp};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::list;
use crate::json::{ApplicationJson, EndpointJson, FunctionJson, SourceJson, read, restored};
use crate::pack::{col_at, col_code, col_opt_at, col_seq, int};
use crate::seal::{Seal, of_owner};

pub(super) fn apps(db: &Connection) -> Result<Vec<AppRow>> {
    let sql = "SELECT number, name, url, identity_url, sdk, framework, version, checksum, created, \
               synced, error_code, error_text FROM app ORDER BY number";
    list(db, sql, [], |row| {
        let error = col_code(row, 10)?.zip(row.get::<_, Option<String>>(11)?);
        Ok(AppRow {
            number: row.get(0)?,
            name: row.get(1)?,
            url: row.get(2)?,
            identity_url: row.get(3)?,
            sdk: row.get(4)?,
            framework: row.get(5)?,
            version: row.get(6)?,
            checksum: row.get(7)?,
            created: col_at(row, 8)?,
            synced: col_at(row, 9)?,
            error,
        })
    })
}

pub(super) fn functions(db: &Connection) -> Result<Vec<FunctionRow>> {
    list(
        db,
        "SELECT spec FROM function ORDER BY number",
        [],
        function,
    )
}

pub(super) fn functions_at(db: &Connection, seq: Seq) -> Result<Vec<FunctionRow>> {
    let sql = "SELECT spec, max(version) FROM function_version WHERE from_seq <= ?1 \
               GROUP BY fn ORDER BY fn";
    list(db, sql, [int(seq)], function)
}

fn function(row: &Row<'_>) -> Result<FunctionRow> {
    let spec = row.get_ref(0)?.as_str()?;
    Ok(read::<FunctionJson>(spec, 0)?.into())
}

pub(super) fn applications(db: &Connection) -> Result<Vec<Application>> {
    list(
        db,
        "SELECT spec, id FROM application ORDER BY id",
        [],
        |row| Ok(read::<ApplicationJson>(row.get_ref(0)?.as_str()?, 0)?.row(col_seq(row, 1)?)),
    )
}

pub(super) fn sources(db: &Connection, seal: &Seal) -> Result<Vec<Source>> {
    list(db, "SELECT spec, id FROM source ORDER BY id", [], |row| {
        let id = col_seq(row, 1)?;
        let json: SourceJson = seal.read(id, row.get_ref(0)?.as_str()?, 0)?;
        let source = json.row(id);
        Ok(Source {
            secrets: secrets(db, seal, id)?,
            ..source
        })
    })
}

pub(super) fn endpoints(db: &Connection, seal: &Seal) -> Result<Vec<Endpoint>> {
    let sql = "SELECT id, created, updated, version, from_seq, config FROM endpoint ORDER BY id";
    list(db, sql, [], |row| {
        let id = col_seq(row, 0)?;
        let json: EndpointJson = seal.read(id, row.get_ref(5)?.as_str()?, 5)?;
        let updated = col_at(row, 2)?;
        Ok(Endpoint {
            id,
            created: col_at(row, 1)?,
            updated,
            version: row.get(3)?,
            from_seq: col_seq(row, 4)?,
            config: Arc::new(restored(json, id, updated)),
            secrets: secrets(db, seal, id)?,
        })
    })
}

fn secrets(db: &Connection, seal: &Seal, owner: Seq) -> Result<Vec<SecretVersion>> {
    let sql = "SELECT text, created, expires FROM secret WHERE owner = ?1 ORDER BY n";
    list(db, sql, [int(owner)], |row| {
        let text = seal.open(of_owner(owner), row.get_ref(0)?.as_str()?)?;
        Ok(SecretVersion {
            secret: Secret::new(text),
            created: col_at(row, 1)?,
            expires: col_opt_at(row, 2)?,
        })
    })
}

/// The instant of its first version, which was made with it.
pub(super) fn endpoint_made(db: &Connection, endpoint: Seq) -> Result<Option<Timestamp>> {
    let sql = "SELECT at FROM endpoint_version WHERE endpoint = ?1 ORDER BY version LIMIT 1";
    db.prepare_cached(sql)?
        .query_row([int(endpoint)], |row| col_at(row, 0))
        .optional()
}

pub(super) fn endpoints_at(
    db: &Connection,
    seal: &Seal,
    seq: Seq,
) -> Result<Vec<EndpointVersionRow>> {
    let sql = "SELECT endpoint, max(version), from_seq, at, config FROM endpoint_version \
               WHERE from_seq <= ?1 GROUP BY endpoint ORDER BY endpoint";
    list(db, sql, [int(seq)], |row| {
        let endpoint = col_seq(row, 0)?;
        let config: Option<EndpointConfig> = match row.get_ref(4)?.as_str_or_null()? {
            Some(text) => Some(seal.read::<EndpointJson>(endpoint, text, 4)?.into()),
            None => None,
        };
        Ok(EndpointVersionRow {
            endpoint,
            version: row.get(1)?,
            from_seq: col_seq(row, 2)?,
            at: col_at(row, 3)?,
            config: config.map(Arc::new),
        })
    })
}
