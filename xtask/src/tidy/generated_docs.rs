//! Generated pages are what the code would generate now.

use super::Problem;
use crate::docs::PAGES;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for page in &PAGES {
        match page.text(tree) {
            Ok(text) if tree.texts.get(page.path) == Some(&text) => {}
            Ok(_) => {
                let what = "the page is not what the code generates";
                let remedy = "run `cargo run -p xtask -- docs`";
                problems.push(Problem::at(page.path, 1, what, remedy));
            }
            Err(error) => {
                let remedy = "write the code as the generator in xtask/src/docs reads it";
                problems.push(Problem::at(page.path, 1, format!("{error:#}"), remedy));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn a_stale_index_is_found() {
        let index = &PAGES[0];
        let place = format!("{}:1", index.path);
        let current = index.text(&Tree::default()).unwrap();
        assert!(!places(check, &[(index.path, current.as_str())]).contains(&place));
        assert!(places(check, &[(index.path, "old")]).contains(&place));
    }

    #[test]
    fn a_page_whose_source_is_gone_is_found() {
        let pages = PAGES.iter().skip(1).map(|page| format!("{}:1", page.path));
        let found = places(check, &[]);
        assert!(pages.into_iter().all(|page| found.contains(&page)));
    }
}
