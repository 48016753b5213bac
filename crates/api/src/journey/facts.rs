//! The facts that a trace is drawn from, already cut to what is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_delivery::{AttemptRow, DeliveryRow, DeliveryState, Message};
use dunlin_store::RunView;
use dunlin_trace::Trace;
use dunlin_types::{EventOrigin, Seq, Timestamp, Ulid, ulid_for};

use crate::explain::Repeats;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The request of the message, by its sender's own id.
    Request,
    /// The row at that place: a message, a delivery, an attempt, an event or a run.
    Row(Seq),
}

/// A list, and at least how many of it are left out.
#[derive(Debug)]
pub(super) struct Cut<T> {
    pub(super) shown: Vec<T>,
    pub(super) more: usize,
}

impl<T> Default for Cut<T> {
    fn default() -> Self {
        Self {
            shown: Vec::new(),
            more: 0,
        }
    }
}

/// Where it all began.
#[derive(Debug)]
pub(super) enum Root {
    Message(Box<MessageFacts>),
    Event(Box<EventFacts>),
    Run(Box<RunFacts>),
}

#[derive(Debug)]
pub(super) struct Facts {
    pub(super) root: Root,
    pub(super) asked: Asked,
    /// Whether something came before the root that is not shown.
    pub(super) more_above: bool,
}

/// How a message came in.
#[derive(Debug)]
pub(super) enum Door {
    Source(SourceFacts),
    /// Through a source that is gone.
    GoneSource,
    Api,
    Sample,
    /// The server tells what happens in it.
    Operational,
}

#[derive(Debug)]
pub(super) struct SourceFacts {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) verified_by: String,
}

#[derive(Debug)]
pub(super) struct MessageFacts {
    pub(super) message: Arc<Message>,
    pub(super) door: Door,
    /// The id and the name of its application.
    pub(super) app: (String, String),
    pub(super) repeats: Repeats,
    /// Of all deliveries, shown or not.
    pub(super) states: Vec<DeliveryState>,
    pub(super) deliveries: Cut<DeliveryFacts>,
    /// Events of attempts that are no longer to be found.
    pub(super) strays: Vec<EventFacts>,
}

#[derive(Debug)]
pub(super) struct DeliveryFacts {
    pub(super) row: DeliveryRow,
    /// The id and the name of its endpoint.
    pub(super) endpoint: (String, String),
    /// Whether the endpoint had a transformation.
    pub(super) has_script: bool,
    pub(super) attempts: Cut<AttemptFacts>,
}

#[derive(Debug)]
pub(super) struct AttemptFacts {
    pub(super) row: AttemptRow,
    /// The event that it appended.
    pub(super) event: Option<EventFacts>,
}

#[derive(Debug)]
pub(super) struct EventFacts {
    pub(super) seq: Seq,
    pub(super) id: Ulid,
    pub(super) name: String,
    /// Its sender's id of it, where it has one.
    pub(super) sender_id: Option<String>,
    pub(super) at: Timestamp,
    pub(super) origin: EventOrigin,
    pub(super) runs: Cut<RunFacts>,
    /// Whether what is below it is shown at another place of the tree.
    pub(super) is_elsewhere: bool,
}

#[derive(Debug)]
pub(super) struct RunFacts {
    pub(super) view: RunView,
    pub(super) function: FunctionName,
    /// All events of its batch, if it has one.
    pub(super) batch: Vec<Ulid>,
    /// Its steps, as far as they are shown; none where they were not read.
    pub(super) trace: Option<Trace>,
    pub(super) steps_more: usize,
    /// What came of its steps, by the ids of their spans.
    pub(super) below: BTreeMap<String, Below>,
    /// Events that tell of its end and started runs, and what it deferred.
    pub(super) told: Vec<EventFacts>,
    pub(super) is_elsewhere: bool,
}

impl RunFacts {
    pub(super) fn id(&self) -> Ulid {
        ulid_for(self.view.row.created, self.view.row.seq)
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FunctionName {
    pub(super) id: String,
    pub(super) name: String,
}

/// What came of a step.
#[derive(Debug, Default)]
pub(super) struct Below {
    /// Events that it sent.
    pub(super) events: Cut<EventFacts>,
    /// The event by which it invoked a function.
    pub(super) invoked: Option<Seq>,
    /// Runs of that function.
    pub(super) runs: Cut<RunFacts>,
}

impl Facts {
    /// Every run of the tree.
    pub(super) fn each_run(&mut self, then: &mut dyn FnMut(&mut RunFacts)) {
        match &mut self.root {
            Root::Message(facts) => {
                let deliveries = facts.deliveries.shown.iter_mut();
                let attempts = deliveries.flat_map(|one| one.attempts.shown.iter_mut());
                let events = attempts.filter_map(|one| one.event.as_mut());
                for event in events.chain(&mut facts.strays) {
                    event.each_run(then);
                }
            }
            Root::Event(facts) => facts.each_run(then),
            Root::Run(facts) => facts.each_run(then),
        }
    }
}

impl EventFacts {
    fn each_run(&mut self, then: &mut dyn FnMut(&mut RunFacts)) {
        for run in &mut self.runs.shown {
            run.each_run(then);
        }
    }
}

impl RunFacts {
    fn each_run(&mut self, then: &mut dyn FnMut(&mut Self)) {
        then(self);
        for below in self.below.values_mut() {
            for event in &mut below.events.shown {
                event.each_run(then);
            }
            for run in &mut below.runs.shown {
                run.each_run(then);
            }
        }
        for event in &mut self.told {
            event.each_run(then);
        }
    }
}
