//! Somebody sends a signal.

use dunlin_types::{Payload, Token};

use crate::core::{Engine, Work};
use crate::effect::Answer;
use crate::run::fail::escape;
use crate::run::resolve::Resolution;
use crate::step::StepKind;

impl Engine {
    pub(crate) fn signal(
        &mut self,
        work: &mut Work<'_, '_>,
        token: Token,
        name: &str,
        data: Payload,
    ) {
        let Some(waiter) = self.waits.signal(name) else {
            work.answer(token, Answer::NoSuchSignal);
            return;
        };
        let memo = format!(
            "{{\"data\":{},\"signal\":\"{}\"}}",
            data.as_str(),
            escape(name)
        );
        let outcome = Resolution::new(StepKind::Ran, Payload::from_json(memo));
        self.resolve(work, waiter.run, waiter.item, outcome);
        work.answer(token, Answer::Signalled(waiter.run));
    }
}
