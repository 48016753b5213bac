//! Apps that are none: they answer every call in the same way, or not at all.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
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

/// A server of its own on loopback, until it is dropped.
#[derive(Debug)]
pub struct Stub {
    port: u16,
    calls: Arc<AtomicUsize>,
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
        let calls = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(serve(listener, answer, Arc::clone(&calls)));
        Self { port, calls, task }
    }

    /// Where an app would be.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/inngest", self.port)
    }

    /// How many requests came.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, answer: StubAnswer, calls: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        let calls = Arc::clone(&calls);
        let service = service_fn(move |request: Request<Incoming>| {
            if request.method() == http::Method::POST {
                calls.fetch_add(1, Ordering::Relaxed);
            }
            respond(answer)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
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
