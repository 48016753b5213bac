//! Sequence numbers, and the ids that users see. A user-visible id encodes the sequence number of
//! its row, so that looking it up needs no index; the time in it guards against made-up ids.

use std::fmt;
use std::str::FromStr;

use crate::Timestamp;

/// A place in a shard's order of the world. All append-only tables of a shard share one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names somebody outside who waits for the answer to one input. Never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

impl Token {
    /// Nobody waits.
    pub const NONE: Self = Self(0);
}

/// A ULID: 48 bits of milliseconds, 80 bits that are either random (seeded events) or a tag and
/// the sequence number of the row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ulid(pub u128);

const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// The 16 bits between time and sequence number in ids of our own rows.
const OWN_TAG: u16 = 0xD117;

/// The ULID of the row `seq` that was made at `at`.
#[must_use]
pub fn ulid_for(at: Timestamp, seq: Seq) -> Ulid {
    let ms = u128::from(at.ms().max(0).unsigned_abs() & 0xFFFF_FFFF_FFFF);
    Ulid((ms << 80) | (u128::from(OWN_TAG) << 64) | u128::from(seq.0))
}

impl Ulid {
    /// A ULID from its time and ten bytes of entropy, as `x-inngest-event-id-seed` gives them.
    #[must_use]
    pub fn from_parts(at: Timestamp, entropy: [u8; 10]) -> Self {
        let ms = u128::from(at.ms().max(0).unsigned_abs() & 0xFFFF_FFFF_FFFF);
        let mut low = [0_u8; 16];
        low[6..].copy_from_slice(&entropy);
        Self((ms << 80) | u128::from_be_bytes(low))
    }

    /// The time part.
    #[must_use]
    pub fn at(self) -> Timestamp {
        Timestamp::from_ms((self.0 >> 80) as i64)
    }

    /// The sequence number, when this is an id of one of our own rows.
    #[must_use]
    pub fn seq(self) -> Option<Seq> {
        (((self.0 >> 64) & 0xFFFF) as u16 == OWN_TAG).then_some(Seq(self.0 as u64))
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0_u8; 26];
        let mut rest = self.0;
        for place in text.iter_mut().rev() {
            *place = CROCKFORD[(rest & 31) as usize];
            rest >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an id of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid id")]
pub struct BadId;

impl FromStr for Ulid {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        if text.len() != 26 || text.as_bytes()[0] > b'7' {
            return Err(BadId);
        }
        let mut value = 0_u128;
        for byte in text.bytes() {
            let upper = byte.to_ascii_uppercase();
            let digit = CROCKFORD.iter().position(|c| *c == upper).ok_or(BadId)?;
            value = (value << 5) | digit as u128;
        }
        Ok(Self(value))
    }
}

/// What a KSUID-style id of the management API names; gives its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KsuidKind {
    /// `app_`: an application of the management API.
    Application,
    /// `ep_`: an endpoint.
    Endpoint,
    /// `msg_`: a message.
    Message,
    /// `atmpt_`: an attempt.
    Attempt,
    /// `src_`: a source.
    Source,
    /// `dlv_`: one message for one endpoint.
    Delivery,
    /// `rfsl_`: a webhook that a source refused.
    Refusal,
    /// `log_`: a line of a source's log.
    LogLine,
    /// `qtask_`: something long that goes on beside everything else.
    Task,
    /// `integ_`: an integration.
    Integration,
}

impl KsuidKind {
    /// The text before the 27 characters.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Application => "app_",
            Self::Endpoint => "ep_",
            Self::Message => "msg_",
            Self::Attempt => "atmpt_",
            Self::Source => "src_",
            Self::Delivery => "dlv_",
            Self::Refusal => "rfsl_",
            Self::LogLine => "log_",
            Self::Task => "qtask_",
            Self::Integration => "integ_",
        }
    }
}

/// A prefixed KSUID: 32 bits of seconds since [`Ksuid::EPOCH_SECS`], 64 bits of milliseconds and
/// 64 bits of sequence number, in base 62 (layout of the time part: segmentio KSUID, as the Svix
/// API uses it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ksuid {
    /// What it names.
    pub kind: KsuidKind,
    /// When that was made.
    pub at: Timestamp,
    /// Its row.
    pub seq: Seq,
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Ksuid {
    /// The KSUID epoch, 2014-05-13, in Unix seconds.
    pub const EPOCH_SECS: i64 = 1_400_000_000;

    /// Names the row `seq` made at `at`.
    #[must_use]
    pub const fn new(kind: KsuidKind, at: Timestamp, seq: Seq) -> Self {
        Self { kind, at, seq }
    }

    fn bytes(self) -> [u8; 20] {
        let mut out = [0_u8; 20];
        let secs = (self.at.secs() - Self::EPOCH_SECS).clamp(0, i64::from(u32::MAX)) as u32;
        out[..4].copy_from_slice(&secs.to_be_bytes());
        out[4..12].copy_from_slice(&self.at.ms().to_be_bytes());
        out[12..].copy_from_slice(&self.seq.0.to_be_bytes());
        out
    }

    /// Reads an id of the given kind.
    ///
    /// # Errors
    /// [`BadId`] when the prefix, the length or an inner part is off.
    pub fn parse(kind: KsuidKind, text: &str) -> Result<Self, BadId> {
        let digits = text.strip_prefix(kind.prefix()).ok_or(BadId)?;
        if digits.len() != 27 {
            return Err(BadId);
        }
        let mut bytes = [0_u8; 20];
        for digit in digits.bytes() {
            let mut carry = BASE62.iter().position(|c| *c == digit).ok_or(BadId)? as u32;
            for byte in bytes.iter_mut().rev() {
                carry += u32::from(*byte) * 62;
                *byte = (carry & 0xFF) as u8;
                carry >>= 8;
            }
            if carry != 0 {
                return Err(BadId);
            }
        }
        let ms = i64::from_be_bytes(bytes[4..12].try_into().map_err(|_| BadId)?);
        let seq = u64::from_be_bytes(bytes[12..].try_into().map_err(|_| BadId)?);
        let id = Self::new(kind, Timestamp::from_ms(ms), Seq(seq));
        if id.bytes() == bytes {
            Ok(id)
        } else {
            Err(BadId)
        }
    }
}

impl fmt::Display for Ksuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.bytes();
        let mut text = [b'0'; 27];
        for place in text.iter_mut().rev() {
            let mut rest = 0_u32;
            for byte in &mut bytes {
                let value = (rest << 8) | u32::from(*byte);
                *byte = (value / 62) as u8;
                rest = value % 62;
            }
            *place = BASE62[rest as usize];
        }
        f.write_str(self.kind.prefix())?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// The namespace of the UUIDv5 ids of apps and functions.
pub const APP_NAMESPACE: uuid::Uuid =
    uuid::Uuid::from_u128(0x7d6e_1b52_40f3_4c55_9b5a_d8c1_5e0f_a211);

/// The id of the app of that name.
#[must_use]
pub fn app_uuid(app: &str) -> uuid::Uuid {
    uuid::Uuid::new_v5(&APP_NAMESPACE, app.as_bytes())
}

/// The id of the function with that composite slug in that app.
#[must_use]
pub fn function_uuid(app: &str, slug: &str) -> uuid::Uuid {
    uuid::Uuid::new_v5(&app_uuid(app), slug.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_of_rows_read_back(ms in 1_400_000_000_000_i64..4_000_000_000_000, seq in 0_u64..u64::MAX) {
            let at = Timestamp::from_ms(ms);
            let ulid: Ulid = ulid_for(at, Seq(seq)).to_string().parse().unwrap();
            prop_assert_eq!((ulid.at(), ulid.seq()), (at, Some(Seq(seq))));
            let id = Ksuid::new(KsuidKind::Message, at, Seq(seq));
            prop_assert_eq!(Ksuid::parse(KsuidKind::Message, &id.to_string()).unwrap(), id);
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Ulid>();
            let _ = Ksuid::parse(KsuidKind::Endpoint, &format!("ep_{text}"));
        }
    }

    #[test]
    fn a_foreign_ksuid_is_no_row_of_ours() {
        assert!(Ksuid::parse(KsuidKind::Message, "msg_1srOrx2ZWZBpBUvZwXKQmoEYga2").is_err());
    }
}
