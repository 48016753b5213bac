//! Secrets within rows: sealed on their way in, opened on their way out. What is sealed is a text
//! within a row, so that the rest of the row stays readable and searchable.

mod keys;
mod rewrite;
mod rotate;

use std::path::Path;
use std::sync::Arc;

use dunlin_store::{KeyId, Keyring, Place, SealError, SealKey, StoreError, StoreResult, key_of};
use dunlin_types::{Code, Seq};
use rusqlite::{Connection, Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::coded;
use crate::json;

pub use rewrite::Progress;
pub use rotate::{Rotated, rotate_seal_key};

/// Called with each secret of a row: its kind, its name within the row, and the text.
pub(crate) type Visit<'a> = dyn FnMut(&'static str, &str, &mut String) -> Result<()> + 'a;

/// A row whose JSON holds secrets. To seal a further field, visit it here; nothing else is needed.
pub(crate) trait Secrets {
    /// Visits each text that has to be sealed. Kinds and names never change once rows are stored.
    fn each_secret(&mut self, visit: &mut Visit<'_>) -> Result<()>;
}

/// What seals and opens; nothing where a store was opened without keys, and all is plain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seal(Option<Arc<Keyring>>);

impl Seal {
    /// The keys to read with: those given, and those of the file.
    pub(crate) fn for_reading(dir: &Path, given: Option<&[SealKey]>) -> StoreResult<Self> {
        let Some(given) = given else {
            return Ok(Self::default());
        };
        let keys = keys::all(dir, given)?;
        Ok(Self(ring(&keys).map(Arc::new)))
    }

    /// The keys to write with. Makes the file if there is no key at all, and seals what an older
    /// program left in plain text.
    pub(crate) fn for_writing(
        db: &Connection,
        dir: &Path,
        given: Option<&[SealKey]>,
    ) -> StoreResult<Self> {
        let used = used(db)?;
        let Some(given) = given else {
            return match used.as_slice() {
                [] => Ok(Self::default()),
                missing => Err(missing_keys(dir, missing)),
            };
        };
        let mut keys = keys::all(dir, given)?;
        if keys.is_empty() && used.is_empty() {
            keys.push(keys::made(dir)?);
        }
        let ring = checked(dir, &keys, &used)?;
        use_key(db, ring.current())?;
        if !is_swept(db)? {
            rewrite::sweep(db, &ring)?;
        }
        Ok(Self(Some(Arc::new(ring))))
    }

    /// A text as it is stored.
    pub(crate) fn seal(&self, place: Place<'_>, text: &str) -> Result<String> {
        match &self.0 {
            Some(ring) => ring.seal(place, text).map_err(failed),
            None => Ok(text.to_owned()),
        }
    }

    /// A text as it was before it was stored. With keys at hand, one that is not sealed is
    /// refused: whoever can write to the file must not be able to put a secret of their own there.
    pub(crate) fn open(&self, place: Place<'_>, text: &str) -> Result<String> {
        match (&self.0, key_of(text)) {
            (Some(ring), _) => ring.open(place, text).map_err(failed),
            (None, Some(id)) => Err(failed(SealError::NoKey(id))),
            (None, None) => Ok(text.to_owned()),
        }
    }

    /// A row as JSON, its secrets sealed.
    pub(crate) fn text<T: Secrets + Serialize>(&self, owner: Seq, mut row: T) -> Result<String> {
        row.each_secret(&mut |kind, name, text| {
            *text = self.seal(place(kind, owner, name), text)?;
            Ok(())
        })?;
        json::text(&row)
    }

    /// What [`Seal::text`] wrote.
    pub(crate) fn read<T: Secrets + DeserializeOwned>(
        &self,
        owner: Seq,
        text: &str,
        column: usize,
    ) -> Result<T> {
        let mut row: T = json::read(text, column)?;
        row.each_secret(&mut |kind, name, text| {
            *text = self.open(place(kind, owner, name), text)?;
            Ok(())
        })?;
        Ok(row)
    }
}

/// The place of a secret of a source or an endpoint in the table of secrets.
pub(crate) fn of_owner(owner: Seq) -> Place<'static> {
    place("secret", owner, "")
}

fn place<'a>(kind: &'a str, owner: Seq, name: &'a str) -> Place<'a> {
    let owner = owner.0;
    Place { kind, owner, name }
}

fn failed(error: SealError) -> Error {
    Error::ToSqlConversionFailure(Box::new(error))
}

fn ring(keys: &[SealKey]) -> Option<Keyring> {
    let (current, older) = keys.split_first()?;
    Some(Keyring::new(current, older))
}

/// The ring of these keys, if they open all that is sealed.
fn checked(dir: &Path, keys: &[SealKey], used: &[KeyId]) -> StoreResult<Keyring> {
    let ring = ring(keys).ok_or_else(|| missing_keys(dir, used))?;
    let missing: Vec<KeyId> = used.iter().copied().filter(|id| !ring.knows(*id)).collect();
    match missing.as_slice() {
        [] => Ok(ring),
        missing => Err(missing_keys(dir, missing)),
    }
}

fn missing_keys(dir: &Path, missing: &[KeyId]) -> StoreError {
    let ids: Vec<String> = missing.iter().map(KeyId::to_string).collect();
    StoreError {
        code: Code::SealKeyMissing,
        detail: format!(
            "secrets are sealed with keys that are not given: {}; put them into DUNLIN_SEAL_KEY, \
             or the file back that held them: {}",
            ids.join(", "),
            dir.join(keys::FILE).display()
        ),
    }
}

/// The keys that values may be sealed with.
fn used(db: &Connection) -> StoreResult<Vec<KeyId>> {
    let read = || {
        let mut statement = db.prepare("SELECT id FROM seal_key ORDER BY id")?;
        let ids = statement.query_map([], |row| row.get::<_, String>(0))?;
        ids.collect::<Result<Vec<String>>>()
    };
    let ids = read().map_err(coded)?;
    let parsed = ids.iter().map(|id| KeyId::parse(id));
    parsed.collect::<Option<_>>().ok_or_else(|| StoreError {
        code: Code::StoreCorrupt,
        detail: "a key's id is none".to_owned(),
    })
}

/// Says, durably, that values may be sealed with that key from now on.
fn use_key(db: &Connection, id: KeyId) -> StoreResult<()> {
    let sql = "INSERT OR IGNORE INTO seal_key (id) VALUES (?1)";
    db.execute(sql, [id.to_string()]).map_err(coded)?;
    Ok(())
}

fn is_swept(db: &Connection) -> StoreResult<bool> {
    let sql = "SELECT swept FROM seal WHERE id = 0";
    db.query_row(sql, [], |row| row.get(0)).map_err(coded)
}

/// Everything is sealed with that key, and nothing with another.
fn only_key(db: &Connection, id: KeyId) -> StoreResult<()> {
    let sql = "DELETE FROM seal_key WHERE id <> ?1";
    db.execute(sql, [id.to_string()]).map_err(coded)?;
    Ok(())
}

/// Nothing is left in plain text, nor traces of it.
fn swept(db: &Connection) -> StoreResult<()> {
    let sql = "UPDATE seal SET swept = 1 WHERE id = 0";
    db.execute(sql, []).map_err(coded)?;
    Ok(())
}
