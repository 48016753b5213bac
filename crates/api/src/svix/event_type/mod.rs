//! Event types: the catalogue of what can be sent. Messages of other types are taken all the same.

mod export;
mod fields;
mod import;
mod list;
mod openapi;
mod schedule;
mod yaml;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use dunlin_delivery::{Answer, EventType, EventTypeFields, Input, NewEventType};
use dunlin_types::{Code, Coded};
use http::StatusCode;
use tokio::sync::{Mutex, MutexGuard};

use self::fields::{EventTypeIn, EventTypeOut, EventTypePatch, checked_name};
pub(super) use self::fields::{fits, newest_schema};
use super::fields::Fields;
use super::page::Asked;
use super::{ask, odd_answer};
use crate::caller::Caller;
use crate::catalogue;
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    let one = "/api/v1/event-type/{name}";
    Router::new()
        .route("/api/v1/event-type", get(list::list).post(create))
        .route(one, get(read).put(replace).patch(patch).delete(remove))
        .route(
            &format!("{one}/retry-schedule"),
            get(schedule::read).put(schedule::replace),
        )
        .route("/api/v1/event-type/import/openapi", post(import::openapi))
        .route("/api/v1/event-type/export/openapi", get(export::openapi))
}

/// The core replaces the fields of an event type as a whole, so whoever changes a part of them
/// holds this from its reading on.
static CHANGES: Mutex<()> = Mutex::const_new(());

async fn changing() -> MutexGuard<'static, ()> {
    CHANGES.lock().await
}

/// The event type of that name, which may be archived.
fn existing(api: &Api, name: &str) -> Result<Arc<EventType>, Refused> {
    let found = catalogue::find(&api.node.config(), name);
    found.ok_or_else(|| Refused::plain(Code::NotFound))
}

/// Whether the caller may see it: some are shown only to those who have one of their flags.
fn is_seen(event_type: &EventType) -> bool {
    let fields = event_type.fields.as_ref();
    fields.is_some_and(|fields| Caller::current().sees(&fields.feature_flags))
}

/// The fields of one that exists, to be changed.
fn fields_of(api: &Api, name: &str) -> Result<EventTypeFields, Refused> {
    let own = catalogue::own_fields(&api.node.config(), name);
    own.ok_or_else(|| Refused::plain(Code::NotFound))
}

/// Writes event types, all or none. Whoever calls it holds [`changing`].
async fn put(api: &Api, types: Vec<NewEventType>) -> Result<(), Refused> {
    match ask(api, move |token| Input::PutEventTypes { token, types }).await? {
        Answer::EventTypes(_) => Ok(()),
        _ => Err(odd_answer()),
    }
}

async fn put_one(api: &Api, name: &str, fields: EventTypeFields) -> Result<(), Refused> {
    let fields = Some(fields);
    let name = name.to_owned();
    put(api, vec![NewEventType { name, fields }]).await
}

fn shown(api: &Api, name: &str) -> Result<axum::Json<EventTypeOut>, Refused> {
    Ok(axum::Json(EventTypeOut::of(&existing(api, name)?, true)))
}

async fn create(State(api): State<Api>, Fields(fields): Fields<EventTypeIn>) -> Reply {
    let name = checked_name(fields.name.clone())?;
    let new = fields.checked()?;
    let _alone = changing().await;
    let old = catalogue::find(&api.node.config(), &name);
    let is_shown = |old: &Arc<EventType>| old.fields.as_ref().is_some_and(|old| !old.archived);
    if old.as_ref().is_some_and(is_shown) {
        let detail = format!("the event type `{name}` exists already");
        return Err(Coded::new(Code::Conflict, detail).into());
    }
    put_one(&api, &name, new).await?;
    Ok((StatusCode::CREATED, shown(&api, &name)?).into_response())
}

async fn read(State(api): State<Api>, Path(name): Path<String>) -> Reply {
    let found = existing(&api, &name)?;
    if !is_seen(&found) {
        return Err(Refused::plain(Code::NotFound));
    }
    Ok(shown(&api, &name)?.into_response())
}

async fn replace(
    State(api): State<Api>,
    Path(name): Path<String>,
    Fields(fields): Fields<EventTypeIn>,
) -> Reply {
    let name = checked_name(Some(name))?;
    let mut new = fields.checked()?;
    let _alone = changing().await;
    let old = catalogue::find(&api.node.config(), &name);
    let status = match old {
        Some(old) => {
            let old = old.fields.as_ref();
            new.retry_schedule_ms = old.and_then(|old| old.retry_schedule_ms.clone());
            StatusCode::OK
        }
        None => StatusCode::CREATED,
    };
    put_one(&api, &name, new).await?;
    Ok((status, shown(&api, &name)?).into_response())
}

async fn patch(
    State(api): State<Api>,
    Path(name): Path<String>,
    Fields(fields): Fields<EventTypePatch>,
) -> Reply {
    let _alone = changing().await;
    let new = fields.applied(fields_of(&api, &name)?)?;
    put_one(&api, &name, new).await?;
    Ok(shown(&api, &name)?.into_response())
}

/// Archives it, or removes it for good. One that the program knows would come back by itself, so
/// a row says that it is gone.
async fn remove(State(api): State<Api>, Path(name): Path<String>, asked: Asked) -> Reply {
    let expunge = asked.flag("expunge", false)?;
    let _alone = changing().await;
    let mut fields = fields_of(&api, &name)?;
    if !expunge {
        fields.archived = true;
        put_one(&api, &name, fields).await?;
    } else if catalogue::is_known(&name) {
        put(&api, vec![NewEventType { name, fields: None }]).await?;
    } else {
        ask(&api, move |token| Input::DeleteEventType { token, name }).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
