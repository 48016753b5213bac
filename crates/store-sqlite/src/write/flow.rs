//! Rows of flow control.

use dunlin_engine::config::Limit;
use dunlin_engine::{CounterRow, DroppedRow, GatherRow};
use dunlin_types::Seq;
use rusqlite::{Result, params};

use super::Rows;
use crate::json::text;
use crate::limit::LimitJson;
use crate::pack::{int, opt_int};

impl Rows<'_> {
    pub(super) fn counter(&mut self, row: &CounterRow) -> Result<()> {
        let (function, rule, key) = (row.function, row.rule as u8, row.key.0);
        match row.tat_ns {
            Some(tat) => self
                .db
                .prepare_cached(
                    "INSERT INTO counter (fn, rule, key, tat, last) VALUES (?1, ?2, ?3, ?4, ?5) \
                     ON CONFLICT (fn, rule, key) DO UPDATE SET tat = ?4, last = ?5",
                )?
                .execute(params![function, rule, key, tat, int(row.last)])?,
            None => self
                .db
                .prepare_cached("DELETE FROM counter WHERE fn = ?1 AND rule = ?2 AND key = ?3")?
                .execute(params![function, rule, key])?,
        };
        Ok(())
    }

    pub(super) fn gather(&mut self, row: &GatherRow) -> Result<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO gather (seq, fn, rule, key, opened, due, event, ts, bytes) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                int(row.seq),
                row.function,
                row.rule as u8,
                row.key,
                row.opened.ms(),
                row.due.ms(),
                int(row.event),
                row.ts.ms(),
                row.bytes.cast_signed(),
            ])?;
        Ok(())
    }

    pub(super) fn gathered(&mut self, gather: Seq, event: Seq) -> Result<()> {
        self.db
            .prepare_cached("INSERT INTO gathered (gather, event) VALUES (?1, ?2)")?
            .execute([int(gather), int(event)])?;
        Ok(())
    }

    pub(super) fn gather_end(&mut self, gather: Seq) -> Result<()> {
        self.db
            .prepare_cached("DELETE FROM gather WHERE seq = ?1")?
            .execute([int(gather)])?;
        self.db
            .prepare_cached("DELETE FROM gathered WHERE gather = ?1")?
            .execute([int(gather)])?;
        Ok(())
    }

    pub(super) fn dropped(&mut self, row: &DroppedRow) -> Result<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO dropped (event, fn, at, rule, key, kept) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                int(row.event),
                row.function,
                row.at.ms(),
                row.rule as u8,
                row.key,
                opt_int(row.kept),
            ])?;
        Ok(())
    }

    pub(super) fn limit(&mut self, limit: &Limit) -> Result<()> {
        let spec = text(&LimitJson::from(limit))?;
        self.db
            .prepare_cached("INSERT OR REPLACE INTO limit_rule (name, spec) VALUES (?1, ?2)")?
            .execute([&limit.name, &spec])?;
        Ok(())
    }

    pub(super) fn limit_gone(&mut self, name: &str) -> Result<()> {
        self.db
            .prepare_cached("DELETE FROM limit_rule WHERE name = ?1")?
            .execute([name])?;
        Ok(())
    }
}
