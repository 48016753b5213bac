//! Only one process may write: it holds this lock for as long as it does.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use dunlin_store::{StoreError, StoreResult};
use dunlin_types::Code;

const FILE: &str = "dunlin.lock";

/// Held while alive; the system lets go of it when the process ends, however it does.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn take(dir: &Path) -> StoreResult<Self> {
        let path = dir.join(FILE);
        let dead = |e: std::io::Error| StoreError {
            code: Code::StoreDead,
            detail: format!("{}: {e}", path.display()),
        };
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(dead)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError {
                code: Code::StoreLocked,
                detail: format!(
                    "{} is in use by another dunlin; stop that one or name another --data-dir",
                    dir.display()
                ),
            }),
            Err(TryLockError::Error(error)) => Err(dead(error)),
        }
    }
}
