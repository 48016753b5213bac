//! Several endpoints may make the same event from one message. Then an event whose name the script
//! chose beats an envelope as it came, else the oldest endpoint wins, and the others are recorded
//! as duplicates.
//!
//! Transformations run side by side, so an envelope as it came is held until the message's other
//! in-process deliveries have returned once, but not for those that a pause, a rate or a receiver
//! keeps from starting. A crash meanwhile only repeats the transformation.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_types::{DedupeKey, Seq, Timestamp, limits};

use crate::queue::{Hot, Phase};
use crate::{
    AttemptOutcome, Attempted, Context, DedupeRow, Delivery, Loaded, Outcome, Trigger, Write,
};

/// Events that deliveries of the same message have made or are about to make.
#[derive(Debug, Default)]
pub(crate) struct Rivals {
    /// By message: the event's key and the endpoint that made it. Kept while another rival of the
    /// message is pending.
    claims: BTreeMap<Seq, Vec<(DedupeKey, Seq)>>,
    /// Deliveries in [`Phase::Held`], by message.
    held: BTreeSet<(Seq, Seq)>,
    /// Whether an endpoint has begun to hold back what somebody may wait for.
    closed: bool,
    /// Whether that is being looked at.
    releasing: bool,
}

impl Rivals {
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// An endpoint may hold back from here on what could start before.
    pub(crate) fn note_closed(&mut self) {
        self.closed = true;
    }

    /// Whether there is reason to look at what is held.
    pub(crate) fn take_closed(&mut self) -> bool {
        !self.releasing && std::mem::take(&mut self.closed)
    }

    /// The messages with claims.
    pub(crate) fn messages(&self) -> impl Iterator<Item = Seq> {
        self.claims.keys().copied()
    }

    fn owner(&self, message: Seq, key: DedupeKey) -> Option<Seq> {
        let claims = self.claims.get(&message)?;
        let claim = claims.iter().find(|(claimed, _)| *claimed == key)?;
        Some(claim.1)
    }

    fn claim(&mut self, message: Seq, key: DedupeKey, endpoint: Seq) {
        if self.owner(message, key).is_none() {
            let claims = self.claims.entry(message).or_default();
            claims.push((key, endpoint));
        }
    }
}

fn competes(hot: &Hot) -> bool {
    hot.row.rivals && hot.row.trigger == Trigger::Scheduled
}

impl Delivery {
    /// The key of the event that an attempt made, if another endpoint may make it, too.
    pub(crate) fn event_key_of(&self, attempted: &Attempted) -> Option<DedupeKey> {
        let AttemptOutcome::Event { event, .. } = &attempted.outcome else {
            return None;
        };
        let hot = self.queue.get(attempted.delivery).filter(|h| competes(h))?;
        let space = [b"card ".as_slice(), &hot.row.message.0.to_be_bytes()].concat();
        let text = format!("{}\0{}", event.name, event.id.as_ref()?);
        Some(DedupeKey::new(&space, text.as_bytes()))
    }

    /// An attempt made an event, now or a while ago.
    pub(crate) fn event_made(
        &mut self,
        attempted: Attempted,
        loaded: &Loaded,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let Some(key) = self.event_key_of(&attempted) else {
            return self.conclude(attempted, cx, out);
        };
        let Some(hot) = self.queue.get_mut(attempted.delivery) else {
            return;
        };
        if let Some(known) = loaded.known.get(&key) {
            self.rivals.claim(hot.row.message, key, known.seq);
        }
        let named = matches!(
            attempted.outcome,
            AttemptOutcome::Event {
                name_set_by_script: true,
                ..
            }
        );
        if named || self.rivals.held() >= limits::CARD_EVENTS_HELD_MAX {
            return self.settle(attempted, key, cx, out);
        }
        self.rivals.held.insert((hot.row.message, hot.row.seq));
        hot.phase = Phase::Held(Box::new(attempted));
    }

    /// Appends the event, or records it as a duplicate.
    fn settle(
        &mut self,
        attempted: Attempted,
        key: DedupeKey,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let Some(hot) = self.queue.get(attempted.delivery) else {
            return;
        };
        let (message, endpoint, delivery) = (hot.row.message, hot.row.endpoint, hot.row.seq);
        if let Some(owner) = self.rivals.owner(message, key) {
            return self.record_duplicate(attempted, owner, cx, out);
        }
        self.rivals.claim(message, key, endpoint);
        let others = self.queue.of_message(message);
        if others
            .filter(|hot| competes(hot))
            .any(|hot| hot.row.seq != delivery)
        {
            // A rival that is decided after a restart must find the claim.
            out.writes.push(Write::Dedupe(DedupeRow {
                key,
                seq: endpoint,
                at: cx.now,
                hash: [0; 16],
                expires: cx.now.plus_ms(limits::MESSAGE_DEDUPE_MS),
            }));
        }
        self.conclude(attempted, cx, out);
    }

    /// Whether an event that was made from the message may yet be outdone.
    pub(crate) fn waits_for_rivals(&self, message: Seq, now: Timestamp) -> bool {
        self.rival_of(message, now).is_some()
    }

    /// One that may yet outdo such an event.
    pub(crate) fn rival_of(&self, message: Seq, now: Timestamp) -> Option<&Hot> {
        let mut rivals = self.queue.of_message(message).filter(|hot| competes(hot));
        rivals.find(|hot| self.may_outdo(hot, now))
    }

    /// Whether it is worth waiting for what a rival makes. Not for one that fails already, and not
    /// for one that may come to nothing for days or stands behind many that its rate lets go one
    /// by one.
    fn may_outdo(&self, hot: &Hot, now: Timestamp) -> bool {
        let held_back = || self.queue.holds_back(hot.row.endpoint, now);
        match hot.phase {
            Phase::Blocked => false,
            Phase::Waiting | Phase::Ready => hot.row.tries == 0 && !held_back(),
            Phase::InFlight => hot.row.tries == 0,
            Phase::Held(_) => false,
        }
    }

    /// Settles what waits only for endpoints that hold back what they have to do.
    pub(crate) fn release_held_back(&mut self, cx: &mut Context<'_>, out: &mut Outcome) {
        let messages: BTreeSet<Seq> = self.rivals.held.iter().map(|held| held.0).collect();
        self.rivals.releasing = true;
        for message in messages {
            self.release_held(message, cx, out);
        }
        self.rivals.releasing = false;
    }

    /// Settles the message's held events once nobody can outdo them any more, oldest endpoint
    /// first, and forgets its claims once nobody is left.
    pub(crate) fn release_held(&mut self, message: Seq, cx: &mut Context<'_>, out: &mut Outcome) {
        if self.waits_for_rivals(message, cx.now) {
            return;
        }
        let held = self.queue.of_message(message);
        let held = held.filter(|hot| matches!(hot.phase, Phase::Held(_)));
        let mut held: Vec<(Seq, Seq)> = held.map(|hot| (hot.row.endpoint, hot.row.seq)).collect();
        held.sort_unstable();
        for (_, delivery) in held {
            let Some(hot) = self.queue.get_mut(delivery) else {
                continue;
            };
            let Phase::Held(attempted) = std::mem::replace(&mut hot.phase, Phase::Waiting) else {
                continue;
            };
            self.rivals.held.remove(&(message, delivery));
            if let Some(key) = self.event_key_of(&attempted) {
                self.settle(*attempted, key, cx, out);
            }
        }
        if !self.queue.of_message(message).any(competes) {
            self.rivals.claims.remove(&message);
        }
    }
}
