//! Functions and apps by number, to name them.

use std::collections::BTreeMap;

use dunlin_engine::config::{AppRow, FunctionRow};
use dunlin_store::{Reader, StoreResult};
use dunlin_types::{Seq, app_uuid, function_uuid};

/// Later than any row.
const LATEST: Seq = Seq(i64::MAX as u64);

#[derive(Debug, Default)]
pub(crate) struct Names {
    functions: BTreeMap<u32, FunctionRow>,
    apps: BTreeMap<u32, AppRow>,
}

impl Names {
    pub(crate) fn read(reader: &mut dyn Reader) -> StoreResult<Self> {
        let functions = reader.functions_at(LATEST)?;
        let apps = reader.apps()?.into_iter().filter(|app| !app.is_vacant());
        Ok(Self {
            functions: functions.into_iter().map(|row| (row.number, row)).collect(),
            apps: apps.into_iter().map(|row| (row.number, row)).collect(),
        })
    }

    /// The functions, in the order in which they first came.
    pub(crate) fn functions(&self) -> impl Iterator<Item = &FunctionRow> {
        self.functions.values()
    }

    /// The functions that an app has now.
    pub(crate) fn functions_of(&self, app: u32) -> impl Iterator<Item = &FunctionRow> {
        let functions = self.functions.values();
        functions.filter(move |f| f.app == app && f.archived.is_none())
    }

    /// The apps, in the order in which they first came.
    pub(crate) fn apps(&self) -> impl Iterator<Item = &AppRow> {
        self.apps.values()
    }

    pub(crate) fn function(&self, number: u32) -> Option<&FunctionRow> {
        self.functions.get(&number)
    }

    pub(crate) fn app(&self, number: u32) -> Option<&AppRow> {
        self.apps.get(&number)
    }

    pub(crate) fn app_of(&self, function: u32) -> Option<&AppRow> {
        self.app(self.function(function)?.app)
    }

    /// The function's public id; empty if it is not known.
    pub(crate) fn function_id(&self, number: u32) -> String {
        let app = self.app_of(number).map_or("", |app| &app.name);
        let id = self.function(number).map(|f| function_uuid(app, &f.slug));
        id.map(|id| id.to_string()).unwrap_or_default()
    }

    /// The public id of a function's app; empty if it is not known.
    pub(crate) fn app_id(&self, function: u32) -> String {
        let id = self.app_of(function).map(|app| app_uuid(&app.name));
        id.map(|id| id.to_string()).unwrap_or_default()
    }
}
