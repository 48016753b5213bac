//! The JSON in which a function's rules of flow control are kept. A rule that there is not is left
//! out, so that most rows stay short.

use dunlin_engine::config::{
    BatchRule, ConcurrencyRule, DebounceRule, FlowRules, RateRule, Scope, SingletonMode,
    SingletonRule,
};
use serde::{Deserialize, Serialize};

/// All of them.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FlowJson {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    concurrency: Vec<ConcurrencyJson>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<ConcurrencyJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    throttle: Option<RateJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_limit: Option<RateJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    debounce: Option<DebounceJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<BatchJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    singleton: Option<SingletonJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotency: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScopeJson {
    Function,
    Env,
    Account,
}

#[derive(Serialize, Deserialize)]
struct ConcurrencyJson {
    limit: u32,
    key: Option<String>,
    scope: ScopeJson,
}

#[derive(Serialize, Deserialize)]
struct RateJson {
    limit: u32,
    period_ms: i64,
    burst: u32,
    key: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct DebounceJson {
    period_ms: i64,
    timeout_ms: Option<i64>,
    key: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct BatchJson {
    size_max: u32,
    timeout_ms: i64,
    key: Option<String>,
    condition: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeJson {
    Skip,
    Cancel,
}

#[derive(Serialize, Deserialize)]
struct SingletonJson {
    key: Option<String>,
    mode: ModeJson,
}

impl From<&FlowRules> for FlowJson {
    fn from(rules: &FlowRules) -> Self {
        let rules = rules.clone();
        Self {
            concurrency: rules.concurrency.into_iter().map(Into::into).collect(),
            runs: rules.runs.into_iter().map(Into::into).collect(),
            throttle: rules.throttle.map(Into::into),
            rate_limit: rules.rate_limit.map(Into::into),
            debounce: rules.debounce.map(|rule| DebounceJson {
                period_ms: rule.period_ms,
                timeout_ms: rule.timeout_ms,
                key: rule.key,
            }),
            batch: rules.batch.map(|rule| BatchJson {
                size_max: rule.size_max,
                timeout_ms: rule.timeout_ms,
                key: rule.key,
                condition: rule.condition,
            }),
            priority: rules.priority,
            singleton: rules.singleton.map(|rule| SingletonJson {
                key: rule.key,
                mode: match rule.mode {
                    SingletonMode::Skip => ModeJson::Skip,
                    SingletonMode::Cancel => ModeJson::Cancel,
                },
            }),
            idempotency: rules.idempotency,
        }
    }
}

impl From<FlowJson> for FlowRules {
    fn from(json: FlowJson) -> Self {
        Self {
            concurrency: json.concurrency.into_iter().map(Into::into).collect(),
            runs: json.runs.into_iter().map(Into::into).collect(),
            throttle: json.throttle.map(Into::into),
            rate_limit: json.rate_limit.map(Into::into),
            debounce: json.debounce.map(|rule| DebounceRule {
                period_ms: rule.period_ms,
                timeout_ms: rule.timeout_ms,
                key: rule.key,
            }),
            batch: json.batch.map(|rule| BatchRule {
                size_max: rule.size_max,
                timeout_ms: rule.timeout_ms,
                key: rule.key,
                condition: rule.condition,
            }),
            priority: json.priority,
            singleton: json.singleton.map(|rule| SingletonRule {
                key: rule.key,
                mode: match rule.mode {
                    ModeJson::Skip => SingletonMode::Skip,
                    ModeJson::Cancel => SingletonMode::Cancel,
                },
            }),
            idempotency: json.idempotency,
        }
    }
}

impl From<ConcurrencyRule> for ConcurrencyJson {
    fn from(rule: ConcurrencyRule) -> Self {
        Self {
            limit: rule.limit,
            key: rule.key,
            scope: match rule.scope {
                Scope::Function => ScopeJson::Function,
                Scope::Env => ScopeJson::Env,
                Scope::Account => ScopeJson::Account,
            },
        }
    }
}

impl From<ConcurrencyJson> for ConcurrencyRule {
    fn from(json: ConcurrencyJson) -> Self {
        Self {
            limit: json.limit,
            key: json.key,
            scope: match json.scope {
                ScopeJson::Function => Scope::Function,
                ScopeJson::Env => Scope::Env,
                ScopeJson::Account => Scope::Account,
            },
        }
    }
}

impl From<RateRule> for RateJson {
    fn from(rule: RateRule) -> Self {
        Self {
            limit: rule.limit,
            period_ms: rule.period_ms,
            burst: rule.burst,
            key: rule.key,
        }
    }
}

impl From<RateJson> for RateRule {
    fn from(json: RateJson) -> Self {
        Self {
            limit: json.limit,
            period_ms: json.period_ms,
            burst: json.burst,
            key: json.key,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{FunctionJson, read, text};
    use dunlin_engine::config::FunctionRow;

    /// As rows were written while rules were only named.
    const BEFORE: &str = r#"{"number":0,"app":0,"slug":"a-f","name":"f","version":1,"from":1,
        "created":5,"archived":null,"paused":null,"cancel":[],"start_ms":null,"finish_ms":null,
        "triggers":[{"event":{"name":"a/b","expression":null}}],"url":"http://h","retries":null,
        "unbuilt":["throttle"],"config":"{}"}"#;

    #[test]
    fn a_function_from_before_there_were_rules_has_none() {
        let json: FunctionJson = read(BEFORE, 0).unwrap();
        let row = FunctionRow::from(json);
        assert_eq!(
            (row.slug.as_str(), row.flow.clone()),
            ("a-f", FlowRules::default())
        );
        assert!(
            text(&FunctionJson::from(&row))
                .unwrap()
                .contains(r#""flow":{}"#)
        );
    }
}
