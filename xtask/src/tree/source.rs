//! A Rust file with its comments and literals blanked out, so that rules can look for text without
//! a parser. Offsets and lines of the blanked code are those of the file.

use std::ops::Range;

/// One Rust file.
pub(crate) struct Source {
    /// The file as written.
    pub(crate) text: String,
    /// The same bytes with comments and the insides of literals replaced by spaces.
    pub(crate) code: String,
    /// Byte ranges of items under `#[cfg(test)]`.
    pub(crate) test_ranges: Vec<Range<usize>>,
    /// Whether the whole file is compiled for tests only.
    pub(crate) is_test: bool,
    /// Whether a crate root leads to it.
    pub(crate) is_reached: bool,
}

impl Source {
    /// Blanks and measures that text.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = blank(text);
        let test_ranges = test_ranges(&code);
        let is_test = path
            .split('/')
            .any(|part| part == "tests" || part == "benches");
        Self {
            text: text.to_owned(),
            code,
            test_ranges,
            is_test,
            is_reached: false,
        }
    }

    /// Whether that byte belongs to an item that is compiled for tests only.
    pub(crate) fn in_tests(&self, offset: usize) -> bool {
        self.is_test || self.test_ranges.iter().any(|range| range.contains(&offset))
    }

    /// The number of the line that byte stands on, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        line_of(&self.code, offset)
    }
}

/// The number of the line that byte stands on, from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// Offsets at which `word` stands in `code` as a whole word.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| {
            let before = at.checked_sub(1).is_some_and(|i| is_ident(bytes[i]));
            let after = bytes
                .get(at + word.len())
                .is_some_and(|byte| is_ident(*byte));
            !before && !after
        })
}

/// Whether that byte may stand in a name.
pub(crate) fn is_ident(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// The name that starts at `from`, after white space.
pub(crate) fn name_at(code: &str, from: usize) -> Option<&str> {
    let rest = code[from..].trim_start();
    let rest = rest.strip_prefix("r#").unwrap_or(rest);
    let end = rest
        .bytes()
        .position(|byte| !is_ident(byte))
        .unwrap_or(rest.len());
    (end > 0).then(|| &rest[..end])
}

/// The first `{ … }` after `from` that is outside round and square brackets, or `None` if a
/// semicolon comes first.
pub(crate) fn body_after(code: &str, from: usize) -> Option<Range<usize>> {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b';' if depth == 0 => return None,
            b'{' if depth == 0 => return Some(at..closing_brace(code, at)),
            _ => {}
        }
    }
    None
}

/// The offset behind the brace that closes the one at `open`.
fn closing_brace(code: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    code.len()
}

fn test_ranges(code: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (at, attribute) in code.match_indices("#[cfg(test)]") {
        let after = at + attribute.len();
        let end = match body_after(code, after) {
            Some(body) => body.end,
            None => code[after..]
                .find(';')
                .map_or(code.len(), |semicolon| after + semicolon + 1),
        };
        if ranges.last().is_none_or(|last| last.end <= at) {
            ranges.push(at..end);
        }
    }
    ranges
}

/// Replaces comments and the insides of literals by spaces, keeping every offset.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let (skip, end) = literal(bytes, at);
        for byte in &mut out[(at + skip).min(end)..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What starts at `at`: how many of its bytes stay, and where it ends. Plain code ends where it
/// starts.
fn literal(bytes: &[u8], at: usize) -> (usize, usize) {
    let rest = &bytes[at..];
    let starts_word = at == 0 || !is_ident(bytes[at - 1]);
    match rest {
        [b'/', b'/', ..] => (
            0,
            at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        ),
        [b'/', b'*', ..] => (0, at + block_comment(rest)),
        [b'"', ..] => (1, at + quoted(rest, b'"')),
        [b'r', ..] if starts_word => (1, at + raw_string(rest, 1)),
        [b'b' | b'c', b'r', ..] if starts_word => (2, at + raw_string(rest, 2)),
        [b'\'', ..] => (1, at + character(rest)),
        _ => (0, at),
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// The length of the raw string whose `#`s start at `prefix`, or 0 if there is none.
fn raw_string(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..]
        .iter()
        .take_while(|byte| **byte == b'#')
        .count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return 0;
    }
    let start = prefix + hashes + 1;
    let mut end = vec![b'"'];
    end.resize(hashes + 1, b'#');
    let found = rest[start..]
        .windows(end.len())
        .position(|window| window == end);
    found.map_or(rest.len(), |at| start + at + end.len())
}

/// The length of a character literal, or 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    match rest.get(1) {
        Some(b'\\') => quoted(rest, b'\''),
        Some(first) => {
            let width = first.leading_ones().max(1) as usize;
            if rest.get(1 + width) == Some(&b'\'') {
                width + 2
            } else {
                0
            }
        }
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, code: &str) {
        let blanked = blank(text);
        assert_eq!(blanked.len(), text.len(), "offsets must stay");
        let squeezed: Vec<&str> = blanked.split_whitespace().collect();
        assert_eq!(squeezed.join(" "), code);
    }

    #[test]
    fn comments_and_literals_become_spaces() {
        check("a(); // todo!()\nb();", "a(); b();");
        check("a /* x /* y */ z */ b", "a b");
        check(r#"a("b \" c"); d"#, r#"a(" ); d"#);
    }

    #[test]
    fn raw_strings_end_at_their_own_hashes() {
        check("a(r##\"x\"# y\"##) b", "a(r ) b");
        check("let r#type = 1;", "let r#type = 1;");
    }

    #[test]
    fn lifetimes_are_not_characters() {
        check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
        check(
            "x == '{' || y == '\\'' || z == 'é'",
            "x == ' || y == ' || z == '",
        );
    }

    #[test]
    fn test_modules_are_found_whole() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { c() }\n}\nfn d() {}\n";
        let source = Source::new("src/lib.rs", text);
        assert!(!source.in_tests(text.find("fn a").unwrap()));
        assert!(source.in_tests(text.find("fn b").unwrap()));
        assert!(!source.in_tests(text.find("fn d").unwrap()));
    }
}
