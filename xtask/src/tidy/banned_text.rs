//! Text that no source may hold: unfinished work, unbounded queues, sleeping threads, silenced
//! lints and tests.

use super::Problem;
use crate::tree::Tree;
use crate::tree::source::{Source, is_ident};

struct Banned {
    text: &'static str,
    remedy: &'static str,
    in_tests_too: bool,
}

const BANNED: [Banned; 8] = [
    Banned::in_product("todo!", "finish it or leave it out"),
    Banned::in_product("unimplemented!", "answer with a coded error"),
    Banned::in_product("dbg!", "use tracing, or remove it"),
    Banned::in_product(
        "unbounded_channel",
        "use a channel with a limit from types::limits",
    ),
    Banned::in_product(
        "thread::sleep",
        "wait for an event, or for a timer of the runtime",
    ),
    Banned::everywhere("#[allow(", "use #[expect(lint, reason = \"…\")]"),
    Banned::everywhere("#![allow(", "use #![expect(lint, reason = \"…\")]"),
    Banned::everywhere("#[ignore", "mend the test or delete it"),
];

impl Banned {
    const fn in_product(text: &'static str, remedy: &'static str) -> Self {
        Self {
            text,
            remedy,
            in_tests_too: false,
        }
    }

    const fn everywhere(text: &'static str, remedy: &'static str) -> Self {
        Self {
            text,
            remedy,
            in_tests_too: true,
        }
    }
}

pub(super) fn check(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, source) in &tree.sources {
        for banned in &BANNED {
            for at in occurrences(source, banned) {
                let what = format!("{} is banned", banned.text);
                problems.push(Problem::at(path, source.line(at), what, banned.remedy));
            }
        }
        for at in std_channels(&source.code).filter(|at| !source.in_tests(*at)) {
            let remedy = "use sync_channel with a limit from types::limits";
            problems.push(Problem::at(
                path,
                source.line(at),
                "the channel has no bound",
                remedy,
            ));
        }
    }
    problems
}

fn occurrences(source: &Source, banned: &Banned) -> impl Iterator<Item = usize> {
    let bytes = source.code.as_bytes();
    source
        .code
        .match_indices(banned.text)
        .map(|(at, _)| at)
        .filter(move |at| {
            let inside_a_name = at
                .checked_sub(1)
                .is_some_and(|before| is_ident(bytes[before]));
            !inside_a_name && (banned.in_tests_too || !source.in_tests(*at))
        })
}

/// Calls of `mpsc::channel` without an argument: those of the standard library.
fn std_channels(code: &str) -> impl Iterator<Item = usize> {
    const CALL: &str = "mpsc::channel";
    code.match_indices(CALL).map(|(at, _)| at).filter(|at| {
        let mut rest = &code[at + CALL.len()..];
        if let Some(generic) = rest.strip_prefix("::<") {
            rest = generic.find(">(").map_or("", |close| &generic[close + 1..]);
        }
        rest.starts_with("()")
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::places;

    #[test]
    fn finds_it_in_code_but_not_in_comments_and_strings() {
        let text = "// todo!()\nfn a() {\n    todo!()\n}\nconst B: &str = \"dbg!\";\n";
        assert_eq!(
            places(super::check, &[("src/lib.rs", text)]),
            ["src/lib.rs:3"]
        );
    }

    #[test]
    fn tests_may_sleep_but_not_be_silenced() {
        let text = "#[cfg(test)]\nmod tests {\n    #[ignore]\n    fn a() { thread::sleep(b) }\n}\n";
        assert_eq!(
            places(super::check, &[("src/lib.rs", text)]),
            ["src/lib.rs:3"]
        );
    }

    #[test]
    fn only_the_channel_without_a_bound_is_banned() {
        let text = "fn a() {\n    mpsc::channel(4);\n    mpsc::channel::<(u8, u8)>();\n}\n";
        assert_eq!(
            places(super::check, &[("src/lib.rs", text)]),
            ["src/lib.rs:3"]
        );
    }
}
