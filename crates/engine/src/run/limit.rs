//! Steps and state that a run may have: for all functions, or for one while somebody tries that out.

use dunlin_types::{Code, Payload, Seq, Timestamp, Token};

use crate::core::{Engine, Work};
use crate::effect::Answer;
use crate::run::error_object;
use crate::write::RunStatus;

/// Limits of one function; what is none is that of all. Not stored: they are for trying out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OwnLimits {
    pub(crate) steps: Option<usize>,
    pub(crate) state_bytes: Option<usize>,
}

impl Engine {
    /// Sets or lifts a function's own limits.
    pub(crate) fn limit(
        &mut self,
        work: &mut Work<'_, '_>,
        token: Token,
        function: u32,
        own: OwnLimits,
    ) {
        if self.catalog.function(function).is_none() {
            work.answer(token, Answer::NoSuchFunction);
            return;
        }
        self.own_limits.insert(function, own);
        work.answer(token, Answer::Done);
    }

    /// Stops every live run.
    pub(crate) fn stop_all(&mut self, work: &mut Work<'_, '_>, token: Token) {
        let runs: Vec<Seq> = self.live.iter().map(|(run, _)| *run).collect();
        for run in runs {
            self.stop(work, run, Payload::from_json("{\"reason\":\"reset\"}"));
        }
        work.answer(token, Answer::Done);
    }

    /// The steps and the bytes that the run may have.
    fn limits_of(&self, run: Seq) -> (usize, usize) {
        let function = self.live.get(&run).map(|live| live.function);
        let own = function.and_then(|function| self.own_limits.get(&function));
        let own = own.copied().unwrap_or_default();
        let steps = own.steps.unwrap_or(self.options.steps_max);
        (
            steps,
            own.state_bytes.unwrap_or(self.options.state_bytes_max),
        )
    }

    /// The limit of steps or of state that the run has reached.
    pub(crate) fn limit_reached(&self, run: Seq) -> Option<Code> {
        let state = &self.ledgers.get(run)?.state;
        let (steps, bytes) = self.limits_of(run);
        if state.stack.len() >= steps {
            Some(Code::TooManySteps)
        } else {
            (state.bytes > bytes).then_some(Code::StateTooLarge)
        }
    }

    /// Ends the run if it has reached a limit; names and texts are the SDK protocol's.
    pub(crate) fn over_limits(&mut self, work: &mut Work<'_, '_>, run: Seq) -> bool {
        let Some(code) = self.limit_reached(run) else {
            return false;
        };
        let (steps, bytes) = self.limits_of(run);
        let (name, limit) = if code == Code::TooManySteps {
            let limit = format!("step limit of {steps} steps");
            ("InngestErrFunctionOverflowed", limit)
        } else {
            let limit = format!("state size limit of {bytes} bytes");
            ("InngestErrStateOverflowed", limit)
        };
        let text = format!("The function run exceeded the {limit}.");
        let error = error_object(code, name, &text);
        self.end(work, run, RunStatus::Failed, error, Timestamp::ZERO);
        true
    }
}
