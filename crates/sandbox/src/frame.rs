//! The messages between parent and worker: three lengths, then a JSON head, a text and a payload.
//! Code and payload travel beside the head so that neither is escaped and parsed again.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::{BufMut, BytesMut};
use dunlin_types::limits::TRANSFORM_FRAME_BYTES_MAX;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::report::LogLine;

const LENGTHS_BYTES: usize = 12;

/// What the worker is to do with the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Compile it and look for its entry function.
    Check,
    /// Run it.
    Run,
}

/// Head of a message to the worker; the code is its text, the event its payload.
#[derive(Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) task: Task,
    pub(crate) cpu_ms: u64,
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) event_type: String,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) channels: Vec<String>,
    pub(crate) params_headers: BTreeMap<String, String>,
    pub(crate) params: Option<String>,
}

/// Head of a worker's answer; its text is unused.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) logs: Vec<LogLine>,
    /// The interpreter ran into a limit it may not have survived whole: the process ends now.
    pub(crate) worn: bool,
}

/// How a job ended.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The code may be saved.
    Checked,
    /// The script returned.
    Returned(Returned),
    /// It did not, or nothing usable.
    Failed(Failed),
}

/// The fields of the returned object that were there.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Returned {
    pub(crate) method: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) cancel: bool,
    pub(crate) payload: Form,
}

/// What the answer's payload is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Form {
    /// Nothing: the event as it was.
    #[default]
    Kept,
    /// JSON.
    Json,
    /// A string that is to be sent as it is.
    Text,
}

/// A script error without the types of the parent's side.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failed {
    pub(crate) code: u16,
    pub(crate) message: String,
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
}

/// One message, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) head: Vec<u8>,
    pub(crate) text: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// The head of a message of which those are the other parts, if it is not too large.
pub(crate) fn head<H: Serialize>(head: &H, text: &[u8], payload: &[u8]) -> io::Result<Vec<u8>> {
    let head = serde_json::to_vec(head).map_err(io::Error::other)?;
    match head.len() + text.len() + payload.len() > TRANSFORM_FRAME_BYTES_MAX {
        true => Err(too_large()),
        false => Ok(head),
    }
}

/// Appends a message of these parts.
pub(crate) fn write(head: &[u8], text: &[u8], payload: &[u8], to: &mut BytesMut) {
    let parts = [head, text, payload];
    to.reserve(LENGTHS_BYTES + parts.iter().map(|part| part.len()).sum::<usize>());
    for part in parts {
        // The sum was checked against a limit that fits.
        to.put_u32_le(part.len() as u32);
    }
    for part in parts {
        to.put_slice(part);
    }
}

/// Puts a message together.
pub(crate) fn encode<H: Serialize>(head: &H, text: &[u8], payload: &[u8]) -> io::Result<BytesMut> {
    let head = self::head(head, text, payload)?;
    let mut bytes = BytesMut::new();
    write(&head, text, payload, &mut bytes);
    Ok(bytes)
}

/// Reads one message; `None` when the other side has closed the pipe between two.
pub(crate) fn read(input: &mut impl Read) -> io::Result<Option<Frame>> {
    let mut lengths = [0; LENGTHS_BYTES];
    if input.read(&mut lengths[..1])? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut lengths[1..])?;
    let mut frame = room_for(lengths)?;
    for part in [&mut frame.head, &mut frame.text, &mut frame.payload] {
        input.read_exact(part)?;
    }
    Ok(Some(frame))
}

/// The same for the parent's end of the pipe.
pub(crate) async fn read_async(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let mut lengths = [0; LENGTHS_BYTES];
    input.read_exact(&mut lengths).await?;
    let mut frame = room_for(lengths)?;
    for part in [&mut frame.head, &mut frame.text, &mut frame.payload] {
        input.read_exact(part).await?;
    }
    Ok(frame)
}

fn room_for(lengths: [u8; LENGTHS_BYTES]) -> io::Result<Frame> {
    let at = |i: usize| {
        let four = [lengths[i], lengths[i + 1], lengths[i + 2], lengths[i + 3]];
        u64::from(u32::from_le_bytes(four))
    };
    let sizes = [at(0), at(4), at(8)];
    if sizes.iter().sum::<u64>() > TRANSFORM_FRAME_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let [head, text, payload] = sizes.map(|size| vec![0; size as usize]);
    Ok(Frame {
        head,
        text,
        payload,
    })
}

fn too_large() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the message is over the size limit",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(
            text in proptest::collection::vec(any::<u8>(), 0..64),
            payload in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let bytes = encode(&7, &text, &payload).unwrap();
            let frame = read(&mut &bytes[..]).unwrap().unwrap();
            prop_assert_eq!(frame, Frame { head: b"7".to_vec(), text, payload });
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let _ = read(&mut &bytes[..]);
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_room_is_made() {
        let error = read(&mut &[0xff; 12][..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_closed_pipe_between_two_messages_is_the_end() {
        assert_eq!(read(&mut &[][..]).unwrap(), None);
    }
}
