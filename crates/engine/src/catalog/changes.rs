//! What a sync changed, for people who wonder why something runs differently since.

use std::collections::BTreeSet;
use std::fmt;

use crate::config::{AppRow, FlowRules, FunctionRow};

/// What a sync changed of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Whether the app was not known before.
    pub new_app: bool,
    /// What is said of the app itself, each as it was and as it is.
    pub app: Vec<AppChange>,
    /// Its functions, in the order of their registration; removed ones last.
    pub functions: Vec<FunctionChange>,
}

/// Something an app says of itself, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppChange {
    /// `url`, `sdk`, `framework` or `version`.
    pub what: &'static str,
    /// Empty when it said nothing before.
    pub before: String,
    /// Empty when it says nothing any more.
    pub after: String,
}

/// A function that a sync touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionChange {
    /// Its composite id.
    pub slug: String,
    /// What became of it.
    pub change: Change,
}

/// What a sync did to a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not known before.
    Added,
    /// It had been removed, and is registered again.
    Restored,
    /// These parts of it are other than before.
    Changed(Vec<&'static str>),
    /// The app does not register it any more.
    Removed,
}

impl Change {
    /// As it is shown: `added`, `restored`, `changed` or `removed`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Restored => "restored",
            Self::Changed(_) => "changed",
            Self::Removed => "removed",
        }
    }
}

impl Change {
    fn is_move(&self) -> bool {
        matches!(self, Self::Changed(parts) if parts == &["url"])
    }
}

impl Changes {
    /// Whether nothing changed that anybody would notice.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.new_app && self.app.is_empty() && self.functions.is_empty()
    }

    pub(super) fn of_app(before: Option<&AppRow>, after: &AppRow) -> Self {
        let Some(before) = before.filter(|row| !row.name.is_empty()) else {
            return Self {
                new_app: true,
                ..Self::default()
            };
        };
        let version = |row: &AppRow| row.version.clone().unwrap_or_default();
        let said = [
            ("url", before.url.clone(), after.url.clone()),
            ("sdk", before.sdk.clone(), after.sdk.clone()),
            (
                "framework",
                before.framework.clone(),
                after.framework.clone(),
            ),
            ("version", version(before), version(after)),
        ];
        let app = said
            .into_iter()
            .filter(|(_, before, after)| before != after)
            .map(|(what, before, after)| AppChange {
                what,
                before,
                after,
            });
        Self {
            app: app.collect(),
            ..Self::default()
        }
    }

    pub(super) fn note(&mut self, before: Option<&FunctionRow>, after: &FunctionRow) {
        let change = match before {
            None => Change::Added,
            Some(_) if after.archived.is_some() => Change::Removed,
            Some(before) if before.archived.is_some() => Change::Restored,
            Some(before) => Change::Changed(parts(before, after)),
        };
        self.functions.push(FunctionChange {
            slug: after.slug.clone(),
            change,
        });
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = Vec::new();
        if self.new_app {
            lines.push("new app".to_owned());
        }
        lines.extend(self.app.iter().map(|said| {
            format!(
                "{} {} → {}",
                said.what,
                shown(&said.before),
                shown(&said.after)
            )
        }));
        let moved = self.app.iter().any(|said| said.what == "url");
        for word in ["added", "restored", "changed", "removed"] {
            let of_word = self.functions.iter().filter(|f| f.change.word() == word);
            // Where an app goes, its functions go with it.
            let of_word = of_word.filter(|f| !(moved && f.change.is_move()));
            let names: Vec<String> = of_word.map(named).collect();
            if !names.is_empty() {
                lines.push(format!("{word} {}", few(&names)));
            }
        }
        f.write_str(&lines.join("; "))
    }
}

/// Names that one line of the log holds.
const NAMES_MAX: usize = 12;

fn few(names: &[String]) -> String {
    let shown = &names[..names.len().min(NAMES_MAX)];
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn named(function: &FunctionChange) -> String {
    match &function.change {
        Change::Changed(parts) => format!("{} ({})", function.slug, parts.join(", ")),
        _ => function.slug.clone(),
    }
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// Keys of a configuration that the parts with fields of their own are read from.
const OWN_KEYS: [&str; 7] = [
    "id", "name", "triggers", "steps", "retries", "cancel", "timeouts",
];
/// Further rules, as their keys are named.
const RULES: [&str; 9] = [
    "concurrency",
    "batchEvents",
    "rateLimit",
    "throttle",
    "debounce",
    "priority",
    "singleton",
    "idempotency",
    "checkpoint",
];

/// The parts in which two versions of a function differ; empty when they mean the same.
pub(super) fn parts(before: &FunctionRow, after: &FunctionRow) -> Vec<&'static str> {
    let own = [
        ("name", before.name != after.name),
        ("triggers", before.triggers != after.triggers),
        ("url", before.url != after.url),
        ("retries", before.retries != after.retries),
        ("cancel", before.cancel != after.cancel),
        ("timeouts", before.timeouts != after.timeouts),
    ];
    let own = own
        .into_iter()
        .filter_map(|(part, differs)| differs.then_some(part));
    let mut others = other_parts(before, after);
    others.extend(flow_parts(&before.flow, &after.flow));
    own.chain(others).collect()
}

/// What the same configuration is read as may change with the version of this server.
fn flow_parts(before: &FlowRules, after: &FlowRules) -> impl Iterator<Item = &'static str> {
    let at_a_time = |rules: &FlowRules| (rules.concurrency.clone(), rules.runs.clone());
    let rules = [
        ("concurrency", at_a_time(before) != at_a_time(after)),
        ("batchEvents", before.batch != after.batch),
        ("rateLimit", before.rate_limit != after.rate_limit),
        ("throttle", before.throttle != after.throttle),
        ("debounce", before.debounce != after.debounce),
        ("priority", before.priority != after.priority),
        ("singleton", before.singleton != after.singleton),
        ("idempotency", before.idempotency != after.idempotency),
    ];
    let differing = rules.into_iter().filter(|(_, differs)| *differs);
    differing.map(|(rule, _)| rule)
}

fn other_parts(before: &FunctionRow, after: &FunctionRow) -> BTreeSet<&'static str> {
    if before.config == after.config {
        return BTreeSet::new();
    }
    let [old, new] = [before, after].map(|row| dunlin_expr::parse_json(row.config.bytes()));
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return BTreeSet::from(["configuration"]);
    };
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = keys
        .into_iter()
        .filter(|key| !OWN_KEYS.contains(&key.as_str()) && old.get(*key) != new.get(*key));
    let named = differing.map(|key| {
        let rule = RULES.into_iter().find(|rule| rule == key);
        rule.unwrap_or("configuration")
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use dunlin_types::{Payload, Seq, Timestamp};

    use super::*;
    use crate::config::{Timeouts, TriggerSpec};

    fn function(config: &'static str) -> FunctionRow {
        FunctionRow {
            number: 0,
            app: 0,
            slug: "shop-pay".to_owned(),
            name: "pay".to_owned(),
            version: 1,
            from: Seq(1),
            created: Timestamp::ZERO,
            archived: None,
            paused: None,
            triggers: vec![TriggerSpec::Event {
                name: "paid".to_owned(),
                expression: None,
            }],
            url: "http://a/".to_owned(),
            retries: None,
            cancel: Vec::new(),
            timeouts: Timeouts::default(),
            flow: Default::default(),
            config: Payload::from_json(config),
        }
    }

    #[test]
    fn parts_are_named_by_what_users_write() {
        let before = function(r#"{"id":"shop-pay","throttle":{"limit":1},"description":"a"}"#);
        let mut after = function(r#"{"id":"shop-pay","debounce":{},"description":"b"}"#);
        after.retries = Some(2);
        after.timeouts.finish_ms = Some(1);
        assert_eq!(
            parts(&before, &after),
            [
                "retries",
                "timeouts",
                "configuration",
                "debounce",
                "throttle"
            ]
        );
    }

    #[test]
    fn a_rule_that_is_read_in_another_way_is_a_change() {
        let before = function(r#"{"id":"shop-pay","priority":{"run":"5"}}"#);
        let mut after = before.clone();
        after.flow.priority = Some("5".to_owned());
        assert_eq!(parts(&before, &after), ["priority"]);
        after.config = Payload::from_json(r#"{"id":"shop-pay","priority":{"run":"event.data.p"}}"#);
        assert_eq!(parts(&before, &after), ["priority"]);
    }

    #[test]
    fn blanks_and_order_of_keys_are_no_change() {
        let before = function(r#"{"id":"shop-pay","throttle":{"limit":1,"period":"1m"}}"#);
        let after = function(r#"{ "throttle": {"period":"1m", "limit":1}, "id":"shop-pay" }"#);
        assert!(parts(&before, &after).is_empty());
    }

    #[test]
    fn a_line_says_it_all() {
        let of = |slug: &str, change| FunctionChange {
            slug: slug.to_owned(),
            change,
        };
        let mut changes = Changes {
            app: vec![AppChange {
                what: "sdk",
                before: "js:v4.23.0".to_owned(),
                after: "js:v4.24.0".to_owned(),
            }],
            functions: vec![
                of("a", Change::Changed(vec!["triggers", "url"])),
                of("b", Change::Removed),
            ],
            ..Changes::default()
        };
        assert_eq!(
            changes.to_string(),
            "sdk js:v4.23.0 → js:v4.24.0; changed a (triggers, url); removed b"
        );
        changes.functions = (0..14)
            .map(|n| of(&format!("f{n}"), Change::Added))
            .collect();
        assert!(changes.to_string().ends_with("f11 and 2 more"), "{changes}");
        assert!(Changes::default().is_empty() && !changes.is_empty());
    }
}
