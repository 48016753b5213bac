//! The newest messages, so that a first attempt that had to wait for a place need not read its
//! message back from the store. Bounded by bytes; what is not here is read.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_types::{Seq, limits};

use crate::Message;

/// What a message costs besides its sender's texts.
const ROW_BYTES: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Fresh {
    messages: BTreeMap<Seq, Arc<Message>>,
    bytes: usize,
}

impl Fresh {
    pub(crate) fn put(&mut self, message: Arc<Message>) {
        self.bytes += message.bytes() + ROW_BYTES;
        self.messages.insert(message.seq, message);
        while self.bytes > limits::FRESH_MESSAGES_BYTES_MAX
            && let Some((_, oldest)) = self.messages.pop_first()
        {
            self.bytes -= oldest.bytes() + ROW_BYTES;
        }
    }

    pub(crate) fn get(&self, message: Seq) -> Option<&Arc<Message>> {
        self.messages.get(&message)
    }

    /// Nobody needs it any more, or its payload is gone.
    pub(crate) fn forget(&mut self, message: Seq) {
        if let Some(gone) = self.messages.remove(&message) {
            self.bytes -= gone.bytes() + ROW_BYTES;
        }
    }
}
