//! For tests: whether what the core remembers hangs together.

use dunlin_types::{Seq, Timestamp};

use crate::queue::Phase;
use crate::{Blocker, Delivery};

impl Delivery {
    /// What does not hang together, in words: a delivery that nothing would ever move again, one
    /// that could have been started, places that are counted wrongly. To be asked when nothing
    /// that is due is left.
    #[doc(hidden)]
    #[must_use]
    pub fn audit(&self, now: Timestamp) -> Vec<String> {
        let mut faults = self.queue.audit(now);
        for endpoint in self.config.endpoints() {
            if self.queue.is_paused(endpoint.id) != endpoint.config.paused {
                faults.push(format!("the queue of {} does not know", endpoint.id));
            }
        }
        let gone = |id: &Seq| self.config.endpoint(*id).is_none();
        for id in self.queue.lane_ids().filter(gone) {
            if self.queue.pending_of(id) == 0 {
                faults.push(format!("something is remembered of {id}, which is gone"));
            }
        }
        for id in self.health.endpoints().filter(gone) {
            faults.push(format!("{id} is gone and has an account"));
        }
        for hot in self.queue.iter() {
            if self.blocker(hot, now) == Blocker::Starting {
                faults.push(format!("{} waits for nothing: {hot:?}", hot.row.seq));
            }
        }
        self.audit_held(now, &mut faults);
        for endpoint in self.parked.keys() {
            if !self.has_too_much_to_do(*endpoint) {
                faults.push(format!("tasks wait for {endpoint} in vain"));
            }
        }
        faults
    }

    /// How an endpoint is sent to, in words.
    #[doc(hidden)]
    #[must_use]
    pub fn describe(&self, endpoint: Seq) -> String {
        self.queue.describe(endpoint)
    }

    fn audit_held(&self, now: Timestamp, faults: &mut Vec<String>) {
        let mut held = 0;
        for hot in self.queue.iter() {
            if !matches!(hot.phase, Phase::Held(_)) {
                continue;
            }
            held += 1;
            if !self.waits_for_rivals(hot.row.message, now) {
                faults.push(format!("{} is held for nobody", hot.row.seq));
            }
        }
        if held != self.rivals.held() {
            faults.push(format!("{held} are held, not {}", self.rivals.held()));
        }
        for message in self.rivals.messages() {
            if self.queue.of_message(message).next().is_none() {
                faults.push(format!("message {message} is gone and has claims"));
            }
        }
    }
}
