//! One connection and the exchange on it. The task that asks also drives the connection, so that a
//! call costs no other task and no wake-up but that of the socket.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use dunlin_types::limits::RESPONSE_HEAD_BYTES_MAX;
use http::response::Parts;
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::dial::Stream;
use crate::gzip::too_large;
use crate::message::{Outgoing, SendError, SendErrorKind};
use crate::tls_error;

/// A body up to this size is copied out of the read buffer, so that the connection can use the
/// buffer again instead of allocating another.
const COPIED_BYTES_MAX: usize = 4096;

pub(crate) struct Link {
    connection: Connection<TokioIo<Stream>, Outgoing>,
    sender: SendRequest<Outgoing>,
    /// Armed for the deadline of some exchange, and armed again only when it fires early or a
    /// deadline lies before it: a timer per exchange costs more than its rare false alarms.
    alarm: Pin<Box<Sleep>>,
    born: Instant,
    closed: bool,
    /// Bytes read since the connection was made, and up to the exchange that goes on.
    read: Arc<AtomicU64>,
    read_before: u64,
}

/// What hyper makes of a request: the head of the response, or why there is none.
type Answer = Result<http::Response<Incoming>, TrySendError<http::Request<Outgoing>>>;

/// The bounds of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) until: Instant,
    pub(crate) bytes_max: usize,
    pub(crate) truncate: bool,
}

/// A response with what it took to read it.
pub(crate) struct Read {
    pub(crate) head: Parts,
    pub(crate) body: Bytes,
    pub(crate) truncated: bool,
    pub(crate) bytes: u64,
}

/// Why an exchange failed.
pub(crate) enum Failure {
    /// Nothing of the request was written; here it is again.
    Unsent(Box<http::Request<Outgoing>>),
    /// The connection died without a byte of an answer.
    Unanswered(SendError),
    Failed(SendError),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Link {
    pub(crate) async fn new(stream: Stream, until: Instant) -> hyper::Result<Box<Self>> {
        let read = Arc::clone(&stream.read);
        let mut builder = Builder::new();
        builder.max_buf_size(RESPONSE_HEAD_BYTES_MAX);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let alarm = Box::pin(sleep_until(until));
        let born = Instant::now();
        Ok(Box::new(Self {
            connection,
            sender,
            alarm,
            born,
            closed: false,
            read,
            read_before: 0,
        }))
    }

    /// Whether the exchange is over on both sides, so that the link can be kept.
    pub(crate) fn is_done(&mut self) -> bool {
        !self.closed && (self.sender.is_ready() || self.is_idle())
    }

    /// Whether the next request can be sent: the server has neither closed nor said anything since.
    pub(crate) fn is_idle(&mut self) -> bool {
        // With a waker that does nothing: what hyper then notes down as its waker for requests
        // would otherwise wake this very task when the request is handed over. Unconstrained: an
        // app that restarted leaves hundreds of closed connections, and a task that has used its
        // budget up on them would take the next one for open.
        let mut look = pin!(unconstrained(poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(())
        })));
        let _ = look.as_mut().poll(&mut idle_context());
        !self.closed && self.sender.is_ready()
    }

    /// Sends a request and reads the response. The link is of no more use after an error.
    ///
    /// The request is handed over before the future is made: it is large, and each future that
    /// held it would copy it once more.
    pub(crate) fn exchange(
        &mut self,
        request: http::Request<Outgoing>,
        bounds: Bounds,
    ) -> impl Future<Output = Result<Read, Failure>> + Send {
        self.read_before = self.read.load(Ordering::Relaxed);
        let response = self.sender.try_send_request(request);
        async move {
            let (head, body) = self.head(response, bounds.until).await?.into_parts();
            match self.body(body, bounds).await {
                Ok((body, truncated)) => Ok(Read {
                    head,
                    body,
                    truncated,
                    bytes: self.bytes_read(),
                }),
                Err(error) => Err(Failure::Failed(self.told(error))),
            }
        }
    }

    async fn head(
        &mut self,
        response: impl Future<Output = Answer> + Send,
        until: Instant,
    ) -> Result<http::Response<Incoming>, Failure> {
        // Only driving the connection can bring the response about, and it holds the task's waker;
        // the channel between them needs none. Unconstrained, since a channel that ran out of the
        // task's budget would rely on its waker.
        let mut response = pin!(unconstrained(response));
        let outcome = poll_fn(|cx| {
            self.drive(cx);
            match response.as_mut().poll(&mut idle_context()) {
                Poll::Ready(response) => Poll::Ready(Ok(response)),
                Poll::Pending if self.closed => Poll::Ready(Err(aborted())),
                Poll::Pending => self.alarm_at(until, cx).map(|()| Err(timed_out())),
            }
        })
        .await;
        let error = match outcome {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(error)) => match unsent(error) {
                Ok(request) => return Err(Failure::Unsent(request)),
                Err(error) => error,
            },
            Err(error) => error,
        };
        let error = self.told(error);
        if error.kind == SendErrorKind::Aborted && error.bytes_read == 0 {
            return Err(Failure::Unanswered(error));
        }
        Err(Failure::Failed(error))
    }

    /// What was read for the exchange that goes on.
    fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed) - self.read_before
    }

    fn told(&self, error: SendError) -> SendError {
        error
            .aged(self.born.elapsed())
            .after_reading(self.bytes_read())
    }

    async fn body(
        &mut self,
        mut body: Incoming,
        bounds: Bounds,
    ) -> Result<(Bytes, bool), SendError> {
        let Bounds {
            until,
            bytes_max,
            truncate,
        } = bounds;
        let announced = body.size_hint().lower();
        if !truncate && announced > bytes_max as u64 {
            return Err(too_large(bytes_max));
        }
        let mut kept = Kept::default();
        while !body.is_end_stream() {
            if kept.len() >= bytes_max && truncate {
                return Ok((kept.into_bytes(), true));
            }
            let Some(mut data) = self.data(&mut body, until).await? else {
                break;
            };
            if data.len() > bytes_max - kept.len() {
                if !truncate {
                    return Err(too_large(bytes_max));
                }
                data.truncate(bytes_max - kept.len());
                kept.push(data, announced);
                return Ok((kept.into_bytes(), true));
            }
            kept.push(data, announced);
        }
        Ok((kept.into_bytes(), false))
    }

    /// The next piece of the body; none at its end.
    async fn data(
        &mut self,
        body: &mut Incoming,
        until: Instant,
    ) -> Result<Option<Bytes>, SendError> {
        loop {
            let frame = poll_fn(|cx| {
                if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(&mut idle_context()) {
                    return Poll::Ready(Ok(frame));
                }
                self.drive(cx);
                match Pin::new(&mut *body).poll_frame(&mut idle_context()) {
                    Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                    Poll::Pending if self.closed => Poll::Ready(Err(aborted())),
                    Poll::Pending => self.alarm_at(until, cx).map(|()| Err(timed_out())),
                }
            })
            .await?;
            match frame
                .transpose()
                .map_err(|error| failed(&error))?
                .map(|f| f.into_data())
            {
                Some(Ok(data)) => return Ok(Some(data)),
                Some(Err(_trailers)) => {}
                None => return Ok(None),
            }
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.closed && Pin::new(&mut self.connection).poll(cx).is_ready() {
            self.closed = true;
        }
    }

    fn alarm_at(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.alarm.deadline() > until {
            self.alarm.as_mut().reset(until);
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(until);
        }
        Poll::Pending
    }
}

/// A context that wakes nobody.
fn idle_context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// What is kept of a body: usually one piece, as it came.
#[derive(Default)]
struct Kept {
    first: Bytes,
    joined: BytesMut,
}

impl Kept {
    fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn push(&mut self, data: Bytes, announced: u64) {
        if self.len() == 0 && data.len() as u64 == announced {
            let small = data.len() <= COPIED_BYTES_MAX;
            self.first = if small {
                Bytes::copy_from_slice(&data)
            } else {
                data
            };
            return;
        }
        let first = std::mem::take(&mut self.first);
        self.joined.extend_from_slice(&first);
        self.joined.extend_from_slice(&data);
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() {
            self.first
        } else {
            self.joined.freeze()
        }
    }
}

fn aborted() -> SendError {
    SendError::new(
        SendErrorKind::Aborted,
        "the connection ended before the response did",
    )
}

pub(crate) fn timed_out() -> SendError {
    SendError::new(
        SendErrorKind::Timeout,
        "the response took longer than its deadline",
    )
}

fn unsent(
    mut error: TrySendError<http::Request<Outgoing>>,
) -> Result<Box<http::Request<Outgoing>>, SendError> {
    match error.take_message() {
        Some(request) => Ok(Box::new(request)),
        None => Err(failed(error.error())),
    }
}

fn failed(error: &hyper::Error) -> SendError {
    if error.is_parse() {
        return SendError::new(
            SendErrorKind::Protocol,
            format!("the response could not be read: {error}"),
        );
    }
    if let Some(cause) = std::error::Error::source(error) {
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            // With TLS 1.3 a server judges the client's certificate when connecting is over here.
            if let Some(why) = tls_error::explain(cause) {
                return SendError::new(SendErrorKind::Tls, format!("TLS failed: {why}"));
            }
            // The decoder of chunks reports what it cannot read as an error of reading.
            let kinds = [ErrorKind::InvalidData, ErrorKind::InvalidInput];
            if kinds.contains(&cause.kind()) {
                let text = format!("the response could not be read: {cause}");
                return SendError::new(SendErrorKind::Protocol, text);
            }
            return SendError::new(
                SendErrorKind::Aborted,
                format!("the connection ended before the response did: {cause}"),
            );
        }
        return SendError::new(SendErrorKind::Protocol, format!("{error}: {cause}"));
    }
    aborted()
}
