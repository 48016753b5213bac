//! Apps register, or are seen.

mod check;

use dunlin_types::{Code, Seq, Timestamp, Token};

use super::Catalog;
use super::changes::{Changes, parts};
use crate::config::{AppRow, FunctionRow, FunctionSpec, Registration};
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
        if let Some((code, why)) = check::refuse(&registration) {
            work.answer(token, Answer::RegisterRefused(code, why));
            return;
        }
        let mut warnings = check::warnings(&registration);
        warnings.extend(self.catalog.neighbours(&registration));
        let number = self.catalog.number_for(&registration);
        let known = self.catalog.app(number).map(|app| &app.row);
        let known = known.filter(|row| !row.is_vacant());
        let same = known.is_some_and(|app| {
            app.checksum == registration.checksum
                && app.identity_url == registration.identity_url
                && app.error.is_none()
        });
        let mut changes = Changes::default();
        if !same {
            let created = known.map_or(work.now(), |app| app.created);
            let row = app_row(number, created, work.now(), &registration);
            changes = Changes::of_app(known, &row);
            self.vacate(work, &row);
            self.put_app(work, row);
            self.put_functions(work, number, registration.functions, &mut changes);
            work.effect(Effect::AppsChanged);
        }
        work.answer(
            token,
            Answer::Registered {
                modified: !same,
                app: number,
                warnings,
                changes,
            },
        );
    }

    /// A URL that nobody had answered for has its app now.
    fn vacate(&mut self, work: &mut Work<'_, '_>, app: &AppRow) {
        let waiting = self.catalog.apps.iter().map(|other| &other.row);
        let waiting = waiting.filter(|other| {
            other.number != app.number
                && other.name.is_empty()
                && other.identity_url == app.identity_url
        });
        let numbers: Vec<u32> = waiting.map(|row| row.number).collect();
        for number in numbers {
            self.put_app(work, vacant(number, work.now()));
        }
    }

    /// Notes that a URL answered or did not. An unknown one that did not becomes an app without a
    /// name, until it answers or an app registers from there.
    pub(crate) fn app_seen(
        &mut self,
        work: &mut Work<'_, '_>,
        url: String,
        identity_url: String,
        error: Option<(Code, String)>,
    ) {
        let known = self.catalog.apps.iter().map(|app| &app.row);
        let known: Vec<AppRow> = known
            .filter(|row| row.identity_url == identity_url)
            .cloned()
            .collect();
        let rows: Vec<AppRow> = match (known.is_empty(), error) {
            // It answers, but its app registers under another URL.
            (true, None) => Vec::new(),
            (true, error) => {
                let number = self.catalog.free_app();
                vec![placeholder(number, url, identity_url, error, work.now())]
            }
            (false, error) => {
                let changed = known.into_iter().filter(|row| row.error != error);
                let changed = changed.map(|row| AppRow {
                    error: error.clone(),
                    ..row
                });
                changed.map(AppRow::settled).collect()
            }
        };
        if rows.is_empty() {
            return;
        }
        for row in rows {
            self.put_app(work, row);
        }
        work.effect(Effect::AppsChanged);
    }

    fn put_app(&mut self, work: &mut Work<'_, '_>, row: AppRow) {
        work.write(Write::App(row.clone()));
        self.catalog.put_app(row);
    }

    fn put_functions(
        &mut self,
        work: &mut Work<'_, '_>,
        app: u32,
        specs: Vec<FunctionSpec>,
        changes: &mut Changes,
    ) {
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
        let mut rows = Vec::new();
        for spec in specs {
            let before = self.catalog.of_app(app, &spec.slug).cloned();
            let number = self.catalog.functions.len() as u32;
            let Some(row) = changed(before.as_ref(), app, number, spec, (from, now)) else {
                continue;
            };
            changes.note(before.as_ref(), &row);
            // A new number follows from those that are taken, so each is put before the next.
            self.catalog.put_function(row.clone());
            rows.push(row);
        }
        for row in &gone {
            changes.note(Some(row), row);
        }
        for row in rows.into_iter().chain(gone) {
            work.write(Write::Function(Box::new(row.clone())));
            self.catalog.put_function(row.clone());
            self.govern(row.number);
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
            .map_or_else(|| self.free_app(), |app| app.row.number)
    }

    /// A number that no app has.
    fn free_app(&self) -> u32 {
        let vacant = self.apps.iter().find(|app| app.row.is_vacant());
        vacant.map_or(self.apps.len() as u32, |app| app.row.number)
    }

    /// The function of that id that the app registers, or once did.
    fn of_app(&self, app: u32, slug: &str) -> Option<&FunctionRow> {
        let mut rows = self.functions.iter().map(|f| &f.row);
        rows.find(|row| row.app == app && row.slug == slug)
    }

    /// A word on other apps at the same URL: of an app that has got a new name, the old one stays.
    fn neighbours(&self, registration: &Registration) -> Vec<String> {
        let others = self.apps.iter().map(|app| &app.row).filter(|row| {
            !row.name.is_empty()
                && row.name != registration.app
                && row.identity_url == registration.identity_url
        });
        let with_functions = others.filter(|row| {
            let mut functions = self.functions.iter().map(|f| &f.row);
            functions.any(|f| f.app == row.number && f.archived.is_none())
        });
        with_functions
            .map(|row| {
                format!(
                    "the app {} is registered at the same URL; if this app was renamed, \
                     its old functions are still started",
                    row.name
                )
            })
            .collect()
    }
}

/// The function's new row; none if nothing about it changed.
fn changed(
    known: Option<&FunctionRow>,
    app: u32,
    free: u32,
    spec: FunctionSpec,
    (from, now): (Seq, Timestamp),
) -> Option<FunctionRow> {
    let row = FunctionRow {
        number: known.map_or(free, |row| row.number),
        app,
        slug: spec.slug,
        name: spec.name,
        version: known.map_or(1, |row| row.version + 1),
        from,
        created: known.map_or(now, |row| row.created),
        archived: None,
        paused: known.and_then(|row| row.paused),
        triggers: spec.triggers,
        url: spec.url,
        retries: spec.retries,
        cancel: spec.cancel,
        timeouts: spec.timeouts,
        flow: spec.flow,
        config: spec.config,
    };
    let same = known.is_some_and(|known| known.archived.is_none() && parts(known, &row).is_empty());
    (!same).then_some(row)
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

fn vacant(number: u32, now: Timestamp) -> AppRow {
    placeholder(number, String::new(), String::new(), None, now)
}

impl AppRow {
    /// One without a name and without an error stands for nothing.
    fn settled(self) -> Self {
        match self.name.is_empty() && self.error.is_none() {
            true => vacant(self.number, self.created),
            false => self,
        }
    }
}
