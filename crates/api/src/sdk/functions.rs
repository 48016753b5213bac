//! Functions as the second version shows them.

use axum::extract::{Path, State};
use dunlin_engine::config::{CancelRule, FunctionRow, RuleTime, TriggerSpec};
use dunlin_types::Code;
use serde_json::{Map, Value, json};

use super::output::{self, Names, PageInfo};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn unknown() -> Refused {
    Refused::new(Code::NotFound, "there is no such function")
}

/// Those of an app; it may have a thousand, so they come in one piece.
pub(super) async fn of_app(State(api): State<Api>, Path(app): Path<String>) -> Reply {
    let names = api.node.read(|reader| Names::read(reader)).await?;
    if names.app(&app).is_none() {
        return Err(super::apps::unknown());
    }
    let retries = api.node.options().retries_default;
    let functions = names.functions().into_iter();
    let functions = functions.filter(|f| f.archived.is_none() && names.app_of(f) == app);
    let shown: Vec<Value> = functions.map(|f| shown(f, &names, retries)).collect();
    let page = PageInfo {
        cursor: None,
        has_more: false,
        limit: dunlin_types::limits::FUNCTIONS_PER_APP_MAX,
    };
    Ok(output::v2_page(shown, page, api.node.now()))
}

pub(super) async fn one(State(api): State<Api>, Path((app, id)): Path<(String, String)>) -> Reply {
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let function = names.find_in(&app, &id).ok_or_else(unknown)?;
    let retries = api.node.options().retries_default;
    Ok(output::v2(shown(function, &names, retries), api.node.now()))
}

fn shown(function: &FunctionRow, names: &Names, retries_default: u8) -> Value {
    let handler = names.find(&format!("{}-failure", function.slug));
    json!({
        "id": names.short_id(function),
        "internalId": names.function_id(function.number),
        "name": function.name,
        "slug": function.slug,
        "isPaused": function.paused.is_some(),
        "isArchived": function.archived.is_some(),
        "app": {"id": names.app_of(function)},
        "version": function.version,
        "createdAt": function.created.rfc3339(),
        "triggers": function.triggers.iter().map(trigger).collect::<Vec<_>>(),
        "failureHandler": handler.map(|f| json!({"slug": f.slug, "name": f.name})),
        "unbuiltRules": function.unbuilt,
        "configuration": configuration(function, retries_default),
    })
}

fn trigger(trigger: &TriggerSpec) -> Value {
    match trigger {
        TriggerSpec::Event { name, expression } => match expression {
            Some(expression) => json!({"type": "EVENT", "value": name, "if": expression}),
            None => json!({"type": "EVENT", "value": name}),
        },
        TriggerSpec::Cron { schedule, .. } => json!({"type": "CRON", "value": schedule}),
    }
}

fn configuration(function: &FunctionRow, retries_default: u8) -> Value {
    let given: Value = serde_json::from_slice(function.config.bytes()).unwrap_or_default();
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| shown.insert(name.to_owned(), value);
    put(
        "cancellations",
        function.cancel.iter().map(cancel).collect(),
    );
    let retries = function.retries.unwrap_or(retries_default);
    let is_default = function.retries.is_none();
    put(
        "retries",
        json!({"value": retries, "isDefault": is_default}),
    );
    put(
        "timeouts",
        json!({
            "startMs": function.timeouts.start_ms.map(|ms| ms.to_string()),
            "finishMs": function.timeouts.finish_ms.map(|ms| ms.to_string()),
        }),
    );
    if let Some(priority) = given.get("priority").and_then(|rule| rule.get("run")) {
        put("priority", priority.clone());
    }
    let rules = [
        (
            "eventsBatch",
            "batchEvents",
            &["maxSize", "timeout", "key"][..],
        ),
        ("rateLimit", "rateLimit", &["key", "limit", "period"]),
        ("debounce", "debounce", &["key", "period", "timeout"]),
        ("throttle", "throttle", &["burst", "key", "limit", "period"]),
        ("singleton", "singleton", &["mode", "key"]),
    ];
    for (name, from, fields) in rules {
        if let Some(Value::Object(rule)) = given.get(from) {
            let fields = fields
                .iter()
                .filter_map(|field| Some((*field, rule.get(*field)?)));
            put(
                name,
                fields
                    .map(|(field, value)| (field.to_owned(), value.clone()))
                    .collect(),
            );
        }
    }
    put("concurrency", concurrency(given.get("concurrency")));
    Value::Object(shown)
}

fn cancel(rule: &CancelRule) -> Value {
    let timeout = rule.until.map(|until| match until {
        RuleTime::AfterMs(ms) => format!("{ms}ms"),
        RuleTime::At(at) => at.rfc3339(),
    });
    json!({"event": rule.event, "timeout": timeout, "condition": rule.condition})
}

/// A number, a rule, or a list of rules.
fn concurrency(given: Option<&Value>) -> Value {
    let rule = |rule: &Value| {
        let limit = rule.get("limit").unwrap_or(rule);
        json!({
            "scope": rule.get("scope").and_then(Value::as_str).unwrap_or("fn"),
            "limit": {"value": limit, "isPlanLimit": false},
            "key": rule.get("key"),
        })
    };
    match given {
        Some(Value::Array(rules)) => rules.iter().map(rule).collect(),
        Some(one @ (Value::Number(_) | Value::Object(_))) => json!([rule(one)]),
        _ => json!([]),
    }
}
