//! Registrations are handed to the engine, whichever way they came.

use dunlin_engine::config::{
    BatchRule, CancelRule, ConcurrencyRule, DebounceRule, FlowRules, FunctionSpec, RateRule,
    Registration, RuleTime, Scope, SingletonMode, SingletonRule, Timeouts, TriggerSpec,
};
use dunlin_engine::{Answer, Changes, Input};
use dunlin_types::{Code, Coded};
use dunlin_wire::duration::SleepSpec;
use dunlin_wire::register::{self as wire, FunctionConfig, Trigger, app_identity_url};
use tracing::{info, warn};

use crate::handle::Node;

/// What became of a registration that is in force.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The app's name.
    pub app: String,
    /// The registration's checksum.
    pub checksum: [u8; 32],
    /// Whether anything had to be written.
    pub modified: bool,
    /// What the app asked for and will not get.
    pub warnings: Vec<String>,
    /// What is other than before.
    pub changes: Changes,
}

/// Puts a registration in force, and logs what it changed.
///
/// # Errors
/// `NotBuilt` for apps that connect by WebSocket, `FunctionBad` with all the reasons when functions
/// are not valid, and as [`Node::engine`].
pub async fn register_app(node: &Node, parsed: wire::Registration) -> Result<Registered, Coded> {
    if parsed.deploy_type == "connect" {
        let detail = "apps that connect by WebSocket are not supported yet; serve them over HTTP";
        return Err(Coded::new(Code::NotBuilt, detail));
    }
    let registration = registration_of(parsed);
    let (app, checksum) = (registration.app.clone(), registration.checksum);
    let url = registration.url.clone();
    let registration = Box::new(registration);
    let answer = node
        .engine(|token| Input::Register {
            token,
            registration,
        })
        .await?;
    match answer {
        Answer::Registered {
            modified,
            warnings,
            changes,
            ..
        } => {
            // Polling repeats a registration every few seconds; a log line is for what is new.
            if modified {
                log(&app, &url, &warnings, &changes);
            }
            Ok(Registered {
                app,
                checksum,
                modified,
                warnings,
                changes,
            })
        }
        Answer::RegisterRefused(code, why) => Err(Coded::new(code, why)),
        _ => Err(Coded::plain(Code::ShuttingDown)),
    }
}

fn log(app: &str, url: &str, warnings: &[String], changes: &Changes) {
    for warning in warnings {
        warn!(target: "dunlin_node::sync", app, "{warning}");
    }
    let changes = match changes.is_empty() {
        true => "nothing changed".to_owned(),
        false => changes.to_string(),
    };
    info!(target: "dunlin_node::sync", app, url, "synced: {changes}");
}

fn registration_of(parsed: wire::Registration) -> Registration {
    Registration {
        identity_url: app_identity_url(&parsed.url),
        app: parsed.app_name,
        url: parsed.url,
        sdk: parsed.sdk,
        framework: parsed.framework,
        version: Some(parsed.app_version).filter(|version| !version.is_empty()),
        checksum: parsed.checksum,
        functions: parsed.functions.into_iter().map(function_of).collect(),
    }
}

fn function_of(parsed: FunctionConfig) -> FunctionSpec {
    FunctionSpec {
        slug: parsed.slug,
        name: parsed.name,
        triggers: parsed.triggers.into_iter().map(trigger_of).collect(),
        url: parsed.url,
        retries: parsed.retries,
        cancel: parsed.cancel.into_iter().map(cancel_of).collect(),
        timeouts: Timeouts {
            start_ms: parsed.timeouts.start_ms,
            finish_ms: parsed.timeouts.finish_ms,
        },
        flow: flow_of(parsed.flow),
        config: parsed.raw,
    }
}

fn flow_of(parsed: wire::FlowRules) -> FlowRules {
    FlowRules {
        concurrency: parsed.concurrency.into_iter().map(at_a_time_of).collect(),
        runs: parsed.runs.into_iter().map(at_a_time_of).collect(),
        throttle: parsed.throttle.map(rate_of),
        rate_limit: parsed.rate_limit.map(rate_of),
        debounce: parsed.debounce.map(|rule| DebounceRule {
            period_ms: rule.period_ms,
            timeout_ms: rule.timeout_ms,
            key: rule.key,
        }),
        batch: parsed.batch.map(|rule| BatchRule {
            size_max: rule.size_max,
            timeout_ms: rule.timeout_ms,
            key: rule.key,
            condition: rule.condition,
        }),
        priority: parsed.priority,
        singleton: parsed.singleton.map(|rule| SingletonRule {
            key: rule.key,
            mode: match rule.mode {
                wire::SingletonMode::Skip => SingletonMode::Skip,
                wire::SingletonMode::Cancel => SingletonMode::Cancel,
            },
        }),
        idempotency: parsed.idempotency,
    }
}

fn at_a_time_of(parsed: wire::ConcurrencyRule) -> ConcurrencyRule {
    ConcurrencyRule {
        limit: parsed.limit,
        key: parsed.key,
        scope: match parsed.scope {
            wire::Scope::Function => Scope::Function,
            wire::Scope::Env => Scope::Env,
            wire::Scope::Account => Scope::Account,
        },
    }
}

fn rate_of(parsed: wire::RateRule) -> RateRule {
    RateRule {
        limit: parsed.limit,
        period_ms: parsed.period_ms,
        burst: parsed.burst,
        key: parsed.key,
    }
}

fn trigger_of(parsed: Trigger) -> TriggerSpec {
    match parsed {
        Trigger::Event { name, expression } => TriggerSpec::Event { name, expression },
        Trigger::Cron {
            schedule,
            jitter_ms,
        } => TriggerSpec::Cron {
            schedule,
            jitter_ms,
        },
    }
}

fn cancel_of(parsed: wire::CancelRule) -> CancelRule {
    CancelRule {
        event: parsed.event,
        condition: parsed.condition,
        until: parsed.timeout.and_then(|timeout| match timeout {
            SleepSpec::For { ms } => Some(RuleTime::AfterMs(ms)),
            SleepSpec::Until(at) => Some(RuleTime::At(at)),
            // What is no time was refused when it was read; a year is the longest there is.
            SleepSpec::Invalid(_) | SleepSpec::TooLong => None,
        }),
    }
}
