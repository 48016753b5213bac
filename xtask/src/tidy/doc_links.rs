//! Links between the project's own pages lead somewhere.

use super::Problem;
use crate::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.texts.iter().filter(|(path, _)| path.ends_with(".md")) {
        for (line, target) in links(text) {
            if !exists(tree, path, target) {
                let what = format!("the link to {target} leads nowhere");
                problems.push(Problem::at(path, line, what, "name a file of the project"));
            }
        }
    }
    problems
}

/// The local targets of inline links, with their lines; fenced code is skipped.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let before = &line[..at];
            let in_code_span = before.matches('`').count() % 2 == 1;
            let Some((target, _)) = line[at + 2..].split_once(')') else {
                continue;
            };
            let is_local = !target.contains("://") && !target.starts_with("mailto:");
            if is_local && !in_code_span {
                found.push((index + 1, target));
            }
        }
    }
    found
}

fn exists(tree: &Tree, page: &str, target: &str) -> bool {
    let target = target.split('#').next().unwrap_or_default();
    if target.is_empty() {
        return true;
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." if parts.pop().is_none() => return false,
            ".." => {}
            name => parts.push(name),
        }
    }
    let wanted = parts.join("/");
    wanted.is_empty() || tree.paths.contains(&wanted)
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;

    #[test]
    fn a_link_must_name_a_file() {
        let page = "# A\n[b](../b.md#part) [c](c.md)\n`[d](d.md)` [e](https://e.example)\n\
                    ```\n[f](f.md)\n```\n[g](#a)\n";
        let files = [("docs/a.md", page), ("b.md", "")];
        assert_eq!(places(super::check, &files), ["docs/a.md:2"]);
    }
}
