//! A store with its writer and the world that is written to it.

use std::sync::Arc;

use dunlin_delivery as delivery;
use dunlin_engine as engine;

use super::{Harness, World, rows, show};
use crate::port::{Batch, CommitOutcome, Reader, Start, Store, Writer};

/// A store, opened.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) writer: Box<dyn Writer>,
    pub(super) start: Start,
    pub(super) world: World,
}

impl Opened {
    pub(super) fn new(harness: &dyn Harness) -> Self {
        let store = harness.open();
        let (writer, start) = store.writer(rows::at(0)).unwrap();
        let world = World::new(&start);
        Self {
            store,
            writer,
            start,
            world,
        }
    }

    /// Ends the process, in order or not, and starts it again.
    pub(super) fn restart(self, harness: &dyn Harness, orderly: bool) -> Self {
        let Self {
            mut writer,
            mut world,
            ..
        } = self;
        if orderly {
            writer.close().unwrap();
        }
        drop((writer, self.store));
        let store = harness.open();
        let (writer, start) = store.writer(rows::at(1)).unwrap();
        world.restarted(&start);
        Self {
            store,
            writer,
            start,
            world,
        }
    }

    pub(super) fn commit(&mut self, batch: &Batch) {
        assert_eq!(self.writer.commit(batch), CommitOutcome::Done);
        self.writer.upkeep();
    }

    pub(super) fn engine(&mut self, writes: Vec<engine::Write>) {
        let batch = Batch {
            engine: writes,
            ..self.world.empty()
        };
        self.commit(&batch);
    }

    pub(super) fn delivery(&mut self, writes: Vec<delivery::Write>) {
        let batch = Batch {
            delivery: writes,
            ..self.world.empty()
        };
        self.commit(&batch);
    }

    pub(super) fn reader(&self) -> Box<dyn Reader> {
        self.store.reader().unwrap()
    }

    pub(super) fn all(&self) -> Vec<String> {
        show::all(&mut *self.reader(), self.world.next_seq())
    }
}
