//! Applications, endpoints, messages and attempts, after the shape of the Svix API: `/api/v1/app`.

mod application;
mod attempt;
mod broadcast;
pub(crate) mod cards;
pub(crate) mod check;
mod content;
pub(crate) mod endpoint;
mod event_type;
pub(crate) mod fields;
pub(crate) mod headers;
mod integration;
mod message;
mod message_in;
mod operational;
mod own_fields;
pub(crate) mod page;
mod portal;
mod read;
mod sample;
mod search;
mod stats;
mod task;
mod tls;
mod transformation;
mod trial;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};
use dunlin_delivery::{AccessChange, Answer, Application, Endpoint, Input};
use dunlin_types::{Code, Token};
use http::StatusCode;

pub(crate) use read::{endpoint_ids, find_message_anywhere, find_message_of};

use crate::caller::Caller;
use crate::error::{Refused, Reply};
use crate::state::Api;

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .merge(application::routes())
        .merge(integration::routes())
        .merge(portal::routes())
        .merge(endpoint::routes())
        .merge(event_type::routes())
        .merge(headers::routes())
        .merge(transformation::routes())
        .merge(sample::routes())
        .merge(message::routes())
        .merge(search::routes())
        .merge(broadcast::routes())
        .merge(trial::routes())
        .merge(tls::routes())
        .merge(attempt::routes())
        .merge(content::routes())
        .merge(task::routes())
        .merge(stats::routes())
        .merge(operational::routes())
        .route("/api/v1/health", get(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/api/v1/health/ping",
            get(|| async { StatusCode::NO_CONTENT }),
        )
        .route("/api/v1/{*rest}", any(not_built))
}

/// Paths of the API that this version does not have.
pub(crate) async fn not_built() -> Reply {
    Err(Refused::plain(Code::NotBuilt))
}

/// Has the delivery core decide; what it refuses is an error.
pub(crate) async fn ask(
    api: &Api,
    make: impl FnOnce(Token) -> Input + Send + 'static,
) -> Result<Answer, Refused> {
    match api.node.delivery(make).await? {
        Answer::Refused(error) => Err(error.into()),
        answer => Ok(answer),
    }
}

/// The core answered something that was not asked; it never does.
pub(crate) fn odd_answer() -> Refused {
    Refused::plain(Code::ShuttingDown)
}

/// Has the core change who may call what; what it refuses is an error.
async fn change_access(api: &Api, change: AccessChange) -> Result<Answer, Refused> {
    let change = Box::new(change);
    ask(api, move |token| Input::Access { token, change }).await
}

/// The application that a path names, if the caller may have to do with it.
pub(crate) fn application(api: &Api, text: &str) -> Result<Arc<Application>, Refused> {
    let found = api.node.config().find_application(text).cloned();
    let caller = Caller::current();
    found
        .filter(|app| caller.reaches(app.id))
        .ok_or_else(|| Refused::plain(Code::NotFound))
}

/// The endpoint that a path names, of the application that it names.
pub(crate) fn endpoint(
    api: &Api,
    app: &str,
    text: &str,
) -> Result<(Arc<Application>, Arc<Endpoint>), Refused> {
    let app = application(api, app)?;
    let found = api.node.config().find_endpoint(app.id, text).cloned();
    let endpoint = found.ok_or_else(|| Refused::plain(Code::NotFound))?;
    Ok((app, endpoint))
}
