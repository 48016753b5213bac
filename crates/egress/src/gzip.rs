//! Bodies that come as gzip though none was asked for, decoded within the same cap.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use crate::message::{SendError, SendErrorKind};

/// Decodes a body whose headers say gzip, and takes those headers away.
pub(crate) fn decode(
    headers: &mut HeaderMap,
    body: Bytes,
    truncated: bool,
    cap: usize,
    truncate: bool,
) -> Result<(Bytes, bool), SendError> {
    let encoding = headers.get(CONTENT_ENCODING);
    let is_gzip = encoding.is_some_and(|e| e.as_bytes().eq_ignore_ascii_case(b"gzip"));
    if !is_gzip || body.is_empty() {
        return Ok((body, truncated));
    }
    let mut plain = Vec::new();
    let read = MultiGzDecoder::new(&body[..])
        .take(cap as u64 + 1)
        .read_to_end(&mut plain);
    if read.is_err() && !truncated {
        return Err(SendError::new(
            SendErrorKind::Protocol,
            "the response's gzip is not valid",
        ));
    }
    let over = plain.len() > cap;
    if over && !truncate {
        return Err(too_large(cap));
    }
    plain.truncate(cap);
    headers.remove(CONTENT_ENCODING);
    headers.remove(CONTENT_LENGTH);
    Ok((plain.into(), truncated || over))
}

/// The error of a response over its cap.
pub(crate) fn too_large(cap: usize) -> SendError {
    SendError::new(
        SendErrorKind::TooLarge,
        format!("the response is over {cap} bytes"),
    )
}
