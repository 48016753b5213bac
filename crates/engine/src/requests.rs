//! Requests that the server is to make for runs: in memory only, because they hold secrets. After a
//! restart, or where there was no room, the app is called again and reports the request anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_types::{OutboundRequest, Seq, limits};

/// Requests by item.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    by_item: BTreeMap<Seq, Arc<OutboundRequest>>,
    bytes: usize,
}

impl Requests {
    /// Keeps the request of an item, and forgets those of older items where there is no room.
    pub(crate) fn put(&mut self, item: Seq, request: Arc<OutboundRequest>) {
        self.remove(item);
        self.bytes += request.weight_bytes();
        self.by_item.insert(item, request);
        while self.bytes > limits::REQUESTS_KEPT_BYTES_MAX && self.by_item.len() > 1 {
            let Some(oldest) = self.by_item.keys().find(|key| **key != item).copied() else {
                return;
            };
            self.remove(oldest);
        }
    }

    pub(crate) fn get(&self, item: Seq) -> Option<&Arc<OutboundRequest>> {
        self.by_item.get(&item)
    }

    /// The items whose requests are kept.
    pub(crate) fn items(&self) -> impl Iterator<Item = Seq> {
        self.by_item.keys().copied()
    }

    pub(crate) fn remove(&mut self, item: Seq) {
        if let Some(gone) = self.by_item.remove(&item) {
            self.bytes -= gone.weight_bytes();
        }
    }
}
