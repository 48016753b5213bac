//! The embedded store: SQLite in WAL mode, one writer, readers apart.
//!
//! Every commit is one transaction with one sync. Step rows are appended and never indexed, large
//! bodies lie apart, and checkpoints happen beside the writer. It must never decide anything,
//! block a commit behind a reader, or hand out a row that is not committed.

mod checkpoint;
mod error;
mod json;
mod label;
mod limit;
mod lock;
mod migrate;
mod names;
mod open;
mod pack;
mod read;
mod seal;
mod write;
mod writer;

use std::path::{Path, PathBuf};

use dunlin_store::{Reader, SealKey, Start, Store, StoreError, StoreResult, Writer};
use dunlin_types::{Code, Timestamp};

pub use seal::{Progress, Rotated, rotate_seal_key};

/// A store in a directory: `dunlin.db`, its log and index, `dunlin.lock`, and `seal.key`.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    dir: PathBuf,
    /// Nothing where secrets are kept in plain text.
    keys: Option<Vec<SealKey>>,
}

impl SqliteStore {
    /// The store of that directory, which is made if need be. The writer makes the files: open it
    /// before any reader. Secrets are kept in plain text; see [`SqliteStore::sealed`].
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(dir: impl AsRef<Path>) -> StoreResult<Self> {
        let dir = dir.as_ref().to_path_buf();
        std::fs::create_dir_all(&dir).map_err(|e| StoreError {
            code: Code::StoreDead,
            detail: format!("{}: {e}", dir.display()),
        })?;
        Ok(Self { dir, keys: None })
    }

    /// The same, with secrets sealed by the first of these keys; the others, and those of the file
    /// `seal.key`, open what they sealed. Where there is no key at all, the writer makes that file.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn sealed(dir: impl AsRef<Path>, keys: Vec<SealKey>) -> StoreResult<Self> {
        let keys = Some(keys);
        Ok(Self {
            keys,
            ..Self::new(dir)?
        })
    }
}

impl Store for SqliteStore {
    fn writer(&self, now: Timestamp) -> StoreResult<(Box<dyn Writer>, Start)> {
        let (writer, start) = writer::SqliteWriter::open(&self.dir, self.keys.as_deref(), now)?;
        Ok((Box::new(writer), start))
    }

    fn reader(&self) -> StoreResult<Box<dyn Reader>> {
        let keys = self.keys.as_deref();
        Ok(Box::new(read::SqliteReader::open(&self.dir, keys)?))
    }
}
