//! Shows what many stored messages cost: `cargo run --release -p dunlin-tests --bin messages --
//! --binary target/release/dunlin --filler target/release/examples/fill_messages` has the filler make
//! `--messages 10000000` of `--body-bytes 300` that were delivered within `--days 60`, and tells how
//! large the store is, how soon lists, filters and searches answer, and what a purge costs those who
//! write meanwhile. `--data FOLDER` keeps them for the next time. It fails where a target is missed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use dunlin_tests::{
    Aim, Figures, LightSender, Measured, Payment, Receiver, Reply, Told, WebhookSigner, program,
    quantile, say, text,
};
use serde_json::{Value, json};

/// The slowest page.
const PAGE_MS_MAX: f64 = 100.0;
/// How much longer a write may take during a purge.
const PURGE_MAX: f64 = 2.0;
/// A delivered message on disk, beyond its body.
const DISK_BYTES_MAX: f64 = 1_200.0;
/// Requests of each kind.
const REQUESTS: usize = 50;
const EVENT_TYPES: usize = 10;
const APP: &str = "/api/v1/app/default";
/// What of the stored messages a purge finds lapsed once the clock has been moved on so far: with
/// what is kept for ninety days, those of the older half of sixty.
const PURGE_AFTER: &str = "60d";
/// Until a purge shows: a server looks once a minute.
const PURGE_SHOWS: Duration = Duration::from_secs(90);

fn main() -> ExitCode {
    let numbers = [
        ("messages", 10_000_000),
        ("body-bytes", 300),
        ("days", 60),
        ("rate", 200),
        ("seconds", 20),
    ];
    program("messages", &numbers, &["filler", "data", "only"], measure)
}

async fn measure(told: &Told) -> bool {
    let own = tempfile::tempdir().expect("there is room");
    let folder = told
        .text("data")
        .map_or_else(|| own.path().to_owned(), PathBuf::from);
    let mut figures = Figures::default();
    if folder.join("data/dunlin.db").exists() {
        say(&format!(
            "what is in {} is taken as it is",
            folder.display()
        ));
    } else {
        fill(told, &folder).await;
    }
    disk(told, &folder, &mut figures);
    if told.wants("pages") {
        pages(told, &folder, &mut figures).await;
    }
    if told.wants("purge") {
        purge(told, &folder, &mut figures).await;
    }
    figures.report()
}

/// Has a server make an endpoint for each event type, and the filler all messages.
async fn fill(told: &Told, folder: &Path) {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let receiver = Receiver::new(0).listen(std::net::Ipv4Addr::LOCALHOST).await;
    let mut server = Measured::start_over(&told.binary, &[], folder).await;
    for number in 0..EVENT_TYPES {
        let url = format!("http://{receiver}/hook");
        let uid = format!("load-{number}");
        let types = [format!("load.{number}")];
        let fields = json!({ "url": url, "uid": uid, "eventTypes": types });
        server.make(&format!("{APP}/endpoint"), &fields).await;
    }
    server.kill().await;
    let filler = told
        .text("filler")
        .unwrap_or("target/release/examples/fill_messages");
    let numbers = ["messages", "body-bytes", "days"].map(|name| told.number(name).to_string());
    let mut command = tokio::process::Command::new(filler);
    command.arg(folder.join("data")).args(numbers);
    let status = command.status().await.expect("the filler starts");
    assert!(status.success(), "the filler fills");
}

/// What a message takes beside its body.
fn disk(told: &Told, folder: &Path, figures: &mut Figures) {
    let (messages, body) = (told.number("messages"), told.number("body-bytes"));
    let bytes = dunlin_tests::folder_bytes(folder) as f64;
    let beyond = bytes / messages as f64 - body as f64;
    figures.note("store, MB", Aim::Open, bytes / 1e6);
    let aim = Aim::AtMost(DISK_BYTES_MAX);
    figures.note("disk for each message beyond its body, bytes", aim, beyond);
}

/// Lists, filters and searches.
async fn pages(told: &Told, folder: &Path, figures: &mut Figures) {
    let began = Instant::now();
    let server = Measured::start_over(&told.binary, &[], folder).await;
    let started = began.elapsed().as_secs_f64();
    figures.note("start, s", Aim::Open, started);
    let messages = format!("{APP}/msg");
    let kind = |n: usize| n % EVENT_TYPES;
    let mut asking = Asking {
        server: &server,
        figures,
    };
    let of = |query: &'static str| {
        move |n: usize| format!("{APP}/msg?{}", query.replace('#', &n.to_string()))
    };
    asking.pages("newest", |_| messages.clone()).await;
    asking
        .pages("newest, 250", of("limit=250&with_content=false"))
        .await;
    asking.pages("oldest", of("order=ascending")).await;
    asking
        .pages("an event type", |n| {
            format!("{messages}?event_types=load.{}", kind(n))
        })
        .await;
    asking
        .pages("two event types", |n| {
            format!(
                "{messages}?event_types=load.{},load.{}",
                kind(n),
                kind(n + 3)
            )
        })
        .await;
    asking
        .pages("an event type that none has", of("event_types=none.#"))
        .await;
    asking
        .pages("a channel", |n| {
            format!("{messages}?channel=region-{}", n % 3)
        })
        .await;
    asking
        .pages("a channel that none has", of("channel=none-#"))
        .await;
    asking.pages("a tag", of("tag=tag-#")).await;
    let days = told.number("days");
    let spans: Vec<String> = span_queries(&asking.server.client, days).await;
    asking
        .pages("before and after", |n| {
            format!("{messages}?{}", spans[n % spans.len()])
        })
        .await;
    asking
        .pages("before and after, an event type", |n| {
            format!(
                "{messages}?{}&event_types=load.{}",
                spans[n % spans.len()],
                kind(n)
            )
        })
        .await;
    let (_, middle) = spans[spans.len() / 2].split_once('&').unwrap_or_default();
    asking
        .walk(
            "page after page, from the middle",
            &format!("{messages}?{middle}"),
        )
        .await;
    asking
        .walk(
            "page after page, an event type",
            &format!("{messages}?event_types=load.3"),
        )
        .await;
    attempts(&mut asking).await;
    searches(told, &mut asking).await;
}

/// Lists of attempts.
async fn attempts(asking: &mut Asking<'_>) {
    let of = |query: &'static str| {
        move |n: usize| format!("{APP}/attempt/endpoint/load-{}{query}", n % EVENT_TYPES)
    };
    asking.pages("attempts of an endpoint", of("")).await;
    asking
        .pages("attempts that succeeded", of("?status=0"))
        .await;
    asking
        .pages(
            "attempts that failed, of which there are none",
            of("?status=2"),
        )
        .await;
    asking
        .pages(
            "attempts of a status class that none has",
            of("?status_code_class=500"),
        )
        .await;
    asking
        .pages("messages of an endpoint", |n| {
            format!("{APP}/endpoint/load-{}/msg", n % EVENT_TYPES)
        })
        .await;
    asking.walk("attempts, page after page", &of("")(3)).await;
}

/// Single messages by what users know of them.
async fn searches(told: &Told, asking: &mut Asking<'_>) {
    let messages = told.number("messages");
    let nth = move |n: usize| format!("msg_{:023}", n * (messages / REQUESTS) + n % 7);
    asking
        .pages("a message by its event id", |n| {
            format!("{APP}/msg/{}", nth(n))
        })
        .await;
    let page = asking
        .server
        .client
        .get(&format!("{APP}/msg?limit=50"))
        .await
        .json();
    let ids: Vec<String> = items(&page).iter().map(|one| text(&one["id"])).collect();
    if !ids.is_empty() {
        let id = |n: usize| ids[n % ids.len()].clone();
        asking
            .pages("a message by its id", |n| format!("{APP}/msg/{}", id(n)))
            .await;
        asking
            .pages("attempts of a message", |n| {
                format!("{APP}/attempt/msg/{}", id(n))
            })
            .await;
        asking
            .pages("where a message went", |n| {
                format!("{APP}/msg/{}/endpoint", id(n))
            })
            .await;
    }
}

fn items(page: &Value) -> &[Value] {
    page["data"].as_array().map_or(&[], Vec::as_slice)
}

/// Spans of an hour, each on another day.
async fn span_queries(client: &dunlin_tests::Client, days: usize) -> Vec<String> {
    // The newest message tells what the server takes for today.
    let page = client.get(&format!("{APP}/msg?limit=1")).await.json();
    let newest = items(&page).first().map(|one| text(&one["timestamp"]));
    let newest = newest.expect("there are messages");
    let day = day_number(&newest[..10]);
    let span = |back: i64| {
        let date = date_of(day - back);
        format!("after={date}T10:00:00Z&before={date}T11:00:00Z")
    };
    let back = i64::try_from(days).unwrap_or(1) - 1;
    (1..=back.max(1)).map(span).collect()
}

/// Days since 1970 of a date such as `2026-11-22`, by the calendar that runs from March.
fn day_number(date: &str) -> i64 {
    let mut parts = date
        .split('-')
        .map(|part| part.parse::<i64>().expect("a date"));
    let [year, month, day] = [(); 3].map(|()| parts.next().expect("a date"));
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = (153 * month + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + days - 719_468
}

fn date_of(number: i64) -> String {
    // A year too late at first, then back to the one that the day lies in.
    let mut year = 1970 + number / 365 + 1;
    let first = |year: i64| day_number(&format!("{year}-01-01"));
    while first(year) > number {
        year -= 1;
    }
    let month = (1..=12).rfind(|month| day_number(&format!("{year}-{month}-01")) <= number);
    let month = month.unwrap_or(1);
    let day = number - day_number(&format!("{year}-{month}-01")) + 1;
    format!("{year:04}-{month:02}-{day:02}")
}

/// Asks a server for pages, and notes how long they take.
struct Asking<'a> {
    server: &'a Measured,
    figures: &'a mut Figures,
}

impl Asking<'_> {
    async fn ask(&self, path: &str) -> (Reply, Duration) {
        let began = Instant::now();
        let reply = self.server.client.get(path).await;
        (reply, began.elapsed())
    }

    /// Some fifty of them, each by its own path.
    async fn pages(&mut self, what: &str, path: impl Fn(usize) -> String) {
        let mut times = Vec::new();
        let mut rows = 0;
        for number in 0..REQUESTS {
            let (reply, time) = self.ask(&path(number)).await;
            if reply.status != 200 {
                say(&format!("  {what}: answered {}, skipped", reply.status));
                return;
            }
            rows += items(&reply.json()).len();
            times.push(time);
        }
        self.note(what, &times, rows);
    }

    /// Some fifty of one list, each from where the one before ended.
    async fn walk(&mut self, what: &str, path: &str) {
        let mut times = Vec::new();
        let (mut rows, mut from) = (0, String::new());
        let joint = if path.contains('?') { '&' } else { '?' };
        for _ in 0..REQUESTS {
            let (reply, time) = self.ask(&format!("{path}{joint}limit=250{from}")).await;
            if reply.status != 200 {
                say(&format!("  {what}: answered {}, skipped", reply.status));
                return;
            }
            let page = reply.json();
            rows += items(&page).len();
            times.push(time);
            match page["iterator"].as_str() {
                Some(iterator) if page["done"] == json!(false) => {
                    from = format!("&iterator={iterator}");
                }
                _ => break,
            }
        }
        self.note(what, &times, rows);
    }

    fn note(&mut self, what: &str, times: &[Duration], rows: usize) {
        let ms = |share| quantile(times, share).as_secs_f64() * 1e3;
        let each = rows as f64 / times.len() as f64;
        self.figures.note(&format!("{what}, rows"), Aim::Open, each);
        self.figures
            .note(&format!("{what}, p50 ms"), Aim::Open, ms(0.5));
        self.figures.note(
            &format!("{what}, max ms"),
            Aim::AtMost(PAGE_MS_MAX),
            ms(1.0),
        );
    }
}

/// What those who write feel of a purge.
async fn purge(told: &Told, folder: &Path, figures: &mut Figures) {
    let flags = ["--test-mode".to_owned()];
    let server = Measured::start_over(&told.binary, &flags, folder).await;
    let secret = server.client.get("/ingest/api/v1/source/dodo/secret").await;
    let mut writes = Writes {
        server: &server,
        signer: WebhookSigner::new(&text(&secret.json()["key"])),
        payment: Payment::of_bytes(told.number("body-bytes")),
        rate: told.number("rate"),
        sent: 0,
        ahead_seconds: 0,
    };
    writes.during(Duration::from_secs(2)).await;
    let time = Duration::from_secs(told.number("seconds") as u64);
    let quiet = writes.during(time).await;
    let messages = told.number("messages");
    let before = front(&server, messages).await;
    let by = json!({ "by": PURGE_AFTER });
    server.post("/test/clock/advance", &by).await;
    writes.ahead_seconds = 60 * 24 * 60 * 60;
    let began = Instant::now();
    while front(&server, messages).await == before {
        if began.elapsed() > PURGE_SHOWS {
            say("  nothing is purged, skipped");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let from = front(&server, messages).await;
    let during = writes.during(time).await;
    let to = front(&server, messages).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    if front(&server, messages).await == to {
        say("  the purge ended before the writes did: take more messages");
    }
    let each_second = (to - from) as f64 / time.as_secs_f64();
    figures.note("purged meanwhile, messages/s", Aim::Open, each_second);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let times = during.as_secs_f64() / quiet.as_secs_f64();
    figures.note("quiet write, p99 ms", Aim::Open, ms(quiet));
    figures.note("write beside a purge, p99 ms", Aim::Open, ms(during));
    figures.note(
        "write beside a purge / quiet",
        Aim::AtMost(PURGE_MAX),
        times,
    );
}

/// How many of the stored messages have lost their payload; the oldest lose it first.
async fn front(server: &Measured, messages: usize) -> usize {
    let (mut gone, mut there) = (0, messages);
    while gone < there {
        let middle = (gone + there) / 2;
        let path = format!("{APP}/msg/msg_{middle:023}");
        let message = server.client.get(&path).await.json();
        match message["payload"] == json!({ "expired": true }) {
            true => gone = middle + 1,
            false => there = middle,
        }
    }
    gone
}

/// Writes at a steady rate.
struct Writes<'a> {
    server: &'a Measured,
    signer: WebhookSigner,
    payment: Payment,
    rate: usize,
    sent: usize,
    /// How far the server's clock is ahead of this machine's.
    ahead_seconds: u64,
}

impl Writes<'_> {
    /// Writes for that long; within which time nearly all were acknowledged.
    async fn during(&mut self, time: Duration) -> Duration {
        let interval = Duration::from_secs(1) / u32::try_from(self.rate).unwrap_or(u32::MAX);
        let mut ticks = tokio::time::interval(interval);
        let mut writing = tokio::task::JoinSet::new();
        let mut idle: Vec<LightSender> = Vec::new();
        let mut times = Vec::new();
        let began = Instant::now();
        while began.elapsed() < time {
            ticks.tick().await;
            while let Some(Ok((sender, took))) = writing.try_join_next() {
                idle.push(sender);
                times.push(took);
            }
            let mut sender = idle
                .pop()
                .unwrap_or_else(|| LightSender::new(self.server.port));
            let request = self.next();
            writing.spawn(async move {
                let began = Instant::now();
                let status = sender.send(&request).await;
                assert!(
                    matches!(status, Ok(200..300)),
                    "a write is taken: {status:?}"
                );
                (sender, began.elapsed())
            });
        }
        let rest = writing.join_all().await;
        times.extend(rest.into_iter().map(|(_, took)| took));
        quantile(&times, 0.99)
    }

    fn next(&mut self) -> bytes::Bytes {
        self.sent += 1;
        let id = format!("write-{}", self.sent);
        let payload = self.payment.payload("load.1", &id).to_string();
        self.signer
            .request_ahead("/in/dodo", &id, &payload, self.ahead_seconds)
    }
}
