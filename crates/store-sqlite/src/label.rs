//! The number under which a channel or a tag is listed. Two texts may meet under one, so whoever
//! reads looks at the message as well.

use dunlin_types::{DedupeKey, Seq};

/// What a message is marked with.
#[derive(Clone, Copy)]
pub(crate) enum Label {
    Channel,
    Tag,
}

impl Label {
    /// The number of a text in an application.
    pub(crate) fn number(self, app: Seq, text: &str) -> i64 {
        let kind: &[u8] = match self {
            Self::Channel => b"channel ",
            Self::Tag => b"tag ",
        };
        let space = [kind, &app.0.to_be_bytes()].concat();
        let DedupeKey(hash) = DedupeKey::new(&space, text.as_bytes());
        let head = hash.first_chunk().copied().unwrap_or_default();
        i64::from_be_bytes(head)
    }
}
