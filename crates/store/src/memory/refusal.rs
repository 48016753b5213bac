//! What sources refused, in memory.

use std::collections::BTreeMap;

use dunlin_delivery::RefusalRow;
use dunlin_types::{Seq, limits};

use super::read::page;
use crate::view::{Page, RefusalCounts};

/// What one source refused.
#[derive(Default)]
pub(super) struct Refusals {
    newest: BTreeMap<Seq, RefusalRow>,
    counts: RefusalCounts,
}

impl Refusals {
    pub(super) fn add(&mut self, row: &RefusalRow) {
        self.counts.listed += 1;
        self.counts.unlisted += row.unlisted;
        self.newest.insert(row.seq, row.clone());
        if self.newest.len() as u64 > limits::REFUSALS_KEPT_PER_SOURCE_MAX {
            self.newest.pop_first();
        }
    }

    pub(super) fn read(&self, slice: Page) -> Vec<RefusalRow> {
        page(&self.newest, slice, |row| Some(row.clone()))
    }

    pub(super) const fn counts(&self) -> RefusalCounts {
        self.counts
    }
}
