//! Rows of what sources refused.

use dunlin_delivery::RefusalRow;
use dunlin_types::{Seq, limits};
use rusqlite::{Result, params};

use super::Rows;
use crate::json::text;
use crate::pack::int;

impl Rows<'_> {
    pub(super) fn refusal(&self, row: &RefusalRow) -> Result<()> {
        let unlisted = row.unlisted.cast_signed();
        let number: i64 = self
            .db
            .prepare_cached(
                "INSERT INTO refusal_count (source, listed, unlisted) VALUES (?1, 1, ?2) \
                 ON CONFLICT (source) DO UPDATE SET listed = listed + 1, \
                 unlisted = unlisted + ?2 RETURNING listed",
            )?
            .query_row(params![int(row.source), unlisted], |row| row.get(0))?;
        let slot = number % limits::REFUSALS_KEPT_PER_SOURCE_MAX.cast_signed();
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO refusal (source, slot, seq, at, code, detail, ip, headers, \
                 body_bytes, unlisted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                int(row.source),
                slot,
                int(row.seq),
                row.at.ms(),
                row.code.number(),
                row.detail,
                row.ip,
                text(&row.headers)?,
                row.body_bytes.cast_signed(),
                unlisted,
            ])?;
        Ok(())
    }

    pub(super) fn refusals_gone(&self, source: Seq) -> Result<()> {
        for sql in [
            "DELETE FROM refusal WHERE source = ?1",
            "DELETE FROM refusal_count WHERE source = ?1",
        ] {
            self.db.prepare_cached(sql)?.execute([int(source)])?;
        }
        Ok(())
    }
}
