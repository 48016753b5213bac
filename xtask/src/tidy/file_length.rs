//! A file stays short enough to be read at one go.

use super::Problem;
use crate::tree::Tree;
use crate::tree::source::Source;

const FILE_LINES_MAX: usize = 800;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    tree.product_sources()
        .filter_map(|(path, source)| {
            let lines = product_lines(source);
            let what = format!("{lines} lines outside tests, over {FILE_LINES_MAX}");
            let remedy = "split it by what its parts are for";
            (lines > FILE_LINES_MAX).then(|| Problem::at(path, 1, what, remedy))
        })
        .collect()
}

fn product_lines(source: &Source) -> usize {
    let lines = source.text.lines().count();
    let tests = source.test_ranges.iter();
    lines
        - tests
            .map(|range| source.line(range.end) - source.line(range.start) + 1)
            .sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::FILE_LINES_MAX;

    #[test]
    fn lines_of_tests_do_not_count() {
        let full = "fn a() {}\n".repeat(FILE_LINES_MAX);
        let tests = format!("{full}#[cfg(test)]\nmod tests {{\n    fn b() {{}}\n}}\n");
        let longer = format!("{full}fn b() {{}}\n");
        let files = [("src/a.rs", tests.as_str()), ("src/b.rs", longer.as_str())];
        assert_eq!(places(super::check, &files), ["src/b.rs:1"]);
    }
}
