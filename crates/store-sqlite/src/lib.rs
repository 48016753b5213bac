//! The embedded store: SQLite in WAL mode, one writer, readers apart.
//!
//! Every commit is one transaction with one sync. Step rows are appended and never indexed, large
//! bodies lie apart, and checkpoints happen beside the writer. It must never decide anything,
//! block a commit behind a reader, or hand out a row that is not committed.

mod checkpoint;
mod error;
mod json;
mod limit;
mod lock;
mod migrate;
mod names;
mod open;
mod pack;
mod read;
mod write;
mod writer;

use std::path::{Path, PathBuf};

use dunlin_store::{Reader, Start, Store, StoreError, StoreResult, Writer};
use dunlin_types::{Code, Timestamp};

/// A store in a directory: `dunlin.db`, its log and index, and `dunlin.lock`.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    dir: PathBuf,
}

impl SqliteStore {
    /// The store of that directory, which is made if need be. The writer makes the files: open it
    /// before any reader.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(dir: impl AsRef<Path>) -> StoreResult<Self> {
        let dir = dir.as_ref().to_path_buf();
        std::fs::create_dir_all(&dir).map_err(|e| StoreError {
            code: Code::StoreDead,
            detail: format!("{}: {e}", dir.display()),
        })?;
        Ok(Self { dir })
    }
}

impl Store for SqliteStore {
    fn writer(&self, now: Timestamp) -> StoreResult<(Box<dyn Writer>, Start)> {
        let (writer, start) = writer::SqliteWriter::open(&self.dir, now)?;
        Ok((Box::new(writer), start))
    }

    fn reader(&self) -> StoreResult<Box<dyn Reader>> {
        Ok(Box::new(read::SqliteReader::open(&self.dir)?))
    }
}
