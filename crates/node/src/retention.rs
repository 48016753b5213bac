//! Takes away what is kept too long: payloads first, then messages with their attempts. In small
//! slices with pauses between them, so that nobody who writes has to wait for it.

use std::time::{Duration, Instant};

use dunlin_delivery::{Answer, Input};
use dunlin_store::{Reader, StoreResult};
use dunlin_types::{Coded, Seq, Timestamp, limits};
use tracing::{info, warn};

use crate::handle::Node;

/// Of the time, the part that is spent on it at most: one of so many. And there is a pause besides
/// until it shows that more comes due than goes.
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
        let payloads = self
            .forget_by(true, move |reader, skip| {
                reader.overdue_payloads(now, skip, limits::RETENTION_SLICE_MESSAGES)
            })
            .await?;
        let (mut messages, mut after) = (0, None);
        loop {
            let items = limits::RETENTION_SLICE_APPLICATIONS;
            let apps = self.read(move |reader| reader.message_applications(after, items));
            let apps = apps.await?;
            let Some(last) = apps.last() else {
                return Ok((payloads, messages));
            };
            after = Some(*last);
            for app in apps {
                messages += self.forget_of(app, now).await?;
            }
        }
    }

    /// Takes away the old messages of one application, also of one that is gone; how many went.
    async fn forget_of(&self, app: Seq, now: Timestamp) -> Result<usize, Coded> {
        let config = self.config();
        let kept = config.application(app).map(|found| found.retention.days);
        let days = kept.unwrap_or(limits::MESSAGE_RETENTION_DAYS_DEFAULT);
        let before = now.plus_ms(-i64::from(days) * limits::DAY_MS);
        self.forget_by(false, move |reader, skip| {
            reader.oldest_messages(app, before, skip, limits::RETENTION_SLICE_MESSAGES)
        })
        .await
    }

    /// Slice by slice to the end of that list; how many went.
    async fn forget_by<L>(&self, payloads: bool, list: L) -> Result<usize, Coded>
    where
        L: Fn(&mut dyn Reader, usize) -> StoreResult<Vec<Seq>> + Copy + Send + 'static,
    {
        // What stays, because it is still to be delivered, must not hide what comes after it.
        let (mut gone, mut stayed) = (0, 0);
        let pass = Instant::now();
        loop {
            let slice = self.read(move |reader| list(reader, stayed)).await?;
            let listed = slice.len();
            if listed == 0 {
                return Ok(gone);
            }
            let went = self.gone(slice, payloads, pass).await?;
            gone += went;
            stayed += listed - went.min(listed);
        }
    }

    /// One slice; how many of it went. What is still to be delivered stays.
    async fn gone(
        &self,
        messages: Vec<Seq>,
        payloads: bool,
        pass: Instant,
    ) -> Result<usize, Coded> {
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
        let rest = match pass.elapsed() < Duration::from_millis(limits::RETENTION_GENTLE_MS) {
            true => Duration::from_millis(limits::RETENTION_PAUSE_MS),
            false => Duration::ZERO,
        };
        tokio::time::sleep(rest + began.elapsed() * (SHARE - 1)).await;
        Ok(gone)
    }
}
