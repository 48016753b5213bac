//! How values of the domain are laid into columns and read back.

use bytes::Bytes;
use dunlin_types::{Code, Payload, Seq, Timestamp, limits};
use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Connection, Error, Result, Row};

/// `enc`: the bytes as they are, in the row.
pub(crate) const PLAIN: i64 = 0;
/// `enc`: the JSON of the event whose place is in the column.
pub(crate) const EVENT: i64 = 1;
/// `enc`: the output of the run whose place is in the column.
pub(crate) const OUTPUT: i64 = 2;
/// `enc`: no longer kept.
pub(crate) const GONE: i64 = 64;
/// `enc`: the bytes as they are, in `payload`.
pub(crate) const APART: i64 = 128;

/// Which of a row's bodies is kept apart.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// Its body, output or payload.
    Body = 0,
    /// An event's user.
    User = 1,
}

pub(crate) const fn int(seq: Seq) -> i64 {
    seq.0.cast_signed()
}

pub(crate) const fn seq(int: i64) -> Seq {
    Seq(int.cast_unsigned())
}

pub(crate) fn opt_int(seq: Option<Seq>) -> Option<i64> {
    seq.map(int)
}

pub(crate) fn ms(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::ms)
}

/// A column that is NULL for no bytes.
pub(crate) fn filled(bytes: &[u8]) -> Option<&[u8]> {
    (!bytes.is_empty()).then_some(bytes)
}

/// Places as bytes, eight each.
pub(crate) fn places(seqs: &[Seq]) -> Vec<u8> {
    seqs.iter().flat_map(|seq| seq.0.to_be_bytes()).collect()
}

/// What [`places`] made.
pub(crate) fn col_places(row: &Row<'_>, column: usize) -> Result<Vec<Seq>> {
    let Some(bytes) = blob(row, column)? else {
        return Ok(Vec::new());
    };
    let (places, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(bad(column));
    }
    let place = |bytes: &[u8; 8]| Seq(u64::from_be_bytes(*bytes));
    Ok(places.iter().map(place).collect())
}

/// The row's place in `payload`.
pub(crate) const fn apart_id(of: Seq, part: Part) -> i64 {
    int(Seq(of.0 * 4 + part as u64))
}

/// What goes into `enc` and into the column beside it.
pub(crate) fn inline(bytes: &[u8]) -> (i64, Option<&[u8]>) {
    if bytes.len() < limits::STORE_INLINE_BYTES_MAX {
        (PLAIN, Some(bytes))
    } else {
        (APART, None)
    }
}

pub(crate) fn col_seq(row: &Row<'_>, column: usize) -> Result<Seq> {
    Ok(seq(row.get(column)?))
}

pub(crate) fn col_opt_seq(row: &Row<'_>, column: usize) -> Result<Option<Seq>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(seq))
}

pub(crate) fn col_at(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    Ok(Timestamp::from_ms(row.get(column)?))
}

pub(crate) fn col_opt_at(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_ms))
}

pub(crate) fn col_code(row: &Row<'_>, column: usize) -> Result<Option<Code>> {
    // A code that a newer program wrote says less than no code at all.
    Ok(row
        .get::<_, Option<u16>>(column)?
        .and_then(Code::from_number))
}

pub(crate) fn col_hash(row: &Row<'_>, column: usize) -> Result<[u8; 16]> {
    Ok(col_opt_hash(row, column)?.unwrap_or_default())
}

fn col_opt_hash(row: &Row<'_>, column: usize) -> Result<Option<[u8; 16]>> {
    row.get(column)
}

/// The bytes of a row: `column - 1` holds their `enc`, `of` is the row they belong to.
pub(crate) fn col_bytes(
    db: &Connection,
    row: &Row<'_>,
    column: usize,
    of: Seq,
    part: Part,
) -> Result<Bytes> {
    match row.get::<_, i64>(column - 1)? {
        PLAIN => Ok(blob(row, column)?
            .map(Bytes::copy_from_slice)
            .unwrap_or_default()),
        APART => db
            .prepare_cached("SELECT bytes FROM payload WHERE id = ?1")?
            .query_row([apart_id(of, part)], |row| row.get::<_, Vec<u8>>(0))
            .map(Bytes::from),
        _ => Err(bad(column - 1)),
    }
}

pub(crate) fn col_payload(
    db: &Connection,
    row: &Row<'_>,
    column: usize,
    of: Seq,
) -> Result<Payload> {
    Ok(Payload::from_json(col_bytes(
        db,
        row,
        column,
        of,
        Part::Body,
    )?))
}

pub(crate) fn blob<'a>(row: &'a Row<'_>, column: usize) -> Result<Option<&'a [u8]>> {
    row.get_ref(column)?
        .as_blob_or_null()
        .map_err(|e| unfit(column, e))
}

/// A column whose value has no meaning.
pub(crate) fn bad(column: usize) -> Error {
    unfit(column, FromSqlError::InvalidType)
}

fn unfit(column: usize, error: FromSqlError) -> Error {
    Error::FromSqlConversionFailure(column, Type::Null, Box::new(error))
}
