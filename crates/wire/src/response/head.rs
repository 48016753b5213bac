//! The response headers that mean something, from HTTP or from within a stream.

use http::HeaderMap;

use super::{Parsed, Reply};
use crate::duration::{RetryAfter, parse_retry_after};

/// What the headers say.
#[derive(Default)]
pub(super) struct Head {
    pub(super) sdk: Option<String>,
    pub(super) no_retry: Option<bool>,
    pub(super) retry_after: Option<RetryAfter>,
    pub(super) req_version: Option<i64>,
}

impl Head {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut head = Self::default();
        for name in NAMES {
            if let Some(value) = headers.get(name).and_then(|v| v.to_str().ok()) {
                head.set(name, value);
            }
        }
        head
    }

    /// Takes one header up; names that mean nothing are passed over.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let value = value.trim();
        match NAMES.iter().position(|n| n.eq_ignore_ascii_case(name)) {
            Some(0) if !value.is_empty() => self.sdk = Some(value.to_owned()),
            Some(1) => self.no_retry = Some(value.eq_ignore_ascii_case("true")),
            Some(2) => self.retry_after = parse_retry_after(value),
            Some(3) => self.req_version = value.parse().ok(),
            _ => {}
        }
    }

    pub(super) fn parsed(self, reply: Reply) -> Parsed {
        Parsed {
            reply,
            req_version: self.req_version,
            sdk: self.sdk,
        }
    }

    /// Whether a response of that status is final. Without a word on it, only client errors of
    /// JavaScript SDKs from before the header existed are.
    pub(super) fn is_final(&self, status: u16) -> bool {
        self.no_retry.unwrap_or_else(|| {
            (400..500).contains(&status) && self.sdk.as_deref().is_some_and(lacks_the_header)
        })
    }
}

const NAMES: [&str; 4] = [
    "x-inngest-sdk",
    "x-inngest-no-retry",
    "retry-after",
    "x-inngest-req-version",
];

/// `inngest-js` before v1.10.1, and v2 before v2.4.1.
fn lacks_the_header(sdk: &str) -> bool {
    let Some(version) = sdk.strip_prefix("inngest-js:") else {
        return false;
    };
    let mut parts = version.trim_start_matches('v').splitn(3, '.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit());
        part[..digits.unwrap_or(part.len())].parse::<u32>().ok()
    });
    let mut next = || parts.next().flatten();
    match (next(), next(), next()) {
        (Some(0), ..) => true,
        (Some(1), Some(minor), Some(patch)) => (minor, patch) < (10, 1),
        (Some(2), Some(minor), Some(patch)) => (minor, patch) < (4, 1),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ancient_javascript_sdks_end_on_any_client_error() {
        for (sdk, last) in [
            ("inngest-js:v0.9.0", true),
            ("inngest-js:v1.10.0", true),
            ("inngest-js:v1.10.1", false),
            ("inngest-js:v2.4.0", true),
            ("inngest-js:v2.4.1-beta.1", false),
            ("inngest-js:v4.24.0", false),
            ("inngest-py:v0.5.19", false),
            ("go:v0.1.0", false),
            ("inngest-js:", false),
        ] {
            let head = Head {
                sdk: Some(sdk.to_owned()),
                ..Head::default()
            };
            assert_eq!(head.is_final(404), last, "{sdk}");
            assert!(!head.is_final(500));
        }
    }
}
