//! Takes away what is kept too long: payloads first, then messages with their attempts. In small
//! slices with pauses between them, so that nobody who writes has to wait for it.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use dunlin_delivery::{Answer, Input};
use dunlin_store::{Reader, StoreResult};
use dunlin_types::{Coded, DedupeKey, Seq, Timestamp, limits};
use tracing::{info, warn};

use crate::handle::Node;

/// Of the time, the part that is spent on it at most: one of so many. And there is a pause besides
/// until it shows that more comes due than goes.
const SHARE: u32 = 4;

/// Looks from time to time until the node stops.
pub(crate) async fn keep(node: Node) {
    let period = Duration::from_millis(limits::RETENTION_PERIOD_MS);
    // By the clock, so that one that is started anew every hour comes to all of them.
    let mut part = part_of(node.now());
    loop {
        tokio::time::sleep(period).await;
        match node.forget().await {
            Ok((0, 0)) => {}
            Ok((payloads, messages)) => info!(payloads, messages, "what was kept too long is gone"),
            Err(error) if error.code == dunlin_types::Code::ShuttingDown => return,
            Err(error) => warn!(%error, "what was kept too long stays for now"),
        }
        part = (part + 1) % limits::RETENTION_KEY_PARTS;
        match node.forget_keys(part).await {
            Ok(_) => {}
            Err(error) if error.code == dunlin_types::Code::ShuttingDown => return,
            Err(error) => warn!(%error, part, "keys whose windows have ended stay for now"),
        }
    }
}

/// The part of the keys to begin with: another one each minute of the day.
fn part_of(now: Timestamp) -> u32 {
    let period = i64::try_from(limits::RETENTION_PERIOD_MS).unwrap_or(i64::MAX);
    let turn = now.ms().div_euclid(period);
    u32::try_from(turn.rem_euclid(i64::from(limits::RETENTION_KEY_PARTS))).unwrap_or(0)
}

/// Its first and its last key. Keys are hashes, so the parts are about equally large.
fn keys_of(part: u32) -> RangeInclusive<DedupeKey> {
    let parts = u64::from(limits::RETENTION_KEY_PARTS);
    let first = |part: u32| (u64::from(part) << 32) / parts;
    let key = |start: u64, rest: u8| {
        let mut key = [rest; 16];
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        key[..4].copy_from_slice(&start.to_be_bytes());
        DedupeKey(key)
    };
    key(first(part), 0)..=key(first(part + 1) - 1, 0xff)
}

impl Node {
    /// Takes away the keys of one of [`limits::RETENTION_KEY_PARTS`] parts whose windows have ended;
    /// how many went.
    ///
    /// # Errors
    /// As every read and decision.
    pub async fn forget_keys(&self, part: u32) -> Result<usize, Coded> {
        let (keys, now) = (keys_of(part), self.now());
        let items = limits::RETENTION_SLICE_KEYS;
        let mut gone = 0;
        loop {
            let range = keys.clone();
            let slice = self.read(move |reader| reader.overdue_keys(range, now, items));
            let slice = slice.await?;
            let began = Instant::now();
            let found = slice.len();
            if found > 0 {
                let forget = |token| Input::ForgetKeys { token, keys: slice };
                self.delivery(forget).await?;
            }
            gone += found;
            if found < items {
                return Ok(gone);
            }
            tokio::time::sleep(began.elapsed() * (SHARE - 1)).await;
        }
    }

    /// Takes away what is kept too long by now; how many payloads and messages went.
    ///
    /// # Errors
    /// As every read and decision.
    pub async fn forget(&self) -> Result<(usize, usize), Coded> {
        let now = self.now();
        let payloads = self
            .forget_by(true, move |reader, after| {
                reader.overdue_payloads(now, after, limits::RETENTION_SLICE_MESSAGES)
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
        self.forget_by(false, move |reader, after| {
            reader.oldest_messages(app, before, after, limits::RETENTION_SLICE_MESSAGES)
        })
        .await
    }

    /// Slice by slice to the end of that list; how many went. What stays, because it is still to be
    /// delivered, is not looked at again.
    async fn forget_by<L>(&self, payloads: bool, list: L) -> Result<usize, Coded>
    where
        L: Fn(&mut dyn Reader, Option<(Timestamp, Seq)>) -> StoreResult<Vec<(Timestamp, Seq)>>
            + Copy
            + Send
            + 'static,
    {
        let (mut gone, mut after) = (0, None);
        let pass = Instant::now();
        loop {
            let slice = self.read(move |reader| list(reader, after)).await?;
            let Some(last) = slice.last() else {
                return Ok(gone);
            };
            after = Some(*last);
            let slice = slice.into_iter().map(|(_, message)| message).collect();
            gone += self.gone(slice, payloads, pass).await?;
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
