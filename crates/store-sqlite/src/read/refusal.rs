//! What sources refused.

use dunlin_delivery::RefusalRow;
use dunlin_store::{Page, RefusalCounts};
use dunlin_types::{Code, Seq};
use rusqlite::{Connection, OptionalExtension, Result};

use super::{list, page_sql};
use crate::json::read;
use crate::pack::{col_at, col_code, col_seq, int};

pub(super) fn refusals(db: &Connection, source: Seq, page: Page) -> Result<Vec<RefusalRow>> {
    let sql = format!(
        "SELECT seq, source, at, code, detail, ip, headers, body_bytes, unlisted FROM refusal \
         WHERE source = ?1{}",
        page_sql(page, "seq")
    );
    list(db, &sql, [int(source)], |row| {
        Ok(RefusalRow {
            seq: col_seq(row, 0)?,
            source: col_seq(row, 1)?,
            at: col_at(row, 2)?,
            // One that a newer program wrote.
            code: col_code(row, 3)?.unwrap_or(Code::BadRequest),
            detail: row.get(4)?,
            ip: row.get(5)?,
            headers: read(row.get_ref(6)?.as_str()?, 6)?,
            body_bytes: row.get::<_, i64>(7)?.cast_unsigned(),
            unlisted: row.get::<_, i64>(8)?.cast_unsigned(),
        })
    })
}

pub(super) fn counts(db: &Connection, source: Seq) -> Result<RefusalCounts> {
    let found = db
        .prepare_cached("SELECT listed, unlisted FROM refusal_count WHERE source = ?1")?
        .query_row([int(source)], |row| {
            Ok(RefusalCounts {
                listed: row.get::<_, i64>(0)?.cast_unsigned(),
                unlisted: row.get::<_, i64>(1)?.cast_unsigned(),
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}
