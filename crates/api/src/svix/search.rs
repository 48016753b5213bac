//! Which messages are looked for, and the lists of them. One list of the store is walked, the
//! shortest that is known to hold them; what else is asked for is looked at row by row, and a page
//! ends where enough rows have been.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use dunlin_delivery::Message;
use dunlin_store::{MessageFilter, Page, Reader, StoreResult};
use dunlin_types::limits::{ENDPOINT_CHANNELS_MAX, LIST_EVENT_TYPES_MAX};
use dunlin_types::{Code, Coded, Ksuid, KsuidKind, Seq, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::fields::{Fields, bad, bad_field};
use super::message::MessageOut;
use super::page::{Asked, Slice, Window};
use super::{application, check, message_in, read};
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/app/{app}/msg/search", post(search))
        .route("/api/v1/app/{app}/events", get(events))
}

/// What a message has to be: of any of the types, in any of the channels, with any of the tags,
/// and of the span. What is empty asks for nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) event_types: Vec<String>,
    pub(super) channels: Vec<String>,
    pub(super) tags: Vec<String>,
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

fn any_of(asked: &[String], has: impl Fn(&String) -> bool) -> bool {
    asked.is_empty() || asked.iter().any(has)
}

/// Names of a query, or of a body; each is a list of its own to walk.
fn at_most(most: usize, place: &[&str], names: Vec<String>) -> Result<Vec<String>, Refused> {
    if names.len() <= most {
        return Ok(names);
    }
    let why = format!("there can be at most {most} of them");
    Err(bad(place, Coded::new(Code::BadRequest, why)))
}

fn named_types(asked: &Asked) -> Result<Vec<String>, Refused> {
    let names = asked.list("event_types");
    at_most(LIST_EVENT_TYPES_MAX, &["query", "event_types"], names)
}

impl Wanted {
    /// As the query of a list says.
    pub(super) fn asked(asked: &Asked) -> Result<Self, Refused> {
        let text = |name| asked.text(name).map(str::to_owned).into_iter().collect();
        Ok(Self {
            event_types: named_types(asked)?,
            channels: text("channel"),
            tags: text("tag"),
            from: asked.instant("after")?,
            until: asked.instant("before")?,
        })
    }

    pub(super) fn holds(&self, message: &Message) -> bool {
        any_of(&self.event_types, |one| *one == message.event_type)
            && any_of(&self.channels, |one| message.channels.contains(one))
            && any_of(&self.tags, |one| message.tags.contains(one))
            && self.from.is_none_or(|from| message.at >= from)
            && self.until.is_none_or(|until| message.at < until)
    }

    /// The lists that hold all of them between them, of what tells them apart best.
    fn lists(&self, app: Seq) -> Vec<MessageFilter> {
        let all = MessageFilter {
            app,
            from: self.from,
            until: self.until,
            ..MessageFilter::default()
        };
        let in_channel = |one: &String| MessageFilter {
            channel: Some(one.clone()),
            ..all.clone()
        };
        let with_tag = |one: &String| MessageFilter {
            tag: Some(one.clone()),
            ..all.clone()
        };
        if !self.channels.is_empty() {
            self.channels.iter().map(in_channel).collect()
        } else if !self.tags.is_empty() {
            self.tags.iter().map(with_tag).collect()
        } else {
            vec![MessageFilter {
                event_types: self.event_types.clone(),
                ..all
            }]
        }
    }

    /// A part of them, and others among them.
    pub(super) fn page(
        &self,
        reader: &mut dyn Reader,
        app: Seq,
        page: Page,
    ) -> StoreResult<Vec<Arc<Message>>> {
        let mut rows = Vec::new();
        for list in self.lists(app) {
            rows.extend(reader.messages(&list, page)?);
        }
        rows.sort_unstable_by_key(|row| row.seq);
        if !page.ascending {
            rows.reverse();
        }
        rows.dedup_by_key(|row| row.seq);
        rows.truncate(page.items);
        Ok(rows)
    }

    async fn slice(
        self,
        api: &Api,
        app: Seq,
        window: Window,
    ) -> Result<Slice<Arc<Message>>, Refused> {
        let read = api.node.read(move |reader| {
            window.read(
                |page| self.page(reader, app, page),
                |message| message.seq,
                |message| self.holds(message),
                |message| message.bytes(),
            )
        });
        Ok(read.await?)
    }

    /// The list of an application's messages.
    pub(super) async fn list(self, api: &Api, app: Seq, asked: &Asked) -> Reply {
        let window = asked.window(KsuidKind::Message, false)?;
        let with_content = asked.flag("with_content", true)?;
        let slice = self.slice(api, app, window).await?;
        let show = |message: Arc<Message>| MessageOut::of(&message, with_content);
        slice.reply(|message| message.id().to_string(), show)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SearchIn {
    id: Option<String>,
    event_id: Option<String>,
    event_types: Option<Vec<String>>,
    channels: Option<Vec<String>>,
    tags: Option<Vec<String>>,
    after: Option<String>,
    before: Option<String>,
}

impl SearchIn {
    fn checked(self) -> Result<Wanted, Refused> {
        let instant = |name, text: Option<String>| {
            let parse = |text: String| {
                Timestamp::parse_rfc3339(&text)
                    .ok_or_else(|| bad_field(name, "it must be an RFC 3339 time"))
            };
            text.map(parse).transpose()
        };
        let event_types = check::event_types(self.event_types)?;
        let place = ["body", "eventTypes"];
        Ok(Wanted {
            event_types: at_most(LIST_EVENT_TYPES_MAX, &place, event_types)?,
            channels: check::channels(self.channels)?,
            tags: message_in::tags(self.tags.unwrap_or_default())?,
            from: instant("after", self.after)?,
            until: instant("before", self.before)?,
        })
    }
}

async fn search(
    State(api): State<Api>,
    Path(app): Path<String>,
    asked: Asked,
    Fields(mut fields): Fields<SearchIn>,
) -> Reply {
    let app = application(&api, &app)?.id;
    let (id, event_id) = (fields.id.take(), fields.event_id.take());
    let wanted = fields.checked()?;
    let Some(name) = id.as_ref().or(event_id.as_ref()) else {
        return wanted.list(&api, app, &asked).await;
    };
    let window = asked.window(KsuidKind::Message, false)?;
    let with_content = asked.flag("with_content", true)?;
    let named = match read::message(&api, app, name).await {
        Ok(message) => Some(message),
        Err(refused) if refused.error.code == Code::NotFound => None,
        Err(refused) => return Err(refused),
    };
    let fits = |message: &Arc<Message>| {
        let of_sender = event_id.as_ref();
        wanted.holds(message)
            && id.as_ref().is_none_or(|id| *id == message.id().to_string())
            && of_sender.is_none_or(|id| *id == message.provider_id)
    };
    let slice = window.of(named.into_iter().filter(fits), |message| message.seq);
    let show = |message: Arc<Message>| MessageOut::of(&message, with_content);
    slice.reply(|message| message.id().to_string(), show)
}

/// Messages in the order in which they came, for whoever follows them: the answer always says where
/// to go on.
async fn events(State(api): State<Api>, Path(app): Path<String>, asked: Asked) -> Reply {
    let app = application(&api, &app)?.id;
    let window = asked.window(KsuidKind::Message, true)?;
    let with_content = asked.flag("with_content", true)?;
    let channels = asked.list("channels");
    let wanted = Wanted {
        event_types: named_types(&asked)?,
        channels: at_most(ENDPOINT_CHANNELS_MAX, &["query", "channels"], channels)?,
        from: asked.instant("after")?,
        ..Wanted::default()
    };
    let slice = wanted.slice(&api, app, window).await?;
    let show = |message: Arc<Message>| MessageOut::of(&message, with_content);
    let list = slice.list(|message| message.id().to_string(), show);
    let so_far = asked.text("iterator").map(str::to_owned);
    let beginning = || Ksuid::new(KsuidKind::Message, api.node.now(), Seq(0)).to_string();
    let body = json!({
        "iterator": list.iterator().or(so_far).unwrap_or_else(beginning),
        "done": list.is_done(),
        "data": list.into_data(),
    });
    Ok(axum::Json(body).into_response())
}
