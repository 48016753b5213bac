//! What has been set up, found by id and by name, and which endpoints want which event type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_types::{Ksuid, KsuidKind, Seq, limits};

use crate::access::Access;
use crate::{Application, Endpoint, EventType, Source, TaskRow, TaskStatus};

/// All applications, sources and endpoints at one moment.
#[derive(Clone, Debug, Default)]
pub struct Config {
    applications: BTreeMap<Seq, Arc<Application>>,
    application_uids: BTreeMap<String, Seq>,
    sources: BTreeMap<Seq, Arc<Source>>,
    /// Names and uids: no two sources share any of them.
    source_names: BTreeMap<String, Seq>,
    endpoints: BTreeMap<Seq, Arc<Endpoint>>,
    /// By name.
    pub(crate) event_types: BTreeMap<String, Arc<EventType>>,
    /// The application of operational webhooks, once there is one.
    operational: Option<Seq>,
    apps: BTreeMap<Seq, AppEndpoints>,
    tasks: BTreeMap<Seq, Arc<TaskRow>>,
    access: Arc<Access>,
}

/// The endpoints of one application.
#[derive(Clone, Debug, Default)]
struct AppEndpoints {
    all: BTreeSet<Seq>,
    uids: BTreeMap<String, Seq>,
    /// Enabled ones without a filter by event type.
    unfiltered: BTreeSet<Seq>,
    /// Enabled ones by each event type that they want.
    by_type: BTreeMap<String, BTreeSet<Seq>>,
}

impl Config {
    pub(crate) fn with_default_application() -> Self {
        let mut config = Self::default();
        config.put_application(Arc::new(Application::default_one()));
        config
    }

    /// All applications, oldest first; `default` is the first. Without the operational one.
    pub fn applications(&self) -> impl DoubleEndedIterator<Item = &Arc<Application>> {
        self.applications.values().filter(|app| !app.operational)
    }

    /// Those of that row and later ones.
    pub(crate) fn applications_from(&self, from: Seq) -> impl Iterator<Item = &Arc<Application>> {
        let rest = self.applications.range(from..).map(|(_, app)| app);
        rest.filter(|app| !app.operational)
    }

    /// The application of that row.
    #[must_use]
    pub fn application(&self, id: Seq) -> Option<&Arc<Application>> {
        self.applications.get(&id)
    }

    /// The application whose endpoints are told what happens here, once there is one.
    #[must_use]
    pub fn operational(&self) -> Option<&Arc<Application>> {
        self.applications.get(&self.operational?)
    }

    /// The application of that uid.
    #[must_use]
    pub fn application_of_uid(&self, uid: &str) -> Option<&Arc<Application>> {
        self.applications.get(self.application_uids.get(uid)?)
    }

    /// The application that a path names by its id or uid.
    #[must_use]
    pub fn find_application(&self, text: &str) -> Option<&Arc<Application>> {
        let of_id = Ksuid::parse(KsuidKind::Application, text)
            .ok()
            .and_then(|id| self.application(id.seq).filter(|one| one.ksuid() == id));
        of_id.or_else(|| self.application_of_uid(text))
    }

    /// Who may call what within an application.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn access_mut(&mut self) -> &mut Access {
        Arc::make_mut(&mut self.access)
    }

    /// All sources, oldest first.
    pub fn sources(&self) -> impl DoubleEndedIterator<Item = &Arc<Source>> {
        self.sources.values()
    }

    /// The source of that row.
    #[must_use]
    pub fn source(&self, id: Seq) -> Option<&Arc<Source>> {
        self.sources.get(&id)
    }

    /// The source of that name or uid.
    #[must_use]
    pub fn source_of_name(&self, name: &str) -> Option<&Arc<Source>> {
        self.sources.get(self.source_names.get(name)?)
    }

    /// The source that a path names by its id, name or uid.
    #[must_use]
    pub fn find_source(&self, text: &str) -> Option<&Arc<Source>> {
        let of_id = Ksuid::parse(KsuidKind::Source, text)
            .ok()
            .and_then(|id| self.source(id.seq).filter(|one| one.ksuid() == id));
        of_id.or_else(|| self.source_of_name(text))
    }

    /// All endpoints, oldest first.
    pub fn endpoints(&self) -> impl DoubleEndedIterator<Item = &Arc<Endpoint>> {
        self.endpoints.values()
    }

    /// Messages per second that an endpoint takes: its own rate, else its application's.
    #[must_use]
    pub fn rate_of(&self, endpoint: Seq) -> Option<u32> {
        let config = &self.endpoints.get(&endpoint)?.config;
        let of_app = || self.applications.get(&config.app)?.throttle_rate;
        config.throttle_rate.or_else(of_app)
    }

    /// The newest tasks, oldest first.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Arc<TaskRow>> {
        self.tasks.values()
    }

    /// The task of that row.
    #[must_use]
    pub fn task(&self, id: Seq) -> Option<&Arc<TaskRow>> {
        self.tasks.get(&id)
    }

    /// The tasks that have not ended, oldest first.
    pub fn running_tasks(&self) -> impl Iterator<Item = &Arc<TaskRow>> {
        self.tasks
            .values()
            .filter(|task| task.status == TaskStatus::Running)
    }

    /// Takes a task up or replaces it; of those that have ended the oldest are forgotten.
    pub(crate) fn put_task(&mut self, one: Arc<TaskRow>) {
        self.tasks.insert(one.id, one);
        if self.tasks.len() > limits::TASKS_KEPT_MAX {
            let oldest = self
                .tasks
                .values()
                .find(|task| task.status != TaskStatus::Running);
            if let Some(id) = oldest.map(|task| task.id) {
                self.tasks.remove(&id);
            }
        }
    }

    /// The endpoints of one application, oldest first.
    pub fn endpoints_of(&self, app: Seq) -> impl DoubleEndedIterator<Item = &Arc<Endpoint>> {
        let ids = self.apps.get(&app).into_iter().flat_map(|app| &app.all);
        ids.filter_map(|id| self.endpoints.get(id))
    }

    /// The endpoint of that row.
    #[must_use]
    pub fn endpoint(&self, id: Seq) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(&id)
    }

    /// The endpoint of that uid.
    #[must_use]
    pub fn endpoint_of_uid(&self, app: Seq, uid: &str) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(self.apps.get(&app)?.uids.get(uid)?)
    }

    /// The endpoint of an application that a path names by its id or uid.
    #[must_use]
    pub fn find_endpoint(&self, app: Seq, text: &str) -> Option<&Arc<Endpoint>> {
        let of_id = Ksuid::parse(KsuidKind::Endpoint, text)
            .ok()
            .and_then(|id| self.endpoint(id.seq).filter(|one| one.ksuid() == id))
            .filter(|one| one.config.app == app);
        of_id.or_else(|| self.endpoint_of_uid(app, text))
    }

    /// Enabled endpoints whose filter by event type lets `event_type` through, oldest first.
    pub(crate) fn wanting(&self, app: Seq, event_type: &str) -> BTreeSet<Seq> {
        let Some(app) = self.apps.get(&app) else {
            return BTreeSet::new();
        };
        let mut wanting = app.unfiltered.clone();
        wanting.extend(app.by_type.get(event_type).into_iter().flatten());
        wanting
    }

    pub(crate) fn put_application(&mut self, one: Arc<Application>) {
        if let Some(uid) = self
            .applications
            .get(&one.id)
            .and_then(|old| old.uid.as_ref())
        {
            self.application_uids.remove(uid);
        }
        if one.operational {
            self.operational = Some(one.id);
        }
        if let Some(uid) = &one.uid {
            self.application_uids.insert(uid.clone(), one.id);
        }
        self.applications.insert(one.id, one);
    }

    pub(crate) fn remove_application(&mut self, id: Seq) {
        if let Some(uid) = self.applications.remove(&id).and_then(|a| a.uid.clone()) {
            self.application_uids.remove(&uid);
        }
        self.apps.remove(&id);
    }

    pub(crate) fn put_source(&mut self, one: Arc<Source>) {
        self.remove_source(one.id);
        for name in std::iter::once(&one.name).chain(&one.uid) {
            self.source_names.insert(name.clone(), one.id);
        }
        self.sources.insert(one.id, one);
    }

    pub(crate) fn remove_source(&mut self, id: Seq) {
        let Some(old) = self.sources.remove(&id) else {
            return;
        };
        for name in std::iter::once(&old.name).chain(&old.uid) {
            self.source_names.remove(name);
        }
    }

    pub(crate) fn put_endpoint(&mut self, one: Arc<Endpoint>) {
        self.remove_endpoint(one.id);
        let app = self.apps.entry(one.config.app).or_default();
        app.all.insert(one.id);
        if let Some(uid) = &one.config.uid {
            app.uids.insert(uid.clone(), one.id);
        }
        if !one.config.disabled {
            if one.config.event_types.is_empty() {
                app.unfiltered.insert(one.id);
            }
            for event_type in &one.config.event_types {
                let wanting = app.by_type.entry(event_type.clone()).or_default();
                wanting.insert(one.id);
            }
        }
        self.endpoints.insert(one.id, one);
    }

    pub(crate) fn remove_endpoint(&mut self, id: Seq) {
        let Some(old) = self.endpoints.remove(&id) else {
            return;
        };
        let Some(app) = self.apps.get_mut(&old.config.app) else {
            return;
        };
        app.all.remove(&id);
        app.unfiltered.remove(&id);
        if let Some(uid) = &old.config.uid {
            app.uids.remove(uid);
        }
        for event_type in &old.config.event_types {
            if let Some(wanting) = app.by_type.get_mut(event_type) {
                wanting.remove(&id);
                if wanting.is_empty() {
                    app.by_type.remove(event_type);
                }
            }
        }
    }
}
