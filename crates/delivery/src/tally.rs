//! What became of deliveries, counted by endpoint and hour, so that statistics need no scan.

use std::collections::BTreeMap;

use dunlin_types::{Seq, Timestamp, limits};

use crate::{Delivery, DeliveryState, Outcome, TallyRow, Write};

/// The counts of the hour that runs, and of hours that were asked for since.
#[derive(Debug, Default)]
pub(crate) struct Tallies(BTreeMap<(u32, Seq), TallyRow>);

/// The hour that an instant is in, since 1970.
#[must_use]
pub fn hour_of(at: Timestamp) -> u32 {
    u32::try_from(at.ms() / 3_600_000).unwrap_or(0)
}

impl Tallies {
    pub(crate) fn put(&mut self, row: TallyRow) {
        self.0.insert((row.hour, row.endpoint), row);
    }

    fn row(&mut self, endpoint: Seq, now: Timestamp) -> &mut TallyRow {
        let hour = hour_of(now);
        // Hours that are over are in the store.
        while let Some(first) = self.0.first_entry()
            && first.key().0.saturating_add(limits::TALLY_HOURS_KEPT_HOT) <= hour
        {
            first.remove();
        }
        self.0.entry((hour, endpoint)).or_insert(TallyRow {
            endpoint,
            hour,
            ..TallyRow::default()
        })
    }
}

impl Delivery {
    pub(crate) fn tally_end(
        &mut self,
        endpoint: Seq,
        state: DeliveryState,
        now: Timestamp,
        out: &mut Outcome,
    ) {
        let row = self.tallies.row(endpoint, now);
        match state {
            DeliveryState::Pending => return,
            DeliveryState::Succeeded => row.succeeded += 1,
            DeliveryState::Failed => row.failed += 1,
            DeliveryState::Cancelled | DeliveryState::Duplicate => row.cancelled += 1,
        }
        out.writes.push(Write::Tally(*row));
    }

    pub(crate) fn tally_failure(&mut self, endpoint: Seq, now: Timestamp, out: &mut Outcome) {
        let row = self.tallies.row(endpoint, now);
        row.attempts_failed += 1;
        out.writes.push(Write::Tally(*row));
    }
}
