//! The options of an operation, and the operations that are nothing but options: waits, invokes,
//! deferred functions.

use bytes::Bytes;
use dunlin_types::limits::{
    EVENT_NAME_CHARS_MAX, STEP_INPUT_BYTES_MAX, TARGET_NAME_BYTES_MAX, WAIT_MS_DEFAULT,
};
use dunlin_types::{Code, Coded, Payload, StepId, Timestamp};
use serde_json::value::RawValue;

use super::OpKind;
use crate::duration::{SleepSpec, parse_sleep};
use crate::ingest::{check_json, without_reserved};
use crate::json::{self, Members};

/// The options of one operation, read only where it has any.
pub(super) struct Opts<'a> {
    members: Option<Members<'a>>,
    /// The response that they are part of.
    pub(super) body: &'a Bytes,
    /// What people call the step.
    pub(super) step: &'a str,
}

/// As much of a text as an error shows.
const SHOWN_CHARS_MAX: usize = 64;

impl<'a> Opts<'a> {
    /// Options that cannot be read are none; `{}`, which most steps have, is not even looked at.
    pub(super) fn of(raw: Option<&'a RawValue>, body: &'a Bytes, step: &'a str) -> Self {
        let text = raw.map(RawValue::get).filter(|text| text.len() > 2);
        Self {
            members: text.and_then(Members::of),
            body,
            step,
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.members.as_ref()?.get(key)
    }

    /// The string under `key`, unless it is empty.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let text = json::string(self.get(key)?)?;
        Some(text).filter(|text| !text.is_empty())
    }

    /// An error of this operation.
    pub(super) fn bad(&self, why: &str) -> Coded {
        Coded::new(Code::OpBad, format!("the step {:?} {why}", self.step))
    }

    /// Refuses input that is too large to be kept.
    pub(super) fn check_input(&self, bytes: usize) -> Result<(), Coded> {
        if bytes <= STEP_INPUT_BYTES_MAX {
            return Ok(());
        }
        let step = self.step;
        Err(Coded::new(
            Code::StepInputTooLarge,
            format!("step input size is greater than the limit: {step:?} has {bytes} bytes"),
        ))
    }

    /// The arguments of the step, kept to be shown.
    pub(super) fn input(&self) -> Result<Option<Payload>, Coded> {
        let Some(text) = self.get("input") else {
            return Ok(None);
        };
        self.check_input(text.len())?;
        Ok(Some(json::cut(self.body, text)))
    }

    /// A name that something is looked up by.
    fn target(&self, key: &str) -> Result<String, Coded> {
        match self.text(key) {
            None => Err(self.bad(&format!("lacks {key}, which must be a text"))),
            Some(text) if text.len() > TARGET_NAME_BYTES_MAX => Err(self.bad(&format!(
                "has a {key} of more than {TARGET_NAME_BYTES_MAX} bytes"
            ))),
            Some(text) => Ok(text),
        }
    }

    fn timeout(&self, when_empty: SleepSpec, now: Timestamp) -> SleepSpec {
        let Some(text) = self.get("timeout") else {
            return YEAR;
        };
        match json::string(text) {
            Some(text) if text.trim().is_empty() => when_empty,
            Some(text) => parse_sleep(&text, now),
            None => SleepSpec::Invalid(text.chars().take(SHOWN_CHARS_MAX).collect()),
        }
    }

    pub(super) fn wait_for_event(&self, name: &str, now: Timestamp) -> Result<OpKind, Coded> {
        // Go and Kotlin name the event here, and the step there.
        let event = self.text("event").unwrap_or_else(|| name.to_owned());
        if event.is_empty() {
            return Err(self.bad("waits for an event without a name"));
        }
        if event.chars().count() > EVENT_NAME_CHARS_MAX {
            return Err(self.bad(&format!(
                "waits for an event whose name has more than {EVENT_NAME_CHARS_MAX} characters"
            )));
        }
        Ok(OpKind::WaitForEvent {
            event,
            condition: self.text("if"),
            // JavaScript writes a span that is over as nothing.
            timeout: self.timeout(SleepSpec::For { ms: 0 }, now),
        })
    }

    pub(super) fn wait_for_signal(&self, now: Timestamp) -> Result<OpKind, Coded> {
        let conflict = self.text("conflict").or_else(|| self.text("on_conflict"));
        Ok(OpKind::WaitForSignal {
            signal: self.target("signal")?,
            replace: conflict.as_deref() == Some("replace"),
            timeout: self.timeout(YEAR, now),
        })
    }

    pub(super) fn invoke(&self, now: Timestamp) -> Result<OpKind, Coded> {
        let payload = self.get("payload").and_then(Members::of);
        let field = |key: &str| payload.as_ref().and_then(|members| members.get(key));
        let user = field("user").filter(|text| text.starts_with('{'));
        let given = [field("data"), user].into_iter().flatten();
        self.check_input(given.map(str::len).sum())?;
        if let Some(user) = user {
            check_json("its user", user).map_err(|why| self.bad(&format!("is refused: {why}")))?;
        }
        Ok(OpKind::Invoke {
            function: self.target("function_id")?,
            data: self.event_data(field("data"))?,
            user: user.map(|text| json::cut(self.body, text)),
            v: field("v").and_then(json::string).filter(|v| !v.is_empty()),
            timeout: self.timeout(YEAR, now),
        })
    }

    pub(super) fn defer_add(&self) -> Result<OpKind, Coded> {
        // That it is too large ends no run, so it is left to the engine to drop it.
        Ok(OpKind::DeferAdd {
            function: self.target("fn_slug")?,
            input: self.event_data(self.get("input"))?,
            meta: self.get("meta").map(|text| json::cut(self.body, text)),
        })
    }

    pub(super) fn defer_abort(&self) -> Result<OpKind, Coded> {
        let target = self.target("target_hashed_id")?;
        Ok(OpKind::DeferAbort {
            target: StepId::new(&target),
        })
    }

    /// What becomes an event's data: an object, without the member that is ours to set, which is
    /// there when a function passes on what it was invoked with.
    fn event_data(&self, text: Option<&str>) -> Result<Payload, Coded> {
        let Some(text) = text else {
            return Ok(Payload::empty_object());
        };
        if !text.starts_with('{') {
            return Err(self.bad("passes on data that is no object"));
        }
        check_json("its data", text).map_err(|why| self.bad(&format!("is refused: {why}")))?;
        Ok(without_reserved(self.body, text))
    }
}

const YEAR: SleepSpec = SleepSpec::For {
    ms: WAIT_MS_DEFAULT,
};
