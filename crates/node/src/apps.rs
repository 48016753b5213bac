//! Apps are asked to register. They do so in their answer or by a request of their own, as they
//! choose; what keeps them from it is noted with the app, with a remedy.

mod discovery;
mod refusal;
mod registration;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_egress::{Body, Request, Response, SendError, SendErrorKind, check_url};
use dunlin_engine::config::{AppRow, Registration};
use dunlin_engine::{Answer, Input};
use dunlin_types::{Code, limits};
use dunlin_wire::register::{SYNC_KIND_HEADER, app_identity_url, from_in_band};
use dunlin_wire::sign::SIGNATURE_HEADER;
use http::{HeaderMap, HeaderValue, Method};
use tracing::warn;

use crate::handle::Node;
use crate::options::ServerKind;
use refusal::{Refusal, Synced};

pub use discovery::Discovery;
pub use registration::{Registered, register_app};

/// One sync (SDK protocol: 10 s).
const SYNC_DEADLINE: Duration = Duration::from_secs(10);
/// One look at a port.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);

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
    let error = ask(node, url).await.err();
    node.app_seen(url.to_owned(), app_identity_url(url), error.clone());
    match error {
        None => SyncOutcome::Synced,
        Some((code, why)) => SyncOutcome::Failed(code, why),
    }
}

async fn ask(node: &Node, url: &str) -> Result<(), Refusal> {
    let body = Bytes::from(serde_json::json!({ "url": url }).to_string());
    let response = exchange(node, Method::PUT, url, body, SYNC_DEADLINE).await?;
    let ours = node.options().kind;
    match refusal::judge(ours, response.status, &response.headers, &response.body)? {
        Synced::InBand => in_band(node, url, &response).await,
        Synced::OutOfBand => registered_here(node, url).await,
    }
}

/// The app has answered with its registration: it need not reach this server.
async fn in_band(node: &Node, url: &str, response: &Response) -> Result<(), Refusal> {
    if response.truncated {
        let why = format!(
            "refused: the registration is larger than {} bytes",
            limits::REGISTER_BODY_BYTES_MAX
        );
        return Err((Code::RegisterBad, why));
    }
    trust(node, response)?;
    let parsed = from_in_band(&response.body, &response.headers);
    let parsed = parsed
        .and_then(|parsed| parsed.ok_or_else(|| dunlin_types::Coded::plain(Code::RegisterBad)));
    let parsed = parsed.map_err(|error| (error.code, error.detail))?;
    let identity = app_identity_url(&parsed.url);
    let registered = register_app(node, parsed).await;
    let registered = registered.map_err(|error| (error.code, error.detail))?;
    if node.options().kind == ServerKind::Dev && identity == app_identity_url(url) {
        retire_namesakes(node, &identity, &registered.app).await;
    }
    Ok(())
}

/// In production the answer must be signed: it says where calls will go.
fn trust(node: &Node, response: &Response) -> Result<(), Refusal> {
    let options = node.options();
    let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let theirs = body["inspection"]["mode"].as_str().unwrap_or_default();
    if !theirs.is_empty() && theirs != options.kind.as_str() {
        let remedy = refusal::kind_remedy(options.kind);
        let why = format!("server_kind_mismatch: {remedy}");
        return Err((Code::ServerKindDiffers, why));
    }
    let Some(key) = &options.signing_key else {
        return Ok(());
    };
    let header = response.headers.get(SIGNATURE_HEADER);
    let header = header.and_then(|value| value.to_str().ok());
    key.verify_response(header, &response.body, node.now())
        .map_err(|error| {
            let why = format!(
                "invalid_signing_key: the registration in the app's answer is not signed as it \
                 should be ({}); compare INNGEST_SIGNING_KEY in the app, and both clocks",
                error.code.title()
            );
            (Code::SyncKeyWrong, why)
        })
}

/// An app that says it registered may have done so with another server.
async fn registered_here(node: &Node, url: &str) -> Result<(), Refusal> {
    let identity = app_identity_url(url);
    let apps = node.read(|reader| reader.apps()).await;
    let apps = apps.map_err(|error| (error.code, error.detail))?;
    let is_known = |app: &AppRow| !app.name.is_empty() && app.identity_url == identity;
    match apps.iter().any(is_known) {
        true => Ok(()),
        false => Err(refusal::not_registered_here(url)),
    }
}

/// While one develops, apps are renamed: what the URL answered as before is gone. In production
/// nothing is removed that nobody asked to remove.
async fn retire_namesakes(node: &Node, identity: &str, name: &str) {
    let Ok(apps) = node.read(|reader| reader.apps()).await else {
        return;
    };
    let former = apps.into_iter().filter(|app| {
        app.identity_url == identity
            && !app.name.is_empty()
            && app.name != name
            && app.checksum != NOTHING
    });
    for app in former {
        warn!(
            app = app.name,
            url = app.url,
            "the app is called {name} now; the functions of its old name are removed"
        );
        let registration = Box::new(without_functions(app));
        let asked = node.engine(|token| Input::Register {
            token,
            registration,
        });
        if !matches!(asked.await, Ok(Answer::Registered { .. })) {
            return;
        }
    }
}

/// The checksum of no registration, so that the next one counts.
const NOTHING: [u8; 32] = [0; 32];

fn without_functions(app: AppRow) -> Registration {
    Registration {
        app: app.name,
        url: app.url,
        identity_url: app.identity_url,
        sdk: app.sdk,
        framework: app.framework,
        version: app.version,
        checksum: NOTHING,
        functions: Vec::new(),
    }
}

async fn exchange(
    node: &Node,
    method: Method,
    url: &str,
    body: Bytes,
    deadline: Duration,
) -> Result<Response, Refusal> {
    let policy = &node.options().app_policy;
    let target = check_url(url, policy).map_err(|error| match error.code {
        Code::AddressBlocked => blocked(&error.detail),
        _ => {
            let why = format!("unsupported_protocol: {}; name an http URL", error.detail);
            (Code::AppUrlBad, why)
        }
    })?;
    let headers = headers(node, &method, &body);
    let request = Request {
        method,
        target,
        headers,
        body: Body::from(body),
        policy: Arc::clone(policy),
        connect_timeout: LOOK_DEADLINE.min(Duration::from_millis(limits::CONNECT_TIMEOUT_MS)),
        deadline,
        response_bytes_max: limits::REGISTER_BODY_BYTES_MAX,
        truncate: true,
        tenant: 0,
        tls: None,
        is_idempotent: false,
    };
    let sent: Result<Response, SendError> = node.client().send(request).await;
    sent.map_err(|error| match error.kind {
        SendErrorKind::Blocked => blocked(&error.detail),
        _ => {
            let why = format!("unreachable: {}; is the app running there?", error.detail);
            (Code::AppUnreachable, why)
        }
    })
}

fn blocked(detail: &str) -> Refusal {
    let why = format!("blocked: {detail}; apps on this machine must be named with --sdk-url");
    (Code::CallAddressBlocked, why)
}

fn headers(node: &Node, method: &Method, body: &Bytes) -> HeaderMap {
    let options = node.options();
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        "x-inngest-server-kind",
        HeaderValue::from_static(options.kind.as_str()),
    );
    if method == Method::PUT {
        // An SDK that does not know this, or was told not to, sends a request of its own.
        headers.insert(SYNC_KIND_HEADER, HeaderValue::from_static("in_band"));
    }
    if let Some(key) = &options.signing_key
        && let Ok(signature) = HeaderValue::from_str(&key.sign(body, node.now()))
    {
        headers.insert(SIGNATURE_HEADER, signature);
    }
    headers
}
