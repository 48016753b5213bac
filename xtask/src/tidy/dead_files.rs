//! A Rust file that no `mod` reaches is compiled by nobody and rots unseen.

use super::Problem;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let dead = tree.sources.iter().filter(|(_, source)| !source.is_reached);
    dead.map(|(path, _)| {
        Problem::at(
            path,
            1,
            "no mod leads to this file",
            "declare it or delete it",
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::metadata::{Package, Target};
    use crate::tree::modules;

    #[test]
    fn a_file_without_a_mod_is_dead() {
        let mut tree = Tree::of(&[("src/lib.rs", "mod a;"), ("src/a.rs", ""), ("src/b.rs", "")]);
        let root = Target {
            kind: vec!["lib".to_owned()],
            src_path: "src/lib.rs".to_owned(),
        };
        let package = Package {
            name: "a".to_owned(),
            manifest_path: "Cargo.toml".to_owned(),
            dependencies: Vec::new(),
            targets: vec![root],
        };
        let reached = modules::reach(&modules::roots(&[package]), &tree.sources);
        for (path, source) in &mut tree.sources {
            source.is_reached = reached.contains_key(path);
        }
        let dead: Vec<String> = check(&tree)
            .into_iter()
            .map(|problem| problem.file)
            .collect();
        assert_eq!(dead, ["src/b.rs"]);
    }
}
