//! Keys under which something may happen only once within a window.

use ring::digest::{Context, SHA256};

/// Sixteen bytes of a SHA-256 over a space and a text: a provider's message id within its source,
/// or an event id within a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupeKey(pub [u8; 16]);

impl DedupeKey {
    /// The key of `text` within `space`.
    #[must_use]
    pub fn new(space: &[u8], text: &[u8]) -> Self {
        let mut hash = Context::new(&SHA256);
        hash.update(&(space.len() as u64).to_be_bytes());
        hash.update(space);
        hash.update(text);
        let mut key = [0_u8; 16];
        key.copy_from_slice(&hash.finish().as_ref()[..16]);
        Self(key)
    }
}
