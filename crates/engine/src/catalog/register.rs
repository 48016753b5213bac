//! Apps register, or are seen.

use dunlin_cron::Schedule;
use dunlin_expr::Program;
use dunlin_types::{Code, Coded, Seq, Timestamp, Token, limits};

use super::Catalog;
use crate::config::{AppRow, FunctionRow, FunctionSpec, Registration, TriggerSpec};
use crate::core::{Engine, Work};
use crate::effect::{Answer, Effect};
use crate::write::Write;

impl Engine {
    pub(crate) fn register(
        &mut self,
        work: &mut Work<'_, '_>,
        token: Token,
        registration: Registration,
    ) {
        if let Some((code, why)) = refuse(&registration) {
            work.answer(token, Answer::RegisterRefused(code, why));
            return;
        }
        let warnings = warnings(&registration);
        let number = self.catalog.number_for(&registration);
        let known = self.catalog.app(number).map(|app| &app.row);
        let same = known.is_some_and(|app| {
            app.checksum == registration.checksum
                && app.identity_url == registration.identity_url
                && app.error.is_none()
        });
        if !same {
            let created = known.map_or(work.now(), |app| app.created);
            self.put_app(work, app_row(number, created, work.now(), &registration));
            self.put_functions(work, number, registration.functions);
            work.effect(Effect::AppsChanged);
        }
        work.answer(
            token,
            Answer::Registered {
                modified: !same,
                app: number,
                warnings,
            },
        );
    }

    /// Notes that a URL answered or did not; an unknown one becomes an app without a name.
    pub(crate) fn app_seen(
        &mut self,
        work: &mut Work<'_, '_>,
        url: String,
        identity_url: String,
        error: Option<(Code, String)>,
    ) {
        let known = self
            .catalog
            .apps
            .iter()
            .find(|app| app.row.identity_url == identity_url);
        let row = match known {
            Some(app) if app.row.error == error => return,
            Some(app) => AppRow {
                error,
                ..app.row.clone()
            },
            None => placeholder(
                self.catalog.apps.len() as u32,
                url,
                identity_url,
                error,
                work.now(),
            ),
        };
        self.put_app(work, row);
        work.effect(Effect::AppsChanged);
    }

    fn put_app(&mut self, work: &mut Work<'_, '_>, row: AppRow) {
        work.write(Write::App(row.clone()));
        self.catalog.put_app(row);
    }

    fn put_functions(&mut self, work: &mut Work<'_, '_>, app: u32, specs: Vec<FunctionSpec>) {
        let now = work.now();
        let from = work.seq();
        let gone: Vec<FunctionRow> = self
            .catalog
            .functions
            .iter()
            .filter(|f| f.row.app == app && f.row.archived.is_none())
            .filter(|f| !specs.iter().any(|spec| spec.slug == f.row.slug))
            .map(|f| FunctionRow {
                archived: Some(now),
                from,
                version: f.row.version + 1,
                ..f.row.clone()
            })
            .collect();
        let changed = specs.into_iter().filter_map(|spec| {
            // A new number follows from those that are taken, so each is put before the next.
            let row = self.catalog.changed(app, spec, from, now)?;
            self.catalog.put_function(row.clone());
            Some(row)
        });
        let rows: Vec<FunctionRow> = changed
            .collect::<Vec<_>>()
            .into_iter()
            .chain(gone)
            .collect();
        for row in rows {
            work.write(Write::Function(row.clone()));
            self.catalog.put_function(row.clone());
            self.sync_ticks(work, &row);
        }
        self.catalog.index();
    }
}

impl Catalog {
    /// The app of that name, or a nameless one at that URL, or a new number.
    fn number_for(&self, registration: &Registration) -> u32 {
        let by_name = self
            .apps
            .iter()
            .find(|app| app.row.name == registration.app);
        let by_url = || {
            self.apps.iter().find(|app| {
                app.row.name.is_empty() && app.row.identity_url == registration.identity_url
            })
        };
        by_name
            .or_else(by_url)
            .map_or(self.apps.len() as u32, |app| app.row.number)
    }

    /// The function's new row; none if nothing about it changed.
    fn changed(
        &self,
        app: u32,
        spec: FunctionSpec,
        from: Seq,
        now: Timestamp,
    ) -> Option<FunctionRow> {
        let known = self
            .functions
            .iter()
            .map(|f| &f.row)
            .find(|f| f.app == app && f.slug == spec.slug);
        let (number, version, created) = match known {
            Some(row)
                if row.config == spec.config && row.url == spec.url && row.archived.is_none() =>
            {
                return None;
            }
            Some(row) => (row.number, row.version + 1, row.created),
            None => (self.functions.len() as u32, 1, now),
        };
        Some(FunctionRow {
            number,
            app,
            slug: spec.slug,
            name: spec.name,
            version,
            from,
            created,
            archived: None,
            paused: known.and_then(|row| row.paused),
            triggers: spec.triggers,
            url: spec.url,
            retries: spec.retries,
            cancel: spec.cancel,
            timeouts: spec.timeouts,
            unbuilt: spec.unbuilt,
            config: spec.config,
        })
    }
}

fn app_row(number: u32, created: Timestamp, now: Timestamp, from: &Registration) -> AppRow {
    AppRow {
        number,
        name: from.app.clone(),
        url: from.url.clone(),
        identity_url: from.identity_url.clone(),
        sdk: from.sdk.clone(),
        framework: from.framework.clone(),
        version: from.version.clone(),
        checksum: from.checksum,
        created,
        synced: now,
        error: None,
    }
}

fn placeholder(
    number: u32,
    url: String,
    identity_url: String,
    error: Option<(Code, String)>,
    now: Timestamp,
) -> AppRow {
    AppRow {
        number,
        name: String::new(),
        url,
        identity_url,
        sdk: String::new(),
        framework: String::new(),
        version: None,
        checksum: [0; 32],
        created: now,
        synced: Timestamp::ZERO,
        error,
    }
}

/// Why a registration cannot be taken, with every reason.
fn refuse(registration: &Registration) -> Option<(Code, String)> {
    let mut reasons = Vec::new();
    if registration.functions.len() > limits::FUNCTIONS_PER_APP_MAX {
        reasons.push(format!(
            "an app may have {} functions",
            limits::FUNCTIONS_PER_APP_MAX
        ));
    }
    for function in &registration.functions {
        let wrong =
            |what: String, error: Coded| format!("{}: {what}: {}", function.slug, error.detail);
        for trigger in &function.triggers {
            match trigger {
                TriggerSpec::Event {
                    expression: Some(text),
                    ..
                } => {
                    let error = Program::parse(text).err();
                    reasons.extend(error.map(|e| wrong(format!("the expression `{text}`"), e)));
                }
                TriggerSpec::Event { .. } => {}
                TriggerSpec::Cron { schedule, .. } => {
                    let error = Schedule::parse(schedule).err();
                    reasons.extend(error.map(|e| wrong(format!("the schedule `{schedule}`"), e)));
                }
            }
        }
        for text in function
            .cancel
            .iter()
            .filter_map(|rule| rule.condition.as_ref())
        {
            let error = Program::parse(text).err();
            let what = || format!("the expression `{text}` of cancelOn");
            reasons.extend(error.map(|e| wrong(what(), e)));
        }
    }
    (!reasons.is_empty()).then(|| (Code::FunctionBad, reasons.join("; ")))
}

/// What was asked for and will not be done, one line a function.
fn warnings(registration: &Registration) -> Vec<String> {
    registration
        .functions
        .iter()
        .filter(|function| !function.unbuilt.is_empty())
        .map(|f| {
            format!(
                "{}: not enforced by this version: {}",
                f.slug,
                f.unbuilt.join(", ")
            )
        })
        .collect()
}
