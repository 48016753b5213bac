//! Text that must not be seen.

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Whether the two are the same, told in a time that depends on their lengths only. Whatever a
/// caller claims is compared with what is right by this function and no other; a rule of tidy looks
/// after it. Several claims are joined by `|`, which asks for all of them, not by `||`.
#[must_use]
pub fn constant_time_eq(claimed: &[u8], right: &[u8]) -> bool {
    claimed.ct_eq(right).into()
}

/// A secret: redacted in every output, wiped when dropped. [`Secret::reveal`] is the only way in.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Whether it is that text, told in a time that depends on the lengths only.
    #[must_use]
    pub fn matches(&self, claimed: &str) -> bool {
        constant_time_eq(claimed.as_bytes(), self.0.as_bytes())
    }

    /// The text itself, for signing and the one page that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.reveal())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_bytes_of_equal_length_are_the_same() {
        for (claimed, right, equal) in [
            ("abc", "abc", true),
            ("abd", "abc", false),
            ("ab", "abc", false),
            ("abcd", "abc", false),
            ("", "abc", false),
            ("", "", true),
        ] {
            assert_eq!(
                constant_time_eq(claimed.as_bytes(), right.as_bytes()),
                equal,
                "{claimed:?}"
            );
            assert_eq!(Secret::new(right).matches(claimed), equal, "{claimed:?}");
            assert_eq!(Secret::new(right) == Secret::new(claimed), equal);
        }
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {secret:#?}"),
            "Secret(redacted) Secret(redacted)"
        );
    }
}
