//! Invocations of other functions, and functions to start afterwards.

use dunlin_types::limits::WAIT_MS_MAX;
use dunlin_types::{Payload, Timestamp, ulid_for};

use super::step::{blank, raced};
use super::wait::open;
use crate::core::Engine;
use crate::input::{Op, OpKind};
use crate::run::{After, Invocation, NewRow, Reported};
use crate::step::{StepFlags, StepKind};

impl Engine {
    /// The row of an invocation: it opens a wait, or fails where there is no such function.
    pub(super) fn invoke_row(
        &self,
        now: Timestamp,
        by: &Reported,
        flags: StepFlags,
        mut op: Op,
    ) -> Option<NewRow> {
        let kind = std::mem::replace(&mut op.kind, OpKind::None);
        let OpKind::Invoke {
            function,
            data,
            user,
            v,
            until,
        } = kind
        else {
            return None;
        };
        let Some(number) = self.catalog.find(&function) else {
            return Some(NewRow {
                kind: StepKind::Failed,
                id: Some(op.id),
                name: op.name,
                payload: Self::not_found(&function),
                ..blank(now, by, raced(flags, op.race))
            });
        };
        let created = self.ledgers.get(by.run)?.created;
        let row = self.catalog.function(number).map(|f| f.row.slug.clone());
        let invocation = Invocation {
            function: number,
            slug: row.unwrap_or(function),
            data,
            user,
            v,
            correlation: format!("{}.{}", ulid_for(created, by.run), op.id),
            name: op.name.clone(),
        };
        let until = until.min(now.plus_ms(WAIT_MS_MAX));
        let nothing = Payload::from_json(Vec::new());
        let row = open(now, by, flags, op, StepKind::Invoked, until, nothing);
        Some(NewRow {
            after: Some(After::Invoke(Box::new(invocation))),
            ..row
        })
    }
}

/// The row of a function that is, or is not, to be started when the run has ended.
pub(super) fn defer_row(now: Timestamp, by: &Reported, flags: StepFlags, op: Op) -> Option<NewRow> {
    let (kind, id, payload) = match op.kind {
        OpKind::DeferAdd(spec) => (StepKind::Deferred, op.id, spec),
        OpKind::DeferAbort(target) => (
            StepKind::DeferAborted,
            target,
            Payload::from_json(Vec::new()),
        ),
        _ => return None,
    };
    Some(NewRow {
        kind,
        id: Some(id),
        name: op.name,
        payload,
        ..blank(now, by, flags)
    })
}
