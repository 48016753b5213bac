//! Which headers a user may set for an endpoint, and which hold secrets.

use dunlin_types::limits::ENDPOINT_HEADER_VALUE_BYTES_MAX;
use dunlin_types::{Code, Coded};
use http::{HeaderName, HeaderValue};

/// Names that belong to the connection, to the message's framing, or to Dunlin.
const REFUSED: [&str; 21] = [
    "age",
    "cache-control",
    "clear-site-data",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "expires",
    "host",
    "keep-alive",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "warning",
];

/// Prefixes that cloud front ends and signing schemes trust.
const REFUSED_PREFIXES: [&str; 9] = [
    "svix-", "webhook-", "x-amz-", "x-amzn-", "x-azure-", "x-fd-", "x-gfe", "x-goog-", "x-svix-",
];

const SECRET: [&str; 10] = [
    "api-key",
    "apikey",
    "authorization",
    "cookie",
    "proxy-authenticate",
    "proxy-authorization",
    "set-cookie",
    "www-authenticate",
    "x-api-key",
    "x-auth-token",
];

/// A header that a user wants sent to an endpoint.
///
/// # Errors
/// [`Code::HeaderRefused`]; the value is not repeated.
pub fn check_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Coded> {
    let refused = |why: &str| Coded::new(Code::HeaderRefused, why);
    let name = HeaderName::try_from(name).map_err(|_| refused("a header's name is not valid"))?;
    let text = name.as_str();
    if text == "user-agent"
        || text.starts_with("x-google")
        || REFUSED.contains(&text)
        || REFUSED_PREFIXES
            .iter()
            .any(|prefix| text.starts_with(prefix))
    {
        return Err(refused(&format!("the header `{text}` may not be set")));
    }
    if value.len() > ENDPOINT_HEADER_VALUE_BYTES_MAX {
        return Err(refused(&format!("the value of `{text}` is too long")));
    }
    let mut parsed = HeaderValue::try_from(value).map_err(|_| {
        refused(&format!(
            "the value of `{text}` has characters it may not have"
        ))
    })?;
    parsed.set_sensitive(is_secret_header(&name));
    Ok((name, parsed))
}

/// Whether values of that header are shown only redacted.
#[must_use]
pub fn is_secret_header(name: &HeaderName) -> bool {
    SECRET.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_and_of_signatures_are_refused() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "webhook-id",
            "svix-signature",
            "x-amz-date",
            "X-Google-Thing",
            "connection",
            "User-Agent",
            "TE",
            "bad name",
            "",
        ] {
            let refused = check_header(name, "x").unwrap_err();
            assert_eq!(refused.code, Code::HeaderRefused, "{name}");
        }
    }

    #[test]
    fn values_cannot_break_the_line_or_be_endless() {
        assert!(check_header("x-team", "a\r\nwebhook-id: b").is_err());
        assert!(check_header("x-team", &"a".repeat(4096)).is_ok());
        assert!(check_header("x-team", &"a".repeat(4097)).is_err());
    }

    #[test]
    fn cookies_and_keys_are_secrets() {
        for name in ["Cookie", "Set-Cookie", "Api-Key", "apikey", "X-Api-Key"] {
            let name = HeaderName::try_from(name).unwrap();
            assert!(is_secret_header(&name), "{name}");
        }
    }

    #[test]
    fn a_secret_is_marked_and_a_form_type_allowed() {
        assert!(
            check_header("Authorization", "Bearer x")
                .unwrap()
                .1
                .is_sensitive()
        );
        assert!(
            !check_header("Content-Type", "text/plain")
                .unwrap()
                .1
                .is_sensitive()
        );
    }
}
