//! Rows of the store that paths name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_delivery::{AttemptRow, Config, DEFAULT_APPLICATION, Message};
use dunlin_store::{Reader, StoreResult};
use dunlin_types::{Code, Ksuid, KsuidKind, Seq};

use crate::error::Refused;
use crate::state::Api;

/// The message of an application that a path names by its id or its provider's.
pub(super) async fn message(api: &Api, app: Seq, text: &str) -> Result<Arc<Message>, Refused> {
    let text = text.to_owned();
    let found = api
        .node
        .read(move |reader| find_message(reader, app, &text))
        .await?;
    found.ok_or_else(|| Refused::plain(Code::NotFound))
}

/// The attempt that a path names, and the message that it names before it.
pub(super) async fn attempt(
    api: &Api,
    app: Seq,
    message: &str,
    text: &str,
) -> Result<(AttemptRow, Arc<Message>), Refused> {
    let message = self::message(api, app, message).await?;
    let not_found = || Refused::plain(Code::NotFound);
    let id = Ksuid::parse(KsuidKind::Attempt, text).map_err(|_| not_found())?;
    let found = api.node.read(move |reader| reader.attempt(id.seq)).await?;
    let found = found.filter(|one| one.id() == id && one.message == message.seq);
    Ok((found.ok_or_else(not_found)?, message))
}

/// The message that somebody names, of that application or, without one, of any.
pub(crate) async fn find_message_of(
    api: &Api,
    app: Option<Seq>,
    text: &str,
) -> Result<Arc<Message>, Refused> {
    if let Some(app) = app {
        return message(api, app, text).await;
    }
    let text = text.to_owned();
    let found = api
        .node
        .read(move |reader| find_message_anywhere(reader, &text))
        .await?;
    found.ok_or_else(|| Refused::plain(Code::NotFound))
}

/// The message of that id in whatever application, or the one of that provider's id that came
/// through a source.
pub(crate) fn find_message_anywhere(
    reader: &mut dyn Reader,
    text: &str,
) -> StoreResult<Option<Arc<Message>>> {
    if let Ok(id) = Ksuid::parse(KsuidKind::Message, text) {
        return by_id(reader, id);
    }
    find_message(reader, DEFAULT_APPLICATION, text)
}

fn find_message(
    reader: &mut dyn Reader,
    app: Seq,
    text: &str,
) -> StoreResult<Option<Arc<Message>>> {
    if let Ok(id) = Ksuid::parse(KsuidKind::Message, text) {
        return Ok(by_id(reader, id)?.filter(|message| message.app == app));
    }
    by_provider_id(reader, app, text)
}

fn by_id(reader: &mut dyn Reader, id: Ksuid) -> StoreResult<Option<Arc<Message>>> {
    // The time in the id guards against made-up ones.
    Ok(reader.message(id.seq)?.filter(|message| message.id() == id))
}

fn by_provider_id(
    reader: &mut dyn Reader,
    app: Seq,
    provider_id: &str,
) -> StoreResult<Option<Arc<Message>>> {
    match reader.message_of_sender(app, provider_id)? {
        Some(seq) => reader.message(seq),
        None => Ok(None),
    }
}

/// The ids of endpoints, those that are gone included.
pub(crate) fn endpoint_ids(
    reader: &mut dyn Reader,
    config: &Config,
    rows: impl IntoIterator<Item = Seq>,
) -> StoreResult<BTreeMap<Seq, String>> {
    let mut ids = BTreeMap::new();
    for row in rows.into_iter().collect::<BTreeSet<_>>() {
        let created = match config.endpoint(row) {
            Some(endpoint) => Some(endpoint.created),
            None => reader.endpoint_made(row)?,
        };
        if let Some(at) = created {
            ids.insert(row, Ksuid::new(KsuidKind::Endpoint, at, row).to_string());
        }
    }
    Ok(ids)
}
