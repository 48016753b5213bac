//! Each file says on its first line what it is for.

use super::Problem;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let bare = tree
        .sources
        .iter()
        .filter(|(_, source)| !source.text.starts_with("//! "));
    bare.map(|(path, _)| {
        let remedy = "open with `//! ` and what the file is for";
        Problem::at(path, 1, "the file has no head", remedy)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;

    #[test]
    fn the_head_comes_first() {
        let files = [
            ("src/a.rs", "//! Adds.\n"),
            ("src/b.rs", "fn b() {}\n//! Late.\n"),
        ];
        assert_eq!(places(super::check, &files), ["src/b.rs:1"]);
    }
}
