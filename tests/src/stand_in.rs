//! An app that a test writes itself, call by call, for SDKs that are not run here.

use std::future::Future;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::app::{listen, step_id};

/// What the app answers.
pub type Answer = Response<Full<Bytes>>;

/// A call as the server made it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function's composite id.
    pub function: String,
    /// The id of the one step to run, if the call is for one.
    pub target: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Value,
    /// How long the body is.
    pub bytes: usize,
}

impl Call {
    /// What a step left, if it has ended; `null` is a result too.
    #[must_use]
    pub fn memo(&self, step: &str) -> Option<&Value> {
        self.memos().get(&step_id(step))
    }

    /// What all steps left, by their ids.
    #[must_use]
    pub fn memos(&self) -> &Map<String, Value> {
        self.body["steps"].as_object().expect("steps are an object")
    }

    /// How often this was tried before.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        self.body["ctx"]["attempt"].as_u64().expect("an attempt")
    }
}

/// The app. It ends when it is dropped.
#[derive(Debug)]
pub struct StandIn {
    port: u16,
    calls: Arc<Mutex<Vec<Call>>>,
    task: JoinHandle<()>,
}

impl StandIn {
    /// Starts one that answers calls so, and says yes to all else.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start<F>(answer: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept) = (Arc::new(answer), Arc::clone(&calls));
        let respond = move |request: http::Request<hyper::body::Incoming>| {
            let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.expect("a whole body").to_bytes();
                if head.method != Method::POST {
                    return Response::new(Full::new(Bytes::from_static(b"{}")));
                }
                let call = read(head.uri.query().unwrap_or_default(), head.headers, &body);
                kept.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(call.clone());
                answer(call).await
            }
        };
        let task = tokio::spawn(listen(listener, Arc::new(AtomicUsize::new(0)), respond));
        Self { port, calls, task }
    }

    /// Its serve URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/inngest", self.port)
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.clone()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn read(query: &str, headers: HeaderMap, body: &[u8]) -> Call {
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(key, _)| *key == name);
        found.map(|(_, value)| value.to_owned())
    };
    Call {
        function: parameter("fnId").expect("a call names its function"),
        target: parameter("stepId").filter(|id| id != "step"),
        headers,
        body: serde_json::from_slice(body).expect("a call is JSON"),
        bytes: body.len(),
    }
}
