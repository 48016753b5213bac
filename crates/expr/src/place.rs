//! Where in a text a fault is, as users count: lines and characters from one.

use cel::parser::{ParseErrors, PrattParser};

/// Characters of the text that a message repeats.
const EXCERPT_CHARS_MAX: usize = 24;

/// A text's fault: what is wrong, and at which byte it shows.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) offset: usize,
    pub(crate) why: String,
}

impl Fault {
    /// `2:7: there is no variable `x`, at `x == 1``.
    pub(crate) fn describe(&self, text: &str) -> String {
        let offset = text.floor_char_boundary(self.offset);
        let (before, rest) = text.split_at(offset);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        let why = &self.why;
        let rest = rest.lines().next().unwrap_or_default().trim_end();
        if rest.is_empty() {
            return format!("{line}:{column}: {why}, at the end");
        }
        let excerpt: String = rest.chars().take(EXCERPT_CHARS_MAX).collect();
        let more = if excerpt.len() < rest.len() {
            "…"
        } else {
            ""
        };
        format!("{line}:{column}: {why}, at `{excerpt}{more}`")
    }
}

/// The byte that the parser's line and column mean; both count from one, the column in bytes.
pub(crate) fn offset_of(text: &str, (line, column): (isize, isize)) -> usize {
    let lines_before = usize::try_from(line - 1).unwrap_or(0);
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start: usize = text
        .split_inclusive('\n')
        .take(lines_before)
        .map(str::len)
        .sum();
    (start + column).min(text.len())
}

/// Where the part of the tree with that id begins. The parser tells only with an error, so the
/// text is parsed once more with one behind it; it numbers the parts as it did before.
pub(crate) fn offset_of_part(text: &str, id: u64) -> usize {
    let provoked = PrattParser::new().parse(&format!("{text}\n)"));
    let Err(ParseErrors { errors }) = provoked else {
        return 0;
    };
    let known = errors.iter().find_map(|error| error.source_info.as_ref());
    let place = known.and_then(|source| source.offset_for(id));
    place.map_or(0, |(start, _)| start as usize)
}
