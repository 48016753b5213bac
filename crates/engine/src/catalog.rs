//! Apps and functions, and which events start which.

mod changes;
mod register;

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_expr::{Program, Scope};
use dunlin_types::{Event, Timestamp, function_uuid};

use crate::config::{AppRow, FunctionRow, TriggerSpec};
use crate::flow::admission::Flow;

pub use changes::{AppChange, Change, Changes, FunctionChange};

/// An app.
#[derive(Clone, Debug)]
pub struct App {
    /// Its row.
    pub row: AppRow,
    /// Its SDK, shared with calls.
    pub sdk: Arc<str>,
}

/// A function, ready to be called.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its row.
    pub row: FunctionRow,
    /// Where it is called.
    pub url: Arc<str>,
    /// Its public id.
    pub id: Arc<str>,
    /// Its rules, ready to be asked.
    pub(crate) flow: Arc<Flow>,
    triggers: Vec<Trigger>,
}

#[derive(Clone, Debug)]
struct Trigger {
    /// An event name or a pattern that ends in `*`.
    name: String,
    /// None if it has no expression; an error if it does not compile (stored by another version).
    program: Option<Result<Program, dunlin_types::Coded>>,
}

impl Function {
    fn new(app: &str, row: FunctionRow) -> Self {
        let triggers = row
            .triggers
            .iter()
            .filter_map(|spec| match spec {
                TriggerSpec::Event { name, expression } => Some(Trigger {
                    name: name.clone(),
                    program: expression.as_deref().map(Program::parse),
                }),
                TriggerSpec::Cron { .. } => None,
            })
            .collect();
        let id = function_uuid(app, &row.slug).to_string().into();
        Self {
            url: row.url.as_str().into(),
            flow: Arc::new(Flow::new(Arc::new(row.flow.clone()))),
            id,
            triggers,
            row,
        }
    }

    /// Attempts that each of its items has.
    #[must_use]
    pub fn attempts_max(&self, retries_default: u8) -> u8 {
        self.row
            .retries
            .unwrap_or(retries_default)
            .saturating_add(1)
    }
}

/// Apps and functions by number, and an index of trigger names.
#[derive(Debug, Default)]
pub struct Catalog {
    apps: Vec<App>,
    functions: Vec<Function>,
    /// Functions by the name or pattern of a trigger. Archived ones are not in it.
    triggers: BTreeMap<String, Vec<u32>>,
    /// Functions by composite id and by UUID. Archived ones are not in it.
    ids: BTreeMap<String, u32>,
    patterns: bool,
}

impl Catalog {
    /// The app of that number.
    #[must_use]
    pub fn app(&self, number: u32) -> Option<&App> {
        self.apps.get(number as usize)
    }

    /// All apps.
    #[must_use]
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// The function of that number.
    #[must_use]
    pub fn function(&self, number: u32) -> Option<&Function> {
        self.functions.get(number as usize)
    }

    /// All functions, archived ones too.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The app of a function; 0 for one that is not known.
    pub(crate) fn app_of(&self, function: u32) -> u32 {
        self.function(function)
            .map_or(0, |function| function.row.app)
    }

    /// The function of that composite id or UUID, if it is registered now.
    pub(crate) fn find(&self, function: &str) -> Option<u32> {
        self.ids.get(function).copied()
    }

    /// Whether any function is triggered by events of that name.
    pub(crate) fn is_trigger(&self, name: &str) -> bool {
        !self.named(name).is_empty()
    }

    /// Functions with a trigger for that name, each once, in order; expressions are not asked.
    pub(crate) fn named(&self, name: &str) -> Vec<u32> {
        let mut found = self.triggers.get(name).cloned().unwrap_or_default();
        if self.patterns {
            for pattern in patterns_for(name) {
                found.extend(self.triggers.get(&pattern).into_iter().flatten());
            }
            found.sort_unstable();
            found.dedup();
        }
        found
    }

    /// Functions that the event starts.
    pub(crate) fn triggered(&self, event: &Event, now: Timestamp) -> Vec<u32> {
        let mut found = self.named(&event.name);
        let mut json = None;
        found.retain(|number| {
            self.function(*number).is_some_and(|function| {
                function
                    .triggers
                    .iter()
                    .filter(|t| t.covers(&event.name))
                    .any(|trigger| {
                        let Some(program) = &trigger.program else {
                            return true;
                        };
                        let json =
                            json.get_or_insert_with(|| dunlin_expr::parse_json(&event.json()));
                        let scope = Scope {
                            event: json,
                            async_event: None,
                            now,
                        };
                        program
                            .as_ref()
                            .is_ok_and(|p| p.matches(&scope).unwrap_or(false))
                    })
            })
        });
        found
    }

    fn put_app(&mut self, row: AppRow) {
        let index = row.number as usize;
        let app = App {
            sdk: row.sdk.as_str().into(),
            row,
        };
        if index < self.apps.len() {
            self.apps[index] = app;
        } else {
            self.apps.push(app);
        }
    }

    pub(crate) fn put_function(&mut self, row: FunctionRow) {
        let index = row.number as usize;
        let app = self
            .app(row.app)
            .map_or("", |app| app.row.name.as_str())
            .to_owned();
        let function = Function::new(&app, row);
        if index < self.functions.len() {
            self.functions[index] = function;
        } else {
            self.functions.push(function);
        }
    }

    pub(crate) fn restore_app(&mut self, row: AppRow) {
        self.put_app(row);
    }

    pub(crate) fn restore_function(&mut self, row: FunctionRow) {
        self.put_function(row);
    }

    /// Makes the index of trigger names anew, after functions changed.
    pub(crate) fn index(&mut self) {
        self.triggers.clear();
        self.ids.clear();
        for function in self.functions.iter().filter(|f| f.row.archived.is_none()) {
            for id in [function.row.slug.as_str(), &function.id] {
                self.ids.insert(id.to_owned(), function.row.number);
            }
            for trigger in &function.triggers {
                let functions = self.triggers.entry(trigger.name.clone()).or_default();
                if functions.last() != Some(&function.row.number) {
                    functions.push(function.row.number);
                }
            }
        }
        self.patterns = self.triggers.keys().any(|name| name.ends_with('*'));
    }
}

impl Trigger {
    fn covers(&self, name: &str) -> bool {
        self.name == name || patterns_for(name).any(|pattern| pattern == self.name)
    }
}

/// The patterns that cover a name: `*` after each `/` and each `.` (SDK protocol, matching).
pub(crate) fn patterns_for(name: &str) -> impl Iterator<Item = String> + '_ {
    name.char_indices()
        .filter(|(_, c)| matches!(c, '/' | '.'))
        .map(|(at, c)| format!("{}*", &name[..at + c.len_utf8()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_cover_what_follows_a_separator() {
        let patterns: Vec<_> = patterns_for("app/user.created").collect();
        assert_eq!(patterns, ["app/*", "app/user.*"]);
        assert_eq!(patterns_for("payment").count(), 0);
    }
}
