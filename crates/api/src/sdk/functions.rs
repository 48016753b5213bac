//! Functions as the second version shows them.

use axum::extract::{Path, State};
use dunlin_engine::config::{
    CancelRule, ConcurrencyRule, FlowRules, FunctionRow, RateRule, RuleTime, Scope, SingletonMode,
    TriggerSpec,
};
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
        "flow": flow(&function.flow),
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
    let rules = function.flow.concurrency.iter();
    put("concurrency", rules.map(concurrency).collect());
    Value::Object(shown)
}

fn cancel(rule: &CancelRule) -> Value {
    let timeout = rule.until.map(|until| match until {
        RuleTime::AfterMs(ms) => format!("{ms}ms"),
        RuleTime::At(at) => at.rfc3339(),
    });
    json!({"event": rule.event, "timeout": timeout, "condition": rule.condition})
}

fn concurrency(rule: &ConcurrencyRule) -> Value {
    json!({
        "scope": scope(rule.scope),
        "limit": {"value": rule.limit, "isPlanLimit": false},
        "key": rule.key,
    })
}

const fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Function => "fn",
        Scope::Env => "env",
        Scope::Account => "account",
    }
}

/// The rules that are in force, as SDKs write them; those that there are not are left out.
fn flow(flow: &FlowRules) -> Value {
    let debounce = flow.debounce.as_ref().map(|rule| {
        let timeout = rule.timeout_ms.map(span);
        json!({"period": span(rule.period_ms), "timeout": timeout, "key": rule.key})
    });
    let batch = flow.batch.as_ref().map(|rule| {
        let timeout = span(rule.timeout_ms);
        json!({"maxSize": rule.size_max, "timeout": timeout, "key": rule.key, "if": rule.condition})
    });
    let singleton = flow.singleton.as_ref().map(|rule| {
        let mode = match rule.mode {
            SingletonMode::Skip => "skip",
            SingletonMode::Cancel => "cancel",
        };
        json!({"mode": mode, "key": rule.key})
    });
    let (throttle, rate_limit) = (flow.throttle.as_ref(), flow.rate_limit.as_ref());
    let rules = [
        ("concurrency", at_a_time(flow)),
        (
            "throttle",
            throttle.map(|rule| rate(rule, Some(rule.burst))),
        ),
        ("rateLimit", rate_limit.map(|rule| rate(rule, None))),
        ("debounce", debounce),
        ("batchEvents", batch),
        (
            "priority",
            flow.priority.as_ref().map(|run| json!({"run": run})),
        ),
        ("singleton", singleton),
        ("idempotency", flow.idempotency.as_deref().map(Value::from)),
    ];
    let rules = rules.into_iter();
    rules
        .filter_map(|(name, rule)| Some((name.to_owned(), without_nulls(rule?))))
        .collect::<Map<_, _>>()
        .into()
}

/// Rules for calls and rules for runs.
fn at_a_time(flow: &FlowRules) -> Option<Value> {
    let list = |rules: &[ConcurrencyRule]| {
        let one = |rule: &ConcurrencyRule| {
            let scope = scope(rule.scope);
            without_nulls(json!({"limit": rule.limit, "key": rule.key, "scope": scope}))
        };
        (!rules.is_empty()).then(|| rules.iter().map(one).collect::<Value>())
    };
    let (calls, runs) = (list(&flow.concurrency), list(&flow.runs));
    let is_any = calls.is_some() || runs.is_some();
    is_any.then(|| json!({"step": calls, "fn": runs}))
}

fn rate(rule: &RateRule, burst: Option<u32>) -> Value {
    let period = span(rule.period_ms);
    json!({"limit": rule.limit, "period": period, "burst": burst, "key": rule.key})
}

fn without_nulls(mut rule: Value) -> Value {
    if let Value::Object(members) = &mut rule {
        members.retain(|_, value| !value.is_null());
    }
    rule
}

/// As SDKs write durations.
fn span(ms: i64) -> String {
    const UNITS: [(i64, &str); 4] = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1_000, "s"),
    ];
    let unit = UNITS.iter().find(|(unit, _)| ms % unit == 0);
    unit.map_or_else(
        || format!("{ms}ms"),
        |(unit, name)| format!("{}{name}", ms / unit),
    )
}
