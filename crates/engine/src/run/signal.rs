//! Somebody sends a signal.

use dunlin_types::{Payload, Token};

use crate::core::{Engine, Work};
use crate::effect::Answer;
use crate::run::NewRow;
use crate::run::fail::escape;
use crate::run::resolve::Resolution;
use crate::step::StepKind;

impl Engine {
    /// Whoever waited for the signal that a new row describes has lost it: that wait can only run
    /// out, over restarts too.
    pub(crate) fn take_signal_over(&mut self, work: &mut Work<'_, '_>, spec: &Payload) {
        let spec = dunlin_expr::parse_json(spec.bytes());
        let name = spec.get("signal").and_then(|name| name.as_str());
        let Some(waiter) = name.and_then(|name| self.waits.signal(name)) else {
            return;
        };
        self.waits.close(waiter.item);
        let row = NewRow {
            kind: StepKind::SignalTaken,
            ..NewRow::blank(work.now(), waiter.item, self.run_flags(waiter.run))
        };
        self.append(work, waiter.run, row);
    }

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
