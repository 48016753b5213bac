//! Reading messages, deliveries and attempts: from the root down to events.

use std::collections::BTreeMap;

use dunlin_delivery::{
    AttemptRow, Config, DeliveryRow, EndpointConfig, EndpointVersionRow, Message, Source,
};
use dunlin_store::{AttemptFilter, Page, Reader, StoreResult};
use dunlin_types::limits::{
    JOURNEY_ATTEMPTS_MAX, JOURNEY_ATTEMPTS_READ_MAX, JOURNEY_DELIVERIES_MAX, PAGE_ITEMS_MAX,
};
use dunlin_types::{Scheme, Seq, Timestamp, VerifyRule};

use super::climb::{Climbed, Place};
use super::facts::{
    AttemptFacts, Cut, DeliveryFacts, Door, Facts, MessageFacts, Root, SourceFacts,
};
use super::runs::Loader;
use crate::explain::{name_of, repeats};
use crate::svix::endpoint_ids;

/// Loads the tree below what was climbed to.
pub(super) fn load(
    reader: &mut dyn Reader,
    config: &Config,
    climbed: &Climbed,
    now: Timestamp,
) -> StoreResult<Option<Facts>> {
    let mut loader = Loader::new(reader, &climbed.way, now)?;
    let root = match climbed.root {
        Place::Message(seq) => {
            let facts = message(&mut loader, config, seq)?;
            facts.map(|facts| Root::Message(Box::new(facts)))
        }
        Place::Event(seq) => {
            let facts = loader.event(seq, 0)?;
            facts.map(|facts| Root::Event(Box::new(facts)))
        }
        Place::Run(seq) => {
            let facts = loader.run_at(seq, 0)?;
            facts.map(|facts| Root::Run(Box::new(facts)))
        }
    };
    Ok(root.map(|root| Facts {
        root,
        asked: climbed.asked,
        more_above: climbed.more_above,
    }))
}

/// What is known of a message's endpoints.
struct Endpoints<'a> {
    config: &'a Config,
    then: Vec<EndpointVersionRow>,
    ids: BTreeMap<Seq, String>,
}

impl Endpoints<'_> {
    /// As it was for the message, or as it is if it came later.
    fn get(&self, endpoint: Seq) -> Option<&EndpointConfig> {
        let then = self.then.iter().find(|row| row.endpoint == endpoint);
        match then.and_then(|row| row.config.as_deref()) {
            Some(config) => Some(config),
            None => Some(&self.config.endpoint(endpoint)?.config),
        }
    }
}

fn message(
    loader: &mut Loader<'_>,
    config: &Config,
    seq: Seq,
) -> StoreResult<Option<MessageFacts>> {
    let Some(message) = loader.reader.message(seq)? else {
        return Ok(None);
    };
    let rows = loader.reader.deliveries_of(seq)?;
    let mut endpoints = Endpoints {
        config,
        then: loader.reader.endpoints_at(seq)?,
        ids: BTreeMap::new(),
    };
    let mentioned = rows.iter().map(|row| row.endpoint);
    endpoints.ids = endpoint_ids(loader.reader, config, mentioned)?;
    let states = rows.iter().map(|row| row.state).collect();
    let mut attempts = attempts(loader, seq)?;
    let mut deliveries = Cut::default();
    for row in rows {
        let own = attempts.remove(&row.seq).unwrap_or_default();
        let is_on_way = loader.way.has(row.seq) || own.iter().any(|one| is_on_way(loader, one));
        if loader.takes(deliveries.shown.len(), JOURNEY_DELIVERIES_MAX, is_on_way) {
            let facts = delivery(loader, &endpoints, row, own)?;
            deliveries.shown.push(facts);
        } else {
            deliveries.more += 1;
        }
    }
    let mut strays = Vec::new();
    if let Some(event) = loader
        .way
        .next(seq)
        .filter(|event| !loader.has_shown(*event))
    {
        strays.extend(loader.event(event, 0)?);
    }
    let app = config.application(message.app);
    let app = app.map(|app| (app.ksuid().to_string(), app.name.clone()));
    Ok(Some(MessageFacts {
        door: door(config, &message),
        app: app.unwrap_or_default(),
        repeats: repeats(loader.reader, seq)?,
        states,
        deliveries,
        strays,
        message,
    }))
}

fn is_on_way(loader: &Loader<'_>, attempt: &AttemptRow) -> bool {
    loader.way.has(attempt.seq) || attempt.event.is_some_and(|event| loader.way.has(event))
}

/// The message's attempts by delivery, oldest first.
fn attempts(loader: &mut Loader<'_>, message: Seq) -> StoreResult<BTreeMap<Seq, Vec<AttemptRow>>> {
    let filter = AttemptFilter {
        message: Some(message),
        ..AttemptFilter::default()
    };
    let mut page = Page::oldest(PAGE_ITEMS_MAX);
    let mut by_delivery: BTreeMap<Seq, Vec<AttemptRow>> = BTreeMap::new();
    let mut read = 0;
    while read < JOURNEY_ATTEMPTS_READ_MAX {
        let rows = loader.reader.attempts(&filter, page)?;
        read += rows.len();
        page.after = rows.last().map(|row| row.seq);
        let is_last = rows.len() < PAGE_ITEMS_MAX;
        for row in rows {
            by_delivery.entry(row.delivery).or_default().push(row);
        }
        if is_last {
            break;
        }
    }
    Ok(by_delivery)
}

fn delivery(
    loader: &mut Loader<'_>,
    endpoints: &Endpoints<'_>,
    row: DeliveryRow,
    own: Vec<AttemptRow>,
) -> StoreResult<DeliveryFacts> {
    let mut attempts = Cut {
        // Those that were not read.
        more: usize::from(row.tries).saturating_sub(own.len()),
        ..Cut::default()
    };
    for attempt in own {
        let is_on_way = is_on_way(loader, &attempt);
        if loader.takes(attempts.shown.len(), JOURNEY_ATTEMPTS_MAX, is_on_way) {
            let event = match attempt.event {
                Some(event) => loader.event(event, 0)?,
                None => None,
            };
            let row = attempt;
            attempts.shown.push(AttemptFacts { row, event });
        } else {
            attempts.more += 1;
        }
    }
    let config = endpoints.get(row.endpoint);
    let script = config.and_then(|config| config.transformation.as_ref());
    let id = endpoints.ids.get(&row.endpoint).cloned();
    Ok(DeliveryFacts {
        endpoint: (
            id.unwrap_or_default(),
            config.map(name_of).unwrap_or_default(),
        ),
        has_script: script.is_some_and(|script| script.enabled),
        attempts,
        row,
    })
}

fn door(config: &Config, message: &Message) -> Door {
    let app = config.application(message.app);
    match message.source.map(|source| config.source(source)) {
        Some(Some(source)) => Door::Source(source_facts(source)),
        Some(None) => Door::GoneSource,
        None if message.test => Door::Sample,
        None if app.is_some_and(|app| app.operational) => Door::Operational,
        None => Door::Api,
    }
}

fn source_facts(source: &Source) -> SourceFacts {
    let verified_by = match source.kind.scheme() {
        Scheme::StandardWebhooks => "standard-webhooks".to_owned(),
        Scheme::Stripe => "stripe".to_owned(),
        Scheme::GitHub => "github".to_owned(),
        Scheme::Shopify => "shopify".to_owned(),
        Scheme::Slack => "slack".to_owned(),
        Scheme::Generic => match &source.config.verify {
            Some(VerifyRule::Header { header }) => format!("secret in {header}"),
            Some(VerifyRule::Hmac { header, .. }) => format!("hmac in {header}"),
            None => String::new(),
        },
    };
    SourceFacts {
        id: source.ksuid().to_string(),
        name: source.name.clone(),
        kind: source.kind.as_str(),
        verified_by,
    }
}
