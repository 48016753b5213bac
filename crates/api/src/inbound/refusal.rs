//! Webhooks that are refused: what their sender is told, and what is listed of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::response::{IntoResponse, Response};
use dunlin_delivery::{Answer, Input, NewRefusal, Source};
use dunlin_types::limits::{
    REFUSALS_LISTED_PER_SECOND_MAX, REFUSALS_LISTED_PER_SOURCE_PER_SECOND_MAX,
};
use dunlin_types::{Code, Coded, Seq, Timestamp};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::kept;
use crate::error::{ERROR_HEADER, Reply};
use crate::state::Api;

/// One request at one source.
pub(super) struct Visit<'a> {
    pub(super) api: &'a Api,
    pub(super) source: &'a Source,
    pub(super) ip: Option<IpAddr>,
    pub(super) headers: &'a HeaderMap,
}

impl Visit<'_> {
    /// Lists it, unless too many come, and answers. Whoever cannot prove who they are gets one and
    /// the same body, so that it teaches nothing; the code in the header tells only what the sender
    /// can see for itself.
    pub(super) async fn refuse(&self, error: Coded, body_bytes: usize) -> Reply {
        tracing::info!(source = self.source.name, %error, "a webhook was refused");
        self.list(&error, body_bytes).await;
        if !matches!(
            error.code,
            Code::SignatureMissing | Code::SignatureWrong | Code::TimestampOff
        ) {
            return Err(error.into());
        }
        let text = "the webhook could not be verified\n";
        let mut response: Response = (StatusCode::UNAUTHORIZED, text).into_response();
        if let Ok(code) = HeaderValue::from_str(&error.code.to_string()) {
            response.headers_mut().insert(ERROR_HEADER, code);
        }
        Ok(response)
    }

    async fn list(&self, error: &Coded, body_bytes: usize) {
        let meter = &self.api.refusals;
        let source = self.source.id;
        let Some(unlisted) = meter.count(source, self.api.node.now()) else {
            return;
        };
        let refusal = Box::new(NewRefusal {
            source,
            why: error.clone(),
            ip: self.ip.map(|ip| ip.to_string()),
            headers: kept::with_a_refusal(self.headers, &self.source.config),
            body_bytes: body_bytes as u64,
            unlisted,
        });
        let noted = self
            .api
            .node
            .delivery(move |token| Input::NoteRefusal { token, refusal })
            .await;
        if !matches!(noted, Ok(Answer::Noted)) {
            meter.put_back(source, unlisted + 1);
        }
    }
}

/// How many refusals have been listed this second, and how many were not.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: Second,
    sources: BTreeMap<Seq, SourceCounts>,
}

#[derive(Debug, Default)]
struct SourceCounts {
    listed: Second,
    unlisted: u64,
}

#[derive(Debug, Default)]
struct Second {
    at: i64,
    count: u32,
}

impl Second {
    /// Whether there is room in it for one more.
    fn has_room(&mut self, now: Timestamp, most: u32) -> bool {
        if self.at != now.secs() {
            *self = Self {
                at: now.secs(),
                count: 0,
            };
        }
        self.count < most
    }
}

impl Meter {
    /// Counts one more. If it may be listed: how many before it were not.
    fn count(&self, source: Seq, now: Timestamp) -> Option<u64> {
        let mut counts = self.locked();
        let Counts { all, sources } = &mut *counts;
        let one = sources.entry(source).or_default();
        let room = one
            .listed
            .has_room(now, REFUSALS_LISTED_PER_SOURCE_PER_SECOND_MAX)
            && all.has_room(now, REFUSALS_LISTED_PER_SECOND_MAX);
        if !room {
            one.unlisted += 1;
            return None;
        }
        one.listed.count += 1;
        all.count += 1;
        Some(std::mem::take(&mut one.unlisted))
    }

    /// These were not listed after all.
    fn put_back(&self, source: Seq, count: u64) {
        self.locked().sources.entry(source).or_default().unlisted += count;
    }

    /// How many were not listed since the last that was.
    pub(crate) fn unlisted(&self, source: Seq) -> u64 {
        let counts = self.locked();
        counts.sources.get(&source).map_or(0, |one| one.unlisted)
    }

    /// The source is gone.
    pub(crate) fn forget(&self, source: Seq) {
        self.locked().sources.remove(&source);
    }

    fn locked(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_lists_some_of_each_source_and_counts_the_rest() {
        let meter = Meter::default();
        let at = |secs: i64| Timestamp::from_ms(secs * 1000 + 7);
        let most = REFUSALS_LISTED_PER_SOURCE_PER_SECOND_MAX;
        for _ in 0..most {
            assert_eq!(meter.count(Seq(1), at(5)), Some(0));
        }
        for _ in 0..3 {
            assert_eq!(meter.count(Seq(1), at(5)), None);
        }
        assert_eq!(
            meter.count(Seq(2), at(5)),
            Some(0),
            "others are not held back"
        );
        assert_eq!((meter.unlisted(Seq(1)), meter.unlisted(Seq(2))), (3, 0));
        assert_eq!(meter.count(Seq(1), at(6)), Some(3));
        assert_eq!(meter.unlisted(Seq(1)), 0);
        meter.put_back(Seq(1), 4);
        assert_eq!(meter.count(Seq(1), at(6)), Some(4));
    }

    #[test]
    fn all_sources_together_have_a_bound_of_their_own() {
        let meter = Meter::default();
        let listed = (0..1_000).filter(|n| meter.count(Seq(*n), Timestamp::from_ms(0)).is_some());
        assert_eq!(listed.count(), REFUSALS_LISTED_PER_SECOND_MAX as usize);
    }
}
