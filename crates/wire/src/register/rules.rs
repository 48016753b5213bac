//! Rules of a function that end its runs, and time tables that start them. Texts of expressions and
//! schedules are judged by whoever evaluates them.

use dunlin_types::limits::{
    CANCELS_PER_FUNCTION_MAX, CRON_JITTER_MS_MAX, CRON_JITTER_MS_MIN, CRON_TEXT_CHARS_MAX,
    TRIGGER_EVENT_CHARS_MAX,
};

use super::function::Trigger;
use crate::duration::{SleepSpec, parse_duration, parse_timeout};
use crate::json::{self, Members};

/// An event that cancels runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRule {
    /// Its name.
    pub event: String,
    /// Only events for which this is true.
    pub condition: Option<String>,
    /// How long after a run began; without end where it is absent. An instant may lie in the past.
    pub timeout: Option<SleepSpec>,
}

/// How long a run may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// Until it begins.
    pub start_ms: Option<i64>,
    /// From its begin to its end.
    pub finish_ms: Option<i64>,
}

/// As much of a bad text as a reason repeats.
const SHOWN_CHARS_MAX: usize = 64;

pub(super) fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

pub(super) fn cancels(members: &Members<'_>, why: &mut Vec<String>) -> Vec<CancelRule> {
    let Some(text) = members.get("cancel") else {
        return Vec::new();
    };
    let Some(list) = json::elements(text) else {
        why.push("its cancel is no list".to_owned());
        return Vec::new();
    };
    if list.len() > CANCELS_PER_FUNCTION_MAX {
        why.push(format!(
            "it has {} rules for cancel, at most {CANCELS_PER_FUNCTION_MAX} are allowed",
            list.len()
        ));
        return Vec::new();
    }
    let mut out = Vec::new();
    for raw in list {
        match cancel(raw.get()) {
            Ok(rule) => out.push(rule),
            Err(bad) => why.push(bad),
        }
    }
    out
}

fn cancel(text: &str) -> Result<CancelRule, String> {
    let members = Members::of(text).ok_or("a rule for cancel is no object")?;
    let event = members.string("event");
    if event.is_empty() {
        return Err("a rule for cancel has no event".to_owned());
    }
    if event.chars().count() > TRIGGER_EVENT_CHARS_MAX {
        return Err(format!(
            "a rule for cancel has an event name of more than {TRIGGER_EVENT_CHARS_MAX} characters"
        ));
    }
    let timeout = members.get("timeout").filter(|text| *text != "\"\"");
    let timeout = timeout.map(
        |text| match json::string(text).map(|text| parse_timeout(&text)) {
            None | Some(SleepSpec::Invalid(_)) => Err(format!(
                "the timeout {} of a rule for cancel is neither a duration nor a date",
                shown(text)
            )),
            Some(spec) => Ok(spec),
        },
    );
    Ok(CancelRule {
        event,
        condition: Some(members.string("if")).filter(|text| !text.is_empty()),
        timeout: timeout.transpose()?,
    })
}

pub(super) fn timeouts(members: &Members<'_>, why: &mut Vec<String>) -> Timeouts {
    let Some(text) = members.get("timeouts") else {
        return Timeouts::default();
    };
    let Some(members) = Members::of(text) else {
        why.push("its timeouts are no object".to_owned());
        return Timeouts::default();
    };
    Timeouts {
        start_ms: timeout(&members, "start", why),
        finish_ms: timeout(&members, "finish", why),
    }
}

/// Nothing, and a span of nothing, is no limit.
fn timeout(members: &Members<'_>, key: &str, why: &mut Vec<String>) -> Option<i64> {
    let text = members.get(key).filter(|text| *text != "\"\"")?;
    match json::string(text).and_then(|text| parse_duration(text.trim())) {
        Some(0) => None,
        Some(ms @ 1..) => Some(ms),
        _ => {
            let text = shown(text);
            why.push(format!("its timeout {text} for {key} is not a duration"));
            None
        }
    }
}

pub(super) fn cron(schedule: String, members: &Members<'_>) -> Result<Trigger, String> {
    if schedule.chars().count() > CRON_TEXT_CHARS_MAX {
        return Err(format!(
            "a trigger's cron is longer than {CRON_TEXT_CHARS_MAX} characters"
        ));
    }
    let text = members.get("jitter").filter(|text| *text != "\"\"");
    let jitter_ms =
        text.map(
            |text| match json::string(text).and_then(|text| parse_duration(text.trim())) {
                Some(ms @ CRON_JITTER_MS_MIN..=CRON_JITTER_MS_MAX) => Ok(ms),
                Some(_) => Err(format!("the jitter {} is not within 1s to 5m", shown(text))),
                None => Err(format!("the jitter {} is not a duration", shown(text))),
            },
        );
    Ok(Trigger::Cron {
        schedule,
        jitter_ms: jitter_ms.transpose()?,
    })
}
