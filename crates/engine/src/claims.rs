//! Events that resume more runs than one commit should hold. What such an event matches is claimed
//! at once, so that no timeout and no other event can have it, and worked off in slices.

use std::collections::VecDeque;
use std::sync::Arc;

use dunlin_types::{Event, Seq, limits};

use crate::core::{Engine, Work};
use crate::live::ItemState;
use crate::waits::Waiter;
use crate::write::Write;

#[derive(Debug)]
struct Claim {
    event: Arc<Event>,
    waiters: VecDeque<Waiter>,
}

/// Claims in the order of their events.
#[derive(Debug, Default)]
pub(crate) struct Claims(VecDeque<Claim>);

impl Claims {
    /// The event whose claim is to be worked on.
    pub(crate) fn first(&self) -> Option<Seq> {
        self.0.front().map(|claim| claim.event.seq)
    }

    /// Whether that item's turn will come.
    pub(crate) fn holds(&self, item: Seq) -> bool {
        self.0
            .iter()
            .any(|claim| claim.waiters.iter().any(|waiter| waiter.item == item))
    }
}

impl Engine {
    /// Claims what an event matches, to be resumed in slices.
    pub(crate) fn claim(&mut self, event: &Arc<Event>, waiters: Vec<Waiter>) {
        for waiter in &waiters {
            self.waits.close(waiter.item);
            let live = self.live.get_mut(&waiter.run);
            let Some(item) = live.and_then(|live| live.items.get_mut(waiter.item)) else {
                continue;
            };
            if item.state == ItemState::Parked {
                self.timers.remove(&(item.due, waiter.run, item.key));
            }
            item.state = ItemState::Claimed;
        }
        self.claims.0.push_back(Claim {
            event: Arc::clone(event),
            waiters: waiters.into(),
        });
    }

    /// The next slice.
    pub(crate) fn resume_claimed(&mut self, work: &mut Work<'_, '_>, event: Seq) {
        let Some(claim) = self.claims.0.front_mut().filter(|c| c.event.seq == event) else {
            return;
        };
        let slice = claim.waiters.len().min(limits::RESUMED_PER_TURN_MAX);
        let waiters: Vec<Waiter> = claim.waiters.drain(..slice).collect();
        let done = claim.waiters.is_empty();
        let event = Arc::clone(&claim.event);
        if done {
            self.claims.0.pop_front();
            work.write(Write::Claimed(event.seq));
        }
        for waiter in waiters {
            self.resume_by(work, waiter, &event);
        }
    }
}
