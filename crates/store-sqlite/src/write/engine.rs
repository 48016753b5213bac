//! Rows of the engine.

use dunlin_engine::config::{AppRow, FunctionRow};
use dunlin_engine::step::{Source, StepRow};
use dunlin_engine::{CronRow, Image, LifecycleRow, RunEnd, RunRow, Write};
use dunlin_types::{DedupeKey, Event, EventOrigin, Lifecycle, Seq, StepId, Timestamp, ulid_for};
use rusqlite::{Error, Result, params};

use super::{Hot, Rows};
use crate::json::{FunctionJson, text};
use crate::pack::{EVENT, OUTPUT, PLAIN, Part, filled, inline, int, opt_int, places};

impl Rows<'_> {
    pub(super) fn engine(&mut self, write: &Write) -> Result<()> {
        match write {
            Write::Step(row) => self.step(row),
            Write::Event(event) => self.event(event),
            Write::Lifecycle(row) => self.lifecycle(row),
            Write::Dedupe { key, seq, expires } => {
                self.dedupe(*key, *seq, Timestamp::ZERO, *expires, [0; 16])
            }
            Write::Run(row) => self.run(row),
            Write::RunEnd(end) => self.run_end(end),
            Write::Image(image) => self.image(image),
            Write::FoldFrom(from) => {
                self.db
                    .prepare_cached("UPDATE shard SET fold_from = ?1 WHERE id = 0")?
                    .execute([int(*from)])?;
                Ok(())
            }
            Write::Cron(row) => self.cron(row),
            Write::Claim(event) => {
                self.db
                    .prepare_cached("INSERT INTO claim (event) VALUES (?1)")?
                    .execute([int(*event)])?;
                Ok(())
            }
            Write::Claimed(event) => {
                self.db
                    .prepare_cached("DELETE FROM claim WHERE event = ?1")?
                    .execute([int(*event)])?;
                Ok(())
            }
            Write::Counter(row) => self.counter(row),
            Write::Gather(row) => self.gather(row),
            Write::Gathered { gather, event } => self.gathered(*gather, *event),
            Write::GatherEnd(gather) => self.gather_end(*gather),
            Write::Dropped(row) => self.dropped(row),
            Write::Limit(limit) => self.limit(limit),
            Write::LimitGone(name) => self.limit_gone(name),
            Write::App(row) => self.app(row),
            Write::Function(row) => self.function(row),
        }
    }

    fn step(&mut self, row: &StepRow) -> Result<()> {
        let mark = &row.mark;
        let packed;
        let id: Option<&[u8]> = match &row.id {
            None => None,
            Some(StepId::Sha1(hash)) => Some(hash),
            Some(text) => {
                packed = text.pack();
                Some(&packed)
            }
        };
        let place;
        let (enc, payload) = match row.source {
            None => inline(row.payload.bytes()),
            Some(source) => {
                let (enc, seq) = match source {
                    Source::Event(seq) => (EVENT, seq),
                    Source::Output(seq) => (OUTPUT, seq),
                };
                place = seq.0.to_be_bytes();
                (enc, Some(place.as_slice()))
            }
        };
        self.hot(Hot::Step)?.execute(params![
            int(mark.seq),
            int(mark.run),
            int(row.prev),
            mark.kind as u8,
            mark.flags.0,
            int(mark.item),
            mark.attempt,
            mark.due.ms(),
            id,
            row.name,
            row.queued.ms(),
            row.started.ms(),
            row.ended.ms(),
            enc,
            payload,
        ])?;
        self.apart(mark.seq, Part::Body, row.payload.bytes(), payload)
    }

    fn event(&mut self, event: &Event) -> Result<()> {
        let name = self.name(&event.name)?;
        let (kind, of) = match event.origin {
            EventOrigin::Api => (0, Seq(0)),
            // `ref` is 0 for those that no run sent.
            EventOrigin::Run(run) => (0, run),
            EventOrigin::Message(message) => (1, message),
            EventOrigin::Internal => (2, Seq(0)),
        };
        let own = event.internal_id == ulid_for(event.received, event.seq);
        let ulid = (!own).then(|| event.internal_id.0.to_be_bytes());
        let ext_id = (event.id != event.internal_id.to_string()).then_some(&event.id);
        let user_bytes: &[u8] = event.user.as_ref().map_or(&[], |user| user.bytes());
        let (user_enc, user) = match &event.user {
            Some(_) => inline(user_bytes),
            None => (PLAIN, None),
        };
        let (enc, body) = inline(event.data.bytes());
        self.hot(Hot::Event)?.execute(params![
            int(event.seq),
            name,
            kind,
            int(of),
            event.received.ms(),
            event.ts.ms(),
            ulid,
            ext_id,
            event.v,
            user_enc,
            user,
            enc,
            body,
        ])?;
        if user_enc != PLAIN {
            self.apart(event.seq, Part::User, user_bytes, user)?;
        }
        self.apart(event.seq, Part::Body, event.data.bytes(), body)
    }

    fn lifecycle(&mut self, row: &LifecycleRow) -> Result<()> {
        let name = self.name(row.kind.event_name())?;
        let kind = match row.kind {
            Lifecycle::Finished => 4,
            Lifecycle::Failed => 5,
            Lifecycle::Cancelled => 6,
        };
        let (none, at) = (None::<&[u8]>, row.at.ms());
        self.hot(Hot::Event)?.execute(params![
            int(row.seq),
            name,
            kind,
            int(row.run),
            at,
            at,
            none,
            none,
            none,
            PLAIN,
            none,
            PLAIN,
            none,
        ])?;
        Ok(())
    }

    pub(super) fn dedupe(
        &mut self,
        key: DedupeKey,
        seq: Seq,
        at: Timestamp,
        expires: Timestamp,
        hash: [u8; 16],
    ) -> Result<()> {
        let hash = (hash != [0; 16]).then_some(hash);
        self.hot(Hot::Dedupe)?
            .execute(params![key.0, int(seq), at.ms(), expires.ms(), hash])?;
        Ok(())
    }

    pub(super) fn dedupe_gone(&mut self, key: DedupeKey, by: Timestamp) -> Result<()> {
        self.db
            .prepare_cached("DELETE FROM dedupe WHERE key = ?1 AND expires <= ?2")?
            .execute(params![key.0, by.ms()])?;
        Ok(())
    }

    fn run(&mut self, row: &RunRow) -> Result<()> {
        let (seq, event) = (int(row.seq), int(row.event));
        self.hot(Hot::Run)?.execute(params![
            seq,
            row.function,
            row.version,
            event,
            row.created.ms(),
            row.due.ms(),
            opt_int(row.original),
            filled(&row.flow),
            filled(&places(&row.more)),
        ])?;
        self.hot(Hot::EventRun)?.execute([event, seq])?;
        for event in &row.more {
            self.hot(Hot::EventRun)?.execute([int(*event), seq])?;
        }
        Ok(())
    }

    fn run_end(&mut self, end: &RunEnd) -> Result<()> {
        let (enc, out) = inline(end.output.bytes());
        let ended = self.hot(Hot::RunEnd)?.execute(params![
            int(end.run),
            end.status as u8,
            end.started.ms(),
            end.ended.ms(),
            int(end.last),
            enc,
            out,
        ])?;
        if ended == 0 {
            // Refused: no such run is live.
            return Err(Error::StatementChangedRows(0));
        }
        if end.imaged {
            self.db
                .prepare_cached("DELETE FROM image WHERE run = ?1")?
                .execute([int(end.run)])?;
        }
        self.apart(end.run, Part::Body, end.output.bytes(), out)
    }

    fn image(&mut self, image: &Image) -> Result<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO image (run, fn, last, items, flow) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                int(image.run),
                image.function,
                int(image.last),
                image.items,
                filled(&image.flow),
            ])?;
        Ok(())
    }

    fn cron(&mut self, row: &CronRow) -> Result<()> {
        match row.last {
            Some(last) => self
                .db
                .prepare_cached(
                    "INSERT OR REPLACE INTO cron (fn, schedule, last) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![row.function, row.schedule, last.ms()])?,
            None => self
                .db
                .prepare_cached("DELETE FROM cron WHERE fn = ?1 AND schedule = ?2")?
                .execute(params![row.function, row.schedule])?,
        };
        Ok(())
    }

    fn app(&mut self, row: &AppRow) -> Result<()> {
        let error = row.error.as_ref();
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO app (number, name, url, identity_url, sdk, framework, \
                 version, checksum, created, synced, error_code, error_text) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                row.number,
                row.name,
                row.url,
                row.identity_url,
                row.sdk,
                row.framework,
                row.version,
                row.checksum,
                row.created.ms(),
                row.synced.ms(),
                error.map(|(code, _)| code.number()),
                error.map(|(_, text)| text),
            ])?;
        Ok(())
    }

    fn function(&mut self, row: &FunctionRow) -> Result<()> {
        let spec = text(&FunctionJson::from(row))?;
        self.db
            .prepare_cached("INSERT OR REPLACE INTO function (number, spec) VALUES (?1, ?2)")?
            .execute(params![row.number, spec])?;
        self.db
            .prepare_cached(
                "INSERT INTO function_version (fn, version, from_seq, spec) \
                 VALUES (?1, ?2, ?3, ?4) ON CONFLICT (fn, version) DO UPDATE SET spec = ?4",
            )?
            .execute(params![row.number, row.version, int(row.from), spec])?;
        Ok(())
    }
}
