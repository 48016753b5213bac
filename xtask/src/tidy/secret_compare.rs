//! Secrets and what proves them are compared at one place, in constant time: nothing else knows the
//! crate that does it, and `==` is not written between them.

use super::Problem;
use crate::tree::Tree;
use crate::tree::source::{Source, is_ident, words};

/// The file whose function compares.
const PLACE: &str = "crates/types/src/secret.rs";
/// The package of that file.
const PACKAGE: &str = "types";
const REMEDY: &str = "use dunlin_types::constant_time_eq, or Secret::matches";

/// Last words of the names of what is secret, or proves a secret.
const SECRET_WORDS: [&str; 8] = [
    "bearer",
    "digest",
    "hmac",
    "mac",
    "password",
    "secret",
    "signature",
    "token",
];
/// The same, where secrets are compared.
const WORDS_BESIDE: [&str; 5] = ["claim", "claimed", "given", "right", "tag"];
/// Calls after a name that give the same value in another form.
const SAME_VALUE: [&str; 8] = [
    "as_bytes", "as_deref", "as_ref", "as_slice", "as_str", "clone", "reveal", "to_owned",
];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in &tree.packages {
        let knows = package.dependencies.iter().any(|one| one.name == "subtle");
        if knows && package.short_name() != PACKAGE {
            let path = &package.manifest_path;
            let line = super::line_naming(tree, path, "subtle");
            problems.push(Problem::at(path, line, "it depends on subtle", REMEDY));
        }
    }
    for (path, source) in tree.product_sources() {
        if path == PLACE {
            continue;
        }
        for at in words(&source.code, "subtle").filter(|at| !source.in_tests(*at)) {
            problems.push(Problem::at(
                path,
                source.line(at),
                "it names subtle",
                REMEDY,
            ));
        }
        for (at, name) in comparisons(source) {
            let what = format!("`{name}` is compared by an operator");
            problems.push(Problem::at(path, source.line(at), what, REMEDY));
        }
    }
    problems
}

/// Where `==` or `!=` stands beside the name of something secret, outside of tests.
fn comparisons(source: &Source) -> Vec<(usize, String)> {
    let code = source.code.as_str();
    let is_beside = words(code, "constant_time_eq").next().is_some();
    let operators = code.match_indices("==").chain(code.match_indices("!="));
    let mut found: Vec<(usize, String)> = operators
        .map(|(at, _)| at)
        .filter(|at| !source.in_tests(*at))
        .filter_map(|at| {
            let (left, right) = (before(&code[..at]), after(&code[at + 2..]));
            if is_constant(left) || is_constant(right) {
                return None;
            }
            let name = [left, right]
                .into_iter()
                .find_map(|one| secret_name(one, is_beside))?;
            Some((at, name.to_owned()))
        })
        .collect();
    found.sort_unstable();
    found
}

/// The path or chain of calls that ends the text.
fn before(text: &str) -> &str {
    let text = text.trim_end();
    let mut depth = 0_i32;
    let mut start = text.len();
    for (at, byte) in text.bytes().enumerate().rev() {
        match byte {
            b')' | b']' => depth += 1,
            b'(' | b'[' => depth -= 1,
            b'.' | b':' | b'"' => {}
            _ if is_ident(byte) || depth > 0 => {}
            _ => break,
        }
        if depth < 0 {
            break;
        }
        start = at;
    }
    &text[start..]
}

/// The path or chain of calls that begins the text.
fn after(text: &str) -> &str {
    let text = text.trim_start().trim_start_matches(['&', '*']);
    let mut depth = 0_i32;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'.' | b':' | b'"' => {}
            _ if is_ident(byte) || depth > 0 => {}
            _ => return &text[..at],
        }
        if depth < 0 {
            return &text[..at];
        }
    }
    text
}

/// Whether it is a literal or a constant, which nobody has to guess.
fn is_constant(operand: &str) -> bool {
    let last = operand.rsplit("::").next().unwrap_or_default();
    let is_named = last.bytes().any(|byte| byte.is_ascii_uppercase())
        && !last.bytes().any(|byte| byte.is_ascii_lowercase());
    let first = operand.bytes().next();
    is_named || first.is_some_and(|byte| byte == b'"' || byte.is_ascii_digit())
}

/// The name behind what is the same value in another form, if it is that of something secret.
fn secret_name(operand: &str, is_beside: bool) -> Option<&str> {
    if operand.ends_with(".reveal()") || operand.contains(".reveal().") {
        return Some(operand);
    }
    let mut rest = operand;
    while let Some((value, call)) = rest
        .strip_suffix("()")
        .and_then(|text| text.rsplit_once('.'))
    {
        if !SAME_VALUE.contains(&call) {
            return None;
        }
        rest = value;
    }
    let name = rest.rsplit(['.', ':']).next()?;
    let word = name.rsplit('_').next()?;
    let is_secret = SECRET_WORDS.contains(&word) || (is_beside && WORDS_BESIDE.contains(&word));
    is_secret.then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;
    use crate::tree::metadata::{Dependency, Package};

    #[test]
    fn operators_beside_secrets_are_found_outside_tests() {
        let text = "//! Head.\nfn a() {\n    if mac == claim {}\n    b(x.url_token.as_bytes() != c);\n    \
                    given == *right.reveal();\n    self.f(d)? == &self.signature\n}\n\
                    #[cfg(test)]\nmod tests { fn c() { mac == d } }\n";
        let found = places(check, &[("crates/wire/src/a.rs", text)]);
        let lines: Vec<&str> = found.iter().filter_map(|f| f.rsplit(':').next()).collect();
        assert_eq!(lines, ["3", "4", "5", "6"]);
        assert!(places(check, &[("crates/wire/tests/a.rs", text)]).is_empty());
    }

    #[test]
    fn where_secrets_are_compared_claims_are_not_compared_by_operators_either() {
        let text = "//! Head.\nfn a() {\n    claimed == right;\n}\n";
        assert!(places(check, &[("crates/node/src/a.rs", text)]).is_empty());
        let text = text.replace("right;", "right | constant_time_eq(a, b);");
        let found = places(check, &[("crates/wire/src/a.rs", &text)]);
        assert_eq!(found, ["crates/wire/src/a.rs:3"]);
    }

    #[test]
    fn lengths_constants_literals_and_other_names_are_nobodys_secret() {
        let text = "//! Head.\nfn a() {\n    mac.len() == 32;\n    token != Token::NONE;\n    \
                    token == \"all\";\n    secret.is_empty() == b;\n    machine == token_count;\n    \
                    a => b, secret; c == d;\n    secrets.len() != 0;\n    f(token, c == d);\n}\n";
        assert!(places(check, &[("crates/wire/src/a.rs", text)]).is_empty());
    }

    #[test]
    fn only_one_file_knows_how_to_compare() {
        let text = "//! Head.\nuse subtle::ConstantTimeEq as _;\n";
        assert_eq!(
            places(check, &[(PLACE, text), ("crates/api/src/a.rs", text)]),
            ["crates/api/src/a.rs:2"]
        );
        let mut tree = Tree::of(&[("crates/wire/Cargo.toml", "\nsubtle.workspace = true\n")]);
        let package = |name: &str| Package {
            name: format!("dunlin-{name}"),
            manifest_path: format!("crates/{name}/Cargo.toml"),
            dependencies: vec![Dependency {
                name: "subtle".to_owned(),
                kind: None,
            }],
            targets: Vec::new(),
        };
        tree.packages = vec![package("types"), package("wire")];
        let found: Vec<String> = check(&tree).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/wire/Cargo.toml:2:"));
    }
}
