//! Somebody wants a run to stop.

use dunlin_types::{Payload, Seq, Timestamp, Token};

use crate::core::{Engine, Work};
use crate::effect::Answer;
use crate::write::RunStatus;

impl Engine {
    pub(crate) fn cancel(
        &mut self,
        work: &mut Work<'_, '_>,
        token: Token,
        run: Seq,
        created: Timestamp,
    ) {
        if !self.is_run(run, created) {
            work.answer(token, Answer::NoSuchRun);
            return;
        }
        self.end(
            work,
            run,
            RunStatus::Cancelled,
            Payload::from_json("{\"reason\":\"request\"}"),
            Timestamp::ZERO,
        );
        work.answer(token, Answer::Cancelled);
    }
}
