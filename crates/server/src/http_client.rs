//! Requests of the command line to a server that the user named, by the one guarded client.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dunlin_egress::{AddressPolicy, Body, Client, ClientOptions, Request, Response, check_url};
use dunlin_types::{Code, Secret};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::Value;

use crate::fail::Failure;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(30);
const RESPONSE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A client of one server.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: Client,
    policy: Arc<AddressPolicy>,
    bearer: Option<Secret>,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) took: Duration,
    /// The body, null if it is no JSON.
    pub(crate) json: Value,
    text: String,
    code: Option<String>,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        let code = response
            .headers
            .get("x-dunlin-error")
            .and_then(|code| code.to_str().ok());
        Self {
            status: response.status.as_u16(),
            took: response.duration,
            json: serde_json::from_slice(&response.body).unwrap_or_default(),
            text: String::from_utf8_lossy(&response.body)
                .chars()
                .take(500)
                .collect(),
            code: code.map(str::to_owned),
        }
    }
}

impl Reply {
    pub(crate) const fn is_success(&self) -> bool {
        self.status / 100 == 2
    }

    /// Whether it is a refusal with that code.
    pub(crate) fn is(&self, code: Code) -> bool {
        self.code.as_deref() == Some(code.to_string().as_str())
    }

    /// The server's own words for a refusal, its code first.
    pub(crate) fn refusal(&self) -> String {
        let field = |name: &str| match &self.json[name] {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        let words = field("detail")
            .or_else(|| field("error"))
            .or_else(|| field("message"))
            .unwrap_or_else(|| self.text.trim().to_owned());
        let code = self
            .code
            .as_ref()
            .map(|code| format!("{code}: "))
            .unwrap_or_default();
        format!("HTTP {}: {code}{words}", self.status)
    }
}

impl HttpClient {
    pub(crate) fn new(bearer: Option<Secret>) -> Self {
        let near = AddressPolicy::public_only()
            .allow_private()
            .allow_loopback();
        Self {
            client: Client::new(ClientOptions::default()),
            policy: Arc::new(near),
            bearer,
        }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<Reply, Failure> {
        let target = check_url(url, &self.policy)?;
        let request = Request {
            method,
            target,
            headers,
            body: Body::from(body.into()),
            policy: Arc::clone(&self.policy),
            connect_timeout: CONNECT_TIMEOUT,
            deadline: DEADLINE,
            response_bytes_max: RESPONSE_BYTES_MAX,
            truncate: true,
            tenant: 0,
            tls: None,
            is_idempotent: false,
        };
        let sent = self.client.send(request).await;
        sent.map(Reply::from).map_err(|error| {
            Failure::new(Code::ServerUnreachable, error.detail)
                .remedy("start one with `dunlin dev`, or name it with --server")
        })
    }

    /// Asks the server for something that must work.
    pub(crate) async fn ask(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let reply = self.request(method, url, body).await?;
        self.accepted(url, reply)
    }

    /// Asks the server for something; any answer is an answer.
    pub(crate) async fn request(
        &self,
        method: Method,
        url: &str,
        body: Option<Value>,
    ) -> Result<Reply, Failure> {
        let mut headers = HeaderMap::new();
        if body.is_some() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        if let Some(token) = &self.bearer {
            headers.insert(header::AUTHORIZATION, bearer(token)?);
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(method, url, headers, body).await
    }

    /// What the server answered, unless it refused.
    pub(crate) fn accepted(&self, url: &str, reply: Reply) -> Result<Value, Failure> {
        if reply.is_success() {
            return Ok(reply.json);
        }
        let failure = Failure::new(Code::RequestRefused, format!("{url}: {}", reply.refusal()));
        Err(if reply.is(Code::Unauthorized) {
            failure.remedy("name the server's admin token: --admin-token")
        } else if reply.is(Code::SourceUnknown) {
            failure.remedy("make the source first, or name another one: --source")
        } else {
            failure
        })
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue, Failure> {
    let bad = |_| {
        Failure::new(
            Code::ConfigBad,
            "the admin token cannot be sent in a header",
        )
    };
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.reveal())).map_err(bad)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The headers of a signed webhook (Standard Webhooks) with a JSON body.
pub(crate) fn webhook_headers(
    id: &str,
    seconds: i64,
    signature: &str,
) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let seconds = seconds.to_string();
    let all = [
        ("content-type", "application/json"),
        ("webhook-id", id),
        ("webhook-timestamp", &seconds),
        ("webhook-signature", signature),
    ];
    for (name, value) in all {
        let value = HeaderValue::from_str(value).map_err(|_| {
            Failure::new(
                Code::ConfigBad,
                format!("`{value}` cannot be sent as {name}"),
            )
        })?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(headers)
}
