//! Sources: verified ways in.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_types::{
    Code, Coded, Ksuid, KsuidKind, Secret, Seq, SourceConfig, SourceKind, SourceMode, Timestamp,
    limits,
};

use crate::application::{full, taken};
use crate::{Answer, Context, Delivery, Input, Outcome, SecretVersion, Write, secrets};

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
    /// How it verifies and whom it lets send, where its kind leaves that open.
    pub config: SourceConfig,
    /// What its URL must carry besides its id, once the URL has been changed.
    pub url_token: Option<Secret>,
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
    /// See [`Source::config`].
    pub config: SourceConfig,
    /// See [`Source::app`].
    pub app: Seq,
    /// See [`Source::metadata`].
    pub metadata: BTreeMap<String, String>,
    /// The first of [`Source::secrets`].
    pub secret: Secret,
}

/// What an update replaces, all of it. Whose webhooks a source takes never changes.
#[derive(Clone, Debug)]
pub struct SourceFields {
    /// See [`Source::name`].
    pub name: String,
    /// See [`Source::uid`].
    pub uid: Option<String>,
    /// See [`Source::mode`].
    pub mode: Option<SourceMode>,
    /// See [`Source::config`].
    pub config: SourceConfig,
    /// See [`Source::metadata`].
    pub metadata: BTreeMap<String, String>,
    /// A secret that becomes the current one; the one before stays valid for the usual grace.
    pub secret: Option<Secret>,
}

impl Delivery {
    /// Whatever is asked about sources.
    pub(crate) fn manage_source(&mut self, input: Input, cx: &mut Context<'_>, out: &mut Outcome) {
        let (token, answer) = match input {
            Input::CreateSource { token, new } => (token, self.create_source(new, cx, out)),
            Input::UpdateSource {
                token,
                source,
                fields,
            } => (token, self.update_source(source, fields, cx.now, out)),
            Input::SetSourceUrl {
                token,
                source,
                url_token,
            } => (token, self.set_source_url(source, url_token, cx.now, out)),
            Input::NoteRefusal { token, refusal } => (token, self.note_refusal(*refusal, cx, out)),
            Input::DeleteSource { token, source } => (token, self.delete_source(source, out)),
            Input::RotateSourceSecret {
                token,
                source,
                secret,
                grace_ms,
            } => (
                token,
                self.rotate_source(source, secret, grace_ms, cx.now, out),
            ),
            _ => return,
        };
        out.answer(token, answer.unwrap_or_else(Answer::Refused));
    }

    fn create_source(
        &mut self,
        new: NewSource,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        if self.config.sources().count() >= limits::SOURCES_MAX {
            return Err(full("sources", limits::SOURCES_MAX));
        }
        self.check_names(None, &new.name, new.uid.as_ref())?;
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
            config: new.config,
            url_token: None,
            app: new.app,
            metadata: new.metadata,
            secrets: secrets::first(new.secret, cx.now),
        };
        Ok(self.put_source(source, out))
    }

    /// Names and uids are of one space: both are part of URLs.
    fn check_names(
        &self,
        of: Option<Seq>,
        name: &String,
        uid: Option<&String>,
    ) -> Result<(), Coded> {
        for name in std::iter::once(name).chain(uid) {
            let holder = self.config.source_of_name(name);
            if holder.is_some_and(|holder| Some(holder.id) != of) {
                return Err(taken("source", name));
            }
        }
        Ok(())
    }

    fn update_source(
        &mut self,
        id: Seq,
        fields: SourceFields,
        now: Timestamp,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        self.check_names(Some(id), &fields.name, fields.uid.as_ref())?;
        let mut source = self.existing(id)?;
        if let Some(secret) = fields.secret {
            let grace_ms = limits::SECRET_GRACE_MS_DEFAULT;
            source.secrets = secrets::rotated(&source.secrets, secret, grace_ms, now)?;
        }
        let source = Source {
            updated: now,
            name: fields.name,
            uid: fields.uid,
            mode: fields.mode,
            config: fields.config,
            metadata: fields.metadata,
            ..source
        };
        Ok(self.put_source(source, out))
    }

    fn set_source_url(
        &mut self,
        id: Seq,
        token: Secret,
        now: Timestamp,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        let source = Source {
            updated: now,
            url_token: Some(token),
            ..self.existing(id)?
        };
        Ok(self.put_source(source, out))
    }

    fn existing(&self, id: Seq) -> Result<Source, Coded> {
        let found = self.config.source(id).map(|found| Source::clone(found));
        found.ok_or_else(|| Coded::plain(Code::SourceUnknown))
    }

    fn delete_source(&mut self, id: Seq, out: &mut Outcome) -> Result<Answer, Coded> {
        if self.config.source(id).is_none() {
            return Err(Coded::plain(Code::SourceUnknown));
        }
        self.config_mut().remove_source(id);
        out.writes.push(Write::SourceDeleted(id));
        Ok(Answer::Deleted)
    }

    fn rotate_source(
        &mut self,
        id: Seq,
        secret: Secret,
        grace_ms: i64,
        now: Timestamp,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        let mut source = self.existing(id)?;
        source.secrets = secrets::rotated(&source.secrets, secret, grace_ms, now)?;
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
