//! Apps that are none: they answer every call in the same way, or not at all.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a stub does with a request.
#[derive(Clone, Copy, Debug)]
pub enum StubAnswer {
    /// Answers with that status, content type and body.
    Fixed(u16, &'static str, &'static str),
    /// Holds the connection and never answers.
    Never,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The body.
    pub body: String,
    headers: HeaderMap,
}

impl Heard {
    /// The text of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

type Requests = Arc<Mutex<Vec<Heard>>>;

/// A server of its own on loopback, until it is dropped.
#[derive(Debug)]
pub struct Stub {
    port: u16,
    requests: Requests,
    task: JoinHandle<()>,
}

impl Stub {
    /// Starts one.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(answer: StubAnswer) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let requests = Requests::default();
        let task = tokio::spawn(serve(listener, answer, Arc::clone(&requests)));
        Self {
            port,
            requests,
            task,
        }
    }

    /// Where it listens, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where an app would be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/api/inngest", self.base())
    }

    /// The requests that came.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.clone()
    }

    /// How often something was posted.
    #[must_use]
    pub fn calls(&self) -> usize {
        let posted = |heard: &&Heard| heard.method == "POST";
        self.heard().iter().filter(posted).count()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, answer: StubAnswer, requests: Requests) {
    while let Ok((stream, _)) = listener.accept().await {
        let requests = Arc::clone(&requests);
        let service = service_fn(move |request: Request<Incoming>| {
            let requests = Arc::clone(&requests);
            async move {
                let heard = hear(request).await;
                requests
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(heard);
                respond(answer).await
            }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

/// A request when all of it has come.
async fn hear(request: Request<Incoming>) -> Option<Heard> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    Some(Heard {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        body: String::from_utf8_lossy(&body).into_owned(),
        headers: head.headers,
    })
}

async fn respond(answer: StubAnswer) -> Result<Response<Full<Bytes>>, Infallible> {
    match answer {
        StubAnswer::Never => std::future::pending().await,
        StubAnswer::Fixed(status, content_type, body) => {
            let response = Response::builder()
                .status(status)
                .header("content-type", content_type);
            Ok(response
                .body(Full::new(Bytes::from_static(body.as_bytes())))
                .expect("a response"))
        }
    }
}
