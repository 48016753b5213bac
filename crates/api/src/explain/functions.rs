//! What became of an event at each function.

use dunlin_engine::RunStatus;
use dunlin_engine::config::{AppRow, FunctionRow, TriggerSpec};
use dunlin_expr::{Program, Scope, near_miss, parse_json};
use dunlin_store::RunView;
use dunlin_types::{Coded, Event, Timestamp, function_uuid, ulid_for};
use serde_json::{Value, json};

use super::load::EventFacts;
use super::rules;
use super::shape::{Explanation, NearMiss, Target, Verdict};
use crate::sdk::RunState;

/// The event that starts an invoked function (SDK protocol, invoke).
const INVOKED_EVENT: &str = "inngest/function.invoked";

pub(super) fn explain(facts: &EventFacts, now: Timestamp) -> Explanation {
    Explanation {
        id: facts.event.internal_id.to_string(),
        kind: "event",
        name: facts.event.name.clone(),
        verdicts: verdicts(facts, now),
        near_misses: near_misses(facts),
        repeats: facts.repeats.clone(),
    }
}

/// What happened at each function that has a trigger for the event, and at each app that could
/// not be reached.
pub(super) fn verdicts(facts: &EventFacts, now: Timestamp) -> Vec<Verdict> {
    let json = parse_json(&facts.event.json());
    let functions = facts.then.iter();
    let mut verdicts: Vec<Verdict> = functions
        .filter_map(|function| at_function(facts, function, &json, now))
        .collect();
    if verdicts.is_empty() {
        let event = &facts.event;
        let id = event.internal_id.to_string();
        let target = Target {
            kind: "event",
            id,
            name: event.name.clone(),
        };
        let reason = match facts
            .then
            .iter()
            .any(|function| function.archived.is_none())
        {
            true => format!("no function had a trigger for `{}`", event.name),
            false => "no app had registered a function".to_owned(),
        };
        verdicts.push(Verdict::new(target, "noTrigger", reason));
    }
    verdicts.extend(facts.apps.iter().filter_map(|app| at_app(facts, app)));
    verdicts
}

fn app_of<'a>(facts: &'a EventFacts, function: &FunctionRow) -> Option<&'a AppRow> {
    facts.apps.iter().find(|app| app.number == function.app)
}

fn target(facts: &EventFacts, function: &FunctionRow) -> Target {
    let app = app_of(facts, function).map_or("", |app| app.name.as_str());
    let name = if function.name.is_empty() {
        &function.slug
    } else {
        &function.name
    };
    Target {
        kind: "function",
        id: function_uuid(app, &function.slug).to_string(),
        name: name.clone(),
    }
}

/// Whether a trigger's name or pattern covers an event's name: patterns end in `*` behind a `/`
/// or a `.` (SDK protocol, matching).
fn covers(trigger: &str, event: &str) -> bool {
    match trigger.strip_suffix('*') {
        Some(prefix) if prefix.ends_with(['/', '.']) => event.starts_with(prefix),
        _ => trigger == event,
    }
}

/// The event triggers of a function: names with the texts of expressions.
fn triggers(function: &FunctionRow) -> impl Iterator<Item = (&str, Option<&str>)> {
    function
        .triggers
        .iter()
        .filter_map(|trigger| match trigger {
            TriggerSpec::Event { name, expression } => Some((name.as_str(), expression.as_deref())),
            TriggerSpec::Cron { .. } => None,
        })
}

/// Whether the function has a trigger for events of that name.
pub(crate) fn knows(function: &FunctionRow, name: &str) -> bool {
    triggers(function).any(|(trigger, _)| covers(trigger, name))
}

/// Whether the event is one that invokes just this function, which needs no trigger for that.
pub(super) fn is_invoked(function: &FunctionRow, event: &Event) -> bool {
    if event.name != INVOKED_EVENT {
        return false;
    }
    let data: Value = serde_json::from_slice(event.data.bytes()).unwrap_or_default();
    data["_inngest"]["fn_id"] == function.slug.as_str()
}

fn at_function(
    facts: &EventFacts,
    function: &FunctionRow,
    json: &Value,
    now: Timestamp,
) -> Option<Verdict> {
    let event = &facts.event;
    let started = facts
        .runs
        .iter()
        .find(|run| run.row.function == function.number);
    let mut covering: Vec<Option<&str>> = triggers(function)
        .filter(|(name, _)| covers(name, &event.name))
        .map(|(_, expression)| expression)
        .collect();
    if is_invoked(function, event) {
        covering.push(None);
    }
    if covering.is_empty() && started.is_none() {
        return None;
    }
    let at = |outcome, reason: String| Verdict::new(target(facts, function), outcome, reason);
    let verdict = if let Some(run) = started.filter(|run| is_skipped(run)) {
        let mut verdict = rules::skipped(run, at);
        verdict.run_id = Some(ulid_for(run.row.created, run.row.seq).to_string());
        verdict.fact("status", status_of(facts, run, now).into())
    } else if let Some(run) = started {
        let mut verdict = at("started", "the event started a run".to_owned());
        verdict.run_id = Some(ulid_for(run.row.created, run.row.seq).to_string());
        verdict.fact("status", status_of(facts, run, now).into())
    } else if let Some(drop) = rules::drop_of(facts, function) {
        rules::dropped(drop, at)
    } else if function.archived.is_some() {
        at(
            "archived",
            "its app no longer registered the function".to_owned(),
        )
    } else {
        not_started(facts, function, &covering, json, at)
    };
    Some(with_notes(facts, function, verdict))
}

/// Why a function that knows the name started no run.
fn not_started(
    facts: &EventFacts,
    function: &FunctionRow,
    covering: &[Option<&str>],
    json: &Value,
    at: impl Fn(&'static str, String) -> Verdict,
) -> Verdict {
    let event = &facts.event;
    let judged: Vec<Judged> = covering
        .iter()
        .map(|text| judge(*text, json, event.received))
        .collect();
    if judged.iter().any(|one| matches!(one, Judged::True)) {
        if let Some(gathering) = rules::gathering(facts, function, json) {
            return rules::gathered(&gathering, at);
        }
        if event.id != event.internal_id.to_string() {
            let reason = format!(
                "an event of the id `{}` had started it within the day before",
                event.id
            );
            return at("duplicate", reason).fact("eventId", event.id.as_str().into());
        }
        return at(
            "notStarted",
            "it matches, but no run is recorded".to_owned(),
        );
    }
    let error = judged.iter().find_map(|one| match one {
        Judged::Failed(error) => Some(error),
        _ => None,
    });
    let shown: Vec<Value> = judged.iter().filter_map(Judged::shown).collect();
    let verdict = match (error, judged.iter().find_map(Judged::sentence)) {
        (Some(error), _) => at("expressionFailed", error.detail.clone()).code(Some(error.code)),
        (None, sentence) => at("expressionFalse", sentence.unwrap_or_default()),
    };
    verdict.fact("expressions", shown.into())
}

/// What one trigger's expression said.
#[derive(Debug)]
enum Judged {
    True,
    False {
        expression: String,
        values: Vec<(String, Value)>,
    },
    Failed(Coded),
}

fn judge(expression: Option<&str>, json: &Value, received: Timestamp) -> Judged {
    let Some(text) = expression else {
        return Judged::True;
    };
    let scope = Scope {
        event: json,
        async_event: None,
        now: received,
    };
    let outcome = Program::parse(text).and_then(|program| {
        let is_true = program.matches(&scope)?;
        Ok((is_true, program))
    });
    match outcome {
        Ok((true, _)) => Judged::True,
        Ok((false, program)) => Judged::False {
            expression: text.to_owned(),
            values: program.explain(&scope),
        },
        Err(error) => Judged::Failed(error),
    }
}

impl Judged {
    fn shown(&self) -> Option<Value> {
        match self {
            Self::True => None,
            Self::False { expression, values } => {
                let values: serde_json::Map<_, _> = values.iter().cloned().collect();
                Some(json!({"expression": expression, "values": values}))
            }
            Self::Failed(error) => {
                Some(json!({"error": error.detail, "code": error.code.to_string()}))
            }
        }
    }

    fn sentence(&self) -> Option<String> {
        let Self::False { expression, values } = self else {
            return None;
        };
        let values: Vec<String> = values
            .iter()
            .map(|(path, value)| format!("{path} = {value}"))
            .collect();
        Some(format!("`{expression}` is false: {}", values.join(", ")))
    }
}

fn is_skipped(run: &RunView) -> bool {
    run.end
        .as_ref()
        .is_some_and(|end| end.status == RunStatus::Skipped)
}

fn status_of(facts: &EventFacts, run: &RunView, now: Timestamp) -> &'static str {
    let mut state = RunState::of(run, now);
    if let Some(begun) = facts.begun.get(&run.row.seq) {
        state.begun(*begun);
    }
    state.v1()
}

/// What may explain further why a function does not do what its author expects.
fn with_notes(facts: &EventFacts, function: &FunctionRow, verdict: Verdict) -> Verdict {
    let mut verdict = verdict.fact("slug", function.slug.as_str().into());
    let current = facts.now.iter().find(|one| one.number == function.number);
    if let Some(since) = current.and_then(|one| one.paused) {
        verdict = verdict.fact("pausedSince", since.rfc3339().into());
    }
    match app_of(facts, function).and_then(|app| app.error.as_ref()) {
        Some((code, why)) => verdict.fact(
            "appError",
            json!({"code": code.to_string(), "message": why}),
        ),
        None => verdict,
    }
}

/// An app that cannot be reached: its functions are not called, or not known at all.
fn at_app(facts: &EventFacts, app: &AppRow) -> Option<Verdict> {
    let (code, why) = app.error.as_ref()?;
    let own = facts
        .then
        .iter()
        .chain(&facts.now)
        .filter(|one| one.app == app.number);
    let name = &facts.event.name;
    let mut known = false;
    let concerned = own
        .inspect(|_| known = true)
        .any(|function| triggers(function).any(|(trigger, _)| covers(trigger, name)));
    if known && !concerned {
        return None;
    }
    let id = match app.name.is_empty() {
        true => app.url.clone(),
        false => dunlin_types::app_uuid(&app.name).to_string(),
    };
    let shown = if app.name.is_empty() {
        &app.url
    } else {
        &app.name
    };
    let target = Target {
        kind: "app",
        id,
        name: shown.clone(),
    };
    let verdict = Verdict::new(target, "appUnreachable", why.clone()).code(Some(*code));
    Some(verdict.fact("url", app.url.as_str().into()))
}

/// Functions that would take the event now, or whose trigger's name differs by little.
pub(super) fn near_misses(facts: &EventFacts) -> Vec<NearMiss> {
    let name = &facts.event.name;
    let knew = |function: &FunctionRow| {
        let mut then = facts
            .then
            .iter()
            .filter(|one| one.number == function.number);
        then.any(|one| triggers(one).any(|(trigger, _)| covers(trigger, name)))
    };
    let current = facts
        .now
        .iter()
        .filter(|one| one.archived.is_none() && !knew(one));
    let nearly = current.filter_map(|function| {
        let why = triggers(function).find_map(|(trigger, _)| {
            if covers(trigger, name) {
                Some(format!(
                    "its trigger `{trigger}` was registered only after this event"
                ))
            } else if near_miss(trigger, name) {
                Some(format!("its trigger is `{trigger}`, this is `{name}`"))
            } else {
                None
            }
        })?;
        Some(NearMiss {
            target: target(facts, function),
            why,
        })
    });
    nearly.collect()
}
