//! Requests that come again: the header `idempotency-key` names a request, and whoever sends the
//! same name again gets the answer of the first time. Answers are held in memory until a restart;
//! only the creation of messages, which the core looks after, is remembered longer.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use dunlin_types::{Code, DedupeKey, Timestamp, limits};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::error::Refused;

const HEADER: &str = "idempotency-key";
/// What an answer takes beside its body.
const ANSWER_OVERHEAD_BYTES: usize = 512;

/// What tells repeats of a request: who sends it, its key, and what it asks for; nothing where it
/// has no key.
pub(crate) fn idempotency_key(parts: &Parts) -> Option<DedupeKey> {
    let key = parts.headers.get(HEADER)?.as_bytes();
    if key.is_empty() {
        return None;
    }
    let who = parts.headers.get(header::AUTHORIZATION);
    let who = who.map_or(&b""[..], |value| value.as_bytes());
    let target = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let mut text = Vec::new();
    for part in [who, key, parts.method.as_str().as_bytes()] {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    text.extend_from_slice(target.as_bytes());
    Some(DedupeKey::new(b"idempotency", &text))
}

/// Answers that were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answers(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    entries: HashMap<DedupeKey, Entry>,
    /// Keys of answers that are kept, oldest first.
    order: VecDeque<(Timestamp, DedupeKey)>,
    bytes: usize,
}

enum Entry {
    /// Its request is being answered; the sender goes when that has ended.
    Running(watch::Receiver<()>),
    Kept(Arc<Kept>),
}

struct Kept {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

enum Claim {
    First(Ticket),
    Kept(Arc<Kept>),
    Running(watch::Receiver<()>),
}

/// Held by the one that answers; without an answer worth keeping the key is free again.
struct Ticket {
    answers: Answers,
    key: DedupeKey,
    _ended: watch::Sender<()>,
}

impl Answers {
    /// Has a request answered once. Whoever hangs up does not stop it: the answer is there for the
    /// repetition.
    pub(crate) async fn once(
        &self,
        key: DedupeKey,
        now: Timestamp,
        answer: impl Future<Output = Response> + Send + 'static,
    ) -> Response {
        let wait = Duration::from_millis(limits::IDEMPOTENT_WAIT_MS_MAX);
        self.once_within(wait, key, now, answer).await
    }

    async fn once_within(
        &self,
        wait: Duration,
        key: DedupeKey,
        now: Timestamp,
        answer: impl Future<Output = Response> + Send + 'static,
    ) -> Response {
        let end = Instant::now() + wait;
        loop {
            match self.claim(key, now) {
                Claim::Kept(kept) => return kept.response(),
                Claim::First(ticket) => {
                    let answered =
                        tokio::spawn(async move { ticket.keep(answer.await, now).await });
                    return answered
                        .await
                        .unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response());
                }
                Claim::Running(mut ended) => {
                    // It never changes: that its sender is gone ends the wait.
                    if timeout_at(end, ended.changed()).await.is_err() {
                        return still_running().into_response();
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self, key: DedupeKey, now: Timestamp) -> Claim {
        let mut inner = self.lock();
        inner.drop_old(now);
        match inner.entries.get(&key) {
            Some(Entry::Kept(kept)) => Claim::Kept(Arc::clone(kept)),
            Some(Entry::Running(ended)) => Claim::Running(ended.clone()),
            None => {
                let (tell, ended) = watch::channel(());
                inner.entries.insert(key, Entry::Running(ended));
                Claim::First(Ticket {
                    answers: self.clone(),
                    key,
                    _ended: tell,
                })
            }
        }
    }
}

impl Inner {
    /// Drops answers that are too old, and the oldest where there are too many.
    fn drop_old(&mut self, now: Timestamp) {
        while let Some(&(at, key)) = self.order.front() {
            let many = self.order.len() > limits::IDEMPOTENT_ANSWERS_MAX
                || self.bytes > limits::IDEMPOTENT_ANSWERS_BYTES_MAX;
            if !many && now < at.plus_ms(limits::IDEMPOTENCY_KEY_MS) {
                return;
            }
            self.order.pop_front();
            if let Some(Entry::Kept(kept)) = self.entries.remove(&key) {
                self.bytes -= kept.weight();
            }
        }
    }
}

impl Ticket {
    /// Keeps the answer if it is a good one and not too large.
    async fn keep(self, response: Response, now: Timestamp) -> Response {
        let most = limits::IDEMPOTENT_ANSWER_BYTES_MAX;
        let fits = response.body().size_hint().exact();
        let fits = fits.is_some_and(|bytes| bytes <= most as u64);
        if !response.status().is_success() || !fits {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(body) = axum::body::to_bytes(body, most).await else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let kept = Arc::new(Kept {
            status: parts.status,
            headers: parts.headers.clone(),
            body: body.clone(),
        });
        let mut inner = self.answers.lock();
        inner.bytes += kept.weight();
        inner.order.push_back((now, self.key));
        inner.entries.insert(self.key, Entry::Kept(kept));
        inner.drop_old(now);
        drop(inner);
        Response::from_parts(parts, Body::from(body))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.answers.lock();
        if let Some(Entry::Running(_)) = inner.entries.get(&self.key) {
            inner.entries.remove(&self.key);
        }
    }
}

impl Kept {
    fn weight(&self) -> usize {
        self.body.len() + ANSWER_OVERHEAD_BYTES
    }

    fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

/// Without answers, which are somebody's.
impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("entries", &self.entries.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

fn still_running() -> Refused {
    let detail = "a request with this idempotency key is still being answered; ask again";
    Refused::new(Code::Conflict, detail)
}

#[cfg(test)]
mod tests;
