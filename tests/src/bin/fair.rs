//! Shows that what waits of one does not keep the others waiting: `cargo run --release -p
//! dunlin-tests --bin fair -- --binary target/release/dunlin` queues 100,000 runs on one key, and then
//! 100,000 at an app's cap, and tells how soon others begin beside them, against a quiet server; and
//! how evenly ten keys share a limit. It takes about three minutes, and fails where a target is missed.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_tests::{
    LightCall, LightSender, Measured, Told, function_of, light_app, light_request, light_response,
    program, quantile, reach, registration, say, verdict,
};
use serde_json::{Value, json};

/// How much longer than on a quiet server a first start may take.
const DELAY_MAX: f64 = 2.0;
/// How far the shares of equal keys may be apart, in percent.
const SPREAD_PERCENT_MAX: f64 = 5.0;
/// Keys that share a limit.
const KEYS: usize = 10;
/// Events in one request.
const BATCH: usize = 500;
/// Between two probes.
const PROBE_PAUSE: Duration = Duration::from_millis(25);

/// What the app saw begin.
#[derive(Default)]
struct Book {
    probes: HashMap<usize, Instant>,
    hot: usize,
    shares: [usize; KEYS],
}

/// An app whose calls take some time, but for those of probes.
struct App {
    book: Mutex<Book>,
    done: Bytes,
    hot: Duration,
    full: Duration,
    shared: Duration,
    /// Calls of equal keys wait until this is true.
    go: tokio::sync::watch::Sender<bool>,
}

impl App {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what begins; tells how long it takes.
    fn begins(&self, call: &LightCall<'_>) -> Duration {
        let mut book = self.book();
        if let Some(probe) = call.number("probe") {
            book.probes.entry(probe).or_insert_with(Instant::now);
            return Duration::ZERO;
        }
        if call.is_for("fair-shared") {
            let key = call.number("key").unwrap_or_default();
            book.shares[key % KEYS] += 1;
            return self.shared;
        }
        book.hot += 1;
        match call.is_for("fair-full") {
            // Apart from each other, so that calls do not begin and end in waves.
            true => self
                .full
                .mul_f64(0.5 + (book.hot * 37 % 100) as f64 / 100.0),
            false => self.hot,
        }
    }
}

fn main() -> ExitCode {
    let numbers = [
        ("queued", 100_000),
        ("probes", 50),
        ("per-key", 2_000),
        ("hot-ms", 100),
        ("full-ms", 1_000),
        ("shared-ms", 5),
    ];
    program("fair", &numbers, &[], measure)
}

struct World {
    server: Measured,
    url: String,
    app: Arc<App>,
    sender: LightSender,
    next_probe: usize,
    probes: usize,
}

/// A server with both apps.
async fn world(told: &Told) -> World {
    let ms = |name| Duration::from_millis(told.number(name) as u64);
    let app = Arc::new(App {
        book: Mutex::default(),
        done: light_response(200, "null"),
        hot: ms("hot-ms"),
        full: ms("full-ms"),
        shared: ms("shared-ms"),
        go: tokio::sync::watch::Sender::new(false),
    });
    let respond = {
        let app = Arc::clone(&app);
        move |call: LightCall<'_>| {
            let (time, done) = (app.begins(&call), app.done.clone());
            let held = call.is_for("fair-shared").then(|| app.go.subscribe());
            async move {
                if let Some(mut go) = held {
                    let _ = go.wait_for(|go| *go).await;
                }
                if !time.is_zero() {
                    tokio::time::sleep(time).await;
                }
                done
            }
        }
    };
    let url = light_app(respond).await;
    let server = Measured::start(&told.binary, &[]).await;
    register(&server, &url, &json!({ "concurrency": [{ "limit": 1 }] })).await;
    World {
        sender: LightSender::new(server.port),
        server,
        url,
        app,
        next_probe: 1,
        probes: told.number("probes"),
    }
}

/// Registers both apps; the rules are those of the function that fills its app.
async fn register(server: &Measured, url: &str, rules: &Value) {
    let keyed = json!({ "concurrency": [{ "limit": 10, "key": "event.data.key" }] });
    let shared = json!({ "concurrency": [
        { "limit": 10 }, { "limit": 10, "key": "event.data.key" },
    ] });
    let none = json!({});
    let functions = [
        function_of("fair", url, "keyed", &keyed),
        function_of("fair", url, "other", &none),
        function_of("fair", url, "full", rules),
        function_of("fair", url, "shared", &shared),
    ];
    let body = registration("fair", url, &functions);
    server.post("/fn/register", &body).await;
    let far = format!("{url}/far");
    let body = registration("far", &far, &[function_of("far", &far, "plain", &none)]);
    server.post("/fn/register", &body).await;
}

impl World {
    async fn send(&mut self, events: &Value) -> Instant {
        let request = light_request("/e/test", &events.to_string());
        let sent = Instant::now();
        let status = self.sender.send(&request).await.expect("an answer");
        assert_eq!(status, 200, "the server takes the events");
        sent
    }

    /// Until a run begins of an event that is sent by itself, time after time.
    async fn first_starts(&mut self, event: &str) -> Vec<Duration> {
        let mut times = Vec::new();
        for _ in 0..self.probes {
            let probe = self.next_probe;
            self.next_probe += 1;
            let key = format!("probe-{probe}");
            let event = json!({ "name": event, "data": { "key": key, "probe": probe, "z": 0 } });
            let sent = self.send(&event).await;
            let seen = || usize::from(self.app.book().probes.contains_key(&probe));
            reach("start of a probe", 1, seen).await;
            times.push(self.app.book().probes[&probe] - sent);
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        times
    }

    async fn queue(&mut self, name: &str, count: usize, key: impl Fn(usize) -> Value) {
        for from in (0..count).step_by(BATCH) {
            let events = (from..count.min(from + BATCH))
                .map(|n| json!({ "name": name, "data": { "key": key(n), "z": 0 } }));
            self.send(&events.collect()).await;
        }
    }

    /// Stops all that is under way or queued.
    async fn clear(&mut self, told: &Told) {
        self.server.kill().await;
        let next_probe = self.next_probe;
        *self = world(told).await;
        self.next_probe = next_probe;
    }
}

/// Those that may not be kept waiting: what they are, their event, and their quiet value.
struct Other(&'static str, &'static str, Duration);

async fn quiet(world: &mut World) -> Vec<Other> {
    let mut others = Vec::new();
    for (what, event) in [
        ("another key", "fair/keyed"),
        ("another function", "fair/other"),
        ("another app", "far/plain"),
    ] {
        // The first ones open connections and fill caches.
        world.first_starts(event).await;
        let times = world.first_starts(event).await;
        let median = quantile(&times, 0.5);
        say(&format!("quiet: {what} begins after {median:.2?} (median)"));
        others.push(Other(what, event, median));
    }
    others
}

async fn compare(world: &mut World, others: &[Other], beside: &str) -> bool {
    let mut met = true;
    for Other(what, event, quiet) in others {
        let times = world.first_starts(event).await;
        let (median, p99) = (quantile(&times, 0.5), quantile(&times, 0.99));
        let ratio = median.as_secs_f64() / quiet.as_secs_f64();
        say(&format!(
            "{beside}: {what} begins after {median:.2?} (p99 {p99:.2?}), {ratio:.2} × quiet"
        ));
        met &= verdict("  first start", ratio <= DELAY_MAX);
    }
    met
}

async fn measure(told: &Told) -> bool {
    let queued = told.number("queued");
    let mut world = world(told).await;
    let others = quiet(&mut world).await;
    world.queue("fair/keyed", queued, |_| json!("hot")).await;
    let begun = world.app.book().hot;
    say(&format!(
        "queued on one key: {queued}, of which {begun} have begun"
    ));
    let mut met = compare(&mut world, &others, "beside a full key").await;
    world.clear(told).await;

    // Held back by a rule at first, because this is a backlog that the server would not let in.
    let others: Vec<Other> = quiet(&mut world).await.split_off(1);
    world.queue("fair/full", queued, |n| json!(n)).await;
    register(&world.server, &world.url, &json!({})).await;
    let app = Arc::clone(&world.app);
    // The first calls begin at the same time; after some rounds they no longer end so.
    reach("calls of the full app", 1_024.min(queued), || {
        app.book().hot
    })
    .await;
    met &= compare(&mut world, &others, "beside a full app").await;
    world.clear(told).await;
    met & shares(told, &mut world).await
}

/// Ten keys, queued one behind the other, share a limit.
async fn shares(told: &Told, world: &mut World) -> bool {
    let per_key = told.number("per-key");
    let key = move |n: usize| json!(n / per_key);
    world.queue("fair/shared", KEYS * per_key, key).await;
    let app = Arc::clone(&world.app);
    app.book().shares = [0; KEYS];
    app.go.send_replace(true);
    let began = Instant::now();
    let all = || app.book().shares.iter().sum::<usize>();
    // Up to the half of all, every key has some left if the shares are anywhere near.
    reach("starts of equal keys", KEYS * per_key / 2, all).await;
    let shares = app.book().shares;
    let (least, most) = (shares.iter().min(), shares.iter().max());
    let mean = shares.iter().sum::<usize>() as f64 / KEYS as f64;
    let spread = match (least, most) {
        (Some(least), Some(most)) => 100.0 * (most - least) as f64 / mean,
        _ => f64::MAX,
    };
    let rate = shares.iter().sum::<usize>() as f64 / began.elapsed().as_secs_f64();
    say(&format!(
        "starts of {KEYS} equal keys: {shares:?}, {rate:.0}/s"
    ));
    say(&format!("  apart by {spread:.1} %"));
    verdict("  equal shares", spread <= SPREAD_PERCENT_MAX)
}
