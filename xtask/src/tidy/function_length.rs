//! A function fits on a screen.

use super::Problem;
use crate::tree::Tree;
use crate::tree::source::{Source, body_after, name_at, words};

const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    tree.product_sources()
        .flat_map(|(path, source)| check_file(path, source))
        .collect()
}

fn check_file(path: &str, source: &Source) -> Vec<Problem> {
    functions(source)
        .filter(|(_, _, lines)| *lines > FUNCTION_LINES_MAX)
        .map(|(name, line, lines)| {
            let what = format!("fn {name} has {lines} lines, over {FUNCTION_LINES_MAX}");
            Problem::at(
                path,
                line,
                what,
                "branch in the parent, do the plain work in leaves",
            )
        })
        .collect()
}

/// Name, first line and number of lines of each function outside tests that has a body.
fn functions(source: &Source) -> impl Iterator<Item = (&str, usize, usize)> {
    let code = source.code.as_str();
    words(code, "fn")
        .filter(|at| !source.in_tests(*at))
        .filter_map(move |at| {
            let after = at + "fn".len();
            // `fn(` is a type, not a function.
            let name = name_at(code, after).filter(|_| code[after..].starts_with([' ', '\n']))?;
            let body = body_after(code, after)?;
            let first = source.line(at);
            Some((name, first, source.line(body.end - 1) - first + 1))
        })
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn the_long_function_is_named_by_its_first_line() {
        let body = "    b();\n".repeat(FUNCTION_LINES_MAX - 2);
        let fits = format!("fn a(x: [u8; 4]) -> [u8; 4] {{\n{body}}}\n");
        let long = format!("fn a() {{\n{body}\n}}\n");
        let text = format!("{fits}{long}");
        let place = format!("src/a.rs:{}", FUNCTION_LINES_MAX + 1);
        assert_eq!(places(check, &[("src/a.rs", text.as_str())]), [place]);
    }

    #[test]
    fn signatures_without_a_body_and_function_types_are_left_alone() {
        let source = Source::new(
            "src/a.rs",
            "trait A { fn b(&self); }\ntype C = fn(u8) -> u8;\n",
        );
        assert_eq!(functions(&source).count(), 0);
    }
}
