//! Waits for events and for signals.

use dunlin_types::limits::{WAIT_MS_MAX, WAIT_READS_BYTES_MAX};
use dunlin_types::{Code, Payload, Timestamp};

use super::step::{blank, raced};
use crate::core::Engine;
use crate::input::Op;
use crate::run::{NewRow, Reported, escape};
use crate::step::{StepFlags, StepKind};
use crate::waits::{Refused, event_wait};

/// Why a run cannot go on.
type Refusal = (Code, String);

impl Engine {
    /// The row of a wait for an event.
    pub(super) fn wait_row(
        &self,
        now: Timestamp,
        by: &Reported,
        flags: StepFlags,
        op: Op,
        (event, condition, until): (&str, Option<&str>, Timestamp),
    ) -> Result<NewRow, Refusal> {
        if until.since(now) > WAIT_MS_MAX {
            let why = format!(
                "The wait-for-event timeout of \"{}\" expires more than one year in the future",
                op.name
            );
            return Err((Code::WaitTooLong, why));
        }
        let trigger = self.ledgers.get(by.run).and_then(|l| l.events.first());
        let payload = match event_wait(event, condition, trigger.map(AsRef::as_ref)) {
            Ok(payload) if payload.len() > WAIT_READS_BYTES_MAX => {
                let why = format!(
                    "the expression of the wait \"{}\" reads more than {WAIT_READS_BYTES_MAX} bytes of \
                     the run's event; compare single fields",
                    op.name
                );
                return Err((Code::WaitExpressionBad, why));
            }
            Ok(payload) => payload,
            // It can only run out, so it need not be found by any event.
            Err(Refused::Never) => never(event, condition),
            Err(Refused::Bad(error)) => {
                let text = condition.unwrap_or_default();
                let why = format!(
                    "the expression `{text}` of the wait \"{}\": {}",
                    op.name, error.detail
                );
                return Err((Code::WaitExpressionBad, why));
            }
        };
        Ok(open(now, by, flags, op, StepKind::Waited, until, payload))
    }

    /// The row of a wait for a signal.
    pub(super) fn signal_row(
        &self,
        now: Timestamp,
        by: &Reported,
        flags: StepFlags,
        op: Op,
        (signal, replace, until): (&str, bool, Timestamp),
        drawn: &[NewRow],
    ) -> Result<NewRow, Refusal> {
        let payload = Payload::from_json(format!("{{\"signal\":\"{}\"}}", escape(signal)));
        let twin = drawn
            .iter()
            .any(|row| row.kind == StepKind::AwaitedSignal && row.payload == payload);
        if !replace && (twin || self.waits.signal(signal).is_some()) {
            let why = "Signal conflict; signal wait already exists for another run";
            return Err((Code::SignalTaken, format!("{why}: \"{signal}\"")));
        }
        let until = until.min(now.plus_ms(WAIT_MS_MAX));
        let kind = StepKind::AwaitedSignal;
        Ok(open(now, by, flags, op, kind, until, payload))
    }
}

/// A wait that no event matches.
fn never(event: &str, condition: Option<&str>) -> Payload {
    let (event, condition) = (escape(event), escape(condition.unwrap_or_default()));
    Payload::from_json(format!(
        "{{\"event\":\"{event}\",\"if\":\"{condition}\",\"never\":true}}"
    ))
}

/// The row that opens a wait.
pub(super) fn open(
    now: Timestamp,
    by: &Reported,
    flags: StepFlags,
    op: Op,
    kind: StepKind,
    until: Timestamp,
    payload: Payload,
) -> NewRow {
    let flags = raced(flags, op.race);
    NewRow {
        kind,
        due: until.max(now),
        id: Some(op.id),
        name: op.name,
        payload,
        ..blank(now, by, flags)
    }
}
