//! For the tests beside the code: a core that is told something, and what it says.

use dunlin_types::{Seq, Timestamp};

use crate::{Answer, Context, Delivery, DeliveryOptions, Effect, Input, Loaded, Write};

/// When all of it happens.
pub(crate) const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

/// A core with nothing in it, and the last number that it was given.
pub(crate) struct Told {
    pub(crate) core: Delivery,
    seq: u64,
}

impl Told {
    pub(crate) fn new() -> Self {
        Self {
            core: Delivery::new(DeliveryOptions::default()),
            seq: 0,
        }
    }

    /// What the core answers.
    pub(crate) fn tell(&mut self, input: Input) -> Answer {
        self.tell_all(input).0
    }

    /// What it answers, and what it writes.
    pub(crate) fn tell_all(&mut self, input: Input) -> (Answer, Vec<Write>) {
        let mut next_seq = || {
            self.seq += 1;
            Seq(self.seq)
        };
        let mut cx = Context {
            now: NOW,
            seed: 0,
            next_seq: &mut next_seq,
        };
        let mut out = self.core.handle(input, &Loaded::default(), &mut cx);
        let answer = out.effects.drain(..).find_map(|effect| match effect {
            Effect::Answer { answer, .. } => Some(answer),
            Effect::Attempt(_) => None,
        });
        (answer.expect("an answer"), out.writes)
    }
}
