//! What every request passes before its handler, and every response after it: the host, the row
//! of the policy table, the origin, the credentials and the body's size, in this order.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use dunlin_node::{Node, ServerKind};
use dunlin_types::{Code, limits};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::auth::{Keys, holders_token};
use crate::caller::{Caller, Directory, Named};
use crate::error::{ERROR_HEADER, Refused, Shape, code_of};
use crate::hosts::{Hosts, Origin};
use crate::idempotency::{Answers, idempotency_key};
use crate::policy::{self, Route, Who};
use crate::refused::RefusedCounts;
use crate::state::ApiOptions;

const SERVER_KIND: HeaderName = HeaderName::from_static("x-inngest-server-kind");
/// Seconds for which a browser need not ask again.
const CORS_MAX_AGE: HeaderValue = HeaderValue::from_static("3600");
/// Unit of [`Rooms`], so that their counts fit.
const ROOM_UNIT_BYTES: usize = 1024;

/// What the guard knows.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    hosts: Hosts,
    keys: Keys,
    kind: ServerKind,
    /// Who knows whether there is room for new work; tests have nobody.
    node: Option<Node>,
    /// Who has which portal token or key; tests may have none.
    directory: Option<Directory>,
    answers: Answers,
    rooms: Rooms,
    refused: Arc<RefusedCounts>,
}

/// For the bodies that are not small. Who has shown nothing yet fills only a room of their own, so
/// that the others are still served.
#[derive(Debug)]
struct Rooms {
    known: Semaphore,
    strangers: Semaphore,
}

impl Rooms {
    fn new() -> Self {
        let of = |bytes: usize| Semaphore::new(bytes / ROOM_UNIT_BYTES);
        Self {
            known: of(limits::HTTP_BODIES_BYTES_MAX),
            strangers: of(limits::HTTP_STRANGERS_BODIES_BYTES_MAX),
        }
    }

    fn of(&self, row: &Route) -> &Semaphore {
        match row.is_for_strangers() {
            true => &self.strangers,
            false => &self.known,
        }
    }
}

/// The routes, with the guard before them.
pub(crate) fn behind<S: Clone + Send + Sync + 'static>(gate: Gate, routes: Router<S>) -> Router<S> {
    routes.layer(from_fn_with_state(gate, pass))
}

async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let rows = matched.map_or(&[][..], |path| policy::rows(path.as_str()));
    let (mut parts, body) = request.into_parts();
    let named = Named::by(&mut parts).await;
    let origin = gate.0.hosts.origin(&parts);
    let crosses = gate.crosses(rows, origin);
    let from = crosses
        .then(|| parts.headers.get(header::ORIGIN).cloned())
        .flatten();
    let mut response = match gate.admit(rows, origin, &parts, &named) {
        Err(refused) => Err(refused),
        Ok(None) => Ok(preflight(&parts)),
        Ok(Some((row, caller))) => Ok(gate.run(row, caller, parts, body, next).await),
    }
    .unwrap_or_else(|refused| respond(&refused, rows.first().copied()));
    let row = rows.first().copied();
    let (status, headers) = (response.status(), response.headers());
    gate.0.refused.count(row, status, headers);
    let not_taken = response.status() == StatusCode::METHOD_NOT_ALLOWED;
    let no_room = response.status() == StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    if let Some(allow) = not_taken.then(|| methods_of(rows)) {
        headers.insert(header::ALLOW, allow);
    }
    if let Some(secs) = no_room.then(|| gate.retry_after()).flatten() {
        headers.insert(header::RETRY_AFTER, secs);
    }
    headers.insert(SERVER_KIND, HeaderValue::from_static(gate.0.kind.as_str()));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Some(from) = from {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, from);
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    response
}

impl Gate {
    pub(crate) fn new(options: &ApiOptions, node: Option<Node>) -> Self {
        let directory = node.clone().map(Directory::of);
        Self::with_directory(options, node, directory)
    }

    fn with_directory(
        options: &ApiOptions,
        node: Option<Node>,
        directory: Option<Directory>,
    ) -> Self {
        Self(Arc::new(Inner {
            hosts: Hosts::new(options),
            keys: Keys::new(options),
            kind: options.kind,
            node,
            directory,
            answers: Answers::default(),
            rooms: Rooms::new(),
            refused: Arc::default(),
        }))
    }

    /// What it counts of its refusals.
    pub(crate) fn refused(&self) -> Arc<RefusedCounts> {
        Arc::clone(&self.0.refused)
    }

    /// Whether the page that asks may be another one of this machine.
    fn crosses(&self, rows: &[&Route], origin: Origin) -> bool {
        self.0.kind == ServerKind::Dev
            && origin == Origin::Loopback
            && rows.iter().any(|row| row.cors)
    }

    /// The row under which the request is served, and for whom; none if a browser only asks whether
    /// it would be.
    fn admit(
        &self,
        rows: &'static [&'static Route],
        origin: Origin,
        parts: &Parts,
        named: &Named,
    ) -> Result<Option<(&'static Route, Caller)>, Refused> {
        self.0.hosts.check(parts)?;
        if rows.is_empty() {
            return Err(Refused::new(
                Code::NotFound,
                "there is nothing at this path",
            ));
        }
        let crosses = self.crosses(rows, origin);
        if crosses && parts.method == Method::OPTIONS {
            return Ok(None);
        }
        let row = rows.iter().find(|row| row.takes(&parts.method)).copied();
        let row = row.ok_or_else(|| Refused::plain(Code::MethodRefused))?;
        let near = matches!(origin, Origin::None | Origin::Own);
        if !row.is_read() && !near && !crosses {
            let detail = "pages of another origin may not change anything here";
            return Err(Refused::new(Code::OriginRefused, detail));
        }
        self.caller(row, parts, named)
            .map(|caller| Some((row, caller)))
    }

    fn caller(&self, row: &Route, parts: &Parts, named: &Named) -> Result<Caller, Refused> {
        let keys = &self.0.keys;
        let managed = row.who == Who::Admin && !keys.is_operator(parts);
        let token = holders_token(parts).filter(|_| managed);
        match (token, &self.0.directory) {
            (Some(token), Some(directory)) => Keys::check_holder(row, token, named, directory),
            _ => keys.check(row.who, parts),
        }
    }

    /// Reads the body, has the handler answer, and gives its refusals their shape.
    async fn run(
        &self,
        row: &'static Route,
        caller: Caller,
        parts: Parts,
        body: Body,
        next: Next,
    ) -> Response {
        if let Some(refused) = self.no_room(row) {
            discard(&parts, body).await;
            return respond(&refused, Some(row));
        }
        let admitted = self.take_body(row, &parts, body).await;
        let (body, _room) = match admitted {
            Ok(admitted) => admitted,
            Err(refused) => return respond(&refused, Some(row)),
        };
        let key = idempotency_key(&parts).filter(|_| row.answers_once());
        let request = Request::from_parts(parts, Body::from(body));
        let answer = caller.serve(next.run(request));
        let mut response = match (key, &self.0.directory) {
            (Some(key), Some(directory)) => self.0.answers.once(key, directory.now(), answer).await,
            _ => answer.await,
        };
        if let Some(refused) = response.extensions_mut().remove::<Refused>() {
            return respond(&refused, Some(row));
        }
        let unexplained =
            response.status().is_client_error() || response.status().is_server_error();
        if unexplained && !response.headers().contains_key(ERROR_HEADER) {
            return respond(&explained(response).await, Some(row));
        }
        response
    }

    /// That there is no room for what the request would bring, seen before its body is read.
    fn no_room(&self, row: &Route) -> Option<Refused> {
        let node = self.0.node.as_ref().filter(|_| row.intake)?;
        node.check_intake().err().map(Refused::from)
    }

    fn retry_after(&self) -> Option<HeaderValue> {
        let node = self.0.node.as_ref()?;
        Some(node.pressure().retry_after_secs.into())
    }

    async fn take_body(
        &self,
        row: &Route,
        parts: &Parts,
        body: Body,
    ) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Refused> {
        let max = row.body_bytes_max;
        if max == 0 {
            return Ok((Bytes::new(), None));
        }
        if announced(parts).is_some_and(|bytes| bytes > max) {
            return Err(too_large(max));
        }
        let time = Duration::from_millis(limits::HTTP_BODY_MS_MAX);
        let arrived = arrived(body, max, self.0.rooms.of(row));
        tokio::time::timeout(time, arrived).await.map_err(|_| {
            Refused::new(Code::BadRequest, "the body took too long to arrive")
                .status(StatusCode::REQUEST_TIMEOUT)
        })?
    }
}

/// The whole body. It takes room for what has arrived: what is only announced costs its sender
/// nothing.
async fn arrived(
    mut body: Body,
    max: usize,
    room: &Semaphore,
) -> Result<(Bytes, Option<SemaphorePermit<'_>>), Refused> {
    let mut taken = None;
    // Most bodies come in one piece, which is not copied.
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| Refused::new(Code::BadRequest, "the body ended too early"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let bytes = first.len() + whole.len() + data.len();
        if bytes > max {
            return Err(too_large(max));
        }
        widen(&mut taken, bytes, room)?;
        if first.is_empty() && whole.is_empty() {
            first = data;
            continue;
        }
        whole.extend_from_slice(&std::mem::take(&mut first));
        whole.extend_from_slice(&data);
    }
    match first.is_empty() {
        true => Ok((whole.freeze(), taken)),
        false => Ok((first, taken)),
    }
}

/// Has `taken` be enough for a body of so many bytes.
fn widen<'a>(
    taken: &mut Option<SemaphorePermit<'a>>,
    bytes: usize,
    room: &'a Semaphore,
) -> Result<(), Refused> {
    if bytes <= limits::HTTP_BODY_SMALL_BYTES_MAX {
        return Ok(());
    }
    let has = taken.as_ref().map_or(0, SemaphorePermit::num_permits);
    let more = bytes.div_ceil(ROOM_UNIT_BYTES).saturating_sub(has);
    let more = u32::try_from(more).unwrap_or(u32::MAX);
    let permit = room.try_acquire_many(more);
    let permit = permit.map_err(|_| Refused::plain(Code::Overloaded))?;
    match taken {
        Some(taken) => taken.merge(permit),
        None => *taken = Some(permit),
    }
    Ok(())
}

/// How long the body is, where the head says so.
fn announced(parts: &Parts) -> Option<usize> {
    let length = parts.headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Reads a body of a request that is refused, and keeps nothing of it: whoever is still sending
/// might not hear the answer, and could not go on with the connection. One that is long or waits
/// to be asked for is left unread.
async fn discard(parts: &Parts, mut body: Body) {
    let short = announced(parts).is_some_and(|bytes| bytes <= limits::REFUSED_BODY_BYTES_MAX);
    if !short || parts.headers.contains_key(header::EXPECT) {
        return;
    }
    let time = Duration::from_millis(limits::HTTP_BODY_MS_MAX);
    let read = async { while let Some(Ok(_)) = body.frame().await {} };
    let _ = tokio::time::timeout(time, read).await;
}

fn methods_of(rows: &[&Route]) -> HeaderValue {
    let methods: Vec<&str> = rows.iter().map(|row| row.method).collect();
    HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static(""))
}

fn too_large(max: usize) -> Refused {
    Refused::new(
        Code::TooLarge,
        format!("the body may have {max} bytes at most"),
    )
}

fn respond(refused: &Refused, row: Option<&Route>) -> Response {
    let shape = row.map_or(Shape::Public, |row| row.shape);
    // SDKs expect bare text here, and senders of events what senders always get.
    if refused.error.code == Code::Unauthorized && shape == Shape::Public {
        return refused.as_text();
    }
    refused.shaped(shape)
}

fn preflight(parts: &Parts) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("POST, OPTIONS");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, CORS_MAX_AGE);
    if let Some(asked) = parts.headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

/// Text of a refusal that did not come from a handler, as far as it is kept.
const DETAIL_BYTES_MAX: usize = 1024;

/// A refusal made of one that the framework wrote (a bad query, a bad path).
async fn explained(response: Response) -> Refused {
    let status = response.status();
    let body = Limited::new(response.into_body(), DETAIL_BYTES_MAX)
        .collect()
        .await;
    let text = body
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let code = code_of(status);
    let detail = match std::str::from_utf8(&text) {
        Ok(text) if !text.is_empty() => text,
        _ => code.title(),
    };
    Refused::new(code, detail).status(status)
}

#[cfg(test)]
mod holders;
#[cfg(test)]
mod tests;
