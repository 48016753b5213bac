//! Sources: verified ways in.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_types::{Code, Coded, Ksuid, KsuidKind, Secret, Seq, Timestamp, limits};

use crate::application::{full, taken};
use crate::{Answer, Context, Delivery, Outcome, SecretVersion, Write, secrets};

/// Whose webhooks a source takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SourceKind {
    /// Dodo Payments.
    Dodo = 0,
    /// Anybody who signs by Standard Webhooks.
    StandardWebhooks = 1,
}

/// Which of the provider's two worlds a source belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SourceMode {
    /// No real money.
    Test = 0,
    /// Real money.
    Live = 1,
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its row.
    pub id: Seq,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Its name, unique.
    pub name: String,
    /// The id its owner gave it, unique.
    pub uid: Option<String>,
    /// Whose webhooks it takes.
    pub kind: SourceKind,
    /// Whether they are about real money, if that was said.
    pub mode: Option<SourceMode>,
    /// The application its messages go to.
    pub app: Seq,
    /// What its owner noted.
    pub metadata: BTreeMap<String, String>,
    /// What verifies its webhooks, newest first.
    pub secrets: Vec<SecretVersion>,
}

impl Source {
    /// The id users see.
    #[must_use]
    pub fn ksuid(&self) -> Ksuid {
        Ksuid::new(KsuidKind::Source, self.created, self.id)
    }
}

/// The fields of a new [`Source`].
#[derive(Clone, Debug)]
pub struct NewSource {
    /// See [`Source::name`].
    pub name: String,
    /// See [`Source::uid`].
    pub uid: Option<String>,
    /// See [`Source::kind`].
    pub kind: SourceKind,
    /// See [`Source::mode`].
    pub mode: Option<SourceMode>,
    /// See [`Source::app`].
    pub app: Seq,
    /// See [`Source::metadata`].
    pub metadata: BTreeMap<String, String>,
    /// The first of [`Source::secrets`].
    pub secret: Secret,
}

impl Delivery {
    pub(crate) fn create_source(
        &mut self,
        new: NewSource,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        if self.config.sources().count() >= limits::SOURCES_MAX {
            return Err(full("sources", limits::SOURCES_MAX));
        }
        for name in std::iter::once(&new.name).chain(&new.uid) {
            if self.config.source_of_name(name).is_some() {
                return Err(taken("source", name));
            }
        }
        if self.config.application(new.app).is_none() {
            return Err(Coded::plain(Code::NotFound));
        }
        let source = Source {
            id: cx.seq(),
            created: cx.now,
            updated: cx.now,
            name: new.name,
            uid: new.uid,
            kind: new.kind,
            mode: new.mode,
            app: new.app,
            metadata: new.metadata,
            secrets: secrets::first(new.secret, cx.now),
        };
        Ok(self.put_source(source, out))
    }

    pub(crate) fn delete_source(&mut self, id: Seq, out: &mut Outcome) -> Result<Answer, Coded> {
        if self.config.source(id).is_none() {
            return Err(Coded::plain(Code::SourceUnknown));
        }
        self.config_mut().remove_source(id);
        out.writes.push(Write::SourceDeleted(id));
        Ok(Answer::Deleted)
    }

    pub(crate) fn rotate_source(
        &mut self,
        id: Seq,
        secret: Secret,
        grace_ms: i64,
        now: Timestamp,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        let Some(old) = self.config.source(id) else {
            return Err(Coded::plain(Code::SourceUnknown));
        };
        let mut source = Source::clone(old);
        source.secrets = secrets::rotated(&source.secrets, secret, grace_ms, now);
        source.updated = now;
        Ok(self.put_source(source, out))
    }

    fn put_source(&mut self, source: Source, out: &mut Outcome) -> Answer {
        let source = Arc::new(source);
        self.config_mut().put_source(Arc::clone(&source));
        out.writes.push(Write::Source(Arc::clone(&source)));
        Answer::Source(source)
    }
}
