//! Which crate of the workspace may use which: data flows one way, and this table is the proof.

use super::Problem;
use crate::tree::Tree;
use crate::tree::metadata::Package;

/// A crate and the crates of the workspace it may name, in any dependency table.
const EDGES: [(&str, &[&str]); 18] = [
    ("types", &[]),
    ("expr", &["types"]),
    ("cron", &["types"]),
    ("wire", &["types"]),
    ("engine", &["types", "expr", "cron"]),
    ("delivery", &["types", "expr"]),
    ("turn", &["engine", "delivery", "types"]),
    ("store", &["types", "engine", "delivery"]),
    ("store-sqlite", &["store", "types", "engine", "delivery"]),
    ("egress", &["types"]),
    ("sandbox", &["types"]),
    (
        "node",
        &[
            "turn", "store", "wire", "egress", "sandbox", "types", "engine", "delivery",
        ],
    ),
    ("trace", &["store", "engine", "types"]),
    ("graphql", &["trace", "store", "engine", "expr", "types"]),
    (
        "api",
        &[
            "node", "store", "wire", "egress", "sandbox", "types", "engine", "delivery", "expr",
            "trace", "graphql",
        ],
    ),
    ("server", ALL),
    ("tests", &["types", "wire"]),
    ("xtask", &["types"]),
];
const ALL: &[&str] = &[
    "types",
    "expr",
    "cron",
    "wire",
    "engine",
    "delivery",
    "turn",
    "store",
    "store-sqlite",
    "egress",
    "sandbox",
    "node",
    "trace",
    "graphql",
    "api",
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let names: Vec<&str> = tree
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    tree.packages
        .iter()
        .flat_map(|package| check_package(tree, package, &names))
        .collect()
}

fn check_package(tree: &Tree, package: &Package, workspace: &[&str]) -> Vec<Problem> {
    let short = package.short_name();
    let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == short) else {
        let what = format!("the crate {short} has no row in the table of edges");
        return vec![Problem::at(
            &package.manifest_path,
            1,
            what,
            "add it to xtask's crate_edges.rs",
        )];
    };
    let ours = package
        .dependencies
        .iter()
        .filter(|used| workspace.contains(&used.name.as_str()));
    ours.filter(|used| !allowed.contains(&used.name.trim_start_matches("dunlin-")))
        .map(|used| {
            let line = super::line_naming(tree, &package.manifest_path, &used.name);
            let what = format!("{short} may not use {}", used.name);
            let remedy = "move the code to where the edge exists, or pass a value instead";
            Problem::at(&package.manifest_path, line, what, remedy)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::metadata::Dependency;

    fn package(name: &str, uses: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency {
            name: (*name).to_owned(),
            kind: None,
        };
        Package {
            name: name.to_owned(),
            manifest_path: format!("crates/{name}/Cargo.toml"),
            dependencies: uses.iter().map(dependency).collect(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn a_core_may_not_use_the_store() {
        let manifest =
            "[package]\n[dependencies]\nthiserror.workspace = true\ndunlin-store = \"1\"\n";
        let mut tree = Tree::of(&[("crates/dunlin-engine/Cargo.toml", manifest)]);
        tree.packages = vec![
            package("dunlin-engine", &["dunlin-store", "thiserror"]),
            package("dunlin-store", &[]),
        ];
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("crates/dunlin-engine/Cargo.toml:4: engine may not use"));
    }

    #[test]
    fn an_unknown_crate_needs_a_row() {
        let mut tree = Tree::of(&[]);
        tree.packages = vec![package("dunlin-novel", &[])];
        assert_eq!(check(&tree).len(), 1);
    }
}
