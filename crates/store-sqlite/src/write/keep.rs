//! What goes, and what is counted: payloads, messages with all that belongs to them, responses;
//! how endpoints fare, hours, tasks.

use dunlin_delivery::{HealthRow, RestRow, TallyRow, TaskRow};
use dunlin_store::RESPONSE_GONE;
use dunlin_types::Seq;
use rusqlite::{Result, params};

use super::{Hot, Rows};
use crate::json::TaskJson;
use crate::json::text;
use crate::label::Label;
use crate::pack::{GONE, Part, apart_id, int, ms};

impl Rows<'_> {
    pub(super) fn content_gone(&mut self, message: Seq) -> Result<()> {
        let message = int(message);
        self.db
            .prepare_cached(
                "UPDATE message SET enc = ?2, body = NULL, params = NULL WHERE seq = ?1",
            )?
            .execute([message, GONE])?;
        self.part_gone(message)?;
        // A script may have printed what it was given.
        self.db
            .prepare_cached("UPDATE attempt SET logs = NULL WHERE message = ?1 AND logs NOT NULL")?
            .execute([message])?;
        Ok(())
    }

    fn part_gone(&self, of: i64) -> Result<()> {
        let id = apart_id(crate::pack::seq(of), Part::Body);
        self.db
            .prepare_cached("DELETE FROM payload WHERE id = ?1")?
            .execute([id])?;
        Ok(())
    }

    pub(super) fn message_gone(&mut self, message: Seq) -> Result<()> {
        self.labels_gone(message)?;
        self.content_gone(message)?;
        for sql in [
            "DELETE FROM message WHERE seq = ?1",
            "DELETE FROM repeat WHERE message = ?1",
            "DELETE FROM delivery WHERE message = ?1",
            "DELETE FROM attempt WHERE message = ?1",
        ] {
            self.db.prepare_cached(sql)?.execute([int(message)])?;
        }
        Ok(())
    }

    fn labels_gone(&self, message: Seq) -> Result<()> {
        let sql = "SELECT app, channels, tags FROM message WHERE seq = ?1 \
                   AND (channels NOT NULL OR tags NOT NULL)";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut rows = statement.query([int(message)])?;
        let Some(row) = rows.next()? else {
            return Ok(());
        };
        let app = crate::pack::seq(row.get(0)?);
        for (column, kind) in [(1, Label::Channel), (2, Label::Tag)] {
            let Some(texts) = row.get_ref(column)?.as_str_or_null()? else {
                continue;
            };
            let texts: Vec<String> = crate::json::read(texts, column)?;
            for text in texts {
                self.db
                    .prepare_cached("DELETE FROM message_label WHERE label = ?1 AND message = ?2")?
                    .execute([kind.number(app, &text), int(message)])?;
            }
        }
        Ok(())
    }

    pub(super) fn response_gone(&mut self, attempt: Seq) -> Result<()> {
        self.db
            .prepare_cached(
                "UPDATE attempt SET response = ?2, headers = NULL, logs = NULL WHERE seq = ?1",
            )?
            .execute(params![int(attempt), RESPONSE_GONE.as_bytes()])?;
        Ok(())
    }

    pub(super) fn health(&mut self, row: &HealthRow) -> Result<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO health \
                 (endpoint, failing_since, counts_since, warned, last_failed) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                int(row.endpoint),
                row.failing_since.ms(),
                ms(row.counts_since),
                row.warned_percent,
                row.last_failed.ms(),
            ])?;
        Ok(())
    }

    pub(super) fn rest(&mut self, row: &RestRow) -> Result<()> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO rest (endpoint, until) VALUES (?1, ?2)")?
            .execute(params![int(row.endpoint), row.until.ms()])?;
        Ok(())
    }

    pub(super) fn tally(&mut self, row: &TallyRow) -> Result<()> {
        self.hot(Hot::Tally)?.execute(params![
            int(row.endpoint),
            row.hour,
            row.succeeded,
            row.failed,
            row.cancelled,
            row.attempts_failed,
        ])?;
        Ok(())
    }

    pub(super) fn task(&mut self, row: &TaskRow) -> Result<()> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO task (id, status, spec) VALUES (?1, ?2, ?3)")?
            .execute(params![
                int(row.id),
                row.status as u8,
                text(&TaskJson::from(row))?
            ])?;
        Ok(())
    }
}
