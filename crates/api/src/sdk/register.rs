//! Apps register themselves: `POST /fn/register`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_engine::config::{
    CancelRule, FunctionSpec, Registration, RuleTime, Timeouts, TriggerSpec,
};
use dunlin_engine::{Answer, Input};
use dunlin_types::{Code, Coded, app_uuid};
use dunlin_wire::duration::SleepSpec;
use dunlin_wire::register::{
    self as wire, FunctionConfig, Trigger, app_identity_url, parse_registration,
};
use http::HeaderMap;
use serde_json::json;
use uuid::Uuid;

use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) async fn register(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Reply {
    expect_kind(&api, &headers)?;
    let parsed = parse_registration(&body).map_err(|error| refuse("", error))?;
    if parsed.deploy_type == "connect" {
        let detail = "apps that connect by WebSocket are not supported yet; serve them over HTTP";
        return Err(refuse(&parsed.app_name, Coded::new(Code::NotBuilt, detail)));
    }
    let registration = registration_of(parsed);
    let (app, checksum) = (registration.app.clone(), registration.checksum);
    let registration = Box::new(registration);
    let answer = api
        .node
        .engine(|token| Input::Register {
            token,
            registration,
        })
        .await?;
    match answer {
        Answer::Registered {
            modified, warnings, ..
        } => {
            // Polling repeats a registration every few seconds; a log line is for what is new.
            for warning in warnings.iter().filter(|_| modified) {
                tracing::warn!(app, "{warning}");
            }
            let app_id = app_uuid(&app);
            Ok(Json(json!({
                "ok": true,
                "modified": modified,
                "sync_id": Uuid::new_v5(&app_id, &checksum).to_string(),
                "app_id": app_id.to_string(),
                "warnings": warnings,
            }))
            .into_response())
        }
        Answer::RegisterRefused(code, why) => Err(refuse(&app, Coded::new(code, why))),
        _ => Err(Refused::plain(Code::ShuttingDown)),
    }
}

fn refuse(app: &str, error: Coded) -> Refused {
    tracing::warn!(app, code = %error.code, "a registration was refused: {}", error.detail);
    error.into()
}

/// An app made for another kind of server would check signatures that this one does not make, or
/// trust calls that it should not.
fn expect_kind(api: &Api, headers: &HeaderMap) -> Result<(), Refused> {
    let Some(expected) = headers.get("x-inngest-expected-server-kind") else {
        return Ok(());
    };
    let ours = api.options.kind.as_str();
    if expected == ours || expected.is_empty() {
        return Ok(());
    }
    let theirs = String::from_utf8_lossy(expected.as_bytes());
    let detail = format!("Expected server kind {ours}, got {theirs}");
    Err(refuse("", Coded::new(Code::ServerKindDiffers, detail)))
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
        unbuilt: parsed.unbuilt,
        config: parsed.raw,
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
