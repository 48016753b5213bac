//! The in-memory store: what `--memory` and the tests of pure crates run on. It keeps the order,
//! the refusals and the fencing of a real one, but nothing survives the process.

mod flow;
mod read;
mod refusal;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dunlin_types::{Code, Timestamp};

use crate::port::{Batch, CommitOutcome, Reader, Start, Store, StoreError, StoreResult, Writer};
use state::State;

/// A store in memory. Clones share the same rows; a writer that is opened after the first is gone
/// finds the store as a new process would.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// A store without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// A panic of another holder cannot leave half a batch: a batch is checked before it is applied.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryStore {
    fn writer(&self, _now: Timestamp) -> StoreResult<(Box<dyn Writer>, Start)> {
        let mut state = locked(&self.state);
        if state.written_to {
            let detail = "the store has a writer already; drop it first".to_owned();
            return Err(StoreError {
                code: Code::StoreLocked,
                detail,
            });
        }
        state.written_to = true;
        state.boot += 1;
        state.epoch += 1;
        let start = Start {
            boot: state.boot,
            epoch: state.epoch,
            clean: !state.unclean,
            next_seq: state.next_seq,
            commit_no: state.commit_no,
        };
        state.unclean = true;
        Ok((
            Box::new(MemoryWriter {
                state: Arc::clone(&self.state),
            }),
            start,
        ))
    }

    fn reader(&self) -> StoreResult<Box<dyn Reader>> {
        Ok(Box::new(MemoryReader {
            state: Arc::clone(&self.state),
        }))
    }
}

struct MemoryWriter {
    state: Arc<Mutex<State>>,
}

impl Writer for MemoryWriter {
    fn commit(&mut self, batch: &Batch) -> CommitOutcome {
        let mut state = locked(&self.state);
        if batch.epoch != state.epoch {
            return CommitOutcome::Fenced;
        }
        match state.check(batch) {
            Ok(()) => {
                state.apply(batch);
                CommitOutcome::Done
            }
            Err(why) => CommitOutcome::Refused(why.to_owned()),
        }
    }

    fn close(&mut self) -> StoreResult<()> {
        locked(&self.state).unclean = false;
        Ok(())
    }
}

impl Drop for MemoryWriter {
    fn drop(&mut self) {
        locked(&self.state).written_to = false;
    }
}

struct MemoryReader {
    state: Arc<Mutex<State>>,
}
