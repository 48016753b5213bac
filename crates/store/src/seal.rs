//! Secrets at rest: texts sealed with a key that is kept elsewhere (XChaCha20-Poly1305). A sealed
//! text names its key and opens only at the place that it was sealed for, so that whoever can
//! write to the files can neither read a secret nor move one to where it is shown or used.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use dunlin_types::Code;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const ID_BYTES: usize = 8;
/// How a sealed text begins: `1` is the form and the algorithm.
const PREFIX: &str = "sealed:1:";
/// Goes into each key's id, so that ids say nothing about keys used for anything else.
const ID_CONTEXT: &[u8] = b"dunlin seal key id 1";

/// A key, wiped when dropped and never shown but by [`SealKey::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey(Zeroizing<[u8; KEY_BYTES]>);

impl SealKey {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Zeroizing::new(rand::random()))
    }

    /// Reads 32 bytes in hex or base64, of either alphabet, padded or not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = Zeroizing::new(match text.len() {
            hex if hex == KEY_BYTES * 2 => of_hex(text)?,
            _ => of_base64(text)?,
        });
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// The name that values sealed with it carry.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let hash = Sha256::new()
            .chain_update(ID_CONTEXT)
            .chain_update(self.0.as_slice())
            .finalize();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&hash[..ID_BYTES]);
        KeyId(id)
    }

    /// The key in hex, for the file that keeps it.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(self.0.as_slice()))
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.id())
    }
}

/// Names a key without telling it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId([u8; ID_BYTES]);

impl KeyId {
    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(of_hex(text)?.try_into().ok()?))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a value belongs. It is part of what is sealed, so that it opens nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// What it is, such as `header`. Must never change for values that are stored.
    pub kind: &'a str,
    /// The row that it is a part of.
    pub owner: u64,
    /// Which of the row's values of that kind; empty where there is no more to tell.
    pub name: &'a str,
}

impl Place<'_> {
    /// No two places have the same bytes: each part is preceded by its length.
    fn bytes(self) -> Vec<u8> {
        let mut bytes = self.owner.to_be_bytes().to_vec();
        for part in [self.kind, self.name] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }
}

/// Why a value did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It is sealed with a key that is not in the ring.
    #[error("a value is sealed with the key {0}, which is not given")]
    NoKey(KeyId),
    /// It was changed, cut off, or sealed for another place.
    #[error("a sealed value was changed, or belongs to another row")]
    Broken,
    /// It is not sealed though everything is.
    #[error("a value that has to be sealed is not")]
    NotSealed,
}

impl SealError {
    /// The code that has a page.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::NoKey(_) => Code::SealKeyMissing,
            Self::Broken | Self::NotSealed => Code::SealBroken,
        }
    }
}

/// The keys at hand: one to seal with, and all to open with.
#[derive(Clone)]
pub struct Keyring {
    current: KeyId,
    sealer: XChaCha20Poly1305,
    openers: BTreeMap<KeyId, XChaCha20Poly1305>,
}

impl Keyring {
    /// Seals with `current` and opens what that or any of `older` sealed.
    #[must_use]
    pub fn new(current: &SealKey, older: &[SealKey]) -> Self {
        let all = std::iter::once(current).chain(older);
        Self {
            current: current.id(),
            sealer: cipher(current),
            openers: all.map(|key| (key.id(), cipher(key))).collect(),
        }
    }

    /// The key that it seals with.
    #[must_use]
    pub const fn current(&self) -> KeyId {
        self.current
    }

    /// Whether it opens what that key sealed.
    #[must_use]
    pub fn knows(&self, id: KeyId) -> bool {
        self.openers.contains_key(&id)
    }

    /// Seals a text for its place.
    ///
    /// # Errors
    /// When the text is longer than the cipher takes, which no limit lets through.
    pub fn seal(&self, place: Place<'_>, text: &str) -> Result<String, SealError> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let aad = place.bytes();
        let payload = Payload {
            msg: text.as_bytes(),
            aad: &aad,
        };
        let sealed = self
            .sealer
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| SealError::Broken)?;
        let bytes = [nonce.as_slice(), &sealed].concat();
        let current = self.current;
        Ok(format!(
            "{PREFIX}{current}:{}",
            URL_SAFE_NO_PAD.encode(bytes)
        ))
    }

    /// Opens what was sealed for that place.
    ///
    /// # Errors
    /// When it is not sealed, its key is not at hand, or it was changed or moved.
    pub fn open(&self, place: Place<'_>, sealed: &str) -> Result<String, SealError> {
        let (id, bytes) = parts(sealed).ok_or(SealError::NotSealed)?;
        let opener = self.openers.get(&id).ok_or(SealError::NoKey(id))?;
        let bytes = URL_SAFE_NO_PAD
            .decode(bytes)
            .map_err(|_| SealError::Broken)?;
        let (nonce, msg) = bytes
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SealError::Broken)?;
        let aad = place.bytes();
        let payload = Payload { msg, aad: &aad };
        let text = opener
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| SealError::Broken)?;
        String::from_utf8(text).map_err(|_| SealError::Broken)
    }

    /// Seals a text that is plain or sealed with an older key; nothing if the current one has it.
    ///
    /// # Errors
    /// Those of [`Keyring::open`].
    pub fn reseal(&self, place: Place<'_>, text: &str) -> Result<Option<String>, SealError> {
        match key_of(text) {
            Some(id) if id == self.current => Ok(None),
            Some(_) => {
                let plain = Zeroizing::new(self.open(place, text)?);
                self.seal(place, &plain).map(Some)
            }
            None => self.seal(place, text).map(Some),
        }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("current", &self.current)
            .field("openers", &self.openers.keys())
            .finish_non_exhaustive()
    }
}

/// The key that a text is sealed with; nothing if it is plain.
#[must_use]
pub fn key_of(text: &str) -> Option<KeyId> {
    parts(text).map(|(id, _)| id)
}

fn parts(text: &str) -> Option<(KeyId, &str)> {
    let (id, bytes) = text.strip_prefix(PREFIX)?.split_once(':')?;
    Some((KeyId::parse(id)?, bytes))
}

fn cipher(key: &SealKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new((&*key.0).into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(byte).collect()
}

fn of_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let read = |alphabet: &GeneralPurpose| alphabet.decode(text).ok();
    read(&STANDARD_NO_PAD).or_else(|| read(&URL_SAFE_NO_PAD))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    const HERE: Place<'_> = Place {
        kind: "header",
        owner: 7,
        name: "authorization",
    };

    fn key(byte: u8) -> SealKey {
        SealKey(Zeroizing::new([byte; KEY_BYTES]))
    }

    #[test]
    fn a_key_is_read_in_each_spelling_and_names_itself_alike() {
        let key = SealKey::generate();
        let bytes = key.0.as_slice();
        let spellings = [
            hex(bytes),
            hex(bytes).to_uppercase(),
            STANDARD.encode(bytes),
            STANDARD_NO_PAD.encode(bytes),
            URL_SAFE_NO_PAD.encode(bytes),
            format!(" {}\n", STANDARD.encode(bytes)),
        ];
        for spelling in spellings {
            assert_eq!(SealKey::parse(&spelling).unwrap().id(), key.id());
        }
        assert_eq!(SealKey::parse(&key.reveal()), Some(key.clone()));
        assert_eq!(KeyId::parse(&key.id().to_string()), Some(key.id()));
        for bad in ["", "secret", &hex(&bytes[1..]), &STANDARD.encode([1; 33])] {
            assert_eq!(SealKey::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn nothing_prints_a_key() {
        let key = key(0xAB);
        let ring = Keyring::new(&key, &[]);
        let shown = format!("{key:?} {ring:?}");
        assert!(!shown.contains("abababab"), "{shown}");
        assert!(!shown.contains("171"), "{shown}");
    }

    #[test]
    fn older_keys_open_and_only_the_current_one_seals() {
        let (old, new) = (key(1), key(2));
        let sealed = Keyring::new(&old, &[]).seal(HERE, "s3cret").unwrap();
        assert_eq!(key_of(&sealed), Some(old.id()));
        let both = Keyring::new(&new, std::slice::from_ref(&old));
        assert_eq!(both.open(HERE, &sealed).unwrap(), "s3cret");
        let again = both.reseal(HERE, &sealed).unwrap().unwrap();
        assert_eq!(key_of(&again), Some(new.id()));
        assert_eq!(both.reseal(HERE, &again).unwrap(), None);
        let alone = Keyring::new(&new, &[]);
        assert_eq!(alone.open(HERE, &again).unwrap(), "s3cret");
        assert_eq!(alone.open(HERE, &sealed), Err(SealError::NoKey(old.id())));
        assert_eq!(alone.open(HERE, "s3cret"), Err(SealError::NotSealed));
    }

    #[test]
    fn a_value_opens_at_no_other_place() {
        let ring = Keyring::new(&key(1), &[]);
        let sealed = ring.seal(HERE, "s3cret").unwrap();
        let elsewhere = [
            Place { owner: 8, ..HERE },
            Place {
                kind: "variable",
                ..HERE
            },
            Place {
                name: "cookie",
                ..HERE
            },
            // The same letters, divided otherwise.
            Place {
                kind: "headera",
                name: "uthorization",
                ..HERE
            },
        ];
        for place in elsewhere {
            assert_eq!(ring.open(place, &sealed), Err(SealError::Broken));
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_no_two_seals_are_alike(text in ".{0,300}") {
            let ring = Keyring::new(&key(1), &[]);
            let (one, two) = (ring.seal(HERE, &text).unwrap(), ring.seal(HERE, &text).unwrap());
            prop_assert_ne!(&one, &two);
            prop_assert!(text.len() < 8 || !one.contains(&text));
            prop_assert_eq!(ring.open(HERE, &one).unwrap(), text.clone());
            prop_assert_eq!(ring.open(HERE, &two).unwrap(), text);
        }

        #[test]
        fn a_changed_byte_is_noticed(text in ".{0,40}", at in any::<usize>(), flip in 1_u8..=255) {
            let ring = Keyring::new(&key(1), &[]);
            let sealed = ring.seal(HERE, &text).unwrap();
            let (head, body) = sealed.rsplit_once(':').unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(body).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            let changed = format!("{head}:{}", URL_SAFE_NO_PAD.encode(&bytes));
            prop_assert_eq!(ring.open(HERE, &changed), Err(SealError::Broken));
            let cut = format!("{head}:{}", URL_SAFE_NO_PAD.encode(&bytes[..at]));
            prop_assert_eq!(ring.open(HERE, &cut), Err(SealError::Broken));
        }

        #[test]
        fn noise_opens_nothing_and_panics_nowhere(noise in ".{0,80}") {
            let ring = Keyring::new(&key(1), &[]);
            let named = format!("{PREFIX}{}:{noise}", ring.current());
            for text in [noise.clone(), [PREFIX, &noise].concat(), named] {
                prop_assert!(ring.open(HERE, &text).is_err());
            }
            let _ = (SealKey::parse(&noise), KeyId::parse(&noise));
        }
    }
}
