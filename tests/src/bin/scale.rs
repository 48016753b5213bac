//! Shows what many live runs cost: how much memory they hold, and how soon a server that was
//! killed serves again with them.
//!
//! `cargo run --release -p dunlin-tests --bin scale -- --binary target/release/dunlin`
//! takes `--sleeping` (1,000,000) and `--live` (100,000). It fails where a target is missed.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_tests::{Client, free_port, listen, registration, sdk_response, step_id};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

/// Anonymous memory that 1,000,000 sleeping runs may take.
const MEMORY_BYTES_MAX: u64 = 300 * 1_000_000;

/// Until a server with 100,000 live runs serves after `kill -9`.
const RESTART_MAX: Duration = Duration::from_secs(2);

/// Events in one request.
const BATCH: usize = 500;

/// Requests in flight.
const SENDERS: usize = 4;

/// How long the run that is watched over a restart sleeps.
const SHORT_SLEEP: Duration = Duration::from_secs(10);

/// Nothing may stand still longer than this.
const PATIENCE: Duration = Duration::from_secs(120);

struct Options {
    binary: PathBuf,
    sleeping: usize,
    live: usize,
}

/// What the app answered.
#[derive(Default)]
struct Counts {
    /// Calls that were answered by a long sleep.
    asleep: AtomicUsize,
    /// Calls after the short sleep.
    woken: AtomicUsize,
}

/// Figures of one size.
struct Figures {
    runs: usize,
    seconds: f64,
    memory: Memory,
    memory_empty: Memory,
    memory_restarted: Memory,
    disk: u64,
    health: Duration,
    acknowledged: Duration,
    called: Duration,
    woken: Duration,
}

#[derive(Clone, Copy, Default)]
struct Memory {
    anonymous: u64,
    file: u64,
    peak: u64,
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(why) => {
            say(&format!(
                "{why}\nscale --binary PATH [--sleeping 1000000] [--live 100000]"
            ));
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let met = runtime.block_on(async {
        let mut met = true;
        if options.sleeping > 0 {
            let figures = measure(&options.binary, options.sleeping).await;
            report(&figures);
            let allowed = MEMORY_BYTES_MAX.max(300 * figures.runs as u64);
            met &= verdict("memory", figures.memory.anonymous <= allowed);
        }
        if options.live > 0 {
            let figures = measure(&options.binary, options.live).await;
            report(&figures);
            met &= verdict("restart", figures.acknowledged <= RESTART_MAX);
        }
        met
    });
    if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        binary: PathBuf::from("target/release/dunlin"),
        sleeping: 1_000_000,
        live: 100_000,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        let number = || {
            value
                .replace('_', "")
                .parse()
                .map_err(|_| format!("{value}: no number"))
        };
        match name.as_str() {
            "--binary" => options.binary = PathBuf::from(&value),
            "--sleeping" => options.sleeping = number()?,
            "--live" => options.live = number()?,
            _ => return Err(format!("{name} is unknown")),
        }
    }
    options.binary = options.binary.canonicalize().map_err(|error| {
        format!(
            "{}: {error}; build it with `cargo build --release`",
            options.binary.display()
        )
    })?;
    Ok(options)
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn say(text: &str) {
    println!("{text}");
}

fn verdict(what: &str, met: bool) -> bool {
    say(&format!(
        "{what}: {}\n",
        if met {
            "within its target"
        } else {
            "OVER ITS TARGET"
        }
    ));
    met
}

fn report(figures: &Figures) {
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let memory = |memory: Memory| {
        format!(
            "{} (files {}, peak {})",
            mb(memory.anonymous),
            mb(memory.file),
            mb(memory.peak)
        )
    };
    let per_run = |after: Memory| {
        after
            .anonymous
            .saturating_sub(figures.memory_empty.anonymous)
            / figures.runs as u64
    };
    let lines = [
        ("runs asleep", figures.runs.to_string()),
        (
            "made and put to sleep in",
            format!("{:.1} s", figures.seconds),
        ),
        (
            "store",
            format!(
                "{} ({} B/run)",
                mb(figures.disk),
                figures.disk / figures.runs as u64
            ),
        ),
        ("anonymous memory, empty", memory(figures.memory_empty)),
        ("anonymous memory, all asleep", memory(figures.memory)),
        ("  for each run", format!("{} B", per_run(figures.memory))),
        (
            "anonymous memory, restarted",
            memory(figures.memory_restarted),
        ),
        (
            "  for each run",
            format!("{} B", per_run(figures.memory_restarted)),
        ),
        (
            "kill -9, then GET /health after",
            format!("{:.3} s", figures.health.as_secs_f64()),
        ),
        (
            "  POST /e/ acknowledged after",
            format!("{:.3} s", figures.acknowledged.as_secs_f64()),
        ),
        (
            "  its function called after",
            format!("{:.3} s", figures.called.as_secs_f64()),
        ),
        (
            "  an old run went on after",
            format!("{:.3} s", figures.woken.as_secs_f64()),
        ),
    ];
    for (name, value) in lines {
        say(&format!("{name:32} {value}"));
    }
}

async fn measure(binary: &Path, runs: usize) -> Figures {
    let counts = Arc::new(Counts::default());
    let url = serve_app(Arc::clone(&counts)).await;
    let folder = tempfile::tempdir().expect("there is room");
    let (port, began) = (free_port(), Instant::now());
    let client = Client::new(&format!("http://127.0.0.1:{port}"));
    let mut server = start(binary, &folder, port);
    ready(&client, &mut server).await;
    let functions = [function("long", &url), function("short", &url)];
    post(
        &client,
        "/fn/register",
        &registration("scale", &url, &functions),
    )
    .await;
    let memory_empty = memory(&server);
    send(&client, runs, &counts).await;
    let seconds = began.elapsed().as_secs_f64();
    settle(&client, &folder).await;
    let memory_full = memory(&server);
    let disk = folder_bytes(folder.path());

    post(
        &client,
        "/e/test",
        &json!({ "name": "scale/short", "data": {} }),
    )
    .await;
    let short = Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    server.kill().await.expect("the server can be killed");
    let spawned = Instant::now();
    server = start(binary, &folder, port);
    ready(&client, &mut server).await;
    let health = spawned.elapsed();
    let asleep = counts.asleep.load(Ordering::SeqCst);
    post(
        &client,
        "/e/test",
        &json!({ "name": "scale/long", "data": { "after": true } }),
    )
    .await;
    let acknowledged = spawned.elapsed();
    reach(&counts.asleep, asleep + 1, "call after the restart").await;
    let called = spawned.elapsed();
    reach(&counts.woken, 1, "wake of an old run").await;
    let woken = spawned.elapsed();
    assert!(short.elapsed() >= SHORT_SLEEP, "a sleep ended early");
    let memory_restarted = memory(&server);
    server.kill().await.expect("the server can be killed");
    Figures {
        runs,
        seconds,
        memory: memory_full,
        memory_empty,
        memory_restarted,
        disk,
        health,
        acknowledged,
        called,
        woken,
    }
}

fn start(binary: &Path, folder: &TempDir, port: u16) -> Child {
    let mut command = Command::new(binary);
    command.args([
        "dev",
        "--no-discovery",
        "--port",
        &port.to_string(),
        "--data-dir",
    ]);
    command
        .arg(folder.path().join("data"))
        .current_dir(folder.path());
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    command.spawn().expect("the server can be started")
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

async fn post(client: &Client, path: &str, body: &Value) {
    let reply = client.post(path, body).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
}

fn function(name: &str, url: &str) -> Value {
    let id = format!("scale-{name}");
    json!({
        "id": id, "name": name, "triggers": [{ "event": format!("scale/{name}") }],
        "steps": { "step": {
            "id": "step", "name": "step", "retries": { "attempts": 4 },
            "runtime": { "type": "http", "url": format!("{url}?fnId={id}&stepId=step") },
        } },
    })
}

async fn serve_app(counts: Arc<Counts>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a port is free");
    let port = listener.local_addr().expect("it listens").port();
    tokio::spawn(listen(listener, Arc::default(), move |request| {
        answer(Arc::clone(&counts), request)
    }));
    format!("http://127.0.0.1:{port}/api/inngest")
}

/// Both functions sleep, one for long; what comes after the short sleep is told by its memo.
async fn answer(counts: Arc<Counts>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let query = head.uri.query().unwrap_or_default();
    if head.method != Method::POST {
        return sdk_response(200, r#"{"message":"ok","modified":false}"#);
    }
    let id = step_id("nap");
    let (duration, counter) = if query.contains("fnId=scale-long") {
        ("30d".to_owned(), Some(&counts.asleep))
    } else if String::from_utf8_lossy(&body).contains(&id) {
        counts.woken.fetch_add(1, Ordering::SeqCst);
        return sdk_response(200, r#""done""#);
    } else {
        (format!("{}s", SHORT_SLEEP.as_secs()), None)
    };
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::SeqCst);
    }
    let op = json!({
        "op": "Sleep", "id": id, "name": duration, "displayName": "nap",
        "opts": { "duration": duration },
    });
    sdk_response(206, json!([op]).to_string())
}

async fn send(client: &Client, runs: usize, counts: &Arc<Counts>) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (client, next) = (client.clone(), Arc::clone(&next));
        senders.spawn(async move {
            loop {
                let from = next.fetch_add(BATCH, Ordering::SeqCst);
                if from >= runs {
                    return;
                }
                let events: Vec<Value> = (from..runs.min(from + BATCH))
                    .map(|n| json!({ "name": "scale/long", "data": { "customer": n } }))
                    .collect();
                post(&client, "/e/test", &events.into()).await;
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.expect("a sender ends");
    }
    reach(&counts.asleep, runs, "sleep of all runs").await;
}

/// Waits until the counter is there, as long as it moves.
async fn reach(counter: &AtomicUsize, target: usize, what: &str) {
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let now = counter.load(Ordering::SeqCst);
        if now >= target {
            return;
        }
        if now > last {
            (last, moved) = (now, Instant::now());
        }
        assert!(moved.elapsed() < PATIENCE, "{what}: {now} of {target}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the last replies are committed and the log has been copied into the file: until
/// the store has not changed for a while.
async fn settle(client: &Client, folder: &TempDir) {
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        let now = folder_bytes(folder.path());
        if now != last {
            (last, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(client.get("/health").await.status, 200);
}

fn memory(server: &Child) -> Memory {
    let pid = server.id().expect("the server is alive");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let bytes = |key: &str| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .unwrap_or_default();
        line.trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .unwrap_or(0)
            * 1024
    };
    Memory {
        anonymous: bytes("RssAnon:"),
        file: bytes("RssFile:"),
        peak: bytes("VmHWM:"),
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
