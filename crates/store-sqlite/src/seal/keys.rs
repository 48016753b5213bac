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

/// The keys given, then those of the file.
pub(super) fn all(dir: &Path, given: &[SealKey]) -> StoreResult<Vec<SealKey>> {
    let mut keys = given.to_vec();
    for key in of_file(dir)? {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// The keys of the file; none if there is no file.
pub(super) fn of_file(dir: &Path) -> StoreResult<Vec<SealKey>> {
    let path = dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
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
        _ => Ok(keys),
    }
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

/// Puts these keys into the file, durably: after a crash it is the old one or the new one.
pub(super) fn write(dir: &Path, keys: &[SealKey]) -> StoreResult<()> {
    let mut text = Zeroizing::new(HEAD.to_owned());
    for key in keys {
        text.push_str(&key.reveal());
        text.push('\n');
    }
    let (path, new) = (dir.join(FILE), dir.join(FILE_NEW));
    let put = || {
        // One that a crash left behind may have been made with other rights.
        remove_if_there(&new)?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(MODE).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    };
    put().map_err(|error| unusable(&path, &error.to_string()))
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
