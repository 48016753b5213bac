//! How tokens and integrations come and go.

use std::sync::Arc;

use dunlin_types::{Code, Coded, Seq, Timestamp, limits};

use super::{
    AccessKey, Capabilities, Integration, IntegrationFields, KeyHash, KeyHolder, PortalToken,
};
use crate::application::full;
use crate::{Answer, Context, Delivery, Outcome, Write};

/// A token that is to be.
#[derive(Clone, Debug)]
pub struct NewPortalToken {
    /// See [`PortalToken::hash`].
    pub hash: KeyHash,
    /// See [`PortalToken::app`].
    pub app: Seq,
    /// See [`PortalToken::capabilities`].
    pub capabilities: Capabilities,
    /// See [`PortalToken::feature_flags`].
    pub feature_flags: Vec<String>,
    /// See [`PortalToken::session`].
    pub session: Option<String>,
    /// How long it is worth something.
    pub lasts_ms: i64,
}

/// What somebody wants changed about who may call what.
#[derive(Debug)]
pub enum AccessChange {
    /// Let somebody in. Answered with the token's row.
    OpenPortal(NewPortalToken),
    /// A token has done its duty. Answered as deleted.
    Logout {
        /// Of the token.
        hash: KeyHash,
    },
    /// An application's tokens end. Answered with how many.
    ExpireTokens {
        /// Whose.
        app: Seq,
        /// Of these sessions only; all if there are none.
        sessions: Vec<String>,
        /// After that time, unless they end sooner.
        after_ms: i64,
    },
    /// Make an integration. Answered with its row.
    CreateIntegration {
        /// Of which application.
        app: Seq,
        /// Its fields.
        fields: IntegrationFields,
        /// Its key.
        key: AccessKey,
    },
    /// Replace an integration's fields, all of them. Answered with its row.
    UpdateIntegration {
        /// Which one.
        integration: Seq,
        /// Its new fields.
        fields: IntegrationFields,
    },
    /// Give an integration another key; the one before is worth nothing from now on. Answered with
    /// its row.
    RotateIntegrationKey {
        /// Which one.
        integration: Seq,
        /// Its new key.
        key: AccessKey,
    },
    /// Remove an integration. Answered as deleted.
    DeleteIntegration {
        /// Which one.
        integration: Seq,
    },
}

impl Delivery {
    pub(crate) fn change_access(
        &mut self,
        change: AccessChange,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        match change {
            AccessChange::OpenPortal(new) => self.open_portal(new, cx, out),
            AccessChange::Logout { hash } => self.log_out(&hash, cx.now, out),
            AccessChange::ExpireTokens {
                app,
                sessions,
                after_ms,
            } => Ok(self.expire_tokens(app, &sessions, cx.now.plus_ms(after_ms), cx.now, out)),
            AccessChange::CreateIntegration { app, fields, key } => {
                self.create_integration(app, fields, key, cx, out)
            }
            AccessChange::UpdateIntegration {
                integration,
                fields,
            } => self.change_integration(integration, cx.now, out, |one| one.fields = fields),
            AccessChange::RotateIntegrationKey { integration, key } => {
                self.change_integration(integration, cx.now, out, |one| one.key = key)
            }
            AccessChange::DeleteIntegration { integration } => {
                self.integration(integration)?;
                self.drop_integration(integration, out);
                Ok(Answer::Deleted)
            }
        }
    }

    fn open_portal(
        &mut self,
        new: NewPortalToken,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        self.existing_application(new.app)?;
        for id in self.config.access().making_room(new.app, cx.now) {
            self.drop_token(id, out);
        }
        let token = PortalToken {
            id: cx.seq(),
            hash: new.hash,
            app: new.app,
            capabilities: new.capabilities,
            feature_flags: new.feature_flags,
            session: new.session,
            created: cx.now,
            expires: cx.now.plus_ms(new.lasts_ms),
        };
        Ok(Answer::PortalToken(self.put_token(token, out)))
    }

    fn log_out(
        &mut self,
        hash: &KeyHash,
        now: Timestamp,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        match self.config.access().holder(hash, now) {
            Some(KeyHolder::Portal(token)) => {
                self.drop_token(token.id, out);
                Ok(Answer::Deleted)
            }
            _ => Err(Coded::plain(Code::NotFound)),
        }
    }

    fn expire_tokens(
        &mut self,
        app: Seq,
        sessions: &[String],
        end: Timestamp,
        now: Timestamp,
        out: &mut Outcome,
    ) -> Answer {
        let meant = |token: &PortalToken| match &token.session {
            _ if sessions.is_empty() => true,
            Some(session) => sessions.contains(session),
            None => false,
        };
        let ending = self.config.access().tokens_of(app);
        let ending = ending.filter(|token| token.expires > end && meant(token));
        let ending: Vec<_> = ending.cloned().collect();
        let count = ending.len();
        for token in ending {
            if end <= now {
                self.drop_token(token.id, out);
                continue;
            }
            let mut token = Arc::unwrap_or_clone(token);
            token.expires = end;
            self.put_token(token, out);
        }
        Answer::Changed(count)
    }

    fn create_integration(
        &mut self,
        app: Seq,
        fields: IntegrationFields,
        key: AccessKey,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        self.existing_application(app)?;
        let access = self.config.access();
        let most = limits::INTEGRATIONS_PER_APPLICATION_MAX;
        if access.integrations_of(app).count() >= most {
            return Err(full("integrations of an application", most));
        }
        if access.integrations.len() >= limits::INTEGRATIONS_MAX {
            return Err(full("integrations", limits::INTEGRATIONS_MAX));
        }
        let integration = Integration {
            id: cx.seq(),
            app,
            created: cx.now,
            updated: cx.now,
            fields,
            key,
        };
        Ok(self.put_integration(integration, out))
    }

    fn change_integration(
        &mut self,
        id: Seq,
        now: Timestamp,
        out: &mut Outcome,
        change: impl FnOnce(&mut Integration),
    ) -> Result<Answer, Coded> {
        let mut integration = Arc::unwrap_or_clone(self.integration(id)?);
        change(&mut integration);
        integration.updated = now;
        Ok(self.put_integration(integration, out))
    }

    fn existing_application(&self, app: Seq) -> Result<(), Coded> {
        match self.config.application(app) {
            Some(_) => Ok(()),
            None => Err(Coded::plain(Code::NotFound)),
        }
    }

    fn integration(&self, id: Seq) -> Result<Arc<Integration>, Coded> {
        let found = self.config.access().integrations.get(&id).cloned();
        found.ok_or_else(|| Coded::plain(Code::NotFound))
    }

    fn put_token(&mut self, token: PortalToken, out: &mut Outcome) -> Arc<PortalToken> {
        let token = Arc::new(token);
        self.config_mut().access_mut().put_token(Arc::clone(&token));
        out.writes.push(Write::PortalToken(Arc::clone(&token)));
        token
    }

    fn drop_token(&mut self, id: Seq, out: &mut Outcome) {
        self.config_mut().access_mut().remove_token(id);
        out.writes.push(Write::PortalTokenGone(id));
    }

    fn put_integration(&mut self, integration: Integration, out: &mut Outcome) -> Answer {
        let integration = Arc::new(integration);
        let access = self.config_mut().access_mut();
        access.put_integration(Arc::clone(&integration));
        out.writes
            .push(Write::Integration(Arc::clone(&integration)));
        Answer::Integration(integration)
    }

    fn drop_integration(&mut self, id: Seq, out: &mut Outcome) {
        self.config_mut().access_mut().remove_integration(id);
        out.writes.push(Write::IntegrationGone(id));
    }

    /// An application is gone: nobody has access to it any more.
    pub(crate) fn end_access_to(&mut self, app: Seq, out: &mut Outcome) {
        let access = self.config.access();
        let tokens: Vec<Seq> = access.tokens_of(app).map(|one| one.id).collect();
        let integrations: Vec<Seq> = access.integrations_of(app).map(|one| one.id).collect();
        for id in tokens {
            self.drop_token(id, out);
        }
        for id in integrations {
            self.drop_integration(id, out);
        }
    }

    /// Takes a token back.
    pub fn restore_portal_token(&mut self, row: Arc<PortalToken>) {
        self.config_mut().access_mut().put_token(row);
    }

    /// Takes an integration back.
    pub fn restore_integration(&mut self, row: Arc<Integration>) {
        self.config_mut().access_mut().put_integration(row);
    }
}

#[cfg(test)]
mod tests;
