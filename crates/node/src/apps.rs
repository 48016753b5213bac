//! Apps are found, asked to register, and asked again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_egress::{Body, Request, Response, SendError, check_url};
use dunlin_types::{Code, limits};
use dunlin_wire::register::app_identity_url;
use http::{HeaderMap, HeaderValue, Method};
use tracing::{debug, info, warn};

use crate::handle::Node;
use crate::options::ServerKind;

/// Where SDKs serve by default (SDK protocol, discovery).
const PORTS: [u16; 27] = [
    80, 443, 3000, 3001, 3002, 3003, 3004, 3005, 3006, 3007, 3008, 3009, 3010, 4321, 5000, 5173,
    8000, 8080, 8081, 8787, 8888, 8910, 8911, 8912, 8913, 8914, 8915,
];
const PATHS: [&str; 4] = [
    "/api/inngest",
    "/x/inngest",
    "/.netlify/functions/inngest",
    "/.redwood/functions/inngest",
];
/// One sync (SDK protocol: 10 s).
const SYNC_DEADLINE: Duration = Duration::from_secs(10);
/// One look at a port.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

/// What became of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncOutcome {
    /// The app has registered, or had before.
    Synced,
    /// It could not be reached, or refused.
    Failed(Code, String),
}

/// Asks the app at `url` to register, and notes what came of it.
pub async fn sync_app(node: &Node, url: &str) -> SyncOutcome {
    let body = Bytes::from(serde_json::json!({ "url": url }).to_string());
    let answer = exchange(node, Method::PUT, url, body, SYNC_DEADLINE).await;
    let error = match &answer {
        Ok(response) if response.status.is_success() => None,
        Ok(response) => Some((Code::AppRefusedSync, refusal(response))),
        Err((code, why)) => Some((*code, why.clone())),
    };
    node.app_seen(url.to_owned(), app_identity_url(url), error.clone());
    match error {
        None => SyncOutcome::Synced,
        Some((code, why)) => SyncOutcome::Failed(code, why),
    }
}

/// What an app's refusal says, by the SDK protocol's classes.
fn refusal(response: &Response) -> String {
    let status = response.status.as_u16();
    let class = match status {
        401 => "unauthorized: the app and this server have different signing keys",
        403 => "forbidden",
        404 => "url_not_found: nothing is served at that path",
        500 => "internal_server_error",
        _ => "",
    };
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let message = body
        .get("message")
        .and_then(|m| m.as_str())
        .unwrap_or_default();
    [
        format!("HTTP {status}"),
        class.to_owned(),
        message.to_owned(),
    ]
    .into_iter()
    .filter(|part| !part.is_empty())
    .collect::<Vec<_>>()
    .join(": ")
}

async fn exchange(
    node: &Node,
    method: Method,
    url: &str,
    body: Bytes,
    deadline: Duration,
) -> Result<Response, (Code, String)> {
    let options = node.options();
    let policy = &options.app_policy;
    let target = check_url(url, policy).map_err(|e| (e.code, e.detail))?;
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        "x-inngest-server-kind",
        HeaderValue::from_static(options.kind.as_str()),
    );
    if let Some(key) = &options.signing_key
        && let Ok(signature) = HeaderValue::from_str(&key.sign(&body, node.now()))
    {
        headers.insert("x-inngest-signature", signature);
    }
    let request = Request {
        method,
        target,
        headers,
        body: Body::from(body),
        policy: Arc::clone(policy),
        connect_timeout: LOOK_DEADLINE.min(Duration::from_millis(limits::CONNECT_TIMEOUT_MS)),
        deadline,
        response_bytes_max: RESPONSE_BYTES_MAX,
        truncate: true,
    };
    let sent: Result<Response, SendError> = node.client().send(request).await;
    sent.map_err(|error| {
        (
            Code::AppUnreachable,
            format!("unreachable: {}", error.detail),
        )
    })
}

/// How apps are found and kept in step.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// URLs named by the operator.
    pub sdk_urls: Vec<String>,
    /// Whether to look at the usual ports for apps that nobody named.
    pub discover: bool,
    /// Pause between two rounds.
    pub poll_interval: Duration,
}

impl Discovery {
    /// Runs for ever: drop it to stop.
    pub async fn run(self, node: Node) {
        for url in &self.sdk_urls {
            let pending = Some((Code::AppUnreachable, "not synced yet".to_owned()));
            node.app_seen(url.clone(), app_identity_url(url), pending);
        }
        loop {
            self.round(&node).await;
            tokio::time::sleep(self.poll_interval).await;
        }
    }

    async fn round(&self, node: &Node) {
        let apps = node.apps().borrow().clone();
        if apps.is_empty() && self.discover && self.sdk_urls.is_empty() {
            discover(node).await;
        }
        let mut urls: Vec<String> = apps
            .iter()
            // A production server asks again only where something is wrong; apps of a development
            // server change under it.
            .filter(|app| app.error.is_some() || node.options().kind == ServerKind::Dev)
            .map(|app| app.url.clone())
            .collect();
        let known = |url: &str| {
            apps.iter()
                .any(|app| app.identity_url == app_identity_url(url))
        };
        urls.extend(self.sdk_urls.iter().filter(|url| !known(url)).cloned());
        for url in urls {
            let before = apps
                .iter()
                .find(|app| app.url == url)
                .and_then(|app| app.error.clone());
            match sync_app(node, &url).await {
                SyncOutcome::Synced => debug!(url, "app is in step"),
                SyncOutcome::Failed(code, why) => {
                    if before.as_ref() != Some(&(code, why.clone())) {
                        warn!(url, code = %code, why, "app could not be synced");
                    }
                }
            }
        }
    }
}

/// Looks where SDKs usually serve.
async fn discover(node: &Node) {
    let own = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok());
    for port in PORTS.into_iter().chain(own) {
        for path in PATHS {
            let url = format!("http://localhost:{port}{path}");
            let looked = exchange(node, Method::GET, &url, Bytes::new(), LOOK_DEADLINE).await;
            let Ok(response) = looked else { break };
            let is_sdk = ["x-inngest-sdk", "x-inngest-sdk-handled"]
                .iter()
                .any(|name| response.headers.contains_key(*name));
            if is_sdk {
                info!(url, "found an app");
                sync_app(node, &url).await;
                break;
            }
        }
    }
}
