//! What of an attempt is kept for those who look at it later: never what may be a credential.

use dunlin_egress::{is_secret_header, without_query, without_userinfo};
use dunlin_types::limits;
use http::{HeaderMap, HeaderName, HeaderValue};

/// What stands for a value that is not kept.
const HIDDEN: &str = "********";

/// The URL that was asked. What a script made may have a secret in its query, and in its path one
/// of the variables that it was given.
pub(crate) fn url<'a>(
    asked: &str,
    own: &str,
    variables: impl IntoIterator<Item = &'a String>,
) -> String {
    if asked == own {
        return without_userinfo(asked);
    }
    let given = variables.into_iter().filter(|value| !value.is_empty());
    given.fold(without_query(asked), |url, value| {
        url.replace(value, HIDDEN)
    })
}

/// The headers that went out. Values are kept only of those that are this server's own: any other
/// may come from a setting that is sealed, a message's parameters or a script's variables.
pub(crate) fn sent(headers: &HeaderMap) -> Vec<(String, String)> {
    let is_ours = |name: &HeaderName| {
        let name = name.as_str();
        name == "content-type" || name.starts_with("webhook-")
    };
    kept(headers, |name, _| is_ours(name))
}

/// The headers that came back.
pub(crate) fn received(headers: &HeaderMap) -> Vec<(String, String)> {
    let is_harmless =
        |name: &HeaderName, value: &HeaderValue| !is_secret_header(name) && !value.is_sensitive();
    kept(headers, is_harmless)
}

/// Without what every request has.
fn kept(
    headers: &HeaderMap,
    is_shown: impl Fn(&HeaderName, &HeaderValue) -> bool,
) -> Vec<(String, String)> {
    let usual = |name: &str| {
        matches!(
            name,
            "accept" | "user-agent" | "webhook-id" | "content-length" | "connection" | "date"
        )
    };
    let kept = headers.iter().filter(|(name, _)| !usual(name.as_str()));
    kept.take(limits::ATTEMPT_HEADERS_KEPT_MAX)
        .map(|(name, value)| {
            let text = match is_shown(name, value) {
                true => String::from_utf8_lossy(value.as_bytes())
                    .chars()
                    .take(limits::ATTEMPT_HEADER_CHARS_MAX)
                    .collect(),
                false => HIDDEN.to_owned(),
            };
            (name.as_str().to_owned(), text)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        pairs.iter().map(pair).collect()
    }

    fn text(kept: &[(String, String)]) -> String {
        let lines = kept.iter().map(|(name, value)| format!("{name}: {value}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn of_what_went_out_only_the_names_are_kept_unless_it_is_our_own() {
        let all = headers(&[
            ("content-type", "application/json"),
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", "1700000000"),
            ("webhook-signature", "v1,abc"),
            ("user-agent", "dunlin-webhooks/1"),
            ("accept", "*/*"),
            ("authorization", "Bearer s3cret"),
            ("x-partner", "s3cret"),
            ("x-partner", "s3cret too"),
        ]);
        let expected = "content-type: application/json\nwebhook-timestamp: 1700000000\n\
            webhook-signature: v1,abc\nauthorization: ********\nx-partner: ********\n\
            x-partner: ********";
        assert_eq!(text(&sent(&all)), expected);
    }

    #[test]
    fn what_came_back_is_kept_but_for_credentials() {
        let all = headers(&[
            ("date", "today"),
            ("set-cookie", "s3cret"),
            ("x-request-id", "7"),
        ]);
        let expected = "set-cookie: ********\nx-request-id: 7";
        assert_eq!(text(&received(&all)), expected);
    }

    #[test]
    fn the_query_of_a_url_is_kept_unless_a_script_made_it() {
        let own = "https://user:s3cret@a.example/hook?shop=1";
        for (asked, kept) in [
            (own, "https://a.example/hook?shop=1"),
            (
                "https://a.example/hook?key=s3cret",
                "https://a.example/hook",
            ),
            ("https://s3cret@a.example/", "https://a.example/"),
            ("s3cret", ""),
            (
                "https://a.example/bot-t0ken/x",
                "https://a.example/bot-********/x",
            ),
        ] {
            let variables = [String::new(), "t0ken".to_owned()];
            assert_eq!(url(asked, own, &variables), kept, "{asked}");
        }
    }
}
