//! What SQLite's errors mean for the store's callers.

use dunlin_store::{CommitOutcome, SealError, StoreError};
use dunlin_types::Code;
use rusqlite::{Error, ErrorCode};

/// The code of a failed read or opening.
pub(crate) fn coded(error: Error) -> StoreError {
    StoreError {
        code: code_of(&error),
        detail: error.to_string(),
    }
}

fn code_of(error: &Error) -> Code {
    if let Error::ToSqlConversionFailure(inner) = error
        && let Some(error) = inner.downcast_ref::<SealError>()
    {
        return error.code();
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Code::StoreCorrupt,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => {
            Code::StoreBusy
        }
        Some(ErrorCode::ConstraintViolation) => Code::StoreRefused,
        // Not from SQLite: a column does not hold what this program writes.
        None => Code::StoreCorrupt,
        Some(_) => Code::StoreDead,
    }
}

/// What a failed commit means, once it is rolled back.
pub(crate) fn outcome(error: &Error) -> CommitOutcome {
    let text = error.to_string();
    match code_of(error) {
        Code::StoreBusy => CommitOutcome::Retry(text),
        Code::StoreRefused => CommitOutcome::Refused(text),
        _ if error.sqlite_error_code().is_none()
            || error.sqlite_error_code() == Some(ErrorCode::TooBig) =>
        {
            CommitOutcome::Refused(text)
        }
        _ => CommitOutcome::Dead(text),
    }
}
