//! Rows of the delivery core.

use dunlin_delivery::{
    AttemptHeaders, AttemptResult, AttemptRow, DeliveryRow, DeliveryState, Endpoint,
    EndpointVersionRow, Message, RepeatRow, SecretVersion, Source, Trigger, Write, fate,
};
use dunlin_types::{Code, Seq, Timestamp};
use rusqlite::{Result, params};

use super::{Hot, Rows};
use crate::json::{ApplicationJson, EndpointJson, SourceJson, text};
use crate::label::Label;
use crate::pack::{PLAIN, Part, inline, int, ms, opt_int};
use crate::read::deliveries_at;
use crate::seal::of_owner;

impl Rows<'_> {
    pub(super) fn delivery(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::Application(row) => {
                let spec = text(&ApplicationJson::from(&**row))?;
                self.db
                    .prepare_cached(
                        "INSERT OR REPLACE INTO application (id, spec) VALUES (?1, ?2)",
                    )?
                    .execute(params![int(row.id), spec])?;
                Ok(())
            }
            Write::ApplicationDeleted(id) => {
                self.gone("DELETE FROM application WHERE id = ?1", *id)
            }
            Write::PortalToken(row) => self.portal_token(row),
            Write::PortalTokenGone(id) => self.portal_token_gone(*id),
            Write::Integration(row) => self.integration(row),
            Write::IntegrationGone(id) => self.integration_gone(*id),
            Write::Source(row) => self.source(row),
            Write::Refusal(row) => self.refusal(row),
            Write::SourceDeleted(id) => {
                self.secrets(*id, &[])?;
                self.refusals_gone(*id)?;
                self.gone("DELETE FROM source WHERE id = ?1", *id)
            }
            Write::Endpoint(row) => self.endpoint(row),
            Write::EndpointDeleted(id) => {
                self.secrets(*id, &[])?;
                self.gone("DELETE FROM rest WHERE endpoint = ?1", *id)?;
                self.gone("DELETE FROM endpoint WHERE id = ?1", *id)
            }
            Write::EventType(row) => self.event_type(row),
            Write::EventTypeDeleted(name) => self.event_type_gone(name),
            Write::EndpointVersion(row) => self.endpoint_version(row),
            Write::Message(row) => self.message(row),
            Write::Dedupe(row) => self.dedupe(row.key, row.seq, row.at, row.expires, row.hash),
            Write::DedupeGone(key, by) => self.dedupe_gone(*key, *by),
            Write::Repeat(row) => self.repeat(row),
            Write::ContentGone(message) => self.content_gone(*message),
            Write::MessageGone(message) => self.message_gone(*message),
            Write::ResponseGone(attempt) => self.response_gone(*attempt),
            Write::Health(row) => self.health(row),
            Write::Rest(row) => self.rest(row),
            Write::HealthGone(id) => self.gone("DELETE FROM health WHERE endpoint = ?1", *id),
            Write::Tally(row) => self.tally(row),
            Write::Task(row) => self.task(row),
            Write::Delivery(row) => self.delivery_row(row),
            Write::Attempt(row) => self.attempt(row),
        }
    }

    fn gone(&self, sql: &str, id: Seq) -> Result<()> {
        self.db.prepare_cached(sql)?.execute([int(id)])?;
        Ok(())
    }

    fn secrets(&self, owner: Seq, secrets: &[SecretVersion]) -> Result<()> {
        self.gone("DELETE FROM secret WHERE owner = ?1", owner)?;
        for (n, one) in (0_i64..).zip(secrets) {
            self.db
                .prepare_cached(
                    "INSERT INTO secret (owner, n, text, created, expires) \
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![
                    int(owner),
                    n,
                    self.seal.seal(of_owner(owner), one.secret.reveal())?,
                    one.created.ms(),
                    ms(one.expires),
                ])?;
        }
        Ok(())
    }

    fn source(&mut self, row: &Source) -> Result<()> {
        self.db
            .prepare_cached("INSERT OR REPLACE INTO source (id, spec) VALUES (?1, ?2)")?
            .execute(params![
                int(row.id),
                self.seal.text(row.id, SourceJson::from(row))?
            ])?;
        self.secrets(row.id, &row.secrets)
    }

    fn endpoint(&mut self, row: &Endpoint) -> Result<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO endpoint (id, created, updated, version, from_seq, config) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                int(row.id),
                row.created.ms(),
                row.updated.ms(),
                row.version,
                int(row.from_seq),
                self.seal.text(row.id, EndpointJson::from(&*row.config))?,
            ])?;
        self.secrets(row.id, &row.secrets)
    }

    fn endpoint_version(&mut self, row: &EndpointVersionRow) -> Result<()> {
        let config = row.config.as_ref();
        let config = config
            .map(|config| {
                let json = EndpointJson::from(&**config);
                self.seal.text(row.endpoint, json)
            })
            .transpose()?;
        self.db
            .prepare_cached(
                "INSERT INTO endpoint_version (endpoint, version, from_seq, at, config) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                int(row.endpoint),
                row.version,
                int(row.from_seq),
                row.at.ms(),
                config,
            ])?;
        Ok(())
    }

    fn message(&mut self, row: &Message) -> Result<()> {
        let kind = self.name(&row.event_type)?;
        let headers = text(&row.headers)?;
        let listed = |texts: &[String]| match texts {
            [] => Ok(None),
            texts => text(&texts).map(Some),
        };
        let (channels, tags) = (listed(&row.channels)?, listed(&row.tags)?);
        let (enc, body) = inline(&row.body);
        self.hot(Hot::Message)?.execute(params![
            int(row.seq),
            row.at.ms(),
            int(row.app),
            opt_int(row.source),
            kind,
            row.provider_id,
            headers,
            channels,
            tags,
            ms(row.deliver_at),
            row.expires.ms(),
            row.body_hash,
            row.test,
            row.params.as_deref(),
            enc,
            body,
        ])?;
        for (kind, texts) in [(Label::Channel, &row.channels), (Label::Tag, &row.tags)] {
            for text in texts {
                self.hot(Hot::Label)?
                    .execute([kind.number(row.app, text), int(row.seq)])?;
            }
        }
        self.apart(row.seq, Part::Body, &row.body, body)
    }

    /// A provider's id is known for longer than its message may be kept: what comes again after
    /// that would belong to nothing, and nothing would take it away.
    fn repeat(&mut self, row: &RepeatRow) -> Result<()> {
        self.db
            .prepare_cached(
                "INSERT INTO repeat (seq, message, at, hash, conflict, enc) \
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6 \
                 WHERE EXISTS (SELECT 1 FROM message WHERE seq = ?2)",
            )?
            .execute(params![
                int(row.seq),
                int(row.message),
                row.at.ms(),
                row.body_hash,
                row.conflict,
                PLAIN,
            ])?;
        Ok(())
    }

    fn delivery_row(&mut self, row: &DeliveryRow) -> Result<()> {
        self.hot(Hot::Delivery)?.execute(params![
            int(row.seq),
            int(row.message),
            int(row.endpoint),
            row.trigger as u8,
            row.state as u8,
            row.tries,
            ms(row.next_at),
            row.created.ms(),
            ms(row.ended),
            row.code.map(Code::number),
            row.rivals,
            row.order_key.map(u64::cast_signed),
        ])?;
        let told_anew = match row.trigger {
            Trigger::Manual | Trigger::Replay => true,
            // These come before all others of their message and endpoint, and mostly there are
            // none: that must cost next to nothing.
            Trigger::Scheduled | Trigger::Test => {
                row.state != DeliveryState::Pending
                    && self
                        .hot(Hot::OneOfSeveral)?
                        .query_row([int(row.seq)], |row| row.get(0))?
            }
        };
        match told_anew {
            true => self.fate(row.message, row.endpoint),
            false => Ok(()),
        }
    }

    /// Notes by which of several deliveries it is told how a message fared at an endpoint.
    fn fate(&self, message: Seq, endpoint: Seq) -> Result<()> {
        let rows = deliveries_at(self.db, message, endpoint)?;
        if rows.len() < 2 {
            return Ok(());
        }
        let tells = fate(&rows).map(|row| row.seq);
        let mut note = self
            .db
            .prepare_cached("UPDATE delivery SET again = ?2 WHERE seq = ?1 AND again IS NOT ?2")?;
        for row in &rows {
            note.execute(params![int(row.seq), Some(row.seq) != tells])?;
        }
        Ok(())
    }

    fn attempt(&mut self, row: &AttemptRow) -> Result<()> {
        let (result, twin) = match row.result {
            AttemptResult::Succeeded => (0, None),
            AttemptResult::Failed => (1, None),
            AttemptResult::Cancelled => (2, None),
            AttemptResult::DuplicateOf(endpoint) => (3, Some(int(endpoint))),
        };
        let logs = match row.logs.as_slice() {
            [] => None,
            logs => Some(text(&logs)?),
        };
        self.hot(Hot::Attempt)?.execute(params![
            int(row.seq),
            int(row.delivery),
            int(row.message),
            int(row.endpoint),
            row.at.ms(),
            row.duration_ms,
            row.attempt_no,
            row.trigger as u8,
            result,
            twin,
            row.status,
            row.code.map(Code::number),
            row.detail,
            row.url,
            opt_int(row.event),
            row.next_at.map(Timestamp::ms),
            logs,
            &row.response[..],
            headers_text(&row.headers)?,
        ])?;
        Ok(())
    }
}

/// Headers as JSON, nothing for none.
fn headers_text(headers: &AttemptHeaders) -> Result<Option<String>> {
    match headers.sent.is_empty() && headers.received.is_empty() {
        true => Ok(None),
        false => text(&(&headers.sent, &headers.received)).map(Some),
    }
}
