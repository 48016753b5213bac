//! An app that is no process of its own: it speaks the SDK protocol from within the test, outlives
//! every server that calls it, and keeps a book of which step body ran how often.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::client::Client;

/// One thing that a function does after the other.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// A step.
    Step(&'static str),
    /// A step whose first attempt throws.
    Flaky(&'static str),
    /// Steps at the same time, then their join.
    Group(&'static [&'static str]),
    /// A sleep of that name and length.
    Sleep(&'static str, &'static str),
    /// A wait for an event, and beside it a step that sends the event.
    Nudged(&'static str, &'static str),
    /// Another function's run.
    Invoke(&'static str, Function),
    /// A request that the server makes, of this app.
    Fetch(&'static str),
}

/// A function of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// Three steps, one after the other.
    Sequential,
    /// Three steps at the same time, then one that joins them.
    Parallel,
    /// A step that throws once, and one after it.
    Flaky,
    /// A step, a sleep of 300 ms, a step.
    Napping,
    /// Four steps, each reported while the call goes on.
    Checkpointing,
    /// A step, a wait for an event that a step of its own brings about, a step.
    Waiting,
    /// A step, another function's run, a step.
    Invoking,
    /// A request that the server makes, and a step.
    Fetching,
    /// Two steps, started by a webhook.
    Paid,
    /// Two steps, started by [`Function::Invoking`] only.
    Invoked,
}

impl Function {
    /// Those that are started from outside.
    pub const SENT: [Self; 9] = [
        Self::Sequential,
        Self::Parallel,
        Self::Flaky,
        Self::Napping,
        Self::Checkpointing,
        Self::Waiting,
        Self::Invoking,
        Self::Fetching,
        Self::Paid,
    ];

    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Sequential,
        Self::Parallel,
        Self::Flaky,
        Self::Napping,
        Self::Checkpointing,
        Self::Waiting,
        Self::Invoking,
        Self::Fetching,
        Self::Paid,
        Self::Invoked,
    ];

    /// Its id within the app.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Parallel => "parallel",
            Self::Flaky => "flaky",
            Self::Napping => "napping",
            Self::Checkpointing => "checkpointing",
            Self::Waiting => "waiting",
            Self::Invoking => "invoking",
            Self::Fetching => "fetching",
            Self::Paid => "paid",
            Self::Invoked => "invoked",
        }
    }

    /// The event that starts it.
    #[must_use]
    pub fn event(self) -> String {
        match self {
            Self::Paid => "payment.succeeded".to_owned(),
            other => format!("crash/{}", other.id()),
        }
    }

    const fn stages(self) -> &'static [Stage] {
        match self {
            Self::Sequential => &[Stage::Step("one"), Stage::Step("two"), Stage::Step("three")],
            Self::Parallel => &[
                Stage::Group(&["left", "middle", "right"]),
                Stage::Step("join"),
            ],
            Self::Flaky => &[Stage::Flaky("wobble"), Stage::Step("after")],
            Self::Napping => &[
                Stage::Step("before"),
                Stage::Sleep("nap", "300ms"),
                Stage::Step("woken"),
            ],
            Self::Checkpointing => &[
                Stage::Step("first"),
                Stage::Step("second"),
                Stage::Step("third"),
                Stage::Step("fourth"),
            ],
            Self::Waiting => &[
                Stage::Step("order"),
                Stage::Nudged("answer", "nudge"),
                Stage::Step("answered"),
            ],
            Self::Invoking => &[
                Stage::Step("ask"),
                Stage::Invoke("result", Self::Invoked),
                Stage::Step("use"),
            ],
            Self::Fetching => &[Stage::Fetch("page"), Stage::Step("read")],
            Self::Paid => &[Stage::Step("ship"), Stage::Step("thank")],
            Self::Invoked => &[Stage::Step("inner"), Stage::Step("more")],
        }
    }

    /// Whether a result is one that the server itself gives: an event, an answer, another run's end.
    fn is_served(self, name: &str, event: &str, memo: &Value) -> bool {
        self.stages().iter().any(|stage| match stage {
            Stage::Nudged(wait, _) => *wait == name && memo["data"]["of"] == event,
            Stage::Invoke(one, _) => *one == name && memo["data"]["ended"].is_string(),
            Stage::Fetch(one) => *one == name && memo["data"]["status_code"] == 200,
            _ => false,
        })
    }

    /// The steps that have a body.
    #[must_use]
    pub fn steps(self) -> Vec<&'static str> {
        let names = self.stages().iter().flat_map(|stage| match stage {
            Stage::Step(name) | Stage::Flaky(name) | Stage::Nudged(_, name) => vec![*name],
            Stage::Group(names) => names.to_vec(),
            Stage::Sleep(..) | Stage::Invoke(..) | Stage::Fetch(_) => Vec::new(),
        });
        names.collect()
    }
}

/// An event, and a step of the function that it starts.
pub type StepOf = (String, String);

/// What the app saw.
#[derive(Debug, Default)]
pub struct Book {
    /// For each time that a step's body ran, which attempt it was.
    pub ran: BTreeMap<StepOf, Vec<u64>>,
    /// How often the function of that event came to its end.
    pub ended: BTreeMap<String, usize>,
    /// What no server may do: forget a result that it once knew, or alter it.
    pub faults: Vec<String>,
    made: HashMap<StepOf, Vec<Value>>,
    known: HashMap<StepOf, Value>,
}

impl Book {
    /// How often a step's body ran, as far as these attempts go.
    #[must_use]
    pub fn runs_below(&self, step: &StepOf, attempt: u64) -> usize {
        self.ran
            .get(step)
            .map_or(0, |ran| ran.iter().filter(|made| **made < attempt).count())
    }
}

/// The app. It ends when it is dropped.
#[derive(Debug)]
pub struct CountingApp {
    state: Arc<State>,
    task: JoinHandle<()>,
    port: u16,
}

#[derive(Debug)]
struct State {
    book: Mutex<Book>,
    server: Client,
    connections: Arc<AtomicUsize>,
    serial: AtomicU64,
    port: u16,
}

/// One call as the server made it.
struct Call {
    function: Function,
    event: String,
    attempt: u64,
    target: Option<String>,
    plans_only: bool,
    memos: Map<String, Value>,
    context: Value,
}

/// What an app answers: status, whether a retry makes no sense, and the body.
struct Answer(u16, bool, Value);

impl CountingApp {
    /// Starts one that reports its checkpoints to a server at that URL.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a port is free");
        let port = listener.local_addr().expect("it listens").port();
        let connections = Arc::new(AtomicUsize::new(0));
        let state = Arc::new(State {
            book: Mutex::default(),
            server: Client::new(server),
            connections: Arc::clone(&connections),
            serial: AtomicU64::new(1),
            port,
        });
        let task = tokio::spawn(listen(listener, connections, {
            let state = Arc::clone(&state);
            move |request| respond(Arc::clone(&state), request)
        }));
        Self { state, task, port }
    }

    /// Its registration: the body for `/fn/register`.
    #[must_use]
    pub fn registration(&self) -> Value {
        let url = format!("http://127.0.0.1:{}/api/inngest", self.port);
        let functions: Vec<Value> = Function::ALL.iter().map(|one| config(*one, &url)).collect();
        registration("crash", &url, &functions)
    }

    /// What it saw so far.
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.state.book()
    }

    /// Whether nobody is connected to it: then no step is running.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.state.connections.load(Ordering::SeqCst) == 0
    }
}

impl Drop for CountingApp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The body of a registration.
#[must_use]
pub fn registration(app: &str, url: &str, functions: &[Value]) -> Value {
    json!({
        "url": url, "deployType": "ping", "framework": "nodejs", "appName": app,
        "sdk": "js:v4.24.0", "v": "0.1", "functions": functions,
    })
}

fn config(function: Function, url: &str) -> Value {
    let id = format!("crash-{}", function.id());
    json!({
        "id": id, "name": function.id(), "triggers": [{ "event": function.event() }],
        "steps": { "step": {
            "id": "step", "name": "step", "retries": { "attempts": 4 },
            "runtime": { "type": "http", "url": format!("{url}?fnId={id}&stepId=step") },
        } },
    })
}

/// Serves HTTP/1 on that listener, for ever; counts who is connected.
pub async fn listen<F>(
    listener: TcpListener,
    connections: Arc<AtomicUsize>,
    respond: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) where
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        connections.fetch_add(1, Ordering::SeqCst);
        let (connections, respond) = (Arc::clone(&connections), respond.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = respond(request);
                async { Ok::<_, Infallible>(response.await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new());
            // A server that dies takes its connection with it; what was running here ends.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
            connections.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// A response as an SDK gives it, in protocol version 2.
///
/// # Panics
/// When that is no status.
#[must_use]
pub fn sdk_response(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    let response = response.header("x-inngest-sdk", "js:v4.24.0");
    let response = response.header("x-inngest-req-version", "2");
    response.body(Full::new(body.into())).expect("a response")
}

async fn respond(state: Arc<State>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return sdk_response(400, "{}");
    };
    if head.method != Method::POST {
        return sdk_response(200, r#"{"message":"ok","modified":false}"#);
    }
    let call = Call::read(head.uri.query().unwrap_or_default(), &body.to_bytes());
    state.check_memos(&call);
    let Answer(status, final_, body) = state.answer(call).await;
    let mut response = sdk_response(status, body.to_string());
    if final_ {
        let value = http::HeaderValue::from_static("true");
        response.headers_mut().insert("x-inngest-no-retry", value);
    }
    response
}

impl Call {
    fn read(query: &str, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).expect("a call is JSON");
        let parameter = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
        };
        let slug = parameter("fnId").expect("a call names its function");
        let slug = slug.strip_prefix("crash-").unwrap_or(&slug);
        let function = Function::ALL.into_iter().find(|one| one.id() == slug);
        let context = body["ctx"].clone();
        Self {
            function: function.expect("a call is for a function of ours"),
            event: body["event"]["id"]
                .as_str()
                .expect("an event has an id")
                .to_owned(),
            attempt: context["attempt"]
                .as_u64()
                .expect("a call counts its attempts"),
            target: parameter("stepId").filter(|id| id != "step"),
            plans_only: context["disable_immediate_execution"] == true,
            memos: body["steps"]
                .as_object()
                .expect("a call carries its steps")
                .clone(),
            context,
        }
    }

    fn has(&self, name: &str) -> bool {
        self.memos.contains_key(&step_id(name))
    }

    fn key(&self, name: &str) -> StepOf {
        (self.event.clone(), name.to_owned())
    }
}

impl State {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A result that a call carries is one that this app made, and stays what it was.
    fn check_memos(&self, call: &Call) {
        let book = &mut *self.book();
        for (id, memo) in &call.memos {
            let key = call.key(&step_name(id));
            let ours = memo.is_null()
                || call.function.is_served(&key.1, &call.event, memo)
                || book
                    .made
                    .get(&key)
                    .is_some_and(|made| made.contains(&memo["data"]));
            if !ours {
                book.faults
                    .push(format!("{key:?} has a result that no step gave: {memo}"));
            }
            match book.known.get(&key) {
                None => drop(book.known.insert(key, memo.clone())),
                Some(known) if known == memo => {}
                Some(known) => book
                    .faults
                    .push(format!("{key:?} was {known} and is {memo}")),
            }
        }
    }

    async fn answer(&self, mut call: Call) -> Answer {
        if let Some(target) = call.target.clone() {
            return match self.execute(&call, &step_name(&target)).await {
                Ok(op) | Err(op) => Answer(206, false, json!([op])),
            };
        }
        for stage in call.function.stages() {
            let stopped = match *stage {
                Stage::Step(name) | Stage::Flaky(name) => self.step(&mut call, name).await,
                Stage::Group(names) => plan(&call, names),
                Stage::Sleep(name, text) => (!call.has(name)).then(|| sleep(name, text)),
                Stage::Nudged(wait, nudge) => nudged(&call, wait, nudge),
                Stage::Invoke(name, function) => (!call.has(name)).then(|| invoke(name, function)),
                Stage::Fetch(name) => (!call.has(name)).then(|| self.fetch(name)),
            };
            if let Some(answer) = stopped {
                return answer;
            }
        }
        *self.book().ended.entry(call.event.clone()).or_default() += 1;
        let output = json!({ "ended": call.event });
        if call.function == Function::Checkpointing {
            let complete =
                json!({ "op": "RunComplete", "id": step_id("complete"), "data": output });
            return Answer(206, false, json!([complete]));
        }
        Answer(200, false, output)
    }

    /// Comes past a step: nothing where it has its result or was checkpointed, else the answer
    /// that tells of it.
    async fn step(&self, call: &mut Call, name: &str) -> Option<Answer> {
        if call.has(name) {
            return None;
        }
        if call.plans_only {
            return plan(call, &[name]);
        }
        let told = |op: Value| Some(Answer(206, false, json!([op])));
        let op = match self.execute(call, name).await {
            Ok(op) => op,
            Err(op) => return told(op),
        };
        if call.function != Function::Checkpointing || call.attempt > 0 {
            return told(op);
        }
        match self.checkpoint(call, &op).await {
            Some(200) => {
                call.memos
                    .insert(step_id(name), json!({ "data": op["data"] }));
                None
            }
            // A newer dispatch owns the run.
            Some(409) => Some(Answer(400, true, json!({ "message": "stale dispatch" }))),
            _ => told(op),
        }
    }

    /// Runs a step's body; gives the op that tells of its success, or that it threw.
    async fn execute(&self, call: &Call, name: &str) -> Result<Value, Value> {
        let serial = self.serial.fetch_add(1, Ordering::SeqCst);
        let data = json!({ "step": name, "serial": serial });
        let throws = call.attempt == 0
            && call
                .function
                .stages()
                .iter()
                .any(|s| matches!(s, Stage::Flaky(one) if *one == name));
        {
            let mut book = self.book();
            book.ran
                .entry(call.key(name))
                .or_default()
                .push(call.attempt);
            if !throws {
                book.made
                    .entry(call.key(name))
                    .or_default()
                    .push(data.clone());
            }
        }
        let nudges = |stage: &Stage| matches!(stage, Stage::Nudged(_, one) if *one == name);
        if call.function.stages().iter().any(nudges) {
            self.nudge(call).await;
        }
        // Work takes a moment, so that crashes find it under way.
        tokio::time::sleep(Duration::from_millis(serial * 7 % 11)).await;
        let op =
            |op: &str| json!({ "op": op, "id": step_id(name), "name": name, "displayName": name });
        if throws {
            let mut op = op("StepError");
            op["error"] = json!({ "name": "Error", "message": "not yet" });
            return Err(op);
        }
        let mut op = op("StepRun");
        op["data"] = data;
        Ok(op)
    }

    /// Sends the event that the run waits for. If nobody takes it, the server is dead, and has this
    /// step run again.
    async fn nudge(&self, call: &Call) {
        let event = json!({ "name": "crash/answer", "data": { "of": call.event } });
        let headers = [("content-type", "application/json")];
        let body = event.to_string();
        let _ = self
            .server
            .try_send(Method::POST, "/e/test", &headers, body)
            .await;
    }

    fn fetch(&self, name: &str) -> Answer {
        let op = json!({
            "op": "Gateway", "id": step_id(name), "name": name, "displayName": name,
            "opts": { "url": format!("http://127.0.0.1:{}/page", self.port), "method": "GET" },
        });
        Answer(206, false, json!([op]))
    }

    async fn checkpoint(&self, call: &Call, op: &Value) -> Option<u16> {
        let context = &call.context;
        let run = context["run_id"].as_str().expect("a call names its run");
        let body = json!({
            "run_id": run, "fn_id": context["fn_id"], "qi_id": context["qi_id"],
            "request_id": context["request_id"], "generation_id": context["generation_id"],
            "ts": 0, "steps": [op],
        });
        let path = format!("/v1/checkpoint/{run}/async");
        let headers = [("content-type", "application/json")];
        let sent = self
            .server
            .try_send(Method::POST, &path, &headers, body.to_string());
        sent.await.map(|reply| reply.status)
    }
}

/// Plans what has no result; nothing if all have.
fn plan(call: &Call, names: &[&str]) -> Option<Answer> {
    let op = |name: &&str| {
        let id = step_id(name);
        json!({ "op": "StepPlanned", "id": id, "name": name, "displayName": name })
    };
    let missing: Vec<Value> = names
        .iter()
        .filter(|name| !call.has(name))
        .map(op)
        .collect();
    (!missing.is_empty()).then(|| Answer(206, false, missing.into()))
}

/// A wait and the step that brings its event about; nothing if both have their results.
fn nudged(call: &Call, wait: &str, nudge: &str) -> Option<Answer> {
    let mut ops = Vec::new();
    if !call.has(wait) {
        ops.push(json!({
            "op": "WaitForEvent", "id": step_id(wait), "name": "crash/answer", "displayName": wait,
            "opts": { "timeout": "1h", "if": "async.data.of == event.id" },
        }));
    }
    if !call.has(nudge) {
        let id = step_id(nudge);
        ops.push(json!({ "op": "StepPlanned", "id": id, "name": nudge, "displayName": nudge }));
    }
    (!ops.is_empty()).then(|| Answer(206, false, ops.into()))
}

fn invoke(name: &str, function: Function) -> Answer {
    let op = json!({
        "op": "InvokeFunction", "id": step_id(name), "displayName": name,
        "opts": { "function_id": format!("crash-{}", function.id()), "payload": { "data": {} } },
    });
    Answer(206, false, json!([op]))
}

fn sleep(name: &str, duration: &str) -> Answer {
    let op = json!({
        "op": "Sleep", "id": step_id(name), "name": duration, "displayName": name,
        "opts": { "duration": duration },
    });
    Answer(206, false, json!([op]))
}

/// A step's id on the wire: as long as a hash, and it reads back.
#[must_use]
pub fn step_id(name: &str) -> String {
    let hex: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex:0<40}")
}

/// The name that [`step_id`] was given.
#[must_use]
pub fn step_name(id: &str) -> String {
    let pairs = (0..id.len() / 2).filter_map(|at| id.get(at * 2..at * 2 + 2));
    let bytes = pairs.filter_map(|pair| u8::from_str_radix(pair, 16).ok());
    String::from_utf8_lossy(&bytes.take_while(|byte| *byte != 0).collect::<Vec<_>>()).into_owned()
}
