//! The SDK's name for a step, opaque to us.

use std::cmp::Ordering;
use std::fmt;

/// A hashed step id: nearly always the hex text of a SHA-1, which is kept in 20 bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum StepId {
    /// 40 lower-case hex digits.
    Sha1([u8; 20]),
    /// Anything else.
    Text(Box<str>),
}

impl StepId {
    /// Packs the text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        unhex(text.as_bytes()).map_or_else(|| Self::Text(text.into()), Self::Sha1)
    }

    /// From what [`StepId::pack`] gave.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Self {
        match <[u8; 20]>::try_from(bytes) {
            Ok(hash) => Self::Sha1(hash),
            Err(_) => {
                let text = bytes.strip_prefix(b"=").unwrap_or(bytes);
                let text = text.strip_prefix(b"\0").unwrap_or(text);
                Self::new(&String::from_utf8_lossy(text))
            }
        }
    }

    /// 20 bytes for a hash, `=` and the text otherwise. A text of 19 bytes would then look like a
    /// hash, so it (and one that begins with NUL) gets a NUL in between.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        match self {
            Self::Sha1(hash) => hash.to_vec(),
            Self::Text(text) if text.len() == 19 || text.starts_with('\0') => {
                format!("=\0{text}").into_bytes()
            }
            Self::Text(text) => format!("={text}").into_bytes(),
        }
    }

    /// The text in full.
    #[must_use]
    pub fn text(&self) -> String {
        self.to_string()
    }
}

fn unhex(text: &[u8]) -> Option<[u8; 20]> {
    if text.len() != 40 {
        return None;
    }
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut out = [0_u8; 20];
    for (place, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
        *place = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(out)
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha1(hash) => {
                let mut text = [0_u8; 40];
                for (pair, byte) in text.chunks_exact_mut(2).zip(hash) {
                    pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
                    pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
                }
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// By text, which is the key order of the canonical JSON of a call.
impl Ord for StepId {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Sha1(a), Self::Sha1(b)) => a.cmp(b),
            _ => self.text().encode_utf16().cmp(other.text().encode_utf16()),
        }
    }
}

impl PartialOrd for StepId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_survives_packing() {
        for text in [
            "",
            "step",
            "0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33",
            "0BEEC7B5EA3F0FDBC95D0DD47F3C5BC275DA8A33",
            "nineteen characters",
            "=nineteen character",
            "é",
        ] {
            let id = StepId::new(text);
            let back = StepId::unpack(&id.pack());
            assert_eq!(back.text(), text);
        }
    }
}
