//! The rows from which memory is rebuilt.

use std::sync::Arc;

use dunlin_engine::{CronRow, Image};
use dunlin_store::Restored;
use rusqlite::{Connection, Result, Row};

use super::{access, config, delivery, event_type, flow, run};
use crate::pack::{blob, col_at, col_seq};
use crate::seal::Seal;

pub(super) fn restore(db: &Connection, seal: &Seal, take: &mut dyn FnMut(Restored)) -> Result<()> {
    for row in config::apps(db)? {
        take(Restored::App(row));
    }
    for row in config::functions(db)? {
        take(Restored::Function(Box::new(row)));
    }
    each(db, "SELECT fn, schedule, last FROM cron", |row| {
        take(Restored::Cron(CronRow {
            function: row.get(0)?,
            schedule: row.get(1)?,
            last: Some(col_at(row, 2)?),
        }));
        Ok(())
    })?;
    for limit in flow::limits(db)? {
        take(Restored::Limit(limit));
    }
    let sql = "SELECT run, fn, last, items, flow FROM image ORDER BY run";
    each(db, sql, |row| {
        take(Restored::Image(image(row)?));
        Ok(())
    })?;
    let tail = "seq >= (SELECT fold_from FROM shard WHERE id = 0)";
    let start = run::START;
    let sql = format!("SELECT {start} FROM run WHERE {tail} AND status = 0 ORDER BY seq");
    each(db, &sql, |row| {
        take(Restored::Run(run::row(row)?));
        Ok(())
    })?;
    let sql = format!("SELECT {} FROM step WHERE {tail} ORDER BY seq", run::MARK);
    each(db, &sql, |row| {
        take(Restored::Step(run::mark(row)?));
        Ok(())
    })?;
    flow::restore(db, take)?;
    for row in config::applications(db)? {
        take(Restored::Application(Arc::new(row)));
    }
    for row in access::portal_tokens(db)? {
        take(Restored::PortalToken(Arc::new(row)));
    }
    for row in access::integrations(db, seal)? {
        take(Restored::Integration(Arc::new(row)));
    }
    for row in config::sources(db, seal)? {
        take(Restored::Source(Arc::new(row)));
    }
    for row in config::endpoints(db, seal)? {
        take(Restored::Endpoint(Arc::new(row)));
    }
    for row in event_type::event_types(db)? {
        take(Restored::EventType(Arc::new(row)));
    }
    delivery::restore(db, take)
}

pub(super) fn each(
    db: &Connection,
    sql: &str,
    mut take: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        take(row)?;
    }
    Ok(())
}

fn image(row: &Row<'_>) -> Result<Image> {
    Ok(Image {
        run: col_seq(row, 0)?,
        function: row.get(1)?,
        last: col_seq(row, 2)?,
        items: blob(row, 3)?.unwrap_or_default().to_vec(),
        flow: blob(row, 4)?.unwrap_or_default().to_vec(),
    })
}
