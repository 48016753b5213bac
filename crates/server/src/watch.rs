//! Tells when an app has synced, fails, or asks for what is not built yet.

use std::collections::BTreeMap;
use std::fmt;

use dunlin_engine::config::{AppRow, FunctionRow};
use dunlin_node::Node;
use dunlin_types::{Code, Seq};

/// One thing to tell about an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// It has registered, for the first time or something new.
    Synced {
        app: String,
        url: String,
        sdk: String,
        functions: usize,
    },
    /// It cannot be reached or synced.
    Failed {
        url: String,
        code: Code,
        why: String,
    },
    /// A function asks for rules that are not enforced.
    Unbuilt {
        function: String,
        rules: Vec<String>,
    },
}

impl Note {
    /// Whether somebody should look.
    pub(crate) const fn is_bad(&self) -> bool {
        !matches!(self, Self::Synced { .. })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Synced {
                app,
                url,
                sdk,
                functions,
            } => {
                let plural = if *functions == 1 { "" } else { "s" };
                write!(
                    f,
                    "app {app} synced: {functions} function{plural} at {url} ({sdk})"
                )
            }
            Self::Failed { url, code, why } => write!(f, "app at {url}: {code}: {why}"),
            Self::Unbuilt { function, rules } => write!(
                f,
                "{function} asks for {}, which this version does not enforce yet ({})",
                rules.join(", "),
                Code::RuleNotBuilt
            ),
        }
    }
}

/// What was last told of an app.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    checksum: [u8; 32],
    error: Option<(Code, String)>,
}

/// Tells of each change until the node is gone.
pub(crate) async fn apps(node: Node, tell: impl Fn(&Note)) {
    let mut changes = node.apps();
    let mut told = BTreeMap::new();
    loop {
        let apps = changes.borrow_and_update().clone();
        for app in fresh(&apps, &mut told) {
            let functions = functions_of(&node, app.number).await;
            notes(app, &functions).iter().for_each(&tell);
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Those of the apps of which there is something new to tell.
fn fresh<'a>(apps: &'a [AppRow], told: &mut BTreeMap<u32, Told>) -> Vec<&'a AppRow> {
    let is_fresh = |app: &&AppRow| {
        let now = Told {
            checksum: app.checksum,
            error: app.error.clone(),
        };
        told.insert(app.number, now.clone()) != Some(now)
    };
    apps.iter().filter(is_fresh).collect()
}

async fn functions_of(node: &Node, app: u32) -> Vec<FunctionRow> {
    let read = node
        .read(|reader| reader.functions_at(Seq(u64::MAX >> 1)))
        .await;
    let of_app = |function: &FunctionRow| function.app == app && function.archived.is_none();
    read.unwrap_or_default()
        .into_iter()
        .filter(of_app)
        .collect()
}

fn notes(app: &AppRow, functions: &[FunctionRow]) -> Vec<Note> {
    if let Some((code, why)) = &app.error {
        return vec![Note::Failed {
            url: app.url.clone(),
            code: *code,
            why: why.clone(),
        }];
    }
    let synced = Note::Synced {
        app: app.name.clone(),
        url: app.url.clone(),
        sdk: app.sdk.clone(),
        functions: functions.len(),
    };
    let unbuilt = functions
        .iter()
        .filter(|function| !function.unbuilt.is_empty());
    let unbuilt = unbuilt.map(|function| Note::Unbuilt {
        function: function.slug.clone(),
        rules: function.unbuilt.clone(),
    });
    std::iter::once(synced).chain(unbuilt).collect()
}
