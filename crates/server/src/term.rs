//! What people read on their terminal. The one place that prints; logs go elsewhere.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// How a piece of text stands out. Without a terminal, or with `NO_COLOR`, it does not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Bold,
    Dim,
    Good,
    Bad,
    Note,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Note => "33",
        }
    }
}

/// Whether the environment wants no colours (no-color.org: set and not empty).
pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Term {
    color: bool,
    person: bool,
}

impl Term {
    pub(crate) fn stdout() -> Self {
        let person = std::io::stdout().is_terminal();
        Self {
            color: person && !no_color(),
            person,
        }
    }

    /// Whether somebody reads along: secrets are shown to nobody else.
    pub(crate) const fn has_reader(self) -> bool {
        self.person
    }

    pub(crate) fn paint(self, style: Style, text: impl Display) -> String {
        if self.color {
            format!("\u{1b}[{}m{text}\u{1b}[0m", style.code())
        } else {
            text.to_string()
        }
    }

    /// One line. A reader that went away (`| head`) is no reason to fail.
    pub(crate) fn line(self, text: impl Display) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// A name in its column, and its value.
    pub(crate) fn pair(self, name: &str, value: impl Display) {
        let padded = format!("{name:<11}");
        self.line(format_args!("  {} {value}", self.paint(Style::Dim, padded)));
    }
}

/// How this program was called, for commands that are shown to be typed.
pub(crate) fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "dunlin".to_owned())
}

/// A failure or a remark, on standard error.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
