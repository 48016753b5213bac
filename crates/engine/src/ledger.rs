//! A run's results: what the SDK needs to go on from where it stopped. Cold state, loaded when a
//! call is to go out, kept while one is in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_types::{Event, Payload, Seq, StepId, Timestamp};

use crate::step::{StepFlags, StepKind, StepRow};

/// How a result is handed to the SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoKind {
    /// `{"data": …}`
    Data,
    /// `{"error": …}`
    Error,
    /// As it is.
    Raw,
    /// `null`: a sleep that is over.
    Null,
}

/// A step's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Memo {
    /// Its form.
    pub kind: MemoKind,
    /// Its text; empty for [`MemoKind::Null`].
    pub payload: Payload,
}

/// What a call carries of a run's past.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunState {
    /// Results by step.
    pub memos: BTreeMap<StepId, Memo>,
    /// Steps in the order in which they ended.
    pub stack: Vec<StepId>,
    /// Arguments that steps without a result are to be run with, instead of the function's own.
    pub inputs: BTreeMap<StepId, Payload>,
    /// What is to be started when the run has ended, by the id it was reported under.
    pub defers: BTreeMap<StepId, Payload>,
    /// Bytes of all results.
    pub bytes: usize,
    /// Protocol version: −1 until the app has named one.
    pub version: i8,
    /// Whether the SDK is to plan every step.
    pub force_plan: bool,
}

/// All that is known of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// When the run was made.
    pub created: Timestamp,
    /// When its first call went out.
    pub started: Timestamp,
    /// What started it.
    pub events: Arc<[Arc<Event>]>,
    /// Results so far.
    pub state: Arc<RunState>,
    /// Steps that are planned or asleep, by id, with their items.
    pub open: BTreeMap<StepId, OpenStep>,
    /// Steps of the groups that are not finished.
    pub pending: BTreeSet<StepId>,
    /// Which step's end opened the discovery that is open.
    pub causes: BTreeMap<Seq, StepId>,
    /// Why the run was stopped, if it was.
    pub stopped: Option<Payload>,
    /// The commit that holds its newest row; it stays in memory until that has returned.
    pub dirty: u64,
}

/// A step that has no result yet: planned, asleep or waiting.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenStep {
    /// Its item.
    pub item: Seq,
    /// The name users see.
    pub name: String,
    /// Whether its end is discovered at once.
    pub race: bool,
    /// When it was opened.
    pub since: Timestamp,
}

impl Ledger {
    /// Of a run that has just started.
    #[must_use]
    pub fn new(created: Timestamp, events: Arc<[Arc<Event>]>) -> Self {
        Self {
            created,
            started: Timestamp::ZERO,
            events,
            state: Arc::new(RunState {
                version: -1,
                ..RunState::default()
            }),
            open: BTreeMap::new(),
            pending: BTreeSet::new(),
            causes: BTreeMap::new(),
            stopped: None,
            dirty: 0,
        }
    }

    /// The step of that item, if it is a planned or sleeping one.
    #[must_use]
    pub fn step_of(&self, item: Seq) -> Option<&StepId> {
        self.open
            .iter()
            .find(|(_, open)| open.item == item)
            .map(|(id, _)| id)
    }

    /// Takes in a row, in order.
    pub fn apply(&mut self, row: &StepRow) {
        let flags = row.mark.flags;
        if self.started == Timestamp::ZERO {
            self.started = row.started;
        }
        if flags.has(StepFlags::CLOSES) {
            self.causes.remove(&row.mark.item);
        }
        let unnamed = row.id.is_none() && row.mark.kind.completes();
        let of_item = if unnamed {
            self.step_of(row.mark.item).cloned()
        } else {
            None
        };
        let id = row.id.as_ref().or(of_item.as_ref());
        if flags.has(StepFlags::DISCOVERS)
            && let Some(id) = id
        {
            self.causes.insert(row.mark.seq, id.clone());
        }
        if row.mark.kind == StepKind::Stopped {
            self.stopped = Some(row.payload.clone());
        }
        let state = Arc::make_mut(&mut self.state);
        if flags.has(StepFlags::VERSION_KNOWN) {
            state.version = if flags.has(StepFlags::VERSION_2) {
                2
            } else {
                1
            };
        }
        state.force_plan = flags.has(StepFlags::FORCE_PLAN);
        let Some(id) = id else { return };
        match row.mark.kind {
            StepKind::Given => {
                state.bytes += row.payload.len();
                state.inputs.insert(id.clone(), row.payload.clone());
            }
            StepKind::Deferred => {
                state.bytes += row.payload.len();
                state.defers.insert(id.clone(), row.payload.clone());
            }
            StepKind::DeferAborted => {
                state.defers.remove(id);
            }
            kind if kind.opens() => {
                if flags.has(StepFlags::GROUP) {
                    self.pending.insert(id.clone());
                }
                let open = OpenStep {
                    item: row.mark.seq,
                    name: row.name.clone(),
                    race: flags.has(StepFlags::RACE),
                    since: row.ended,
                };
                self.open.insert(id.clone(), open);
            }
            kind if kind.completes() => self.complete(id, kind, &row.payload),
            _ => {}
        }
    }

    fn complete(&mut self, id: &StepId, kind: StepKind, payload: &Payload) {
        let kind = match kind {
            StepKind::RanRaw => MemoKind::Raw,
            StepKind::Failed => MemoKind::Error,
            StepKind::Woke => MemoKind::Null,
            _ => MemoKind::Data,
        };
        self.open.remove(id);
        self.pending.remove(id);
        let state = Arc::make_mut(&mut self.state);
        state.bytes += payload.len();
        state.inputs.remove(id);
        state.stack.push(id.clone());
        state.memos.insert(
            id.clone(),
            Memo {
                kind,
                payload: payload.clone(),
            },
        );
    }

    /// Roughly the memory it holds, in bytes.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let events: usize = self.events.iter().map(|e| e.weight_bytes()).sum();
        let state = &self.state;
        size_of::<Self>()
            + size_of::<RunState>()
            + events
            + state.bytes
            + state.stack.capacity() * size_of::<StepId>()
            + nodes_bytes::<StepId, Memo>(state.memos.len())
            + nodes_bytes::<StepId, Payload>(state.inputs.len() + state.defers.len())
            + nodes_bytes::<StepId, OpenStep>(self.open.len())
            + nodes_bytes::<StepId, ()>(self.pending.len())
            + nodes_bytes::<Seq, StepId>(self.causes.len())
    }
}

/// What a B-tree of that many entries takes: its nodes have room for 11 and are half full, and
/// the first entry makes a whole one.
const fn nodes_bytes<K, V>(len: usize) -> usize {
    len.div_ceil(6) * (16 + 11 * (size_of::<K>() + size_of::<V>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_ledger_weighs_little() {
        let ledger = Ledger::new(Timestamp::from_ms(1), Arc::from([]));
        assert!(ledger.weight_bytes() < 1024);
    }

    #[test]
    fn one_open_step_weighs_a_whole_node() {
        assert!(nodes_bytes::<StepId, OpenStep>(1) > 11 * size_of::<OpenStep>());
        assert_eq!(nodes_bytes::<StepId, OpenStep>(0), 0);
    }
}
