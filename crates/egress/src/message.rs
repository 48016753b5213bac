//! Requests, responses and errors as callers see them, and the body as hyper writes it.

use std::convert::Infallible;
use std::fmt;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, StatusCode};
use hyper::body::{Frame, SizeHint};

use crate::guard::AddressPolicy;
use crate::target::Target;
use crate::tls::TlsIdentity;

/// One exchange to make.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub target: Target,
    /// Headers beside `host` and those of the framing, which are set here.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// What may be connected to.
    pub policy: Arc<AddressPolicy>,
    /// Time for look-up, connecting and the TLS handshake.
    pub connect_timeout: Duration,
    /// Time for everything, connecting included.
    pub deadline: Duration,
    /// Bytes of the response's body that are kept.
    pub response_bytes_max: usize,
    /// Whether a longer response is cut there; otherwise it is an error.
    pub truncate: bool,
    /// On whose behalf; connections are never shared between tenants. The operator is 0.
    pub tenant: u64,
    /// What this request's TLS has of its own.
    pub tls: Option<Arc<TlsIdentity>>,
    /// Whether the receiver can tell a repetition. Such a request is sent once more, over a new
    /// connection, when its own dies within a second and before a byte of an answer.
    pub is_idempotent: bool,
}

/// A body in one piece or several, written without copying them together.
#[derive(Clone, Debug, Default)]
pub struct Body {
    first: Bytes,
    rest: Vec<Bytes>,
}

impl From<Bytes> for Body {
    fn from(first: Bytes) -> Self {
        Self {
            first,
            rest: Vec::new(),
        }
    }
}

impl From<Vec<Bytes>> for Body {
    fn from(rest: Vec<Bytes>) -> Self {
        Self {
            first: Bytes::new(),
            rest,
        }
    }
}

/// A response, read to its end or to the cap.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status; redirects are returned like any other.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, decoded when it came as gzip.
    pub body: Bytes,
    /// Whether the body went on.
    pub truncated: bool,
    /// What was read from the connection for it, heads and framing included.
    pub bytes_read: u64,
    /// From the call to the end of the body.
    pub duration: Duration,
}

/// Why there is no response. The text names host and port, never path, query or credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct SendError {
    /// What kind of failure.
    pub kind: SendErrorKind,
    /// How old the connection was, when there was one. A server that closes idle connections may
    /// abort an old one though nothing is wrong with it.
    pub connection_age_ms: Option<u64>,
    /// What was read from the connection before.
    pub bytes_read: u64,
    /// What happened, in lower case.
    pub detail: String,
}

/// Kinds of [`SendError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendErrorKind {
    /// The policy refuses the address or the port.
    Blocked,
    /// The name has no address, or the look-up failed.
    Dns,
    /// This server has too many look-ups under way to begin one more; the receiver has no part in it.
    Busy,
    /// No address could be connected to in time.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The response is over its cap.
    TooLarge,
    /// The connection ended before the response did. The server may have acted on the request.
    Aborted,
    /// The response is not HTTP as it should be.
    Protocol,
}

impl SendError {
    pub(crate) fn new(kind: SendErrorKind, detail: impl fmt::Display) -> Self {
        Self {
            kind,
            connection_age_ms: None,
            bytes_read: 0,
            detail: detail.to_string(),
        }
    }

    pub(crate) fn after_reading(mut self, bytes: u64) -> Self {
        self.bytes_read = bytes;
        self
    }

    pub(crate) fn aged(mut self, age: Duration) -> Self {
        self.connection_age_ms = Some(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        self
    }
}

/// The pieces of a body that are still to be written; one frame, so that head and body leave in one
/// system call.
#[derive(Debug)]
pub(crate) struct Pieces {
    now: Bytes,
    rest: std::vec::IntoIter<Bytes>,
    left: usize,
}

impl From<Body> for Pieces {
    fn from(body: Body) -> Self {
        let left = body.first.len() + body.rest.iter().map(Bytes::len).sum::<usize>();
        let mut pieces = Self {
            now: body.first,
            rest: body.rest.into_iter(),
            left,
        };
        pieces.skip_empty();
        pieces
    }
}

impl Pieces {
    fn skip_empty(&mut self) {
        while self.now.is_empty() {
            match self.rest.next() {
                Some(next) => self.now = next,
                None => return,
            }
        }
    }
}

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.left
    }

    fn chunk(&self) -> &[u8] {
        &self.now
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = std::iter::once(&self.now).chain(self.rest.as_slice());
        let pieces = pieces.filter(|piece| !piece.is_empty());
        slices
            .iter_mut()
            .zip(pieces)
            .map(|(slice, piece)| *slice = IoSlice::new(piece))
            .count()
    }

    fn advance(&mut self, mut count: usize) {
        self.left -= count;
        while count > 0 {
            let step = count.min(self.now.len());
            self.now.advance(step);
            count -= step;
            self.skip_empty();
        }
    }
}

/// [`Pieces`] on their way to hyper.
#[derive(Debug)]
pub(crate) struct Outgoing(Option<Pieces>);

impl From<Body> for Outgoing {
    fn from(body: Body) -> Self {
        let pieces = Pieces::from(body);
        Self((pieces.left > 0).then_some(pieces))
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Pieces;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Pieces>, Infallible>>> {
        Poll::Ready(self.0.take().map(|pieces| Ok(Frame::data(pieces))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |pieces| pieces.left as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_come_out_as_they_went_in(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..9),
            steps in proptest::collection::vec(1_usize..7, 0..99),
        ) {
            let whole = pieces.concat();
            let body = Body::from(pieces.into_iter().map(Bytes::from).collect::<Vec<_>>());
            let mut pieces = Pieces::from(body);
            let mut written = Vec::new();
            for step in steps {
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = pieces.chunks_vectored(&mut slices);
                let seen: Vec<u8> = slices[..filled].iter().flat_map(|s| s.to_vec()).collect();
                let step = step.min(seen.len());
                written.extend_from_slice(&seen[..step]);
                pieces.advance(step);
                prop_assert_eq!(pieces.remaining(), whole.len() - written.len());
                prop_assert_eq!(pieces.chunk().is_empty(), pieces.remaining() == 0);
            }
            prop_assert!(whole.starts_with(&written));
        }
    }
}
