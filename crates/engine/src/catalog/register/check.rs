//! What is wrong with a registration, and what of it does nothing.

use dunlin_cron::Schedule;
use dunlin_expr::Program;
use dunlin_types::{Code, limits};

use crate::config::{ConcurrencyRule, FlowRules, FunctionSpec, Registration, Rule, TriggerSpec};

/// Why a registration cannot be taken, with every reason.
pub(super) fn refuse(registration: &Registration) -> Option<(Code, String)> {
    let mut reasons = Vec::new();
    if registration.functions.len() > limits::FUNCTIONS_PER_APP_MAX {
        reasons.push(format!(
            "an app may have {} functions",
            limits::FUNCTIONS_PER_APP_MAX
        ));
    }
    for function in &registration.functions {
        for schedule in function.triggers.iter().filter_map(schedule) {
            let error = Schedule::parse(schedule).err();
            reasons.extend(error.map(|error| {
                let (slug, why) = (&function.slug, error.detail);
                format!("{slug}: the schedule `{schedule}`: {why}")
            }));
        }
        for (text, place) in expressions(function) {
            let error = Program::parse(text).err();
            reasons.extend(error.map(|error| {
                let (slug, why) = (&function.slug, error.detail);
                format!("{slug}: the expression `{text}`{place}: {why}")
            }));
        }
    }
    (!reasons.is_empty()).then(|| (Code::FunctionBad, reasons.join("; ")))
}

/// Rules that were asked for and do nothing, one line each.
pub(super) fn warnings(registration: &Registration) -> Vec<String> {
    let of_function = |function: &FunctionSpec| {
        let ignored = function.flow.ignored().into_iter();
        let line = |(rule, beside)| {
            let slug = &function.slug;
            format!("{slug}: {rule} is ignored beside {beside}")
        };
        ignored.map(line).collect::<Vec<_>>()
    };
    registration
        .functions
        .iter()
        .flat_map(of_function)
        .collect()
}

impl FlowRules {
    /// Rules that do nothing, each with the one that makes it so: runs of batches are not counted,
    /// and an idempotency expression is a rate limit where there is none.
    #[must_use]
    pub fn ignored(&self) -> Vec<(Rule, Rule)> {
        let batch = self.batch.as_ref().map(|_| Rule::Batch);
        let limited = self.rate_limit.as_ref().map(|_| Rule::RateLimit);
        let repeats = self.idempotency.as_ref().map(|_| Rule::Idempotency);
        let limited_beside = limited.zip(batch);
        let repeats_beside = repeats.zip(batch.or(limited));
        limited_beside.into_iter().chain(repeats_beside).collect()
    }
}

fn schedule(trigger: &TriggerSpec) -> Option<&str> {
    match trigger {
        TriggerSpec::Cron { schedule, .. } => Some(schedule),
        TriggerSpec::Event { .. } => None,
    }
}

/// Every expression of a function, and words on where it stands.
fn expressions(function: &FunctionSpec) -> Vec<(&str, String)> {
    let triggers = function
        .triggers
        .iter()
        .filter_map(|trigger| match trigger {
            TriggerSpec::Event { expression, .. } => Some((expression.as_deref()?, String::new())),
            TriggerSpec::Cron { .. } => None,
        });
    let cancels = function.cancel.iter().filter_map(|rule| {
        let text = rule.condition.as_deref()?;
        Some((text, " of cancelOn".to_owned()))
    });
    let flow = flow_expressions(&function.flow).into_iter();
    let flow = flow.map(|(text, rule, part)| (text, format!(" of {rule}{part}")));
    triggers.chain(cancels).chain(flow).collect()
}

/// Each with its rule, and the part of it.
fn flow_expressions(flow: &FlowRules) -> Vec<(&str, Rule, &'static str)> {
    fn keys(rules: &[ConcurrencyRule]) -> impl Iterator<Item = Option<&String>> {
        rules.iter().map(|rule| rule.key.as_ref())
    }
    let calls = keys(&flow.concurrency).map(|key| (key, Rule::Concurrency, ".key"));
    let runs = keys(&flow.runs).map(|key| (key, Rule::Runs, ".key"));
    let throttle = flow.throttle.as_ref().and_then(|rule| rule.key.as_ref());
    let rate_limit = flow.rate_limit.as_ref().and_then(|rule| rule.key.as_ref());
    let debounce = flow.debounce.as_ref().and_then(|rule| rule.key.as_ref());
    let batch = flow.batch.as_ref();
    let singleton = flow.singleton.as_ref().and_then(|rule| rule.key.as_ref());
    let others = [
        (throttle, Rule::Throttle, ".key"),
        (rate_limit, Rule::RateLimit, ".key"),
        (debounce, Rule::Debounce, ".key"),
        (
            batch.and_then(|rule| rule.key.as_ref()),
            Rule::Batch,
            ".key",
        ),
        (
            batch.and_then(|rule| rule.condition.as_ref()),
            Rule::Batch,
            ".if",
        ),
        (flow.priority.as_ref(), Rule::Priority, ".run"),
        (singleton, Rule::Singleton, ".key"),
        (flow.idempotency.as_ref(), Rule::Idempotency, ""),
    ];
    let all = calls.chain(runs).chain(others);
    all.filter_map(|(text, rule, part)| Some((text?.as_str(), rule, part)))
        .collect()
}

#[cfg(test)]
mod tests {
    use dunlin_types::Payload;

    use super::*;
    use crate::config::{
        BatchRule, DebounceRule, RateRule, Scope, SingletonMode, SingletonRule, Timeouts,
    };

    fn registration(flow: FlowRules) -> Registration {
        let function = FunctionSpec {
            slug: "shop-pay".to_owned(),
            name: "pay".to_owned(),
            triggers: Vec::new(),
            url: "http://a/".to_owned(),
            retries: None,
            cancel: Vec::new(),
            timeouts: Timeouts::default(),
            flow,
            config: Payload::from_json("{}"),
        };
        Registration {
            app: "shop".to_owned(),
            url: "http://a/".to_owned(),
            identity_url: "http://a/".to_owned(),
            sdk: String::new(),
            framework: String::new(),
            version: None,
            checksum: [0; 32],
            functions: vec![function],
        }
    }

    /// A rule of every kind, whose expressions are numbered.
    fn every_rule(expression: impl Fn(usize) -> String) -> FlowRules {
        let text = |n| Some(expression(n));
        let at_a_time = |n| ConcurrencyRule {
            limit: 1,
            key: text(n),
            scope: Scope::Function,
        };
        let rate = |n| RateRule {
            limit: 1,
            period_ms: 1_000,
            burst: 0,
            key: text(n),
        };
        FlowRules {
            concurrency: vec![at_a_time(0), at_a_time(1)],
            runs: vec![at_a_time(2)],
            throttle: Some(rate(3)),
            rate_limit: Some(rate(4)),
            debounce: Some(DebounceRule {
                period_ms: 1_000,
                timeout_ms: None,
                key: text(5),
            }),
            batch: Some(BatchRule {
                size_max: 2,
                timeout_ms: 1_000,
                key: text(6),
                condition: text(7),
            }),
            priority: text(8),
            singleton: Some(SingletonRule {
                key: text(9),
                mode: SingletonMode::Skip,
            }),
            idempotency: text(10),
        }
    }

    #[test]
    fn an_expression_that_does_not_compile_is_named_with_its_rule() {
        let good = registration(every_rule(|n| format!("event.data.k{n}")));
        assert_eq!(refuse(&good), None);
        let bad = registration(every_rule(|n| format!("event.data.k === {n}")));
        let (code, why) = refuse(&bad).unwrap();
        assert_eq!(code, Code::FunctionBad);
        let reasons: Vec<&str> = why.split("; ").collect();
        let places = [
            "concurrency.key",
            "concurrency.key",
            "concurrency.fn.key",
            "throttle.key",
            "rateLimit.key",
            "debounce.key",
            "batchEvents.key",
            "batchEvents.if",
            "priority.run",
            "singleton.key",
            "idempotency",
        ];
        assert_eq!(reasons.len(), places.len(), "{why}");
        for (n, (reason, place)) in reasons.iter().zip(places).enumerate() {
            let start = format!("shop-pay: the expression `event.data.k === {n}` of {place}: 1:");
            assert!(reason.starts_with(&start), "{reason}");
        }
    }

    #[test]
    fn rules_that_do_nothing_are_told() {
        let all = every_rule(|_| "event.id".to_owned());
        assert_eq!(
            warnings(&registration(all.clone())),
            [
                "shop-pay: rateLimit is ignored beside batchEvents",
                "shop-pay: idempotency is ignored beside batchEvents",
            ]
        );
        let single = FlowRules { batch: None, ..all };
        assert_eq!(
            warnings(&registration(single.clone())),
            ["shop-pay: idempotency is ignored beside rateLimit"]
        );
        let alone = FlowRules {
            rate_limit: None,
            ..single
        };
        assert!(alone.ignored().is_empty());
    }
}
