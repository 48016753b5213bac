//! Shows that what runs wait for outlives the server: `cargo run --release -p dunlin-tests --bin
//! restart -- --binary target/release/dunlin` has 100,000 runs wait for events and 1,000 functions
//! start each minute, kills the server over the turn of a minute, starts it again, and counts what
//! was missed and what came twice. It takes about three minutes, and fails where a target is missed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dunlin_tests::{Client, free_port, listen, registration, sdk_response, step_id};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// Until the server serves again.
const RESTART_MAX: Duration = Duration::from_secs(2);
/// Events in one request.
const BATCH: usize = 500;
/// Nothing may stand still longer than this.
const PATIENCE: Duration = Duration::from_secs(150);
const MINUTE: u64 = 60;

/// What the app has seen.
#[derive(Default)]
struct Book {
    /// Runs that were told to wait, by their number.
    waiting: BTreeSet<u64>,
    /// Runs that went on after their wait, by their number, and what their event said.
    resumed: BTreeMap<u64, BTreeSet<u64>>,
    /// Runs of each function for each tick.
    ticks: BTreeMap<(String, String), BTreeSet<String>>,
}

#[derive(Clone, Default)]
struct App(Arc<Mutex<Book>>);

impl App {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body
            .collect()
            .await
            .map(|body| body.to_bytes())
            .unwrap_or_default();
        if head.method != Method::POST {
            return sdk_response(200, r#"{"message":"ok","modified":false}"#);
        }
        let call: Value = serde_json::from_slice(&body).unwrap_or_default();
        let query = head.uri.query().unwrap_or_default();
        if query.contains("fnId=restart-wait") {
            return self.wait(&call);
        }
        let function = query.split('&').find_map(|pair| pair.strip_prefix("fnId="));
        let key = (
            function.unwrap_or_default().to_owned(),
            text(&call["event"]["id"]),
        );
        let run = text(&call["ctx"]["run_id"]);
        self.book().ticks.entry(key).or_default().insert(run);
        sdk_response(200, "null")
    }

    fn wait(&self, call: &Value) -> Response<Full<Bytes>> {
        let id = step_id("resumed");
        let n = call["event"]["data"]["i"].as_u64().unwrap_or_default();
        let memo = &call["steps"][&id];
        if !memo.is_null() {
            let told = memo["data"]["i"].as_u64().unwrap_or(u64::MAX);
            self.book().resumed.entry(n).or_default().insert(told);
            return sdk_response(200, "null");
        }
        self.book().waiting.insert(n);
        let op = json!([{
            "op": "WaitForEvent", "id": id, "name": "restart/resume", "displayName": "resumed",
            "opts": { "timeout": "2h", "if": "event.data.i == async.data.i" },
        }]);
        sdk_response(206, op.to_string())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

struct Options {
    binary: PathBuf,
    waits: u64,
    crons: u64,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            say(&format!(
                "{why}\nrestart --binary PATH [--waits 100000] [--crons 1000]"
            ));
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    if runtime.block_on(measure(&options)) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        binary: PathBuf::from("target/release/dunlin"),
        waits: 100_000,
        crons: 1_000,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse().map_err(|_| format!("{value}: no number"));
        match name.as_str() {
            "--binary" => options.binary = PathBuf::from(&value),
            "--waits" => options.waits = number()?,
            "--crons" => options.crons = number()?,
            _ => return Err(format!("{name} is unknown")),
        }
    }
    let path = options.binary.canonicalize();
    options.binary = path.map_err(|error| format!("{}: {error}", options.binary.display()))?;
    Ok(options)
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn say(text: &str) {
    println!("{text}");
}

async fn measure(options: &Options) -> bool {
    let app = App::default();
    let url = serve(app.clone()).await;
    let folder = tempfile::tempdir().expect("there is room");
    let port = free_port();
    let client = Client::new(&format!("http://127.0.0.1:{port}"));
    let mut server = start(&options.binary, &folder, port);
    ready(&client, &mut server).await;
    register(&client, &url, options.crons).await;
    let first_minute = minute() + 1;
    send(&client, "restart/go", 0..options.waits).await;
    reach("runs that wait", options.waits as usize, || {
        app.book().waiting.len()
    })
    .await;
    say(&format!(
        "{} runs wait, {} time tables",
        options.waits, options.crons
    ));

    // Ticks of a whole minute have come, and the next are due while nobody is there.
    reach_minute(first_minute + 1).await;
    reach("ticks", options.crons as usize, || app.book().ticks.len()).await;
    sleep_until_second(57).await;
    server.kill().await.expect("the server can be killed");
    let gone = minute();
    reach_minute(gone + 1).await;
    sleep_until_second(3).await;
    let began = Instant::now();
    server = start(&options.binary, &folder, port);
    ready(&client, &mut server).await;
    let health = began.elapsed();
    send(&client, "restart/resume", 0..1).await;
    let acknowledged = began.elapsed();
    say(&format!(
        "kill -9, then GET /health after {:.3} s",
        health.as_secs_f64()
    ));
    say(&format!(
        "  an event acknowledged after {:.3} s",
        acknowledged.as_secs_f64()
    ));

    send(&client, "restart/resume", 1..options.waits).await;
    reach("runs that went on", options.waits as usize, || {
        app.book().resumed.len()
    })
    .await;
    reach_minute(gone + 2).await;
    let last_minute = gone + 2;
    let expected = (last_minute - first_minute + 1) * options.crons;
    reach("ticks in all", expected as usize, || app.book().ticks.len()).await;
    let idle = client.try_send(Method::GET, "/health", &[], "").await;
    assert!(idle.is_some(), "the server is there");
    server.kill().await.expect("the server can be killed");
    judge(options, &app.book(), expected as usize) & verdict("restart", acknowledged <= RESTART_MAX)
}

/// Nothing missed, nothing twice.
fn judge(options: &Options, book: &Book, expected: usize) -> bool {
    let own = book
        .resumed
        .iter()
        .filter(|(n, told)| told.len() == 1 && told.contains(n));
    let resumed = own.count();
    let once = book.ticks.values().filter(|runs| runs.len() == 1).count();
    let ticks = book.ticks.len();
    say(&format!(
        "{resumed} of {} runs went on with their own event",
        options.waits
    ));
    say(&format!(
        "{ticks} ticks of {expected} expected, {once} of them with one run"
    ));
    verdict("waits", resumed as u64 == options.waits)
        & verdict("ticks", ticks == expected && once == expected)
}

fn verdict(what: &str, met: bool) -> bool {
    let words = if met {
        "within its target"
    } else {
        "OVER ITS TARGET"
    };
    say(&format!("{what}: {words}"));
    met
}

async fn register(client: &Client, url: &str, crons: u64) {
    let wait = function("restart-wait", url, &json!([{ "event": "restart/go" }]));
    let every_minute = json!([{ "cron": "* * * * *" }]);
    let ticks: Vec<Value> = (0..crons)
        .map(|n| function(&format!("ticks-{n}"), url, &every_minute))
        .collect();
    post(
        client,
        "/fn/register",
        &registration("restart", url, &[wait]),
    )
    .await;
    post(
        client,
        "/fn/register",
        &registration("ticks", &format!("{url}2"), &ticks),
    )
    .await;
}

fn function(id: &str, url: &str, triggers: &Value) -> Value {
    json!({
        "id": id, "name": id, "triggers": triggers,
        "steps": { "step": {
            "id": "step", "name": "step", "retries": { "attempts": 4 },
            "runtime": { "type": "http", "url": format!("{url}?fnId={id}&stepId=step") },
        } },
    })
}

async fn send(client: &Client, name: &str, numbers: std::ops::Range<u64>) {
    let numbers: Vec<u64> = numbers.collect();
    for batch in numbers.chunks(BATCH) {
        let events: Vec<Value> = batch
            .iter()
            .map(|i| json!({ "name": name, "data": { "i": i } }))
            .collect();
        post(client, "/e/test", &events.into()).await;
    }
}

async fn post(client: &Client, path: &str, body: &Value) {
    let reply = client.post(path, body).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
}

fn start(binary: &Path, folder: &TempDir, port: u16) -> Child {
    let mut command = Command::new(binary);
    let port = port.to_string();
    command.args(["dev", "--no-discovery", "--port", &port, "--data-dir"]);
    command
        .arg(folder.path().join("data"))
        .current_dir(folder.path());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    command
        .kill_on_drop(true)
        .spawn()
        .expect("the server can be started")
}

async fn ready(client: &Client, server: &mut Child) {
    let began = Instant::now();
    loop {
        let reply = client.try_send(Method::GET, "/health", &[], "").await;
        if reply.is_some_and(|reply| reply.status == 200) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "the server is not ready");
        assert!(matches!(server.try_wait(), Ok(None)), "the server ended");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn serve(app: App) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port is free");
    let port = listener.local_addr().expect("it listens").port();
    tokio::spawn(listen(listener, Arc::default(), move |request| {
        app.clone().answer(request)
    }));
    format!("http://127.0.0.1:{port}/api/inngest")
}

/// Waits until the number is there, as long as it moves.
async fn reach(what: &str, target: usize, now: impl Fn() -> usize) {
    let (mut last, mut moved) = (0, Instant::now());
    while now() < target {
        let seen = now();
        if seen > last {
            (last, moved) = (seen, Instant::now());
        }
        assert!(moved.elapsed() < PATIENCE, "{what}: {seen} of {target}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "time tables follow the machine's clock"
)]
fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("the clock is set").as_secs()
}

fn minute() -> u64 {
    seconds() / MINUTE
}

async fn reach_minute(target: u64) {
    while minute() < target {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn sleep_until_second(second: u64) {
    while seconds() % MINUTE < second {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
