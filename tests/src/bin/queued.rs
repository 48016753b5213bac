//! Shows what many queued runs cost: `cargo run --release -p dunlin-tests --bin queued -- --binary
//! target/release/dunlin` queues `--runs 1000000` behind a concurrency of one on `--keys 1000`, held by
//! calls that do not end, and tells how much memory each takes and how soon the server serves again
//! after `kill -9`. It fails where a target is missed.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_tests::{
    LightCall, LightSender, Measured, Memory, Told, function_of, light_app, light_request,
    light_response, program, reach, registration, say, verdict,
};
use serde_json::json;

/// Memory of one queued run.
const RUN_BYTES_MAX: u64 = 200;
/// Until the server serves again, with a million.
const RESTART_MAX: Duration = Duration::from_secs(5);
/// Runs before the empty server is measured, so that its caches are as full as they get.
const WARM_UP: usize = 5_000;
/// Calls out at a time: fewer than an app may have, so that rules alone hold the rest back.
const CALLS: usize = 100;
/// Events in one request.
const BATCH: usize = 500;
/// Requests in flight.
const SENDERS: usize = 4;

/// What the app was called for.
#[derive(Default)]
struct Counts {
    held: AtomicUsize,
    ended: AtomicUsize,
}

fn main() -> ExitCode {
    let numbers = [("runs", 1_000_000), ("keys", 1_000)];
    program("queued", &numbers, &[], measure)
}

async fn serve_app(counts: &Arc<Counts>) -> String {
    let (counts, done) = (Arc::clone(counts), light_response(200, "null"));
    let respond = move |call: LightCall<'_>| {
        let holds = call.is_for("queued-held");
        let counter = if holds { &counts.held } else { &counts.ended };
        counter.fetch_add(1, Ordering::SeqCst);
        let done: Bytes = done.clone();
        async move {
            if holds {
                std::future::pending::<()>().await;
            }
            done
        }
    };
    light_app(respond).await
}

async fn measure(told: &Told) -> bool {
    let (runs, keys) = (told.number("runs"), told.number("keys").max(1));
    let counts = Arc::new(Counts::default());
    let url = serve_app(&counts).await;
    let mut server = Measured::start(&told.binary, &[]).await;
    let rules = json!({ "concurrency": [
        { "limit": CALLS }, { "limit": 1, "key": "event.data.key" },
    ] });
    let functions = [
        function_of("queued", &url, "held", &rules),
        function_of("queued", &url, "plain", &json!({})),
    ];
    let body = registration("queued", &url, &functions);
    server.post("/fn/register", &body).await;
    send(server.port, "queued/plain", WARM_UP, keys).await;
    let ended = || counts.ended.load(Ordering::SeqCst);
    reach("end of the first runs", WARM_UP, ended).await;
    server.settle().await;
    let empty = server.memory();

    let began = Instant::now();
    // Caches have filled up by then; what comes after is what runs take alone.
    let tenth = runs / 10;
    send(server.port, "queued/held", tenth, keys).await;
    let first = server.memory();
    send(server.port, "queued/held", runs - tenth, keys).await;
    let seconds = began.elapsed().as_secs_f64();
    server.settle().await;
    let full = server.memory();
    let disk = server.disk_bytes();
    let began = server.restart().await;
    let health = began.elapsed();
    send(server.port, "queued/plain", 1, keys).await;
    let acknowledged = began.elapsed();
    reach("end of a run after the restart", WARM_UP + 1, ended).await;
    let called = began.elapsed();
    server.settle().await;
    let restarted = server.memory();
    server.kill().await;
    report(runs, seconds, disk, [empty, full, restarted]);
    let beyond = full.anonymous.saturating_sub(first.anonymous) / (runs - tenth).max(1) as u64;
    say(&format!(
        "{:34} {beyond} B",
        "  for each but the first tenth"
    ));
    for (what, time) in [
        ("kill -9, then GET /health after", health),
        ("  POST /e/ acknowledged after", acknowledged),
        ("  its function called after", called),
    ] {
        say(&format!("{what:34} {:.3} s", time.as_secs_f64()));
    }
    say(&format!(
        "{:34} {}",
        "calls held",
        counts.held.load(Ordering::SeqCst)
    ));
    let allowed = RUN_BYTES_MAX * runs as u64;
    let taken = full.anonymous.saturating_sub(empty.anonymous);
    verdict("memory", taken <= allowed) & verdict("restart", acknowledged <= RESTART_MAX)
}

fn report(runs: usize, seconds: f64, disk: u64, [empty, full, restarted]: [Memory; 3]) {
    let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let per_run = |after: Memory| {
        let bytes = after.anonymous.saturating_sub(empty.anonymous);
        format!("{} B", bytes / runs.max(1) as u64)
    };
    let whole = |one: Memory| {
        let (own, files, peak) = (mb(one.anonymous), mb(one.file), mb(one.peak));
        format!("{own} (files {files}, peak {peak})")
    };
    for (name, value) in [
        ("runs queued", runs.to_string()),
        ("  queued in", format!("{seconds:.1} s")),
        ("store", mb(disk)),
        ("anonymous memory, empty", whole(empty)),
        ("anonymous memory, all queued", whole(full)),
        ("  for each run", per_run(full)),
        ("anonymous memory, restarted", whole(restarted)),
        ("  for each run", per_run(restarted)),
    ] {
        say(&format!("{name:34} {value}"));
    }
}

async fn send(port: u16, name: &'static str, count: usize, keys: usize) {
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..SENDERS {
        let (mut sender, next) = (LightSender::new(port), Arc::clone(&next));
        senders.spawn(async move {
            loop {
                let from = next.fetch_add(BATCH, Ordering::SeqCst);
                if from >= count {
                    return;
                }
                let events: Vec<_> = (from..count.min(from + BATCH))
                    .map(|n| json!({ "name": name, "data": { "key": n % keys } }))
                    .collect();
                let request = light_request("/e/test", &json!(events).to_string());
                let status = sender.send(&request).await;
                assert!(matches!(status, Ok(200)), "events are taken: {status:?}");
            }
        });
    }
    while let Some(sender) = senders.join_next().await {
        sender.expect("a sender ends");
    }
}
