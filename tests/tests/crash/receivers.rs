//! Receivers of webhooks that outlive every server: each behaves in its own way, checks what comes,
//! and keeps a book of it. Every answer says which request it is for, so that the server's log of
//! attempts can be laid beside the book.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dunlin_tests::{Client, WebhookSigner, listen};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::scenario::now;

/// What the server signs with.
const SECRET: &str = "whsec_cmVjZWl2ZXJzLW9mLXRoZS1jcmFzaC13YWxr";

/// How far the time that was signed may be from now.
const OFF_SECS_MAX: i64 = 60;

/// How an endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    /// Says yes to all.
    Steady,
    /// Says no twice to each message.
    Shaky,
    /// Wants each customer's messages in their order, and says no once to some.
    Ordered,
    /// Says no to all.
    Dead,
}

impl Manner {
    pub(crate) const ALL: [Self; 4] = [Self::Steady, Self::Shaky, Self::Ordered, Self::Dead];

    /// Attempts after which a delivery to one that says no to all is given up.
    pub(crate) const ATTEMPTS_OF_DEAD: usize = 3;

    fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Shaky => "shaky",
            Self::Ordered => "ordered",
            Self::Dead => "dead",
        }
    }

    /// The one at the end of that URL, if it is one of ours.
    pub(crate) fn of_url(url: &str) -> Option<Self> {
        let name = url.rsplit('/').next()?;
        Self::ALL.into_iter().find(|manner| manner.name() == name)
    }

    /// What it says to a request about a message of which it has seen so many.
    fn status(self, message: &str, seen: usize) -> u16 {
        match (self, seen) {
            (Self::Dead, _) | (Self::Shaky, 1) => 500,
            (Self::Shaky, 0) => 503,
            (Self::Ordered, 0) if message.ends_with(['0', '1', '4', '5']) => 503,
            _ => 200,
        }
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// Its place among all requests; what the answer says.
    pub(crate) serial: u64,
    /// Which life of the server sent it.
    pub(crate) life: usize,
    pub(crate) manner: Manner,
    /// The provider's id of the message.
    pub(crate) message: String,
    /// What the message is to keep its order with.
    pub(crate) customer: String,
    /// The answer.
    pub(crate) status: u16,
}

/// What came during a case.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    pub(crate) all: Vec<Arrival>,
    /// What no server may send.
    pub(crate) faults: Vec<String>,
}

impl Arrivals {
    /// The requests about a message at one receiver, in order.
    pub(crate) fn of(&self, message: &str, manner: Manner) -> Vec<&Arrival> {
        let ours = |one: &&Arrival| one.manner == manner && one.message == message;
        self.all.iter().filter(ours).collect()
    }
}

#[derive(Debug)]
struct State {
    signer: WebhookSigner,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    arrivals: Arrivals,
    life: usize,
    serial: u64,
}

/// All of them, behind one port, until they are dropped.
pub(crate) struct Receivers {
    base: String,
    state: Arc<State>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Receivers {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let state = Arc::new(State {
            signer: WebhookSigner::new(SECRET),
            book: Mutex::default(),
        });
        let connections = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(listen(listener, Arc::clone(&connections), {
            let state = Arc::clone(&state);
            move |request| respond(Arc::clone(&state), request)
        }));
        Self {
            base: format!("http://127.0.0.1:{port}"),
            state,
            connections,
            task,
        }
    }

    /// What makes their endpoints.
    pub(crate) fn endpoints(&self) -> Vec<Value> {
        let endpoint = |manner: Manner| {
            let name = manner.name();
            let url = format!("{}/hook/{name}", self.base);
            let mut fields = json!({ "url": url, "uid": name, "secret": SECRET });
            match manner {
                Manner::Steady | Manner::Shaky => {}
                Manner::Ordered => fields["orderingKey"] = json!("data.customer.customer_id"),
                Manner::Dead => {
                    fields["retrySchedule"] = json!(vec![1; Manner::ATTEMPTS_OF_DEAD - 1]);
                }
            }
            fields
        };
        Manner::ALL.into_iter().map(endpoint).collect()
    }

    /// From now on it is that life of the server that sends.
    pub(crate) fn begin(&self, life: usize) {
        self.state.book().life = life;
    }

    /// Waits until what a dead server has sent is in the book. Whoever connects is taken in turn,
    /// so that one who comes now is behind all that were left waiting.
    pub(crate) async fn settle(&self) {
        let reply = Client::new(&self.base).get("/").await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    /// Whether nobody is connected.
    pub(crate) fn is_alone(&self) -> bool {
        self.connections.load(Ordering::SeqCst) == 0
    }

    /// What came where.
    pub(crate) fn places(&self) -> BTreeSet<(String, Manner)> {
        let book = self.state.book();
        let all = book.arrivals.all.iter();
        all.map(|one| (one.message.clone(), one.manner)).collect()
    }

    /// How often a message came to one of them.
    pub(crate) fn count(&self, message: &str, manner: Manner) -> usize {
        self.state.book().arrivals.of(message, manner).len()
    }

    /// What came since this was last asked.
    pub(crate) fn take(&self) -> Arrivals {
        std::mem::take(&mut self.state.book().arrivals)
    }
}

impl Drop for Receivers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request; gives its number and what to answer.
    fn note(&self, manner: Manner, headers: &HeaderMap, body: &str) -> (u64, u16) {
        let data = &serde_json::from_str::<Value>(body).unwrap_or_default()["data"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message = text(&data["payment_id"]);
        let fault = self.fault(&message, headers, body);
        let book = &mut *self.book();
        book.serial += 1;
        let faults = &mut book.arrivals.faults;
        faults.extend(fault.map(|fault| format!("{manner:?} got {message:?} {fault}")));
        let seen = book.arrivals.of(&message, manner).len();
        let status = manner.status(&message, seen);
        book.arrivals.all.push(Arrival {
            serial: book.serial,
            life: book.life,
            manner,
            message,
            customer: text(&data["customer"]["customer_id"]),
            status,
        });
        (book.serial, status)
    }

    /// What is wrong with a request.
    fn fault(&self, message: &str, headers: &HeaderMap, body: &str) -> Option<String> {
        let header = |name: &str| headers.get(name)?.to_str().ok();
        let id = header("webhook-id").unwrap_or_default();
        let secs = header("webhook-timestamp").and_then(|text| text.parse::<i64>().ok());
        let signatures = header("webhook-signature").unwrap_or_default();
        if id != message || id.is_empty() {
            return Some(format!("as {id:?}"));
        }
        let Some(secs) = secs.filter(|secs| now().secs().abs_diff(*secs) <= OFF_SECS_MAX as u64)
        else {
            return Some(format!("at {secs:?}"));
        };
        let right = self.signer.signature(id, secs.unsigned_abs(), body);
        let is_right = signatures.split(' ').any(|one| one == right);
        (!is_right).then(|| format!("signed {signatures:?} instead of {right:?}"))
    }
}

async fn respond(state: Arc<State>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let manner = Manner::of_url(head.uri.path());
    let Some(manner) = manner.filter(|_| head.method == Method::POST) else {
        return Response::new(Full::default());
    };
    let Ok(body) = body.collect().await else {
        // Whoever sent it died over it.
        return Response::new(Full::default());
    };
    let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let (serial, status) = state.note(manner, &head.headers, &body);
    // Work takes a moment, so that crashes find it under way.
    tokio::time::sleep(Duration::from_millis(serial * 7 % 11)).await;
    let response = Response::builder().status(status);
    let response = response.body(Full::new(serial.to_string().into()));
    response.expect("a response")
}
