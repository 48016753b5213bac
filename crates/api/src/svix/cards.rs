//! The integration cards, built into the program.

use dunlin_delivery::INTERNAL_EVENTS_URL;
use dunlin_types::Code;

use super::fields::bad;
use crate::error::Refused;

/// A preset for an endpoint.
#[derive(Debug)]
pub(crate) struct Card {
    /// Its id.
    pub(crate) id: &'static str,
    /// The URL of an endpoint that names none.
    pub(crate) url: Option<&'static str>,
    /// The transformation that a new endpoint starts with.
    pub(crate) transform: &'static str,
    /// Whether an endpoint of it may deliver into this server's own event log.
    pub(crate) makes_events: bool,
}

const CARDS: [Card; 1] = [Card {
    id: "inngest",
    url: Some(INTERNAL_EVENTS_URL),
    transform: include_str!("../../../../integrations/inngest/transform.js"),
    makes_events: true,
}];

/// The card of that id.
pub(crate) fn find(id: &str) -> Result<&'static Card, Refused> {
    let found = CARDS.iter().find(|card| card.id == id);
    found.ok_or_else(|| {
        bad(
            &["body", "integration"],
            dunlin_types::Coded::plain(Code::CardUnknown),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_say_what_their_folders_say() {
        let text = include_str!("../../../../integrations/inngest/card.toml");
        let card = find("inngest").unwrap();
        let line = |key: &str, value: &str| text.contains(&format!("\n{key} = \"{value}\"\n"));
        assert!(line("id", card.id) && line("default", card.url.unwrap()));
        assert!(line("body", "event") && card.makes_events);
    }

    #[test]
    fn an_unknown_card_is_a_bad_field() {
        let refused = find("slack").unwrap_err();
        assert_eq!(
            (refused.status.as_u16(), refused.error.code),
            (422, Code::CardUnknown)
        );
    }
}
