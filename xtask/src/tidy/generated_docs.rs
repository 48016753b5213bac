//! Generated pages are what the code would generate now.

use dunlin_types::Code;

use super::Problem;
use crate::docs::{ERROR_INDEX, error_index};
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let is_current = tree.texts.get(ERROR_INDEX) == Some(&error_index(Code::ALL));
    let what = "the page is not what the code generates";
    let stale = Problem::at(ERROR_INDEX, 1, what, "run `cargo run -p xtask -- docs`");
    if is_current { Vec::new() } else { vec![stale] }
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn a_stale_index_is_found() {
        let current = error_index(Code::ALL);
        assert!(places(check, &[(ERROR_INDEX, current.as_str())]).is_empty());
        assert_eq!(
            places(check, &[(ERROR_INDEX, "old")]),
            [format!("{ERROR_INDEX}:1")]
        );
    }
}
