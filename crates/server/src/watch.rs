//! Tells when an app has synced, fails, or asks for what does nothing.

use std::collections::BTreeMap;
use std::fmt;

use dunlin_engine::config::{AppRow, FunctionRow, Rule};
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
    /// A rule of a function does nothing beside another one.
    Ignored {
        function: String,
        rule: Rule,
        beside: Rule,
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
            Self::Ignored {
                function,
                rule,
                beside,
            } => write!(f, "{function}: {rule} is ignored beside {beside}"),
        }
    }
}

/// What an app that was named is noted with until it has been asked: nothing to tell yet.
const NOT_ASKED: &str = "not synced yet";

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
        if app.error.as_ref().is_some_and(|(_, why)| why == NOT_ASKED) {
            return false;
        }
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
    let ignored = functions.iter().flat_map(|function| {
        let rules = function.flow.ignored().into_iter();
        rules.map(|(rule, beside)| Note::Ignored {
            function: function.slug.clone(),
            rule,
            beside,
        })
    });
    std::iter::once(synced).chain(ignored).collect()
}

#[cfg(test)]
mod tests {
    use dunlin_types::Timestamp;

    use super::*;

    fn app(name: &str, checksum: u8, error: Option<&str>) -> AppRow {
        AppRow {
            number: 0,
            name: name.to_owned(),
            url: "http://localhost:3000/api/inngest".to_owned(),
            identity_url: String::new(),
            sdk: "js:v4.24.0".to_owned(),
            framework: String::new(),
            version: None,
            checksum: [checksum; 32],
            created: Timestamp::ZERO,
            synced: Timestamp::ZERO,
            error: error.map(|why| (Code::AppUnreachable, why.to_owned())),
        }
    }

    #[test]
    fn each_change_of_an_app_is_told_once() {
        let mut told = BTreeMap::new();
        let mut is_told = |app: AppRow| !fresh(&[app], &mut told).is_empty();
        assert!(!is_told(app("", 0, Some(NOT_ASKED))));
        assert!(is_told(app("", 0, Some("connection refused"))));
        assert!(!is_told(app("", 0, Some("connection refused"))));
        assert!(is_told(app("shop", 1, None)));
        assert!(!is_told(app("shop", 1, None)));
        assert!(is_told(app("shop", 2, None)));
    }

    #[test]
    fn notes_read_well() {
        let note = &notes(&app("shop", 1, None), &[])[0];
        let text = "app shop synced: 0 functions at http://localhost:3000/api/inngest (js:v4.24.0)";
        assert_eq!(note.to_string(), text);
        let note = &notes(&app("", 1, Some("connection refused")), &[])[0];
        let text = "app at http://localhost:3000/api/inngest: E0404: connection refused";
        assert_eq!(note.to_string(), text);
    }
}
