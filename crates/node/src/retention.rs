//! Takes away what is kept too long: payloads first, then messages with their attempts. In small
//! slices with pauses between them, so that nobody who writes has to wait for it.

use std::time::{Duration, Instant};

use dunlin_delivery::{Answer, Input};
use dunlin_types::{Coded, Seq, limits};
use tracing::{info, warn};

use crate::handle::Node;

/// Of the time, the part that is spent on it at most: one of so many.
const SHARE: u32 = 4;

/// Looks from time to time until the node stops.
pub(crate) async fn keep(node: Node) {
    let period = Duration::from_millis(limits::RETENTION_PERIOD_MS);
    loop {
        tokio::time::sleep(period).await;
        match node.forget().await {
            Ok((0, 0)) => {}
            Ok((payloads, messages)) => info!(payloads, messages, "what was kept too long is gone"),
            Err(error) if error.code == dunlin_types::Code::ShuttingDown => return,
            Err(error) => warn!(%error, "what was kept too long stays for now"),
        }
    }
}

impl Node {
    /// Takes away what is kept too long by now; how many payloads and messages went.
    ///
    /// # Errors
    /// As every read and decision.
    pub async fn forget(&self) -> Result<(usize, usize), Coded> {
        let now = self.now();
        let mut payloads = 0;
        loop {
            let items = limits::RETENTION_SLICE_MESSAGES;
            let overdue = self
                .read(move |reader| reader.overdue_payloads(now, items))
                .await?;
            let gone = self.gone(overdue, true).await?;
            payloads += gone;
            if gone == 0 {
                break;
            }
        }
        let mut messages = 0;
        for app in self.config().applications() {
            let before = now.plus_ms(-i64::from(app.retention.days) * limits::DAY_MS);
            let app = app.id;
            loop {
                let items = limits::RETENTION_SLICE_MESSAGES;
                let read = move |reader: &mut dyn dunlin_store::Reader| {
                    reader.oldest_messages(app, before, items)
                };
                let old = self.read(read).await?;
                let gone = self.gone(old, false).await?;
                messages += gone;
                if gone == 0 {
                    break;
                }
            }
        }
        Ok((payloads, messages))
    }

    /// One slice; how many of it went. What is still to be delivered stays.
    async fn gone(&self, messages: Vec<Seq>, payloads: bool) -> Result<usize, Coded> {
        if messages.is_empty() {
            return Ok(0);
        }
        let began = Instant::now();
        let answer = self.delivery(move |token| match payloads {
            true => Input::Expunge {
                token,
                messages,
                even_pending: false,
            },
            false => Input::Purge { token, messages },
        });
        let gone = match answer.await? {
            Answer::Changed(gone) => gone,
            _ => 0,
        };
        tokio::time::sleep(began.elapsed() * (SHARE - 1)).await;
        Ok(gone)
    }
}
