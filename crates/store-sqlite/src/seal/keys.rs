//! The file that keeps keys where none are given.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use dunlin_store::{SealKey, StoreError, StoreResult};
use dunlin_types::{Code, limits};
use zeroize::Zeroizing;

/// The file within the store's directory: one key a line, the current one first.
pub(super) const FILE: &str = "seal.key";
/// Where it is written before it takes the place of the old one.
const FILE_NEW: &str = "seal.key.new";

/// Only its owner may read it.
const MODE: u32 = 0o600;

const HEAD: &str = "# Seals the secrets in dunlin.db, which are lost without it. \
Keep a copy apart from the data.\n";

/// A line of the file while values are sealed anew with its first key, so that an exchange that was
/// interrupted can be told from a file that somebody put several keys into.
const UNDER_WAY: &str = "# The first key is new: an exchange is under way.";

/// What the file holds.
#[derive(Default)]
pub(super) struct KeyFile {
    /// Its keys, the current one first.
    pub(super) keys: Vec<SealKey>,
    /// Whether an exchange for the first one has begun and not ended.
    pub(super) is_under_way: bool,
}

/// The keys given, then those of the file.
pub(super) fn all(dir: &Path, given: &[SealKey]) -> StoreResult<Vec<SealKey>> {
    let mut keys = given.to_vec();
    for key in of_file(dir)?.keys {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// What the file holds: nothing if there is none.
pub(super) fn of_file(dir: &Path) -> StoreResult<KeyFile> {
    let path = dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(KeyFile::default()),
        Err(error) => return Err(unusable(&path, &error.to_string())),
    };
    warn_if_open(&path);
    let lines = text.lines().map(str::trim);
    let keys = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(SealKey::parse)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| unusable(&path, "a line is no key of 32 bytes in hex or base64"))?;
    match keys.len() {
        count if count > limits::SEAL_KEYS_MAX => Err(unusable(&path, "it holds too many keys")),
        count => Ok(KeyFile {
            keys,
            is_under_way: count > 0 && text.lines().any(|line| line.trim() == UNDER_WAY),
        }),
    }
}

/// Puts a new key in front of those that the file has, durably, and marks that an exchange is under
/// way.
pub(super) fn begin(dir: &Path, keys: &mut Vec<SealKey>) -> StoreResult<()> {
    if keys.len() >= limits::SEAL_KEYS_MAX {
        let why = "it has no room for another key; take out what nothing is sealed with";
        return Err(unusable(&dir.join(FILE), why));
    }
    keys.insert(0, SealKey::generate());
    put(dir, keys, &format!("{HEAD}{UNDER_WAY}\n"))
}

/// A new key, which the file keeps.
pub(super) fn made(dir: &Path) -> StoreResult<SealKey> {
    let key = SealKey::generate();
    write(dir, std::slice::from_ref(&key))?;
    let file = dir.join(FILE);
    tracing::info!(key = %key.id(), file = %file.display(),
        "made the key that seals secrets; keep a copy apart from the data");
    Ok(key)
}

/// Puts these keys into the file, with no exchange under way.
pub(super) fn write(dir: &Path, keys: &[SealKey]) -> StoreResult<()> {
    put(dir, keys, HEAD)
}

/// Writes the file durably: after a crash it is the old one or the new one.
fn put(dir: &Path, keys: &[SealKey], head: &str) -> StoreResult<()> {
    let mut text = Zeroizing::new(head.to_owned());
    for key in keys {
        text.push_str(&key.reveal());
        text.push('\n');
    }
    let (path, new) = (dir.join(FILE), dir.join(FILE_NEW));
    let replace = || {
        // One that a crash left behind may have been made with other rights.
        remove_if_there(&new)?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(MODE).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    };
    replace().map_err(|error| unusable(&path, &error.to_string()))
}

/// Takes the file away, once nothing is sealed with what it holds.
pub(super) fn remove(dir: &Path) -> StoreResult<()> {
    let path = dir.join(FILE);
    remove_if_there(&path)
        .and_then(|()| File::open(dir)?.sync_all())
        .map_err(|error| unusable(&path, &error.to_string()))
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn warn_if_open(path: &Path) {
    let open = std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
    if open {
        tracing::warn!(file = %path.display(), "others may read the key file; chmod 600 it");
    }
}

fn unusable(path: &Path, why: &str) -> StoreError {
    StoreError {
        code: Code::SealKeyMissing,
        detail: format!("the key file {}: {why}", path.display()),
    }
}
