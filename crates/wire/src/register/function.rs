//! The configuration of one function.

use std::collections::HashSet;

use bytes::Bytes;
use dunlin_types::Payload;
use dunlin_types::limits::{RETRIES_MAX, TRIGGER_EVENT_CHARS_MAX, TRIGGERS_PER_FUNCTION_MAX};

use super::flow::{self, FlowRules};
use super::rules::{self, CancelRule, Timeouts};
use super::url;
use crate::json::{self, Members};

/// What starts a function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// An event of that name, or of names like it when it ends in `*`.
    Event {
        /// The name or pattern.
        name: String,
        /// Only events for which this is true.
        expression: Option<String>,
    },
    /// A schedule.
    Cron {
        /// The schedule's text, with its zone; not judged here.
        schedule: String,
        /// How much later than the schedule says a run may start.
        jitter_ms: Option<i64>,
    },
}

/// One function of an app.
#[derive(Clone, Debug)]
pub struct FunctionConfig {
    /// The composite id, `<app>-<function>`.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// What starts it.
    pub triggers: Vec<Trigger>,
    /// Where it is called.
    pub url: String,
    /// How often a failed attempt is repeated, where the function says so.
    pub retries: Option<u8>,
    /// Events that cancel its runs.
    pub cancel: Vec<CancelRule>,
    /// How long its runs may take.
    pub timeouts: Timeouts,
    /// How its work is spread over time.
    pub flow: FlowRules,
    /// All of it, as it was registered.
    pub raw: Payload,
}

/// The id, as far as it could be read, and everything that is wrong.
pub(super) type Refusal = (String, Vec<String>);

/// Reads one function.
pub(super) fn parse(text: &str) -> Result<FunctionConfig, Refusal> {
    let Some(members) = Members::of(text) else {
        return Err((String::new(), vec!["it is no object".to_owned()]));
    };
    let slug = members.string("id");
    let name = members.string("name");
    let mut why = Vec::new();
    if slug.is_empty() {
        why.push("id is missing".to_owned());
    }
    if name.is_empty() {
        why.push("name is missing".to_owned());
    }
    let triggers = triggers(&members, &mut why);
    let (url, retries) = step(&members, &mut why);
    let cancel = rules::cancels(&members, &mut why);
    let timeouts = rules::timeouts(&members, &mut why);
    let flow = flow::rules(&members, &mut why);
    if !why.is_empty() {
        let shown = if slug.is_empty() { name } else { slug };
        return Err((shown, why));
    }
    Ok(FunctionConfig {
        slug,
        name,
        triggers,
        url,
        retries,
        cancel,
        timeouts,
        flow,
        raw: Payload::from_json(Bytes::copy_from_slice(text.as_bytes())),
    })
}

fn triggers(members: &Members<'_>, why: &mut Vec<String>) -> Vec<Trigger> {
    let list = members.get("triggers").and_then(json::elements);
    let list = list.unwrap_or_default();
    if list.is_empty() {
        why.push("it has no trigger".to_owned());
    }
    if list.len() > TRIGGERS_PER_FUNCTION_MAX {
        why.push(format!(
            "it has {} triggers, at most {TRIGGERS_PER_FUNCTION_MAX} are allowed",
            list.len()
        ));
        return Vec::new();
    }
    let mut out = Vec::new();
    let mut seen = HashSet::new();
    for raw in list {
        match trigger(raw.get()) {
            Ok(trigger) if !seen.insert(identity(&trigger)) => {
                why.push("two of its triggers are the same".to_owned());
            }
            Ok(trigger) => out.push(trigger),
            Err(bad) => why.push(bad),
        }
    }
    out
}

/// What no two triggers of a function may have in common.
fn identity(trigger: &Trigger) -> Trigger {
    let mut trigger = trigger.clone();
    if let Trigger::Cron { jitter_ms, .. } = &mut trigger {
        *jitter_ms = None;
    }
    trigger
}

fn trigger(text: &str) -> Result<Trigger, String> {
    let members = Members::of(text).ok_or("a trigger is no object")?;
    let name = members.string("event");
    let schedule = members.string("cron");
    match (name.is_empty(), schedule.is_empty()) {
        (true, true) => Err("a trigger has neither event nor cron".to_owned()),
        (false, false) => Err("a trigger has both event and cron".to_owned()),
        (true, false) => rules::cron(schedule, &members),
        (false, true) if name.chars().count() > TRIGGER_EVENT_CHARS_MAX => Err(format!(
            "a trigger's event name is longer than {TRIGGER_EVENT_CHARS_MAX} characters"
        )),
        (false, true) => Ok(Trigger::Event {
            name,
            expression: Some(members.string("expression")).filter(|text| !text.is_empty()),
        }),
    }
}

/// The address and the retries of the one step that a function has.
fn step(members: &Members<'_>, why: &mut Vec<String>) -> (String, Option<u8>) {
    let steps = members.get("steps").and_then(Members::of);
    let steps = steps.map(|steps| steps.0).unwrap_or_default();
    let [(_, only)] = steps.as_slice() else {
        why.push(format!("it has {} steps instead of one", steps.len()));
        return (String::new(), None);
    };
    let Some(step) = Members::of(only.get()) else {
        why.push("its step is no object".to_owned());
        return (String::new(), None);
    };
    let runtime = step.get("runtime").and_then(Members::of);
    let address = runtime.map_or_else(String::new, |runtime| runtime.string("url"));
    if !url::has_known_scheme(&address) {
        why.push(format!("its URL {address:?} is not http, https, ws or wss"));
    }
    let said = [step.get("retries"), members.get("retries")];
    let retries = said.into_iter().flatten().find_map(|text| {
        // The step has an object, the Go SDK repeats the bare number beside it.
        let attempts = Members::of(text).and_then(|r| r.get("attempts").map(str::to_owned));
        attempts.or_else(|| Some(text.to_owned()).filter(|text| !text.starts_with('{')))
    });
    let retries = retries.and_then(|text| match text.parse::<u8>() {
        Ok(count) if count <= RETRIES_MAX => Some(count),
        _ => {
            why.push(format!(
                "its retries are {text}, 0 to {RETRIES_MAX} are allowed"
            ));
            None
        }
    });
    (address, retries)
}
