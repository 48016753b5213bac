//! What live runs wait for beside time: events, signals, the end of runs they invoked. Hot state,
//! rebuilt at a restart from the rows that opened the waits.

mod condition;
mod index;

use std::collections::BTreeMap;

use dunlin_expr::Value;
use dunlin_types::{Event, Payload, Seq, Timestamp};

use crate::packed::Packed;
use crate::step::StepKind;

pub(crate) use condition::{Refused, event_wait};
use index::{Entry, Index};

/// Whose wait it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiter {
    pub(crate) run: Seq,
    pub(crate) item: Seq,
}

#[derive(Debug)]
enum What {
    Event(Box<Entry>),
    Signal(Box<str>),
    /// The event that the invoked run was started by.
    Invoke(Seq),
}

/// The waits of all live runs, by what they wait for.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    by_item: Packed<Seq, (Seq, What)>,
    events: Index,
    signals: BTreeMap<Box<str>, Seq>,
    /// By the event that started the run: the item, and the invoked function's id.
    invokes: BTreeMap<Seq, (Seq, Box<str>)>,
}

impl Waits {
    /// Takes up a wait from the row that opened it; `false` if its payload cannot be read.
    pub(crate) fn open(&mut self, kind: StepKind, run: Seq, item: Seq, spec: &Payload) -> bool {
        let spec = dunlin_expr::parse_json(spec.bytes());
        let what = match kind {
            StepKind::Waited | StepKind::CancelOn => {
                let Some(entry) = self.events.enter(item, &spec) else {
                    return false;
                };
                What::Event(Box::new(entry))
            }
            StepKind::AwaitedSignal => {
                let Some(name) = spec.get("signal").and_then(Value::as_str) else {
                    return false;
                };
                // The newest waiter has the name: it took it over from the one before.
                self.signals.insert(name.into(), item);
                What::Signal(name.into())
            }
            StepKind::Invoked => {
                let Some(event) = spec.get("event").and_then(Value::as_u64) else {
                    return false;
                };
                let function = spec.get("function_id").and_then(Value::as_str);
                let function = function.unwrap_or_default().into();
                self.invokes.insert(Seq(event), (item, function));
                What::Invoke(Seq(event))
            }
            _ => return true,
        };
        self.by_item.insert(item, (run, what));
        true
    }

    /// The item is gone, whatever it waited for.
    pub(crate) fn close(&mut self, item: Seq) {
        match self.by_item.remove(&item) {
            Some((_, What::Event(entry))) => self.events.leave(item, &entry),
            // Another may have taken the name over.
            Some((_, What::Signal(name))) if self.signals.get(&name) == Some(&item) => {
                self.signals.remove(&name);
            }
            Some((_, What::Signal(_))) => {}
            Some((_, What::Invoke(event))) => {
                self.invokes.remove(&event);
            }
            None => {}
        }
    }

    /// Whether anybody waits for events of that name.
    pub(crate) fn has_event(&self, name: &str) -> bool {
        self.events.has(name)
    }

    /// Who waits for this event, oldest wait first.
    pub(crate) fn matching(&mut self, event: &Event, now: Timestamp) -> Vec<Waiter> {
        let Some(candidates) = self.events.candidates(event) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for item in candidates.items {
            let Some((run, What::Event(entry))) = self.by_item.get(&item) else {
                continue;
            };
            if self.events.holds(entry, &candidates.json, now) {
                found.push(Waiter { run: *run, item });
            }
        }
        found
    }

    /// Who waits for that signal.
    pub(crate) fn signal(&self, name: &str) -> Option<Waiter> {
        self.waiter(*self.signals.get(name)?)
    }

    /// Who waits for the end of the run of this function that this event started.
    pub(crate) fn invoked_by(&self, event: Seq, function: &str) -> Option<Waiter> {
        let (item, invoked) = self.invokes.get(&event)?;
        self.waiter(*item).filter(|_| **invoked == *function)
    }

    fn waiter(&self, item: Seq) -> Option<Waiter> {
        let (run, _) = self.by_item.get(&item)?;
        Some(Waiter { run: *run, item })
    }

    /// The number of waits.
    pub(crate) fn len(&self) -> usize {
        self.by_item.len()
    }
}
