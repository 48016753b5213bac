//! Trial runs of transformations: what would be sent, what the script wrote, and where it failed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use dunlin_egress::{check_header, check_url};
use dunlin_sandbox::{ScriptError, TransformReport, TransformRequest, Transformed};
use dunlin_types::json_depth;
use dunlin_types::limits::{INBOUND_BODY_BYTES_MAX, JSON_DEPTH_LEVELS_MAX};
use dunlin_types::{Code, Coded, Seq};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::error::{Refused, Reply};
use crate::state::Api;
use crate::svix::fields::{Fields, bad, bad_field};
use crate::svix::{endpoint, find_message_of};

/// What a script sees as the target when there is no endpoint.
const NO_ENDPOINT_URL: &str = "https://example.com/webhook";

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route(
            "/api/v1/app/{app}/endpoint/{ep}/transformation/simulate",
            post(at_endpoint),
        )
        .route("/api/v1/connector/simulate", post(alone))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SimulateIn {
    code: String,
    event_type: Option<String>,
    payload: Option<Box<RawValue>>,
    channels: Option<Vec<String>>,
    variables: Option<BTreeMap<String, String>>,
    /// A stored message to run over, instead of the type and payload.
    message_id: Option<String>,
}

/// Where a simulated message would go.
struct Target {
    url: String,
    variables: BTreeMap<String, String>,
    /// The application whose messages may be named.
    app: Option<Seq>,
}

async fn at_endpoint(
    State(api): State<Api>,
    Path((app, ep)): Path<(String, String)>,
    Fields(fields): Fields<SimulateIn>,
) -> Reply {
    let (app, endpoint) = endpoint(&api, &app, &ep)?;
    let saved = endpoint.config.transformation.as_ref();
    let target = Target {
        url: endpoint.config.url.clone(),
        variables: saved.map(|one| one.variables.clone()).unwrap_or_default(),
        app: Some(app.id),
    };
    simulate(&api, fields, target).await
}

async fn alone(State(api): State<Api>, Fields(fields): Fields<SimulateIn>) -> Reply {
    let target = Target {
        url: NO_ENDPOINT_URL.to_owned(),
        variables: BTreeMap::new(),
        app: None,
    };
    simulate(&api, fields, target).await
}

async fn simulate(api: &Api, fields: SimulateIn, target: Target) -> Reply {
    let request = request(api, fields, target).await?;
    let url = request.url.clone();
    let mut report = api.node.sandbox().run(request).await;
    if let Err(error) = &report.result
        && matches!(error.code, Code::Overloaded | Code::ShuttingDown)
    {
        return Err(Refused::new(error.code, error.message.clone()));
    }
    let refused = report
        .result
        .as_ref()
        .ok()
        .and_then(|made| refused(api, made, &url));
    if let Some(error) = refused {
        report.result = Err(ScriptError {
            code: error.code,
            message: error.detail,
            line: None,
            column: None,
        });
    }
    Ok(axum::Json(shown(report, &url)).into_response())
}

async fn request(
    api: &Api,
    fields: SimulateIn,
    target: Target,
) -> Result<TransformRequest, Refused> {
    let variables = fields.variables.unwrap_or(target.variables);
    let mut request = TransformRequest {
        code: Arc::from(fields.code),
        method: "POST".to_owned(),
        url: target.url,
        event_type: fields.event_type.unwrap_or_default(),
        payload: Bytes::new(),
        variables,
        channels: fields.channels.unwrap_or_default(),
        params_headers: BTreeMap::new(),
        params: None,
    };
    if let Some(id) = fields.message_id {
        let message = find_message_of(api, target.app, &id).await?;
        request.event_type = message.event_type.clone();
        request.payload = message.body.clone();
        request.channels = message.channels.clone();
        request.params_headers = message.headers.iter().cloned().collect();
        request.params = message.params.clone();
        return Ok(request);
    }
    if request.event_type.is_empty() {
        return Err(bad_field("eventType", "the field is missing"));
    }
    let payload = fields
        .payload
        .ok_or_else(|| bad_field("payload", "the field is missing"))?;
    let payload = payload.get().to_owned();
    check_payload(&payload)?;
    request.payload = Bytes::from(payload);
    Ok(request)
}

fn check_payload(payload: &str) -> Result<(), Refused> {
    let place = ["body", "payload"];
    if !payload.trim_start().starts_with('{') {
        return Err(bad(&place, Coded::plain(Code::WebhookBodyBad)));
    }
    if payload.len() > INBOUND_BODY_BYTES_MAX {
        return Err(bad(&place, Coded::plain(Code::TooLarge)));
    }
    if json_depth(payload.as_bytes()) > JSON_DEPTH_LEVELS_MAX {
        return Err(bad(&place, Coded::plain(Code::WebhookTooDeep)));
    }
    Ok(())
}

/// Why a real delivery of that would be refused before it leaves. An address given by the
/// endpoint itself was judged when that was saved.
fn refused(api: &Api, made: &Transformed, own_url: &str) -> Option<Coded> {
    if made.cancel {
        return None;
    }
    let policy = &api.node.options().endpoint_policy;
    if made.url != own_url
        && let Err(error) = check_url(&made.url, policy)
    {
        return Some(error);
    }
    made.headers
        .iter()
        .find_map(|(name, value)| check_header(name, value).err())
}

/// Scripts that fail are an answer, not an error of the request.
fn shown(report: TransformReport, url: &str) -> Value {
    let logs: Vec<Value> = report
        .logs
        .iter()
        .map(|line| json!({"level": line.level, "text": line.text}))
        .collect();
    let duration_ms = report.duration_us as f64 / 1000.0;
    let (made, error) = match report.result {
        Ok(made) => (Some(made), Value::Null),
        Err(error) => (None, shown_error(&error)),
    };
    let (method, cancel) = match &made {
        Some(made) => (made.method.as_str(), made.cancel),
        None => ("POST", false),
    };
    let payload = made
        .as_ref()
        .map(|made| String::from_utf8_lossy(&made.payload));
    json!({
        "url": made.as_ref().map_or(url, |made| made.url.as_str()),
        "payload": payload.unwrap_or_default(),
        "method": method,
        "cancel": cancel,
        "headers": made.as_ref().map(|made| made.headers.clone()).unwrap_or_default(),
        "logs": logs,
        "durationMs": duration_ms,
        "error": error,
    })
}

fn shown_error(error: &ScriptError) -> Value {
    json!({
        "message": error.message,
        "line": error.line,
        "column": error.column,
        "code": error.code.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(result: Result<Transformed, ScriptError>) -> TransformReport {
        TransformReport {
            result,
            logs: Vec::new(),
            duration_us: 1500,
        }
    }

    #[test]
    fn a_script_that_throws_is_an_answer_with_its_place() {
        let error = ScriptError {
            code: Code::TransformThrew,
            message: "TypeError: no".to_owned(),
            line: Some(3),
            column: Some(7),
        };
        let shown = shown(report(Err(error)), "https://a.example/x");
        assert_eq!(
            shown["error"],
            json!({"message": "TypeError: no", "line": 3, "column": 7, "code": "E0605"})
        );
        assert_eq!(
            (&shown["payload"], &shown["url"]),
            (&"".into(), &"https://a.example/x".into())
        );
    }

    #[test]
    fn the_payload_is_text_as_it_would_be_sent() {
        let made = Transformed {
            method: "PATCH".to_owned(),
            url: "https://b.example".to_owned(),
            payload: Bytes::from_static(b"{\"b\":1,\"a\":2}"),
            raw_text: false,
            headers: BTreeMap::from([("x-a".to_owned(), "1".to_owned())]),
            cancel: false,
        };
        let shown = shown(report(Ok(made)), "https://a.example");
        assert_eq!(shown["payload"], r#"{"b":1,"a":2}"#);
        assert_eq!(
            (&shown["method"], &shown["durationMs"]),
            (&"PATCH".into(), &1.5.into())
        );
        assert!(shown["error"].is_null());
    }

    #[test]
    fn payloads_must_be_objects_of_bounded_size_and_depth() {
        assert!(check_payload(r#"{"a":1}"#).is_ok());
        assert_eq!(
            check_payload("[1]").unwrap_err().error.code,
            Code::WebhookBodyBad
        );
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(128), "]".repeat(128));
        assert_eq!(
            check_payload(&deep).unwrap_err().error.code,
            Code::WebhookTooDeep
        );
    }
}
