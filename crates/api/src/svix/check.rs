//! What an endpoint may be: its URL, filters, headers and transformation, each with the field that
//! is named when it is wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_delivery::Transformation;
use dunlin_egress::{check_header, check_url};
use dunlin_sandbox::ScriptError;
use dunlin_types::limits::{
    CHANNEL_CHARS_MAX, DESCRIPTION_CHARS_MAX, ENDPOINT_CHANNELS_MAX, ENDPOINT_EVENT_TYPES_MAX,
    ENDPOINT_HEADERS_MAX, EVENT_TYPE_CHARS_MAX, TRANSFORM_VARIABLES_BYTES_MAX,
};
use dunlin_types::{Code, Coded, Timestamp};
use http::StatusCode;
use serde_json::json;

use super::cards;
use super::fields::{bad, bad_field};
use crate::caller::{Caller, insufficient, is_own_log};
use crate::error::Refused;
use crate::state::Api;

/// Where messages are to go. Only a card that makes events may name this server's own log.
pub(crate) fn url(api: &Api, url: &str, card: Option<&str>) -> Result<(), Refused> {
    let options = api.node.options();
    let makes_events = match card {
        Some(card) => cards::find(card)?.makes_events,
        None => false,
    };
    let is_own = is_own_log(url, &options.own_event_urls);
    if is_own && !Caller::current().may_make_events() {
        return Err(insufficient(
            "the admin token, for this server's own event log",
        ));
    }
    if makes_events && is_own {
        return Ok(());
    }
    let place = ["body", "url"];
    check_url(url, &options.endpoint_policy)
        .map(drop)
        .map_err(|error| bad(&place, error))
}

/// For people.
pub(crate) fn description(text: &str) -> Result<(), Refused> {
    if text.chars().count() <= DESCRIPTION_CHARS_MAX {
        return Ok(());
    }
    let why = format!("a description has at most {DESCRIPTION_CHARS_MAX} characters");
    Err(bad_field("description", why))
}

/// The event types it wants: all when empty. Types that nobody has seen are fine.
pub(crate) fn event_types(types: Option<Vec<String>>) -> Result<Vec<String>, Refused> {
    let types = types.unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let fits =
        |one: &String| (1..=EVENT_TYPE_CHARS_MAX).contains(&one.len()) && one.bytes().all(plain);
    named(types, "eventTypes", ENDPOINT_EVENT_TYPES_MAX, fits)
}

/// The channels it wants: all when empty.
pub(super) fn channels(channels: Option<Vec<String>>) -> Result<Vec<String>, Refused> {
    let channels = channels.unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'+');
    let fits =
        |one: &String| (1..=CHANNEL_CHARS_MAX).contains(&one.len()) && one.bytes().all(plain);
    named(channels, "channels", ENDPOINT_CHANNELS_MAX, fits)
}

fn named(
    mut names: Vec<String>,
    field: &str,
    most: usize,
    fits: impl Fn(&String) -> bool,
) -> Result<Vec<String>, Refused> {
    if names.len() > most {
        return Err(bad_field(
            field,
            format!("there can be at most {most} of them"),
        ));
    }
    if let Some(wrong) = names.iter().find(|one| !fits(one)) {
        let shown: String = wrong.chars().take(80).collect();
        return Err(bad_field(field, format!("{shown:?} is no such name")));
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|one| seen.insert(one.clone()));
    Ok(names)
}

/// Headers of each request, names in lower case.
pub(crate) fn headers(
    headers: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Refused> {
    if headers.len() > ENDPOINT_HEADERS_MAX {
        let why = format!("there can be at most {ENDPOINT_HEADERS_MAX} of them");
        return Err(bad_field("headers", why));
    }
    let mut checked = BTreeMap::new();
    for (name, value) in headers {
        let (known, _) =
            check_header(&name, &value).map_err(|error| bad(&["body", "headers", &name], error))?;
        checked.insert(known.as_str().to_owned(), value);
    }
    Ok(checked)
}

/// What a script sees as `env`.
pub(super) fn variables(variables: &BTreeMap<String, String>) -> Result<(), Refused> {
    let bytes: usize = variables
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes <= TRANSFORM_VARIABLES_BYTES_MAX {
        return Ok(());
    }
    let why = format!("the variables have more than {TRANSFORM_VARIABLES_BYTES_MAX} bytes");
    Err(bad_field("variables", why))
}

/// A script that is to be saved: it must compile and declare its function. This may take its time,
/// so nobody may wait for it who has nothing to do with the script.
pub(super) async fn code(api: &Api, code: &str, place: &[&str]) -> Result<(), Refused> {
    let checked = api.node.sandbox().check(code).await;
    checked.map_err(|error| script(&error, place))
}

/// A transformation with a script that was checked.
pub(super) fn transformation(
    code: String,
    enabled: bool,
    env: BTreeMap<String, String>,
    now: Timestamp,
) -> Result<Transformation, Refused> {
    variables(&env)?;
    Ok(Transformation {
        code: Arc::from(code),
        enabled,
        variables: env,
        updated: now,
    })
}

/// A script that cannot be saved, with its line and column. When the sandbox itself is at fault,
/// the request may be repeated.
fn script(error: &ScriptError, place: &[&str]) -> Refused {
    let coded = Coded::new(error.code, error.to_string());
    if matches!(
        error.code,
        Code::Overloaded | Code::ShuttingDown | Code::TransformCrashed
    ) {
        let refused = Refused::from(coded);
        return refused.status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let detail = json!([{
        "loc": place,
        "msg": coded.detail,
        "type": "value_error",
        "line": error.line,
        "column": error.column,
    }]);
    bad(place, coded).detail(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn an_empty_filter_means_everything_and_unknown_types_are_fine() {
        assert_eq!(event_types(None).unwrap(), Vec::<String>::new());
        assert_eq!(event_types(owned(&[])).unwrap(), Vec::<String>::new());
        let new = event_types(owned(&["b.new", "a", "b.new"])).unwrap();
        assert_eq!(new, ["b.new", "a"]);
        for wrong in ["", "a b", "a/b", "ü", &"a".repeat(257)] {
            assert_eq!(
                event_types(owned(&[wrong])).unwrap_err().status,
                422,
                "{wrong}"
            );
        }
        assert!(channels(owned(&["project_1:eu+x"])).is_ok());
        assert!(channels(owned(&["a"; 11])).is_err());
    }

    #[test]
    fn headers_of_the_connection_and_signature_are_refused_by_name() {
        let set = |name: &str, value: &str| {
            headers(BTreeMap::from([(name.to_owned(), value.to_owned())]))
        };
        for (name, value) in [
            ("Host", "x"),
            ("content-length", "1"),
            ("Webhook-Id", "x"),
            ("svix-signature", "x"),
            ("x-team", "a\r\nwebhook-id: b"),
        ] {
            let refused = set(name, value).unwrap_err();
            assert_eq!(
                (refused.status.as_u16(), refused.error.code),
                (422, Code::HeaderRefused)
            );
            assert!(refused.error.detail.contains(&name.to_lowercase()));
        }
        assert_eq!(
            set("X-Team", "a").unwrap(),
            BTreeMap::from([("x-team".into(), "a".into())])
        );
    }
}
