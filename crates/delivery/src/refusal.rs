//! Webhooks that a source refused: what is noted of them, never their bodies.

use dunlin_types::{Code, Coded, Ksuid, KsuidKind, Seq, Timestamp};

use crate::{Answer, Context, Delivery, Outcome, Write};

/// A refused webhook before it has a row.
#[derive(Clone, Debug)]
pub struct NewRefusal {
    /// See [`RefusalRow::source`].
    pub source: Seq,
    /// See [`RefusalRow::code`] and [`RefusalRow::detail`].
    pub why: Coded,
    /// See [`RefusalRow::ip`].
    pub ip: Option<String>,
    /// See [`RefusalRow::headers`].
    pub headers: Vec<(String, String)>,
    /// See [`RefusalRow::body_bytes`].
    pub body_bytes: u64,
    /// See [`RefusalRow::unlisted`].
    pub unlisted: u64,
}

/// A webhook that a source refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalRow {
    /// Its place in the order of the world.
    pub seq: Seq,
    /// Which source.
    pub source: Seq,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub code: Code,
    /// The same in words.
    pub detail: String,
    /// The address it came from, if that is known.
    pub ip: Option<String>,
    /// Headers that help and prove nothing.
    pub headers: Vec<(String, String)>,
    /// How long its body was.
    pub body_bytes: u64,
    /// How many came before it, since the row before, and have no row.
    pub unlisted: u64,
}

impl RefusalRow {
    /// The id users see.
    #[must_use]
    pub fn id(&self) -> Ksuid {
        Ksuid::new(KsuidKind::Refusal, self.at, self.seq)
    }
}

impl Delivery {
    pub(crate) fn note_refusal(
        &mut self,
        new: NewRefusal,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        // The source may be gone by now, and what is noted of it with it.
        if self.config.source(new.source).is_none() {
            return Err(Coded::plain(Code::SourceUnknown));
        }
        out.writes.push(Write::Refusal(Box::new(RefusalRow {
            seq: cx.seq(),
            source: new.source,
            at: cx.now,
            code: new.why.code,
            detail: new.why.detail,
            ip: new.ip,
            headers: new.headers,
            body_bytes: new.body_bytes,
            unlisted: new.unlisted,
        })));
        Ok(Answer::Noted)
    }
}
