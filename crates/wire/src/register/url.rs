//! Addresses of apps, compared in one form and dialled in another.

/// Query parameters that vary between addresses of one app.
const PASSING: [&str; 4] = ["deployId", "probe", "fnId", "stepId"];

/// Whether the address is one that apps can have.
pub(super) fn has_known_scheme(url: &str) -> bool {
    matches!(parts(url), Some((scheme, rest))
        if matches!(scheme.as_str(), "http" | "https" | "ws" | "wss")
            && !rest.is_empty() && !rest.starts_with('/'))
}

fn parts(url: &str) -> Option<(String, &str)> {
    let (scheme, rest) = url.trim().split_once("://")?;
    Some((scheme.to_ascii_lowercase(), rest))
}

/// The form under which two addresses of one app are the same: names of this machine are
/// `localhost`, default ports and passing parameters are dropped. Not for dialling.
#[must_use]
pub fn app_identity_url(url: &str) -> String {
    let Some((scheme, rest)) = parts(url) else {
        return url.trim().to_owned();
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let key = pair.split('=').next().unwrap_or_default();
            !pair.is_empty() && !PASSING.contains(&key)
        })
        .collect();
    let separator = if kept.is_empty() { "" } else { "?" };
    let path = if path.is_empty() { "/" } else { path };
    format!(
        "{scheme}://{}{path}{separator}{}",
        identity_host(&scheme, authority),
        kept.join("&")
    )
}

fn identity_host(scheme: &str, authority: &str) -> String {
    let authority = authority.to_ascii_lowercase();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        _ => (authority.as_str(), ""),
    };
    let host = match host {
        "127.0.0.1" | "0.0.0.0" | "[::1]" => "localhost",
        host => host,
    };
    match (scheme, port) {
        (_, "") | ("http" | "ws", "80") | ("https" | "wss", "443") => host.to_owned(),
        _ => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_app_are_one() {
        for (url, identity) in [
            (
                "http://127.0.0.1:3000/api/inngest",
                "http://localhost:3000/api/inngest",
            ),
            (
                "http://0.0.0.0:3000/api/inngest",
                "http://localhost:3000/api/inngest",
            ),
            ("http://[::1]:3000/api", "http://localhost:3000/api"),
            (
                "HTTP://LocalHost:3000/Api?fnId=a&x=1&stepId=step",
                "http://localhost:3000/Api?x=1",
            ),
            (
                "https://a.example:443/x?deployId=1#f",
                "https://a.example/x",
            ),
            ("http://a.example:80", "http://a.example/"),
            ("https://a.example:8443/", "https://a.example:8443/"),
            ("http://[2001:db8::1]/x", "http://[2001:db8::1]/x"),
            ("not a url", "not a url"),
        ] {
            assert_eq!(app_identity_url(url), identity, "{url}");
            assert_eq!(app_identity_url(identity), identity, "{url}");
        }
    }

    #[test]
    fn only_web_addresses_are_known() {
        for url in [
            "http://a",
            "HTTPS://a/b",
            "ws://connect?app_name=a",
            "wss://a",
        ] {
            assert!(has_known_scheme(url), "{url}");
        }
        for url in [
            "",
            "a",
            "ftp://a",
            "http://",
            "http:///x",
            "file:///etc/passwd",
        ] {
            assert!(!has_known_scheme(url), "{url}");
        }
    }
}
