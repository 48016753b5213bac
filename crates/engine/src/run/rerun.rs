//! Somebody wants a run made again, from its start or from one of its steps.

use dunlin_types::{Payload, Seq, StepId, Token, ulid_for};

use crate::core::{Engine, Work};
use crate::effect::Answer;
use crate::input::Rerun;
use crate::run::NewRow;
use crate::step::{StepFlags, StepKind};

impl Engine {
    pub(crate) fn rerun(&mut self, work: &mut Work<'_, '_>, token: Token, rerun: Rerun) {
        let function = self.catalog.function(rerun.function);
        let gone = function.is_none_or(|f| f.row.archived.is_some());
        let Some(event) = rerun.events.first().cloned().filter(|_| !gone) else {
            work.answer(token, Answer::NoSuchFunction);
            return;
        };
        let now = work.now();
        let keys = self.keys_for(rerun.function, &event, now);
        let mut row = self.run_row(work, rerun.function, event.seq, now);
        row.original = Some(rerun.original);
        let run = row.seq;
        row.more = rerun.events.iter().skip(1).map(|event| event.seq).collect();
        row.flow = keys.encode();
        let batched = rerun.events.len() > 1;
        self.begin(work, row, keys, rerun.events.into());
        let version = rerun.version.unwrap_or(-1);
        let flags = StepFlags::default()
            .with(StepFlags::VERSION_KNOWN, version > 0)
            .with(StepFlags::VERSION_2, version >= 2);
        for kept in rerun.results {
            let row = NewRow {
                kind: kept.kind,
                id: Some(kept.id),
                name: kept.name,
                payload: kept.payload,
                ..NewRow::blank(now, Seq(0), flags)
            };
            self.append(work, run, row);
        }
        if let Some((step, name, input)) = rerun.from {
            self.call_first(work, run, flags, (step, name), input);
        }
        self.guard(work, run, rerun.function, (!batched).then_some(&event));
        self.rest(run, work.cx.commit, now);
        let event = event.internal_id;
        let run = ulid_for(now, run);
        work.answer(token, Answer::Started { run, event });
    }

    /// The run's first call is to run that step, with those arguments if there are any.
    fn call_first(
        &mut self,
        work: &mut Work<'_, '_>,
        run: Seq,
        flags: StepFlags,
        (step, name): (StepId, String),
        input: Option<Payload>,
    ) {
        let now = work.now();
        if let Some(payload) = input {
            let row = NewRow {
                kind: StepKind::Given,
                id: Some(step.clone()),
                name: name.clone(),
                payload,
                ..NewRow::blank(now, Seq(0), flags)
            };
            self.append(work, run, row);
        }
        let row = NewRow {
            kind: StepKind::Planned,
            id: Some(step),
            name,
            ..NewRow::blank(now, run, flags.with(StepFlags::CLOSES, true))
        };
        self.append(work, run, row);
    }
}
