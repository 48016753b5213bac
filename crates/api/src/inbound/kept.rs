//! Which headers of a webhook are kept: those that help later, never credentials or cookies.

use dunlin_types::limits::REFUSAL_HEADER_CHARS_MAX;
use dunlin_types::{Place, SourceConfig};
use http::HeaderMap;

/// Headers that say what a webhook is and prove nothing.
const TELLING: [&str; 17] = [
    "content-type",
    "user-agent",
    "webhook-id",
    "webhook-timestamp",
    "svix-id",
    "svix-timestamp",
    "x-github-delivery",
    "x-github-event",
    "x-github-hook-id",
    "x-shopify-api-version",
    "x-shopify-event-id",
    "x-shopify-shop-domain",
    "x-shopify-topic",
    "x-shopify-webhook-id",
    "x-slack-request-timestamp",
    "x-slack-retry-num",
    "x-slack-retry-reason",
];

pub(super) fn with_a_message(headers: &HeaderMap, config: &SourceConfig) -> Vec<(String, String)> {
    let is_kept = |name: &str| {
        is_telling(name, config) || name.starts_with("webhook-") || name.starts_with("svix-")
    };
    texts(headers, config, is_kept)
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

pub(super) fn with_a_refusal(headers: &HeaderMap, config: &SourceConfig) -> Vec<(String, String)> {
    let short = |text: &str| text.chars().take(REFUSAL_HEADER_CHARS_MAX).collect();
    texts(headers, config, |name| is_telling(name, config))
        .take(TELLING.len())
        .map(|(name, value)| (name.to_owned(), short(value)))
        .collect()
}

fn is_telling(name: &str, config: &SourceConfig) -> bool {
    let is = |place: &Option<Place>| matches!(place, Some(Place::Header(one)) if one == name);
    TELLING.contains(&name) || is(&config.id) || is(&config.event_type)
}

/// The header that proves a generic webhook may be the secret itself.
fn texts<'h>(
    headers: &'h HeaderMap,
    config: &SourceConfig,
    is_kept: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (&'h str, &'h str)> {
    let proof = config.verify.as_ref().map(|rule| rule.header().to_owned());
    let wanted = headers
        .iter()
        .filter(move |(name, _)| Some(name.as_str()) != proof.as_deref() && is_kept(name.as_str()));
    wanted.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
}

#[cfg(test)]
mod tests {
    use dunlin_types::VerifyRule;
    use http::HeaderValue;

    use super::*;

    fn headers(names: &[&'static str]) -> HeaderMap {
        let one = |name: &&'static str| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_static("x"))
        };
        names.iter().map(one).collect()
    }

    #[test]
    fn only_headers_that_help_later_are_kept() {
        let helpful = [
            "content-type",
            "user-agent",
            "webhook-id",
            "svix-id",
            "x-github-event",
            "webhook-signature",
        ];
        let others = ["authorization", "cookie", "x-forwarded-for", "host"];
        let all = headers(&[&helpful[..], &others].concat());
        let kept = with_a_message(&all, &SourceConfig::default());
        assert_eq!(kept.len(), helpful.len());
        assert!(
            kept.iter()
                .all(|(name, _)| helpful.contains(&name.as_str()))
        );
        let listed = with_a_refusal(&all, &SourceConfig::default());
        assert_eq!(listed.len(), helpful.len() - 1, "no signature");
    }

    #[test]
    fn a_header_that_is_the_secret_is_never_kept_whatever_its_name() {
        let header = "webhook-id".to_owned();
        let config = SourceConfig {
            verify: Some(VerifyRule::Header { header }),
            id: Some(Place::Header("x-their-id".to_owned())),
            ..SourceConfig::default()
        };
        let all = headers(&["webhook-id", "x-their-id", "x-other"]);
        let expected = [("x-their-id".to_owned(), "x".to_owned())];
        assert_eq!(with_a_message(&all, &config), expected);
        assert_eq!(with_a_refusal(&all, &config), expected);
    }
}
