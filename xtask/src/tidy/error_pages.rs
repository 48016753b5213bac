//! Every error code has its page, every page its code, and both say the same.

use dunlin_types::Code;

use super::Problem;
use crate::tree::Tree;

const FOLDER: &str = "docs/errors/";
const SECTIONS: [&str; 2] = ["\n## Causes\n", "\n## Remedy\n"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems: Vec<Problem> = Code::ALL
        .iter()
        .filter_map(|code| check_page(tree, *code))
        .collect();
    problems.extend(tree.texts.keys().filter_map(|path| check_code(path)));
    problems
}

fn check_page(tree: &Tree, code: Code) -> Option<Problem> {
    let path = format!("{FOLDER}{code}.md");
    let heading = format!("# {code}: {}", code.title());
    let Some(text) = tree.texts.get(&path) else {
        let what = format!("{code} has no page");
        return Some(Problem::at(
            &path,
            1,
            what,
            "write what it means, its causes and the remedy",
        ));
    };
    if text.lines().next() != Some(heading.as_str()) {
        let what = format!("the heading is not `{heading}`");
        return Some(Problem::at(&path, 1, what, "repeat the title of code.rs"));
    }
    let missing = SECTIONS.iter().find(|section| !text.contains(*section))?;
    let what = format!("the section `{}` is missing", missing.trim());
    Some(Problem::at(
        &path,
        1,
        what,
        "write it: a reader comes here to get on",
    ))
}

/// A page whose code does not exist.
fn check_code(path: &str) -> Option<Problem> {
    let name = path.strip_prefix(FOLDER)?.strip_suffix(".md")?;
    let number = name.strip_prefix('E')?.parse().ok();
    let known = number.and_then(Code::from_number).is_some();
    let remedy = "delete the page or add the code to crates/types/src/code.rs";
    (!known).then(|| Problem::at(path, 1, format!("there is no code {name}"), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_page_a_wrong_heading_and_a_page_too_many_are_found() {
        let code = Code::ALL[0];
        let page = format!("docs/errors/{code}.md");
        let tree = Tree::of(&[
            (page.as_str(), "# something else\n"),
            ("docs/errors/E9999.md", ""),
        ]);
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), Code::ALL.len() + 1);
        assert!(found[0].contains("the heading is not"));
        assert!(found[1].contains("has no page"));
        assert!(found[Code::ALL.len()].contains("there is no code E9999"));
    }

    #[test]
    fn a_page_needs_its_sections() {
        let code = Code::ALL[0];
        let text = format!("# {code}: {}\n\n## Causes\n\nNone.\n", code.title());
        let tree = Tree::of(&[(format!("{FOLDER}{code}.md").as_str(), text.as_str())]);
        let problem = check_page(&tree, code).unwrap();
        assert_eq!(problem.what, "the section `## Remedy` is missing");
    }
}
