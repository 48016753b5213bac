//! What is open on one connection, and the end of one on which nothing has been for long.
//!
//! The HTTP library times the head of a request, but neither the bytes from which it tells the
//! version nor an HTTP/2 connection without a stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Response;
use dunlin_types::limits;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, sleep, sleep_until};

/// How long a connection is kept on which nothing is open.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// Until it is ended.
    pub(super) idle: Duration,
    /// From then on, for what was answered to be taken.
    pub(super) drain: Duration,
}

impl Patience {
    pub(super) const LIMITS: Self = Self {
        idle: Duration::from_millis(limits::HTTP_IDLE_MS_MAX),
        drain: Duration::from_millis(limits::HTTP_DRAIN_MS_MAX),
    };
}

/// Requests of one connection that are not answered to the last byte of their bodies.
#[derive(Clone)]
pub(super) struct InUse(Arc<Mutex<Usage>>);

struct Usage {
    open: usize,
    /// When the last of them ended, or the connection began.
    since: Instant,
    /// Whether there ever was one.
    asked: bool,
}

/// One of them, for as long as it is kept.
pub(super) struct Open(InUse);

impl InUse {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Usage {
            open: 0,
            since: Instant::now(),
            asked: false,
        })))
    }

    pub(super) fn begin(&self) -> Open {
        let mut usage = self.lock();
        usage.open += 1;
        usage.asked = true;
        Open(self.clone())
    }

    /// Whether anything was ever asked.
    pub(super) fn was_asked(&self) -> bool {
        self.lock().asked
    }

    /// Done once nothing has been open for that long.
    pub(super) async fn idle(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let until = {
                let usage = self.lock();
                let from = if usage.open > 0 { now } else { usage.since };
                from + limit
            };
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Done once nothing is open and what was answered has had that long to be read.
    pub(super) async fn drained(&self, limit: Duration) {
        loop {
            sleep(limit).await;
            if self.lock().open == 0 {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// An answer that is open until its body has been taken.
    pub(super) fn until_taken(
        self,
        answer: Result<Response<Body>, Infallible>,
    ) -> Result<Response<Counted>, Infallible> {
        answer.map(|answer| answer.map(|body| Counted { body, _open: self }))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut usage = self.0.lock();
        usage.open -= 1;
        usage.since = Instant::now();
    }
}

/// The body of an answer that counts as open.
pub(super) struct Counted {
    body: Body,
    _open: Open,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
