//! An attempt failed: it is made again, or its budget is used up.

use dunlin_types::{Code, Payload, Seq, StepId};

use crate::backoff;
use crate::core::{Engine, Work};
use crate::input::Failure;
use crate::live::Item;
use crate::run::{NewRow, Reported};
use crate::step::StepKind;
use crate::write::RunStatus;

/// The error object that users and SDKs see for what the engine itself found wrong.
pub(crate) fn error_object(code: Code, name: &str, message: &str) -> Payload {
    let mut text = String::from("{");
    for (key, value) in [
        ("code", code.to_string().as_str()),
        ("error", message),
        ("message", message),
        ("name", name),
    ] {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&format!("\"{key}\":\"{}\"", escape(value)));
    }
    text.push('}');
    Payload::from_json(text)
}

/// Escapes for a JSON string. The texts are our own words and names that may come from outside.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

impl Engine {
    /// Attempts that the run's items have.
    pub(crate) fn attempts_max(&self, run: Seq) -> u8 {
        let function = self
            .live
            .get(&run)
            .and_then(|live| self.catalog.function(live.function));
        function.map_or(1, |f| f.attempts_max(self.options.retries_default))
    }

    /// Whether another attempt of the item may be made.
    pub(crate) fn may_retry(&self, run: Seq, item: &Item, failure: &Failure) -> bool {
        !failure.no_retry && item.attempt.saturating_add(1) < self.attempts_max(run)
    }

    /// An attempt of the item failed as a whole: again later, or the run fails.
    pub(crate) fn attempt_failed(
        &mut self,
        work: &mut Work<'_, '_>,
        by: &Reported,
        step: Option<(StepId, String)>,
        failure: Failure,
    ) {
        if self.may_retry(by.run, &by.item, &failure) {
            self.retry(work, by, step, failure);
        } else {
            self.end(work, by.run, RunStatus::Failed, failure.error, by.started);
        }
    }

    /// Puts the item back with its next attempt.
    pub(crate) fn retry(
        &mut self,
        work: &mut Work<'_, '_>,
        by: &Reported,
        step: Option<(StepId, String)>,
        failure: Failure,
    ) {
        let seed = work.cx.seed ^ by.item.key.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let delay = backoff::delay_ms(
            by.item.attempt,
            failure.retry_after_ms,
            self.options.retry_interval_ms,
            seed,
        );
        let due = work.now().plus_ms(delay);
        let (id, name) = step.map_or((None, String::new()), |(id, name)| (Some(id), name));
        let row = NewRow {
            kind: StepKind::Retried,
            flags: by.flags,
            item: by.item.key,
            attempt: by.item.attempt + 1,
            due,
            id,
            name,
            queued: by.item.due,
            started: by.started,
            ended: by.ended,
            payload: failure.error,
            source: None,
            after: None,
        };
        self.append(work, by.run, row);
    }

    /// The server stopped uncleanly during each call of this item.
    pub(crate) fn crashed_too_often(&mut self, work: &mut Work<'_, '_>, run: Seq, item: Item) {
        let now = work.now();
        let Some(by) = self.reported(run, item.key, (now, now), false) else {
            return;
        };
        let code = Code::CrashedTooOften;
        let error = error_object(code, "CrashedTooOften", code.title());
        let failure = Failure {
            busy: false,
            code,
            error,
            no_retry: false,
            retry_after_ms: None,
        };
        self.attempt_failed(work, &by, None, failure);
    }
}
