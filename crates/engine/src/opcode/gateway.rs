//! Requests that the server makes for a run.

use std::sync::Arc;

use dunlin_types::{OutboundRequest, Timestamp};

use super::wait::open;
use crate::core::{Engine, Work};
use crate::input::Op;
use crate::live::{ItemKind, ItemState};
use crate::run::{After, NewRow, Reported};
use crate::step::{StepFlags, StepKind};

/// The row of a request: it shows the request without its secrets.
pub(super) fn row(
    now: Timestamp,
    by: &Reported,
    flags: StepFlags,
    op: Op,
    request: OutboundRequest,
) -> NewRow {
    let shown = request.shown.clone();
    let row = open(now, by, flags, op, StepKind::Requested, now, shown);
    NewRow {
        after: Some(After::Request(Arc::new(request))),
        ..row
    }
}

impl Engine {
    /// Whether the item that reports is one that makes a request, and was asked for it again.
    pub(super) fn asks_again(&self, by: &Reported, op: &Op) -> bool {
        by.item.kind == ItemKind::Gateway && by.target.as_ref() == Some(&op.id)
    }

    /// The app has told anew what an item is to send: it goes out, as the same attempt.
    pub(super) fn request_again(
        &mut self,
        work: &Work<'_, '_>,
        by: &Reported,
        request: OutboundRequest,
    ) {
        self.requests.put(by.item.key, Arc::new(request));
        let live = self.live.get_mut(&by.run);
        if let Some(item) = live.and_then(|live| live.items.get_mut(by.item.key)) {
            item.state = ItemState::Parked;
        }
        self.place(work.now(), by.run, by.item.key);
    }
}
