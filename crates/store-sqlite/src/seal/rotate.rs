//! Exchanging the key, while no server uses the store. The old key stays in the file until nothing
//! is sealed with it, so that a crash at any moment leaves a store that opens, and a repetition
//! goes on where it ended.

use std::path::Path;

use dunlin_store::{KeyId, SealKey, StoreError, StoreResult};
use dunlin_types::Code;
use rusqlite::Connection;

use super::rewrite::{self, Progress};
use super::{checked, keys, only_key, swept, use_key, used};
use crate::lock::Lock;
use crate::{migrate, open};

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The key that everything is sealed with.
    pub to: KeyId,
    /// Keys that nothing is sealed with any more.
    pub from: Vec<KeyId>,
    /// Whether it went on with a rotation that had been interrupted.
    pub resumed: bool,
    /// How many rows were looked at and sealed anew.
    pub progress: Progress,
    /// Whether the folder's key file holds the key; it was given otherwise, and a file is gone.
    pub in_file: bool,
}

/// Seals every value of the store in that directory anew: with the first of the keys `given`, or
/// with a new one in the key file if there are none. `tell` hears of each commit.
///
/// # Errors
/// When the store is in use, a key is missing, or the store fails. It can be repeated then.
pub fn rotate_seal_key(
    dir: &Path,
    given: &[SealKey],
    tell: &mut dyn FnMut(Progress) -> StoreResult<()>,
) -> StoreResult<Rotated> {
    if !dir.join(open::FILE).exists() {
        return Err(StoreError {
            code: Code::FileUnreadable,
            detail: format!("{} holds no data of dunlin", dir.display()),
        });
    }
    let _lock = Lock::take(dir)?;
    let db = open::writer(dir)?;
    migrate::migrate(&db)?;
    if given.is_empty() {
        with_new_key(&db, dir, tell)
    } else {
        with_given_key(&db, dir, given, tell)
    }
}

fn with_new_key(
    db: &Connection,
    dir: &Path,
    tell: &mut dyn FnMut(Progress) -> StoreResult<()>,
) -> StoreResult<Rotated> {
    let keys::KeyFile {
        keys: mut all,
        is_under_way: resumed,
    } = keys::of_file(dir)?;
    // Before anything is written: the keys must open what there is.
    if !all.is_empty() || !used(db)?.is_empty() {
        checked(dir, &all, &used(db)?)?;
    }
    // The new key is first already where an earlier exchange did not come to its end.
    if !resumed {
        keys::begin(dir, &mut all)?;
    }
    let mut rotated = reseal(db, dir, &all, tell)?;
    keys::write(dir, &all[..1])?;
    rotated.resumed = resumed;
    rotated.in_file = true;
    Ok(rotated)
}

fn with_given_key(
    db: &Connection,
    dir: &Path,
    given: &[SealKey],
    tell: &mut dyn FnMut(Progress) -> StoreResult<()>,
) -> StoreResult<Rotated> {
    let rotated = reseal(db, dir, &keys::all(dir, given)?, tell)?;
    keys::remove(dir)?;
    Ok(rotated)
}

fn reseal(
    db: &Connection,
    dir: &Path,
    all: &[SealKey],
    tell: &mut dyn FnMut(Progress) -> StoreResult<()>,
) -> StoreResult<Rotated> {
    let ring = checked(dir, all, &used(db)?)?;
    use_key(db, ring.current())?;
    let progress = rewrite::all(db, &ring, tell)?;
    only_key(db, ring.current())?;
    rewrite::wipe(db)?;
    swept(db)?;
    Ok(Rotated {
        to: ring.current(),
        from: all.iter().skip(1).map(SealKey::id).collect(),
        resumed: false,
        progress,
        in_file: false,
    })
}
