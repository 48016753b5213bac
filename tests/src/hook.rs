//! A receiver of webhooks that keeps what came as it came and answers as it is told.

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::app::listen;

/// A request that came to the receiver.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The headers.
    pub headers: HeaderMap,
    /// The exact body.
    pub body: String,
}

impl Delivered {
    /// The text of a header; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    /// All headers, as frameworks hand them to a handler.
    #[must_use]
    pub fn headers(&self) -> Value {
        let names = self.headers.keys().map(http::HeaderName::as_str);
        let pairs = names.map(|name| (name.to_owned(), self.header(name).into()));
        Value::Object(pairs.collect::<Map<_, _>>())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

#[derive(Debug, Default)]
struct State {
    answers: VecDeque<u16>,
    otherwise: Option<u16>,
    delivered: Vec<Delivered>,
}

/// The receiver, until it is dropped.
#[derive(Debug)]
pub struct Hook {
    port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Hook {
    /// Starts one that says yes to all.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0));
        let listener = listener.await.expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let state = Arc::new(Mutex::new(State::default()));
        let kept = Arc::clone(&state);
        let respond = move |request| take(Arc::clone(&kept), request);
        let task = tokio::spawn(listen(listener, Arc::new(AtomicUsize::new(0)), respond));
        Self { port, state, task }
    }

    /// Where it listens; all paths are the same to it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// Has it give these statuses to the next requests.
    pub fn answer(&self, statuses: &[u16]) {
        self.state().answers.extend(statuses);
    }

    /// Has it give that status whenever nothing else is said.
    pub fn answer_always(&self, status: u16) {
        self.state().otherwise = Some(status);
    }

    /// What came so far.
    #[must_use]
    pub fn delivered(&self) -> Vec<Delivered> {
        self.state().delivered.clone()
    }

    /// What came since this was last asked.
    #[must_use]
    pub fn taken(&self) -> Vec<Delivered> {
        std::mem::take(&mut self.state().delivered)
    }

    /// Forgets what came so far.
    pub fn forget(&self) {
        self.state().delivered.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(state: Arc<Mutex<State>>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let body = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let headers = head.headers;
    state.delivered.push(Delivered { headers, body });
    let otherwise = state.otherwise.unwrap_or(200);
    let status = state.answers.pop_front().unwrap_or(otherwise);
    let text = format!("answer {}", state.delivered.len());
    let response = Response::builder().status(status);
    response.body(Full::new(text.into())).expect("a response")
}
