//! Checkpoints beside the hot path. A thread copies the log into the file (PASSIVE, which stops
//! nobody) when the log has grown; after that the writer needs only a moment between two commits
//! to start the log over (RESTART).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use dunlin_store::{StoreError, StoreResult};
use dunlin_types::{Code, limits};
use rusqlite::Connection;

use crate::error::coded;
use crate::open;

/// Nothing asked for.
const IDLE: u8 = 0;
/// The thread copies.
const COPYING: u8 = 1;
/// It has copied all but little.
const COPIED: u8 = 2;

/// Frames that may be left to the writer's own part: a millisecond or two.
const FRAMES_LEFT_MAX: i64 = 512;

/// The thread, as the writer sees it. It ends when this is dropped.
pub(crate) struct Checkpointer {
    state: Arc<AtomicU8>,
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(crate) fn start(dir: &Path) -> StoreResult<Self> {
        let db = open::checkpointer(dir)?;
        let state = Arc::new(AtomicU8::new(IDLE));
        let (ask, asked) = sync_channel::<()>(1);
        let shared = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || {
                while asked.recv().is_ok() {
                    shared.store(copy(&db), Ordering::Release);
                }
            })
            .map_err(|e| StoreError {
                code: Code::StoreDead,
                detail: e.to_string(),
            })?;
        Ok(Self {
            state,
            ask: Some(ask),
            thread: Some(thread),
        })
    }

    /// Called after each commit with the length of the log.
    pub(crate) fn logged(&self, pages: usize) {
        let asking = pages >= limits::STORE_WAL_CHECKPOINT_PAGES
            && self.state.load(Ordering::Acquire) == IDLE;
        if !asking {
            return;
        }
        // Said before it is asked, so that the thread's own word comes later.
        self.state.store(COPYING, Ordering::Release);
        if self
            .ask
            .as_ref()
            .is_none_or(|ask| ask.try_send(()).is_err())
        {
            self.state.store(IDLE, Ordering::Release);
        }
    }

    /// Called between commits: starts the log over where the thread has done its part. Readers in
    /// the middle of a read put it off.
    pub(crate) fn between_commits(&self, db: &Connection) {
        if self.state.load(Ordering::Acquire) != COPIED {
            return;
        }
        match checkpoint(db, "RESTART") {
            Ok((false, _)) => self.state.store(IDLE, Ordering::Release),
            Ok((true, left)) if left > FRAMES_LEFT_MAX => {
                self.state.store(IDLE, Ordering::Release);
            }
            Ok((true, _)) => {}
            Err(error) => tracing::warn!(%error, "the log was not started over"),
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked in a way that matters here.
            let _ = thread.join();
        }
    }
}

fn copy(db: &Connection) -> u8 {
    match checkpoint(db, "PASSIVE") {
        Ok((false, left)) if left <= FRAMES_LEFT_MAX => COPIED,
        Ok(_) => IDLE,
        Err(error) => {
            tracing::warn!(%error, "a checkpoint failed");
            IDLE
        }
    }
}

/// Whether it was kept from finishing, and the frames that are left.
pub(crate) fn checkpoint(db: &Connection, mode: &str) -> StoreResult<(bool, i64)> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    db.query_row(&sql, [], |row| {
        let (log, done): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok((row.get::<_, i64>(0)? != 0, log - done))
    })
    .map_err(coded)
}
