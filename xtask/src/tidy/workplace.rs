//! The project speaks of itself only: no paths of somebody's machine, no words of a workplace.

use super::Problem;
use crate::tree::Tree;
use crate::tree::source::line_of;

/// Split, so that this file does not hold what it looks for.
const BANNED: [&str; 4] = [
    concat!("/wo", "rk/"),
    concat!("/tmp/", "dunlin"),
    concat!("hel", "per-"),
    concat!("/ho", "me/"),
];

/// Written by tools; their package names are not ours.
const GENERATED: [&str; 2] = ["package-lock.json", "Cargo.lock"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let ours = tree.texts.iter().filter(|(path, _)| {
        let name = path.rsplit('/').next().unwrap_or(path);
        !GENERATED.contains(&name)
    });
    ours.flat_map(|(path, text)| {
        BANNED.iter().flat_map(move |word| {
            text.match_indices(word).map(move |(at, _)| {
                let what = format!("the text `{word}` has no place here");
                Problem::at(
                    path,
                    line_of(text, at),
                    what,
                    "use a relative or temporary path",
                )
            })
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::BANNED;

    #[test]
    fn paths_of_a_machine_are_found() {
        let text = format!("# Notes\nSee {}main.\n", BANNED[0]);
        assert_eq!(
            places(super::check, &[("docs/a.md", text.as_str())]),
            ["docs/a.md:2"]
        );
        assert!(places(super::check, &[("a/package-lock.json", text.as_str())]).is_empty());
    }
}
