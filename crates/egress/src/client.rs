//! The client: takes an idle connection or makes one, and bounds the exchange.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use dunlin_types::limits::{
    IDLE_CONNECTION_MS_MAX, IDLE_CONNECTIONS_MAX, IDLE_CONNECTIONS_PER_ORIGIN_MAX,
    RECONNECT_WITHIN_MS,
};
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method};
use hyper::body::Body as _;
use rustls::RootCertStore;
use tokio::time::Instant;

use crate::dial::{Dialer, Resolve, SystemResolver};
use crate::gzip;
use crate::link::{Bounds, Failure, Link, Read, timed_out};
use crate::message::{Outgoing, Request, Response, SendError, SendErrorKind};
use crate::pool::{Key, Pool};
use crate::proxy::Proxy;

/// A deadline further away than this is this far away.
const DEADLINE_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// How a [`Client`] is made.
pub struct ClientOptions {
    /// Who looks names up.
    pub resolver: Arc<dyn Resolve>,
    /// The certificate authorities to trust.
    pub roots: RootCertStore,
    /// What leads to addresses that are not exempt from it.
    pub proxy: Option<Proxy>,
    /// How long a connection is kept idle.
    pub idle_timeout: Duration,
    /// Idle connections kept to one origin.
    pub idle_per_origin_max: usize,
    /// Idle connections kept in all.
    pub idle_max: usize,
    /// How long after the call a request that may be repeated is, when its connection dies.
    pub reconnect_within: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            resolver: Arc::new(SystemResolver),
            roots: RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.into(),
            },
            proxy: None,
            idle_timeout: Duration::from_millis(IDLE_CONNECTION_MS_MAX),
            idle_per_origin_max: IDLE_CONNECTIONS_PER_ORIGIN_MAX,
            idle_max: IDLE_CONNECTIONS_MAX,
            reconnect_within: Duration::from_millis(RECONNECT_WITHIN_MS),
        }
    }
}

/// Sends requests. Clones share the idle connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    pool: Arc<Pool>,
    dialer: Dialer,
    idle_timeout: Duration,
    reconnect_within: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(options: ClientOptions) -> Self {
        Self(Arc::new(Inner {
            pool: Arc::new(Pool::new(options.idle_per_origin_max, options.idle_max)),
            dialer: Dialer::new(options.resolver, options.roots, options.proxy),
            idle_timeout: options.idle_timeout,
            reconnect_within: options.reconnect_within,
        }))
    }

    /// Makes one exchange. Dropping the future closes its connection.
    ///
    /// A request of which nothing was written, because a kept connection had died, goes out over the
    /// next one. A request that may have been seen is sent again only if it is idempotent, once, over
    /// a new connection, when the first died within `reconnect_within` of the call and before a
    /// byte of an answer. All of it lies within the one deadline.
    ///
    /// # Errors
    /// When there is no complete response within the bounds. Any status is a response.
    pub async fn send(&self, request: Request) -> Result<Response, SendError> {
        let started = Instant::now();
        let bounds = Bounds {
            until: started + request.deadline.min(DEADLINE_MAX),
            bytes_max: request.response_bytes_max,
            truncate: request.truncate,
        };
        let connect_until = bounds
            .until
            .min(started + request.connect_timeout.min(DEADLINE_MAX));
        let mut again = request.is_idempotent.then(|| Box::new(request.clone()));
        let key = Key {
            tenant: request.tenant,
            tls: request.tls.clone(),
            policy: Arc::clone(&request.policy),
            origin: Arc::clone(request.target.origin()),
        };
        let mut message = message(request);
        let mut idle = self.0.pool.take(&key, started);
        loop {
            let is_fresh = idle.is_none();
            let mut link = match idle {
                Some(link) => link,
                None => Box::pin(self.connect(&key, connect_until, bounds.until)).await?,
            };
            let error = match link.exchange(message, bounds).await {
                Ok(read) => {
                    self.keep(key, link, &read.head.headers, read.truncated);
                    return finish(read, bounds, started);
                }
                Err(Failure::Failed(error)) => return Err(error),
                Err(Failure::Unsent(same)) if !is_fresh => {
                    message = *same;
                    idle = self.0.pool.take(&key, started);
                    continue;
                }
                Err(Failure::Unsent(_)) => closed_at_once(),
                Err(Failure::Unanswered(error)) => error,
            };
            match again.take() {
                Some(same) if started.elapsed() < self.0.reconnect_within => {
                    message = self::message(*same);
                    idle = None;
                }
                _ => return Err(error),
            }
        }
    }

    async fn connect(
        &self,
        key: &Key,
        connect_until: Instant,
        until: Instant,
    ) -> Result<Box<Link>, SendError> {
        let dialed = self.0.dialer.dial(key, connect_until).await;
        match dialed {
            Ok(stream) => Link::new(stream, until).await.map_err(|_| closed_at_once()),
            Err(error) if error.kind == SendErrorKind::Busy => Err(error),
            Err(_) if Instant::now() >= until => Err(timed_out()),
            Err(error) => Err(error),
        }
    }

    fn keep(&self, key: Key, mut link: Box<Link>, headers: &HeaderMap, truncated: bool) {
        let time = self
            .0
            .idle_timeout
            .min(announced_idle_time(headers).unwrap_or(Duration::MAX));
        if !truncated && !time.is_zero() && link.is_done() {
            self.0.pool.put(key, link, Instant::now() + time);
        }
    }
}

/// What the server says it keeps an idle connection for, less a second for the way: a request that
/// crosses the server's close is lost, and nobody knows whether it was seen.
fn announced_idle_time(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("keep-alive")?.to_str().ok()?;
    let mut parameters = text.split(',').map(str::trim);
    let seconds = parameters.find_map(|parameter| parameter.strip_prefix("timeout="))?;
    Some(Duration::from_secs(
        seconds.parse::<u64>().ok()?.saturating_sub(1),
    ))
}

fn message(request: Request) -> http::Request<Outgoing> {
    let mut message = http::Request::new(Outgoing::from(request.body));
    let is_empty = message.body().is_end_stream();
    let mut headers = request.headers;
    for framing in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(framing);
    }
    headers.insert(HOST, request.target.host_header().clone());
    if let Some(value) = request.target.authorization() {
        headers
            .entry(AUTHORIZATION)
            .or_insert_with(|| value.clone());
    }
    if is_empty && [Method::POST, Method::PUT, Method::PATCH].contains(&request.method) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    *message.headers_mut() = headers;
    *message.method_mut() = request.method;
    *message.uri_mut() = request.target.uri().clone();
    message
}

fn finish(read: Read, bounds: Bounds, started: Instant) -> Result<Response, SendError> {
    let Bounds {
        bytes_max,
        truncate,
        ..
    } = bounds;
    let Read {
        mut head,
        body,
        truncated,
        bytes,
    } = read;
    let (body, truncated) = gzip::decode(&mut head.headers, body, truncated, bytes_max, truncate)
        .map_err(|error| error.after_reading(bytes))?;
    Ok(Response {
        status: head.status,
        headers: head.headers,
        body,
        truncated,
        bytes_read: bytes,
        duration: started.elapsed(),
    })
}

fn closed_at_once() -> SendError {
    SendError::new(
        SendErrorKind::Connect,
        "the server closed the connection at once",
    )
}
