//! The pure crates decide and nothing else: no clock, no files, no network, no threads, no random
//! state. Their direct dependencies and the names in their sources prove it.

use super::Problem;
use crate::tree::Tree;
use crate::tree::metadata::Package;
use crate::tree::source::{Source, body_after, words};

/// A pure crate and what it may depend on outside tests.
const PURE: [(&str, &[&str]); 5] = [
    (
        "expr",
        &[
            "dunlin-types",
            "base64",
            "cel",
            "jiff",
            "regex",
            "serde_json",
            "thiserror",
        ],
    ),
    ("cron", &["dunlin-types", "jiff"]),
    (
        "engine",
        &[
            "dunlin-types",
            "dunlin-expr",
            "dunlin-cron",
            "bytes",
            "thiserror",
        ],
    ),
    (
        "delivery",
        &["dunlin-types", "dunlin-expr", "bytes", "thiserror"],
    ),
    (
        "turn",
        &[
            "dunlin-types",
            "dunlin-engine",
            "dunlin-delivery",
            "bytes",
            "thiserror",
        ],
    ),
];

/// Names whose presence means an impurity.
const BANNED_WORDS: [(&str, &str); 8] = [
    ("Instant", TAKE_NOW),
    ("SystemTime", TAKE_NOW),
    ("HashMap", TAKE_ORDERED),
    ("HashSet", TAKE_ORDERED),
    ("RandomState", TAKE_ORDERED),
    ("rand", "draw from the seed of the input"),
    ("tokio", "return an effect and let the node act"),
    ("hyper", "return an effect and let the node act"),
];
const BANNED_STD_MODULES: [&str; 5] = ["env", "fs", "net", "process", "thread"];
const TAKE_NOW: &str = "take `now` as an argument: the node owns the clock";
const TAKE_ORDERED: &str = "use BTreeMap or BTreeSet: their order is the same on each replay";
const RETURN_EFFECT: &str = "return an effect and let the node act";

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in &tree.packages {
        let row = PURE.iter().find(|(name, _)| *name == package.short_name());
        problems.extend(
            row.into_iter()
                .flat_map(|(_, ok)| check_dependencies(tree, package, ok)),
        );
    }
    for (path, source) in tree.product_sources() {
        if PURE
            .iter()
            .any(|(name, _)| path.starts_with(&format!("crates/{name}/")))
        {
            problems.extend(check_source(path, source));
        }
    }
    problems
}

fn check_dependencies(tree: &Tree, package: &Package, allowed: &[&str]) -> Vec<Problem> {
    let used = package
        .dependencies
        .iter()
        .filter(|used| used.kind.as_deref() != Some("dev"));
    used.filter(|used| !allowed.contains(&used.name.as_str()))
        .map(|used| {
            let line = super::line_naming(tree, &package.manifest_path, &used.name);
            let what = format!(
                "{} is pure and may not use {}",
                package.short_name(),
                used.name
            );
            Problem::at(
                &package.manifest_path,
                line,
                what,
                "do it in node or in an adapter",
            )
        })
        .collect()
}

fn check_source(path: &str, source: &Source) -> Vec<Problem> {
    let code = source.code.as_str();
    let mut found: Vec<(usize, String, &'static str)> = Vec::new();
    for (word, remedy) in BANNED_WORDS {
        found.extend(words(code, word).map(|at| (at, word.to_owned(), remedy)));
    }
    found.extend(std_modules(code).map(|(at, name)| (at, format!("std::{name}"), RETURN_EFFECT)));
    let clocks = code
        .match_indices("::now(")
        .map(|(at, _)| (at, "a clock".to_owned(), TAKE_NOW));
    found.extend(clocks);
    found.retain(|(at, _, _)| !source.in_tests(*at));
    found
        .into_iter()
        .map(|(at, name, remedy)| {
            Problem::at(
                path,
                source.line(at),
                format!("a pure crate names {name}"),
                remedy,
            )
        })
        .collect()
}

/// Banned modules of the standard library, named by path or in the braces of a `use`.
fn std_modules(code: &str) -> impl Iterator<Item = (usize, &'static str)> {
    words(code, "std").flat_map(move |at| {
        let after = at + "std".len();
        let group = code[after..]
            .starts_with("::{")
            .then(|| body_after(code, after))
            .flatten();
        BANNED_STD_MODULES.into_iter().filter_map(move |name| {
            let by_path = code[after..]
                .strip_prefix("::")
                .is_some_and(|rest| words(rest, name).next() == Some(0));
            let in_group = group
                .clone()
                .is_some_and(|braces| words(&code[braces], name).next().is_some());
            (by_path || in_group).then_some((at, name))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;
    use crate::tree::metadata::Dependency;

    #[test]
    fn clocks_files_and_unordered_maps_are_found_outside_tests() {
        let text = "//! Head.\nuse std::time::Instant;\nuse std::{fmt, fs};\n\
                    fn a() { std::thread::spawn(b); jiff::Timestamp::now(); }\n\
                    #[cfg(test)]\nmod tests { use std::collections::HashMap; }\n\
                    use std::collections::{BTreeMap, HashMap};\n";
        let mut found = places(check, &[("crates/engine/src/lib.rs", text)]);
        found.sort();
        let lines: Vec<&str> = found
            .iter()
            .filter_map(|place| place.rsplit(':').next())
            .collect();
        assert_eq!(lines, ["2", "3", "4", "4", "7"]);
        assert!(places(check, &[("crates/node/src/lib.rs", text)]).is_empty());
    }

    #[test]
    fn a_dependency_that_is_not_on_the_list_is_found() {
        let dependency = |name: &str, kind: Option<&str>| Dependency {
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
        };
        let mut tree = Tree::of(&[("crates/turn/Cargo.toml", "\nrand.workspace = true\n")]);
        tree.packages = vec![Package {
            name: "dunlin-turn".to_owned(),
            manifest_path: "crates/turn/Cargo.toml".to_owned(),
            dependencies: vec![
                dependency("rand", None),
                dependency("proptest", Some("dev")),
            ],
            targets: Vec::new(),
        }];
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/turn/Cargo.toml:2: turn is pure"));
    }
}
