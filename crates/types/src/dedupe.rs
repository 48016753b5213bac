//! Keys under which something may happen only once within a window.

use sha2::{Digest, Sha256};

/// Sixteen bytes of a SHA-256 over a space and a text: a provider's message id within its source,
/// or an event id within a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupeKey(pub [u8; 16]);

impl DedupeKey {
    /// The key of `text` within `space`.
    #[must_use]
    pub fn new(space: &[u8], text: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update((space.len() as u64).to_be_bytes());
        hash.update(space);
        hash.update(text);
        let mut key = [0_u8; 16];
        key.copy_from_slice(&hash.finalize()[..16]);
        Self(key)
    }
}
