//! Which Rust files are part of a crate: from each crate root along its `mod` declarations.

use std::collections::BTreeMap;

use super::metadata::Package;
use super::source::{Source, body_after, name_at, words};

/// A crate root and whether it is compiled for tests only.
pub(crate) type Root = (String, bool);

/// The crate roots of these packages.
pub(crate) fn roots(packages: &[Package]) -> Vec<Root> {
    let targets = packages.iter().flat_map(|package| &package.targets);
    targets
        .map(|target| {
            let for_tests = target
                .kind
                .iter()
                .any(|kind| kind == "test" || kind == "bench");
            (target.src_path.clone(), for_tests)
        })
        .collect()
}

/// Every file that a root leads to, with whether only tests do.
pub(crate) fn reach(roots: &[Root], sources: &BTreeMap<String, Source>) -> BTreeMap<String, bool> {
    let mut reached: BTreeMap<String, bool> = BTreeMap::new();
    let mut queue: Vec<(String, bool, bool)> = roots
        .iter()
        .map(|(path, test)| (path.clone(), *test, true))
        .collect();
    while let Some((path, for_tests, is_root)) = queue.pop() {
        let Some(source) = sources.get(&path) else {
            continue;
        };
        // A file that was reached for tests is walked again when the product reaches it too.
        if reached.get(&path).is_some_and(|known| !known || for_tests) {
            continue;
        }
        reached.insert(path.clone(), for_tests);
        for declared in declarations(source) {
            let candidates = declared.candidates(&path, is_root);
            if let Some(found) = candidates
                .into_iter()
                .find(|file| sources.contains_key(file))
            {
                queue.push((found, for_tests || declared.in_tests, false));
            }
        }
    }
    reached
}

/// One `mod name;`.
struct Declared {
    /// The inline modules around it and its own name.
    names: Vec<String>,
    /// The text of `#[path = "…"]`, if it has one.
    path: Option<String>,
    in_tests: bool,
}

impl Declared {
    /// The files it may mean when it stands in `file`.
    fn candidates(&self, file: &str, is_root: bool) -> Vec<String> {
        let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
        if let Some(path) = &self.path {
            return vec![format!("{folder}/{path}")];
        }
        let own = name.trim_end_matches(".rs");
        let base = if is_root || own == "mod" {
            folder.to_owned()
        } else {
            format!("{folder}/{own}")
        };
        let stem = format!("{base}/{}", self.names.join("/"));
        vec![format!("{stem}.rs"), format!("{stem}/mod.rs")]
    }
}

fn declarations(source: &Source) -> Vec<Declared> {
    let code = source.code.as_str();
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut found = Vec::new();
    for at in words(code, "mod") {
        inline.retain(|(_, end)| *end > at);
        let Some(name) = name_at(code, at + "mod".len()) else {
            continue;
        };
        if let Some(body) = body_after(code, at) {
            inline.push((name.to_owned(), body.end));
            continue;
        }
        let mut names: Vec<String> = inline.iter().map(|(name, _)| name.clone()).collect();
        names.push(name.to_owned());
        let path = path_attribute(source, at);
        found.push(Declared {
            names,
            path,
            in_tests: source.in_tests(at),
        });
    }
    found
}

/// The `#[path = "…"]` between the item before and the `mod` at that offset.
fn path_attribute(source: &Source, at: usize) -> Option<String> {
    let start = source.code[..at]
        .rfind([';', '{', '}'])
        .map_or(0, |end| end + 1);
    let attribute = words(&source.code[start..at], "path").next()? + start;
    source.text[attribute..at]
        .split('"')
        .nth(1)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[(&str, bool)]) {
        let sources = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), Source::new(path, text)));
        let reached = reach(&[("a/src/lib.rs".to_owned(), false)], &sources.collect());
        let expected = expected
            .iter()
            .map(|(path, test)| ((*path).to_owned(), *test))
            .collect();
        assert_eq!(reached, expected);
    }

    #[test]
    fn follows_both_file_layouts_and_inline_modules() {
        check(
            &[
                ("a/src/lib.rs", "mod b;\npub mod c;\nmod d { mod e; }"),
                ("a/src/b.rs", "mod f;"),
                ("a/src/b/f.rs", ""),
                ("a/src/c/mod.rs", "mod g;"),
                ("a/src/c/g.rs", ""),
                ("a/src/d/e.rs", ""),
                ("a/src/dead.rs", ""),
            ],
            &[
                ("a/src/b.rs", false),
                ("a/src/b/f.rs", false),
                ("a/src/c/g.rs", false),
                ("a/src/c/mod.rs", false),
                ("a/src/d/e.rs", false),
                ("a/src/lib.rs", false),
            ],
        );
    }

    #[test]
    fn a_test_module_in_its_own_file_is_a_test() {
        check(
            &[
                (
                    "a/src/lib.rs",
                    "#[cfg(test)]\nmod tests;\n#[path = \"odd.rs\"]\nmod even;",
                ),
                ("a/src/tests.rs", ""),
                ("a/src/odd.rs", ""),
            ],
            &[
                ("a/src/lib.rs", false),
                ("a/src/odd.rs", false),
                ("a/src/tests.rs", true),
            ],
        );
    }
}
