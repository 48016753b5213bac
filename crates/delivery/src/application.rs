//! Applications: whom endpoints belong to.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_types::{Code, Coded, Ksuid, KsuidKind, Seq, Timestamp, limits};

use crate::{Answer, Context, Delivery, Outcome, Write};

/// The row of the application `default`, which always exists and is never stored.
pub const DEFAULT_APPLICATION: Seq = Seq(0);

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its row.
    pub id: Seq,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Its name, for people.
    pub name: String,
    /// The id its owner gave it.
    pub uid: Option<String>,
    /// Messages per second for each of its endpoints that has no rate of its own.
    pub throttle_rate: Option<u32>,
    /// What its owner noted.
    pub metadata: BTreeMap<String, String>,
    /// How long things are kept.
    pub retention: Retention,
    /// Whether it is the one whose endpoints are told what happens here; it is in no list.
    pub operational: bool,
}

/// How long an application's messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Days until a message's payload goes; a message may say less.
    pub payload_days: u16,
    /// Days until a message goes with its deliveries and attempts.
    pub days: u16,
    /// Whether a payload goes as soon as each endpoint has it.
    pub wipe_on_success: bool,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            payload_days: limits::PAYLOAD_RETENTION_DAYS_DEFAULT,
            days: limits::MESSAGE_RETENTION_DAYS_DEFAULT,
            wipe_on_success: false,
        }
    }
}

impl Application {
    /// The id users see.
    #[must_use]
    pub fn ksuid(&self) -> Ksuid {
        Ksuid::new(KsuidKind::Application, self.created, self.id)
    }

    pub(crate) fn default_one() -> Self {
        // The earliest instant an id can name, the same in every installation.
        let always = Timestamp::from_ms(Ksuid::EPOCH_SECS * 1000);
        Self {
            id: DEFAULT_APPLICATION,
            created: always,
            updated: always,
            name: "default".to_owned(),
            uid: Some("default".to_owned()),
            throttle_rate: None,
            metadata: BTreeMap::new(),
            retention: Retention::default(),
            operational: false,
        }
    }
}

/// The fields of a new [`Application`].
#[derive(Clone, Debug, Default)]
pub struct NewApplication {
    /// See [`Application::name`].
    pub name: String,
    /// See [`Application::uid`].
    pub uid: Option<String>,
    /// See [`Application::throttle_rate`].
    pub throttle_rate: Option<u32>,
    /// See [`Application::metadata`].
    pub metadata: BTreeMap<String, String>,
    /// See [`Application::retention`].
    pub retention: Retention,
}

impl Delivery {
    pub(crate) fn create_application(
        &mut self,
        new: NewApplication,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        if self.config.applications().count() >= limits::APPLICATIONS_MAX {
            return Err(full("applications", limits::APPLICATIONS_MAX));
        }
        if let Some(uid) = &new.uid
            && self.config.application_of_uid(uid).is_some()
        {
            return Err(taken("application", uid));
        }
        let application = Application {
            id: cx.seq(),
            created: cx.now,
            updated: cx.now,
            name: new.name,
            uid: new.uid,
            throttle_rate: new.throttle_rate,
            metadata: new.metadata,
            retention: new.retention,
            operational: false,
        };
        Ok(self.put_application(application, out))
    }

    /// Replaces an application's fields, all of them. The one that always exists keeps its uid.
    pub(crate) fn update_application(
        &mut self,
        id: Seq,
        new: NewApplication,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        let old = self.config.application(id).cloned();
        let old = old.ok_or_else(|| Coded::plain(Code::NotFound))?;
        if id == DEFAULT_APPLICATION && new.uid != old.uid {
            let detail = "the application `default` keeps its uid";
            return Err(Coded::new(Code::BadRequest, detail));
        }
        if let Some(uid) = &new.uid
            && let Some(other) = self.config.application_of_uid(uid)
            && other.id != id
        {
            return Err(taken("application", uid));
        }
        let application = Application {
            updated: cx.now,
            name: new.name,
            uid: new.uid,
            throttle_rate: new.throttle_rate,
            metadata: new.metadata,
            retention: new.retention,
            ..Application::clone(&old)
        };
        Ok(self.put_application(application, out))
    }

    /// The application whose endpoints are told what happens here; made when first asked for.
    pub(crate) fn operational_application(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Answer {
        if let Some(found) = self.config.operational() {
            return Answer::Application(Arc::clone(found));
        }
        let application = Application {
            id: cx.seq(),
            created: cx.now,
            updated: cx.now,
            name: "operational webhooks".to_owned(),
            uid: None,
            operational: true,
            ..Application::default_one()
        };
        self.put_application(application, out)
    }

    fn put_application(&mut self, application: Application, out: &mut Outcome) -> Answer {
        let application = Arc::new(application);
        self.config_mut().put_application(Arc::clone(&application));
        out.writes
            .push(Write::Application(Arc::clone(&application)));
        Answer::Application(application)
    }

    pub(crate) fn delete_application(
        &mut self,
        id: Seq,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        if id == DEFAULT_APPLICATION {
            let detail = "the application `default` cannot be deleted";
            return Err(Coded::new(Code::BadRequest, detail));
        }
        if self.config.application(id).is_none() {
            return Err(Coded::plain(Code::NotFound));
        }
        let endpoints: Vec<Seq> = self.config.endpoints_of(id).map(|e| e.id).collect();
        for endpoint in endpoints {
            self.remove_endpoint(endpoint, cx, out);
        }
        self.config_mut().remove_application(id);
        out.writes.push(Write::ApplicationDeleted(id));
        Ok(Answer::Deleted)
    }
}

/// A refusal: there are as many as there may be.
pub(crate) fn full(what: &str, max: usize) -> Coded {
    Coded::new(
        Code::BadRequest,
        format!("there can be at most {max} {what}"),
    )
}

/// A refusal: the name is in use.
pub(crate) fn taken(what: &str, name: &str) -> Coded {
    Coded::new(
        Code::Conflict,
        format!("`{name}` is another {what} already"),
    )
}
