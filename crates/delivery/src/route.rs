//! Which endpoints a message goes to, and why not to the others.

use std::sync::Arc;

use dunlin_types::Seq;

use crate::{Config, Endpoint, EndpointConfig, FilterInput, Message, Mismatch};

/// What an endpoint's filters say to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes there.
    Matched,
    /// The endpoint is disabled.
    Disabled,
    /// The endpoint wants other event types.
    OtherEventType,
    /// The endpoint wants other channels.
    OtherChannel,
    /// The endpoint wants messages that hold something else.
    Filtered(Mismatch),
}

/// What the filters of an endpoint say to a message of its application.
#[must_use]
pub fn verdict(endpoint: &EndpointConfig, message: &Message) -> Verdict {
    let input = FilterInput::new(&message.event_type, &message.body, &message.headers);
    match by_labels(endpoint, &message.event_type, &message.channels) {
        Verdict::Matched => match wants_content(endpoint, &input) {
            Ok(()) => Verdict::Matched,
            Err(mismatch) => Verdict::Filtered(mismatch),
        },
        other => other,
    }
}

/// What the filters say that look at no content.
#[must_use]
pub fn by_labels(endpoint: &EndpointConfig, event_type: &str, channels: &[String]) -> Verdict {
    let types = &endpoint.event_types;
    if endpoint.disabled {
        Verdict::Disabled
    } else if !types.is_empty() && !types.iter().any(|one| one == event_type) {
        Verdict::OtherEventType
    } else if !wants_channel(endpoint, channels) {
        Verdict::OtherChannel
    } else {
        Verdict::Matched
    }
}

fn wants_channel(endpoint: &EndpointConfig, channels: &[String]) -> bool {
    let wanted = &endpoint.channels;
    wanted.is_empty() || channels.iter().any(|one| wanted.contains(one))
}

fn wants_content(endpoint: &EndpointConfig, input: &FilterInput<'_>) -> Result<(), Mismatch> {
    let filter = endpoint.filter.as_ref();
    filter.map_or(Ok(()), |filter| filter.verdict(input))
}

/// The endpoints whose verdict is [`Verdict::Matched`], oldest first.
pub(crate) fn matching(
    config: &Config,
    app: Seq,
    message: &Message,
    input: &FilterInput<'_>,
) -> Vec<Arc<Endpoint>> {
    let wanting = config.wanting(app, &message.event_type);
    let found = wanting.into_iter().filter_map(|id| config.endpoint(id));
    let fits = |one: &EndpointConfig| one.filter.as_ref().is_none_or(|filter| filter.fits(input));
    found
        .filter(|one| wants_channel(&one.config, &message.channels) && fits(&one.config))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(event_types: &[&str], channels: &[&str]) -> EndpointConfig {
        let owned = |texts: &[&str]| texts.iter().map(|t| (*t).to_owned()).collect();
        EndpointConfig {
            event_types: owned(event_types),
            channels: owned(channels),
            ..EndpointConfig::default()
        }
    }

    #[test]
    fn filters_by_type_and_channel_must_both_agree() {
        let eu = ["eu".to_owned()];
        let says = |types: &[&str], wanted: &[&str], has: &[String]| {
            by_labels(&endpoint(types, wanted), "a", has)
        };
        assert_eq!(says(&[], &[], &[]), Verdict::Matched);
        assert_eq!(says(&[], &[], &eu), Verdict::Matched);
        assert_eq!(says(&["a"], &[], &[]), Verdict::Matched);
        assert_eq!(says(&["b"], &[], &[]), Verdict::OtherEventType);
        assert_eq!(says(&["a"], &["eu", "us"], &eu), Verdict::Matched);
        assert_eq!(says(&["a"], &["us"], &[]), Verdict::OtherChannel);
    }
}
