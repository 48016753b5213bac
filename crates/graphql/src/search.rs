//! The filter language of lists: a line is an expression over `event`, `output` and `error`, and
//! each line must hold.

use dunlin_expr::{Program, Scope};
use dunlin_types::limits::EXPRESSION_BYTES_MAX;
use dunlin_types::{Code, Coded, Timestamp};
use serde_json::Value;

/// What lines may read.
const ROOTS: [&str; 3] = ["event", "output", "error"];

/// Lines, parsed.
#[derive(Debug)]
pub(crate) struct Search(Vec<Program>);

impl Search {
    /// Parses the lines; blank ones ask for nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, Coded> {
        if text.len() > EXPRESSION_BYTES_MAX {
            let why = format!("the query is over {EXPRESSION_BYTES_MAX} bytes");
            return Err(Coded::new(Code::ExpressionBad, why));
        }
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let programs = lines.map(|line| {
            let bad = |error: Coded| Coded::new(error.code, format!("`{line}`: {}", error.detail));
            Program::parse(&rooted(line)).map_err(bad)
        });
        Ok(Self(programs.collect::<Result<_, _>>()?))
    }

    /// Whether all lines hold of `{event, output, error}`. One that cannot be evaluated does not.
    pub(crate) fn holds(&self, of: &Value, now: Timestamp) -> bool {
        let scope = Scope {
            event: of,
            async_event: None,
            now,
        };
        self.0
            .iter()
            .all(|line| line.matches(&scope).unwrap_or(false))
    }
}

/// The line with all that it reads below `event`, which is the one variable that expressions have.
fn rooted(line: &str) -> String {
    let mut out = String::with_capacity(line.len() + 16);
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => quoted(rest, first),
            c if c.is_alphanumeric() || c == '_' => word(rest),
            c => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        let is_member = out.trim_end().ends_with('.');
        if ROOTS.contains(&token) && !is_member {
            out.push_str("event.");
        }
        out.push_str(token);
        rest = after;
    }
    out
}

fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// The length of the string that begins the text.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            c if c == quote && !escaped => return at + 1,
            _ => escaped = false,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn roots_are_moved_below_event_and_nothing_else() {
        for (line, expected) in [
            ("event.data.n == 1", "event.event.data.n == 1"),
            ("output == 'event'", "event.output == 'event'"),
            (
                r#"error.message == "a\" output""#,
                r#"event.error.message == "a\" output""#,
            ),
            (
                "event.output.error == null",
                "event.event.output.error == null",
            ),
            ("event . error", "event.event . error"),
            ("events", "events"),
        ] {
            assert_eq!(rooted(line), expected);
        }
    }

    #[test]
    fn every_line_must_hold() {
        let of = json!({
            "event": {"name": "a", "ts": 5, "data": {"n": 2, "deep": {"x": null}}},
            "output": {"ok": true},
            "error": null,
        });
        let holds = |text: &str| Search::parse(text).unwrap().holds(&of, Timestamp::ZERO);
        for text in [
            "",
            "event.name == 'a'\n\n event.data.n >= 2",
            "output.ok == true",
            "event.data.deep.x == null",
            "event.ts > 4.5",
        ] {
            assert!(holds(text), "{text}");
        }
        for text in [
            "event.name == 'a'\nevent.data.n > 2",
            "error.message == 'x'",
            "output.ok",
            "output",
            "event.data.missing > 1",
        ] {
            assert_eq!(holds(text), text == "output.ok", "{text}");
        }
        for text in ["event.", "step.x == 1", "output ==\n1"] {
            assert_eq!(Search::parse(text).unwrap_err().code, Code::ExpressionBad);
        }
    }
}
