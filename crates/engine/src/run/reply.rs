//! A call came back.

use dunlin_types::{Seq, StepId, Timestamp};

use crate::core::{Engine, Work};
use crate::input::{CallReply, Reply};
use crate::live::Item;
use crate::step::StepFlags;
use crate::write::RunStatus;

/// Who reports operations: a reply, or a call that goes on.
pub(crate) struct Reported {
    pub(crate) run: Seq,
    pub(crate) item: Item,
    /// The planned step that the item is to run.
    pub(crate) target: Option<StepId>,
    pub(crate) started: Timestamp,
    pub(crate) ended: Timestamp,
    /// The run's settings, as rows carry them.
    pub(crate) flags: StepFlags,
    /// Whether the call goes on.
    pub(crate) checkpoint: bool,
}

impl Engine {
    pub(crate) fn reply(&mut self, work: &mut Work<'_, '_>, reply: CallReply) {
        let call = reply.call;
        self.give_back(call.lane, call.run, call.item);
        let slow = reply.reply.is_busy().map(|pause| (reply.started, pause));
        self.schedule.heard(call.app, slow);
        if !self.is_current(call.run, call.item, Some(call.generation)) {
            return;
        }
        let times = (reply.started, reply.ended);
        let Some(mut reported) = self.reported(call.run, call.item, times, false) else {
            self.postpone(work.now(), call.run, call.item);
            return;
        };
        if !reported.flags.has(StepFlags::VERSION_KNOWN)
            && let Some(version) = reply.version
        {
            reported.flags = reported
                .flags
                .with(StepFlags::VERSION_KNOWN, version > 0)
                .with(StepFlags::VERSION_2, version >= 2);
        }
        match reply.reply {
            Reply::Done(output) => {
                self.end(work, call.run, RunStatus::Completed, output, reply.started);
            }
            Reply::Failed(failure) => self.attempt_failed(work, &reported, None, failure),
            Reply::Ops(ops) => self.ops(work, &reported, ops),
        }
    }

    /// Who reports; none if the run or its ledger is not there.
    pub(crate) fn reported(
        &self,
        run: Seq,
        key: Seq,
        (started, ended): (Timestamp, Timestamp),
        checkpoint: bool,
    ) -> Option<Reported> {
        let item = *self.live.get(&run)?.items.get(key)?;
        let target = self.ledgers.get(run)?.step_of(key).cloned();
        let flags = self.run_flags(run);
        Some(Reported {
            run,
            item,
            target,
            started,
            ended,
            flags,
            checkpoint,
        })
    }
}
