//! A receiver of webhooks that notes when each message came, with as little work as possible.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::light::{LightCall, light_listen};

/// What the ids of messages that count begin with; a number follows.
pub const NUMBERED: &str = "load-";

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";

/// The messages that came, by number.
#[derive(Debug)]
pub struct Receiver {
    began: Instant,
    /// Nanoseconds after `began`, zero for what has not come.
    came: Vec<AtomicU64>,
    arrived: AtomicUsize,
    twice: AtomicUsize,
    others: AtomicUsize,
}

impl Receiver {
    /// One that expects that many messages.
    #[must_use]
    pub fn new(messages: usize) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            came: (0..messages).map(|_| AtomicU64::new(0)).collect(),
            arrived: AtomicUsize::new(0),
            twice: AtomicUsize::new(0),
            others: AtomicUsize::new(0),
        })
    }

    /// Listens at that address and answers at once; tells where.
    pub async fn listen(self: &Arc<Self>, address: Ipv4Addr) -> SocketAddr {
        let receiver = Arc::clone(self);
        light_listen(address, move |call| {
            receiver.note(&call);
            std::future::ready(Bytes::from_static(ANSWER))
        })
        .await
    }

    /// Listens at that address, takes every call, and never answers; tells where.
    pub async fn hang(address: Ipv4Addr) -> SocketAddr {
        light_listen(address, |_| std::future::pending()).await
    }

    fn note(&self, call: &LightCall<'_>) {
        let at = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let Some(came) = number_of(call).and_then(|number| self.came.get(number)) else {
            self.others.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let first = came.compare_exchange(0, at, Ordering::Relaxed, Ordering::Relaxed);
        let counter = match first {
            Ok(_) => &self.arrived,
            Err(_) => &self.twice,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Numbered messages that came.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Numbered messages that came again.
    #[must_use]
    pub fn twice(&self) -> usize {
        self.twice.load(Ordering::Relaxed)
    }

    /// All other messages that came.
    #[must_use]
    pub fn others(&self) -> usize {
        self.others.load(Ordering::Relaxed)
    }

    /// When a message came first.
    #[must_use]
    pub fn came(&self, number: usize) -> Option<Instant> {
        let nanoseconds = self.came.get(number)?.load(Ordering::Relaxed);
        (nanoseconds > 0).then(|| self.began + Duration::from_nanos(nanoseconds))
    }

    /// When the last of them came.
    #[must_use]
    pub fn last(&self) -> Option<Instant> {
        let latest = self.came.iter().map(|one| one.load(Ordering::Relaxed));
        let latest = latest.max().filter(|nanoseconds| *nanoseconds > 0);
        latest.map(|nanoseconds| self.began + Duration::from_nanos(nanoseconds))
    }

    /// Waits until that many have come, or nothing comes for so long.
    pub async fn wait(&self, count: usize, patience: Duration) {
        let (mut seen, mut moved) = (self.arrived(), Instant::now());
        while seen < count && moved.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if self.arrived() > seen {
                (seen, moved) = (self.arrived(), Instant::now());
            }
        }
    }
}

/// The number is in the id, or at the first place of the body that looks like such an id.
fn number_of(call: &LightCall<'_>) -> Option<usize> {
    let by_id = call
        .header("webhook-id")
        .and_then(|id| id.strip_prefix(NUMBERED));
    let text = match by_id {
        Some(text) => text,
        None => call.body.split_once(NUMBERED)?.1,
    };
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text[..end].parse().ok()
}
