//! Operations that an app reports. One response is taken as a whole: its rows are drawn up first,
//! then it is decided which of them close the item and open the next, then they are appended.
//!
//! To add an operation: a variant of [`OpKind`], a file here that draws up its row, and a line in
//! [`Engine::draw_up`].

mod gateway;
mod invoke;
mod sleep;
mod step;
mod wait;

use dunlin_types::limits::{DEFERS_BYTES_MAX, DEFERS_PER_RUN_MAX};
use dunlin_types::{Code, OutboundRequest, Payload, StepId, Timestamp};

use crate::core::{Engine, Work};
use crate::input::{Failure, Op, OpKind};
use crate::run::{NewRow, Reported, error_object};
use crate::step::{StepFlags, StepKind};
use crate::write::RunStatus;

/// What a response comes to.
#[derive(Default)]
struct Drawn {
    rows: Vec<NewRow>,
    /// Whether something was reported that is known already.
    known: bool,
    /// The step that threw and may be tried again.
    retry: Option<(StepId, String, Failure)>,
    /// The function's return value.
    done: Option<Payload>,
    /// What ends the run.
    refused: Option<(Code, String)>,
    /// Whether a step that races has ended.
    raced: bool,
    /// What else is told of steps, for traces.
    notes: Vec<(StepId, String, Payload)>,
    /// The request that the reporting item was asked for.
    request: Option<OutboundRequest>,
}

impl Engine {
    /// Takes a response's operations.
    pub(crate) fn ops(&mut self, work: &mut Work<'_, '_>, by: &Reported, ops: Vec<Op>) {
        let lazy = |op: &Op| matches!(op.kind, OpKind::DeferAdd(_) | OpKind::DeferAbort(_));
        let group = ops.iter().filter(|op| !lazy(op)).nth(1).is_some();
        let mut by_flags = by
            .flags
            .with(StepFlags::FORCE_PLAN, group && !by.checkpoint);
        if by.checkpoint {
            by_flags = by_flags.with(StepFlags::CHECKPOINT, true);
        }
        let grouped = group && by_flags.has(StepFlags::VERSION_2);
        let mut drawn = Drawn::default();
        for op in ops {
            self.draw_up(
                work,
                by,
                by_flags.with(StepFlags::GROUP, grouped),
                op,
                &mut drawn,
            );
        }
        self.settle(work, by, by_flags, drawn);
    }

    fn draw_up(
        &self,
        work: &Work<'_, '_>,
        by: &Reported,
        flags: StepFlags,
        mut op: Op,
        drawn: &mut Drawn,
    ) {
        if self.is_known(by, &op, drawn) {
            drawn.known |= !matches!(op.kind, OpKind::StepPlanned);
            return;
        }
        if let Some(note) = op.note.take() {
            drawn.notes.push((op.id.clone(), op.name.clone(), note));
        }
        let now = work.now();
        match op.kind {
            OpKind::None => {}
            OpKind::StepRun(_) | OpKind::Step(_) | OpKind::StepFailed(_) | OpKind::StepPlanned => {
                drawn.raced |= op.race && !matches!(op.kind, OpKind::StepPlanned);
                drawn.rows.extend(step::row(now, by, flags, op));
            }
            OpKind::StepError(failure) => {
                if self.may_retry(by.run, &by.item, &failure) {
                    drawn.retry.get_or_insert((op.id, op.name, failure));
                } else {
                    let kind = OpKind::StepFailed(failure.error);
                    drawn.raced |= op.race;
                    let op = Op { kind, ..op };
                    drawn.rows.extend(step::row(now, by, flags, op));
                }
            }
            OpKind::RunComplete(output) => drawn.done = Some(output),
            OpKind::DiscoveryRequest => drawn.rows.push(NewRow {
                kind: StepKind::Asked,
                id: None,
                ..step::blank(now, by, flags)
            }),
            OpKind::Refused(code, why) => drawn.refused = Some((code, why)),
            _ => self.draw_up_open(now, by, flags, op, drawn),
        }
    }

    /// Draws up what opens a step that is not called, and what concerns no step.
    fn draw_up_open(
        &self,
        now: Timestamp,
        by: &Reported,
        flags: StepFlags,
        mut op: Op,
        drawn: &mut Drawn,
    ) {
        let row = match std::mem::replace(&mut op.kind, OpKind::None) {
            kind @ (OpKind::SleepUntil(_) | OpKind::SleepFor(_)) => {
                sleep::row(now, by, flags, Op { kind, ..op })
            }
            OpKind::WaitForEvent {
                event,
                condition,
                until,
            } => self.wait_row(now, by, flags, op, (&event, condition.as_deref(), until)),
            OpKind::WaitForSignal {
                signal,
                replace,
                until,
            } => self.signal_row(now, by, flags, op, (&signal, replace, until), &drawn.rows),
            OpKind::Gateway(request) if self.asks_again(by, &op) => {
                drawn.request = Some(*request);
                return;
            }
            OpKind::Gateway(request) => Ok(gateway::row(now, by, flags, op, *request)),
            kind @ OpKind::Invoke { .. } => {
                drawn.raced |= op.race;
                drawn
                    .rows
                    .extend(self.invoke_row(now, by, flags, Op { kind, ..op }));
                return;
            }
            OpKind::DeferAdd(spec) if !self.may_defer(by, &spec, drawn) => {
                drawn.known = true;
                return;
            }
            kind => {
                drawn
                    .rows
                    .extend(invoke::defer_row(now, by, flags, Op { kind, ..op }));
                return;
            }
        };
        match row {
            Ok(row) => drawn.rows.push(row),
            Err(refused) => drawn.refused = Some(refused),
        }
    }

    /// Whether the run may ask for one function more to be started when it has ended.
    fn may_defer(&self, by: &Reported, spec: &Payload, drawn: &Drawn) -> bool {
        let kept = self.ledgers.get(by.run).map(|l| &l.state.defers);
        let kept = kept.into_iter().flat_map(|defers| defers.values());
        let new = drawn.rows.iter().filter(|r| r.kind == StepKind::Deferred);
        let all = kept.chain(new.map(|row| &row.payload));
        let (count, bytes) = all.fold((0, spec.len()), |(count, bytes), one| {
            (count + 1, bytes + one.len())
        });
        count < DEFERS_PER_RUN_MAX && bytes <= DEFERS_BYTES_MAX
    }

    /// Whether the step has a result, or an item of its own that is not the one that reports (or
    /// that reports no more than that it is planned).
    fn is_known(&self, by: &Reported, op: &Op, drawn: &Drawn) -> bool {
        if matches!(
            op.kind,
            OpKind::None | OpKind::RunComplete(_) | OpKind::DiscoveryRequest
        ) {
            return false;
        }
        if drawn.rows.iter().any(|row| row.id.as_ref() == Some(&op.id)) {
            return true;
        }
        let plans = matches!(op.kind, OpKind::StepPlanned);
        let Some(ledger) = self.ledgers.get(by.run) else {
            return false;
        };
        if let OpKind::DeferAbort(target) = &op.kind {
            let mut drawn = drawn.rows.iter();
            let added =
                |row: &NewRow| row.kind == StepKind::Deferred && row.id.as_ref() == Some(target);
            return !drawn.any(added) && !ledger.state.defers.contains_key(target);
        }
        ledger.state.memos.contains_key(&op.id)
            || ledger.state.defers.contains_key(&op.id)
            || ledger
                .open
                .get(&op.id)
                .is_some_and(|open| plans || open.item != by.item.key)
    }

    /// Appends what was drawn up, and sees to it that the run goes on.
    fn settle(
        &mut self,
        work: &mut Work<'_, '_>,
        by: &Reported,
        flags: StepFlags,
        mut drawn: Drawn,
    ) {
        if let Some(request) = drawn.request.take() {
            self.request_again(work, by, request);
            return;
        }
        let ends = drawn.done.is_some() || drawn.refused.is_some();
        // A call for one step that tells only of others has not moved: closing its item would
        // leave the step open without anything that brings its end.
        let strayed = by
            .target
            .as_ref()
            .is_some_and(|id| !drawn.rows.iter().any(|row| row.id.as_ref() == Some(id)));
        // What is to start when the run has ended does not bring it to its end; the app goes on from
        // there when it is asked again.
        let lazy = |row: &NewRow| matches!(row.kind, StepKind::Deferred | StepKind::DeferAborted);
        let moved = !strayed && !drawn.rows.iter().all(lazy);
        drawn.known |= drawn.rows.iter().any(lazy);
        let stays = by.checkpoint || ends || !moved || drawn.retry.is_some();
        if !stays {
            self.link(by, &mut drawn);
        }
        for row in drawn.rows {
            self.append(work, by.run, row);
        }
        for (id, name, payload) in drawn.notes {
            let row = NewRow {
                kind: StepKind::Noted,
                id: Some(id),
                name,
                payload,
                ..step::blank(work.now(), by, self.run_flags(by.run))
            };
            self.append(work, by.run, row);
        }
        if let Some((code, why)) = drawn.refused {
            let error = error_object(code, error_name(code), &why);
            self.end(work, by.run, RunStatus::Failed, error, by.started);
        } else if let Some(output) = drawn.done {
            self.end(work, by.run, RunStatus::Completed, output, by.started);
        } else if let Some((id, name, failure)) = drawn.retry {
            self.retry(work, by, Some((id, name)), failure);
        } else if !by.checkpoint && !moved {
            self.nothing_new(work, by, flags, drawn.known);
        }
    }

    /// Has the first row close the item, and one row open a discovery where one is due: the last
    /// that completes a step, else the one that asks for it.
    fn link(&self, by: &Reported, drawn: &mut Drawn) {
        if let Some(first) = drawn.rows.first_mut() {
            first.flags.0 |= StepFlags::CLOSES;
        }
        let Some(ledger) = self.ledgers.get(by.run) else {
            return;
        };
        let ended = |id: &StepId| {
            drawn
                .rows
                .iter()
                .any(|r| r.kind.completes() && r.id.as_ref() == Some(id))
        };
        let opens = |row: &NewRow| row.kind.opens();
        let grouped = |row: &NewRow| row.flags.has(StepFlags::GROUP) && opens(row);
        let group_done = ledger.pending.iter().all(ended) && !drawn.rows.iter().any(grouped);
        // A loser of a race may be open still: until it has ended, branches may meet.
        let all_done = !drawn.rows.iter().any(opens) && ledger.open.keys().all(ended);
        let version_2 = by.flags.has(StepFlags::VERSION_2);
        let race = drawn.raced
            || by
                .target
                .as_ref()
                .and_then(|id| ledger.open.get(id))
                .is_some_and(|open| open.race);
        let waits = self.discovery_waits(by.run, by.item.key);
        let last = drawn.rows.iter().rposition(|row| row.kind.completes());
        let asked = drawn.rows.iter().position(|r| r.kind == StepKind::Asked);
        let discovers = last
            .filter(|_| !version_2 || race || group_done)
            .or(asked)
            .filter(|_| !waits);
        if let Some(row) = discovers.and_then(|at| drawn.rows.get_mut(at)) {
            row.flags.0 |= StepFlags::DISCOVERS;
        }
        if let Some(last) = last.filter(|_| version_2 && group_done && all_done) {
            for row in &mut drawn.rows[last..] {
                row.flags.0 &= !StepFlags::FORCE_PLAN;
            }
        }
    }

    /// The response moved nothing. Where other items are open they will; else the app is asked
    /// again, as another attempt, so that it cannot hold a run for ever.
    fn nothing_new(
        &mut self,
        work: &mut Work<'_, '_>,
        by: &Reported,
        flags: StepFlags,
        known: bool,
    ) {
        let others = self.live.get(&by.run).is_some_and(|live| {
            let mut items = live.items.iter();
            items.any(|item| item.key != by.item.key && !item.kind.is_guard())
        });
        if others && by.target.is_none() {
            let row = NewRow {
                kind: StepKind::Idle,
                ..step::blank(work.now(), by, flags.with(StepFlags::CLOSES, true))
            };
            self.append(work, by.run, row);
            return;
        }
        let code = if known {
            Code::NoProgress
        } else {
            Code::NothingToDo
        };
        let error = error_object(code, "Error", code.title());
        let retry_after_ms = None;
        let failure = Failure {
            busy: false,
            code,
            error,
            no_retry: false,
            retry_after_ms,
        };
        if known && self.may_retry(by.run, &by.item, &failure) {
            self.retry_at_once(work, by, failure);
        } else {
            self.attempt_failed(work, by, None, failure);
        }
    }

    /// What it reported is committed already (it could not know): the next attempt need not wait.
    fn retry_at_once(&mut self, work: &mut Work<'_, '_>, by: &Reported, failure: Failure) {
        let row = NewRow {
            kind: StepKind::Retried,
            attempt: by.item.attempt + 1,
            payload: failure.error,
            ..step::blank(work.now(), by, by.flags)
        };
        self.append(work, by.run, row);
    }
}

/// The error's name, as the SDK protocol has it where it has one.
const fn error_name(code: Code) -> &'static str {
    match code {
        Code::SleepTooLong | Code::WaitTooLong => "InngestErrTimeoutTooLong",
        Code::WaitExpressionBad => "InvalidExpression",
        Code::OpNotBuilt => "OperationNotSupported",
        _ => "Error",
    }
}
