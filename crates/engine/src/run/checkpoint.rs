//! Steps reported while their call goes on.

use dunlin_types::{Code, Seq, ulid_for};

use crate::core::{Engine, Work};
use crate::effect::Answer;
use crate::input::{Checkpoint, OpKind};

impl Engine {
    pub(crate) fn checkpoint(&mut self, work: &mut Work<'_, '_>, report: Checkpoint) {
        let token = report.token;
        let answer = match self.refuse_checkpoint(&report) {
            Some((code, why)) => Answer::CheckpointRefused(code, why.to_owned()),
            None => {
                let times = (report.started, work.now());
                if let Some(reported) = self.reported(report.run, report.item, times, true) {
                    self.ops(work, &reported, report.ops);
                }
                Answer::Checkpointed
            }
        };
        work.answer(token, answer);
    }

    fn refuse_checkpoint(&self, report: &Checkpoint) -> Option<(Code, &'static str)> {
        if !self.live.contains_key(&report.run) {
            return Some((Code::RunEnded, "the run has ended, or never was"));
        }
        if !self.is_current(report.run, report.item, report.generation) {
            return Some((
                Code::StaleDispatch,
                "a newer dispatch of this item owns the run",
            ));
        }
        if self
            .ledgers
            .get(report.run)
            .is_some_and(|l| l.created != report.created)
        {
            return Some((Code::NotFound, "there is no such run"));
        }
        // The app falls back to answering its call, and the run ends before the next one.
        if let Some(code) = self.limit_reached(report.run) {
            return Some((code, code.title()));
        }
        let allowed = |kind: &OpKind| {
            matches!(
                kind,
                OpKind::StepRun(_)
                    | OpKind::Step(_)
                    | OpKind::StepFailed(_)
                    | OpKind::StepPlanned
                    | OpKind::DeferAdd(_)
                    | OpKind::DeferAbort(_)
            )
        };
        let odd = report.ops.iter().any(|op| !allowed(&op.kind));
        odd.then_some((
            Code::OpBad,
            "only finished and planned steps can be checkpointed",
        ))
    }

    /// Whether a live run of that row, with its ledger in memory, was made at that time.
    pub(crate) fn is_run(&self, run: Seq, created: dunlin_types::Timestamp) -> bool {
        self.live.contains_key(&run)
            && self
                .ledgers
                .get(run)
                .is_some_and(|ledger| ulid_for(ledger.created, run) == ulid_for(created, run))
    }
}
