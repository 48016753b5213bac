//! The project's own rules, checked on the tree as it lies there; `cargo test` runs them too.
//!
//! To add a rule: a file under `tidy/` with a `check` and a test on a bad snippet, and a line in
//! [`RULES`]. A rule's problem always says what to do instead.

mod banned_text;
mod crate_edges;
mod dead_files;
mod doc_links;
mod error_pages;
mod file_length;
mod function_length;
mod generated_docs;
mod module_heads;
mod purity;
mod secret_compare;
mod secret_debug;
mod workplace;

use std::fmt;
use std::path::Path;

use anyhow::bail;

use crate::tree::Tree;

/// Every rule.
const RULES: [fn(&Tree) -> Vec<Problem>; 13] = [
    banned_text::check,
    crate_edges::check,
    dead_files::check,
    doc_links::check,
    error_pages::check,
    file_length::check,
    function_length::check,
    generated_docs::check,
    module_heads::check,
    purity::check,
    secret_compare::check,
    secret_debug::check,
    workplace::check,
];

/// Something that breaks a rule.
#[derive(Debug)]
pub(crate) struct Problem {
    file: String,
    line: usize,
    what: String,
    remedy: &'static str,
}

impl Problem {
    /// A problem at that line of that file.
    fn at(file: &str, line: usize, what: impl Into<String>, remedy: &'static str) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
            remedy,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {} → {}",
            self.file, self.line, self.what, self.remedy
        )
    }
}

/// Checks the project at `root` and prints what is wrong.
pub(crate) fn run(root: &Path) -> anyhow::Result<()> {
    let problems = problems(root)?;
    for problem in &problems {
        crate::say(&problem.to_string());
    }
    if problems.is_empty() {
        crate::say("tidy");
        return Ok(());
    }
    bail!("{} problems", problems.len());
}

fn problems(root: &Path) -> anyhow::Result<Vec<Problem>> {
    let tree = Tree::read(root)?;
    let mut problems: Vec<Problem> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    problems.sort_by(|a, b| (&a.file, a.line, &a.what).cmp(&(&b.file, b.line, &b.what)));
    Ok(problems)
}

/// The line of `file` that starts with that name, as dependencies in a manifest do; else the first.
fn line_naming(tree: &Tree, file: &str, name: &str) -> usize {
    let lines = tree
        .texts
        .get(file)
        .into_iter()
        .flat_map(|text| text.lines());
    lines
        .zip(1..)
        .find(|(line, _)| line.starts_with(name))
        .map_or(1, |(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_tidy() {
        let problems = problems(&crate::project_root()).unwrap();
        let report: Vec<String> = problems.iter().map(Problem::to_string).collect();
        assert!(problems.is_empty(), "\n{}\n", report.join("\n"));
    }

    /// Where the problems lie that `rule` finds in these files, as `file:line`.
    pub(super) fn places(rule: fn(&Tree) -> Vec<Problem>, files: &[(&str, &str)]) -> Vec<String> {
        let found = rule(&Tree::of(files)).into_iter();
        found
            .map(|problem| format!("{}:{}", problem.file, problem.line))
            .collect()
    }
}
