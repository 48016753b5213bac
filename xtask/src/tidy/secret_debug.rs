//! What holds a secret as plain text does not print itself: one `{:?}` in a log line would be enough.

use super::Problem;
use crate::tree::Tree;
use crate::tree::source::{Source, body_after, is_ident, words};

const REMEDY: &str = "hold it as dunlin_types::Secret, or leave Debug out of the derive";

/// Last words of the names of fields that hold secrets.
const SECRET_WORDS: [&str; 9] = [
    "authorization",
    "bearer",
    "credentials",
    "passphrase",
    "password",
    "secret",
    "secrets",
    "token",
    "variables",
];
/// Whole names of such fields.
const SECRET_NAMES: [&str; 9] = [
    "admin_key",
    "client_key",
    "event_key",
    "event_keys",
    "private_key",
    "proxy",
    "seal_key",
    "signing_key",
    "signing_key_fallback",
];
/// Types that print what they hold.
const TEXTS: [&str; 4] = ["Bytes", "String", "str", "u8"];

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, source) in tree.product_sources() {
        for (at, name) in printed_secrets(source) {
            let what = format!("`{name}` is a secret that Debug prints");
            problems.push(Problem::at(path, source.line(at), what, REMEDY));
        }
    }
    problems
}

/// The fields with secrets of types that derive `Debug`, outside of tests.
fn printed_secrets(source: &Source) -> Vec<(usize, String)> {
    let code = source.code.as_str();
    let mut found = Vec::new();
    for (at, derive) in code.match_indices("#[derive(") {
        let list = &code[at + derive.len()..];
        let list = &list[..list.find(')').unwrap_or(0)];
        if source.in_tests(at) || words(list, "Debug").next().is_none() {
            continue;
        }
        let Some(body) = body_after(code, at) else {
            continue;
        };
        let mut start = body.start;
        for part in code[body].split_inclusive(['\n', '{']) {
            found.extend(secret_field(part).map(|name| (start, name.to_owned())));
            start += part.len();
        }
    }
    found
}

/// The name of the field in that text, if it is that of a secret and its type is text.
fn secret_field(text: &str) -> Option<&str> {
    let (name, kind) = text.split_once(": ")?;
    let name = name.rsplit([' ', '{']).next()?;
    let word = name.rsplit('_').next()?;
    let is_secret = SECRET_WORDS.contains(&word) || SECRET_NAMES.contains(&name);
    let mut idents = kind.split(|c: char| !c.is_ascii() || !is_ident(c as u8));
    let is_type = |ident: &&str| !ident.is_empty() && !ident.as_bytes()[0].is_ascii_digit();
    let last = idents.rfind(is_type)?;
    (is_secret && TEXTS.contains(&last)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;
    use super::*;

    #[test]
    fn secrets_in_plain_text_are_found_where_debug_is_derived() {
        let text = "//! Head.\n#[derive(Clone, Debug)]\n/// A.\n#[serde(default)]\n\
                    pub struct A {\n    pub(crate) old_secret: Option<String>,\n    name: String,\n    \
                    seal_key: Vec<String>,\n    hash_of_token: u64,\n    url_token: [u8; 32],\n}\n\
                    #[derive(Debug)]\nenum B {\n    One { password: &'static str },\n    Two {\n        \
                    variables: BTreeMap<String, String>,\n    },\n}\n";
        let found = places(check, &[("crates/api/src/a.rs", text)]);
        let lines: Vec<&str> = found.iter().filter_map(|f| f.rsplit(':').next()).collect();
        assert_eq!(lines, ["6", "8", "10", "14", "16"]);
        assert!(places(check, &[("crates/api/tests/a.rs", text)]).is_empty());
    }

    #[test]
    fn what_redacts_itself_or_is_not_printed_may_hold_secrets() {
        let text = "//! Head.\n#[derive(Debug)]\nstruct A {\n    secret: Secret,\n    \
                    signing_key: Option<Arc<SigningKey>>,\n    variables: BTreeMap<String, Secret>,\n    \
                    token: Token,\n    ordering_key: String,\n}\n\
                    #[derive(Clone)]\nstruct B {\n    secret: String,\n}\n\
                    #[derive(Debug)]\nstruct C;\nfn d() {\n    secret: String;\n}\n";
        assert!(places(check, &[("crates/api/src/a.rs", text)]).is_empty());
    }
}
