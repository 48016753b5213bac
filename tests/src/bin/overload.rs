//! Shows what becomes of a server that is offered ten times what it can do: `cargo run --release -p
//! dunlin-tests --bin overload -- --binary target/release/dunlin` measures how many runs of one step
//! it ends each second, offers ten times that for `--seconds 120`, and tells what it still got done,
//! how soon it refused the rest, how much memory it took, and when it was itself again. It takes
//! about four minutes, and fails where a target is missed.

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_tests::{
    LightCall, LightSender, Measured, Told, function_of, light_app, light_request, light_response,
    program, quantile, registration, say, step_id, verdict,
};
use serde_json::json;
use tokio::task::JoinSet;

/// Goodput that is left, of the peak.
const GOODPUT_MIN: f64 = 0.9;
/// Until a refused request is answered.
const REFUSED_MAX: Duration = Duration::from_millis(100);
/// Until latency is normal again.
const RECOVERY_MAX: Duration = Duration::from_secs(10);
/// Between two probes.
const PROBE_PAUSE: Duration = Duration::from_millis(100);
/// Probes of the quiet server.
const QUIET_PROBES: usize = 100;
/// Probes in a row that are quick again, so that one of them is no accident.
const PROBES_IN_A_ROW: usize = 10;
/// Between two lines that tell how it goes.
const PROGRESS_PERIOD: Duration = Duration::from_secs(5);
/// Further behind its schedule than this, a sender leaves out what it missed.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// What the app saw.
struct Seen {
    done: AtomicUsize,
    probes: Mutex<HashMap<usize, Instant>>,
    step: String,
    answers: [Bytes; 2],
}

impl Seen {
    fn new() -> Self {
        let step = step_id("work");
        let op = json!([{ "op": "StepRun", "id": step, "name": "work", "displayName": "work",
            "data": { "ok": true } }]);
        let answers = [
            light_response(206, &op.to_string()),
            light_response(200, "\"done\""),
        ];
        Self {
            done: AtomicUsize::new(0),
            probes: Mutex::default(),
            step,
            answers,
        }
    }

    fn answer(&self, call: &LightCall<'_>) -> Bytes {
        if !call.has(&self.step) {
            return self.answers[0].clone();
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        if let Some(probe) = call.number("probe") {
            let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
            probes.entry(probe).or_insert_with(Instant::now);
        }
        self.answers[1].clone()
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    fn done_of(&self, probe: usize) -> Option<Instant> {
        let probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        probes.get(&probe).copied()
    }
}

/// A probe: its number, when it was sent, and whether it was taken.
type Probe = (usize, Instant, bool);

/// What one sender met with.
#[derive(Default)]
struct Met {
    offered: usize,
    taken: usize,
    failed: usize,
    refused: Vec<Duration>,
}

fn main() -> ExitCode {
    let numbers = [
        ("seconds", 120),
        ("peak-seconds", 15),
        ("after-seconds", 30),
        ("times", 10),
        // Runs under way while the peak is measured: enough to be busy, too few to be refused.
        ("under-way", 2_000),
        ("batch", 50),
        ("connections", 32),
        ("memory-max", 512),
    ];
    program("overload", &numbers, &[], measure)
}

async fn measure(told: &Told) -> bool {
    let seen = Arc::new(Seen::new());
    let app = Arc::clone(&seen);
    let url = light_app(move |call| std::future::ready(app.answer(&call))).await;
    let cap_mib = told.number("memory-max");
    let flags = ["--memory-max".to_owned(), cap_mib.to_string()];
    let server = Measured::start(&told.binary, &flags).await;
    let functions = [function_of("load", &url, "step", &json!({}))];
    let body = registration("load", &url, &functions);
    server.post("/fn/register", &body).await;

    let quiet = probe(server.port, 0, QUIET_PROBES, &AtomicBool::new(false)).await;
    tokio::time::sleep(PROBE_PAUSE * 5).await;
    let quiet = latencies(&seen, &quiet);
    let (median, p99) = (quantile(&quiet, 0.5), quantile(&quiet, 0.99));
    say(&format!(
        "quiet: a run takes {median:.1?} (p99 {p99:.1?}, of {})",
        quiet.len()
    ));
    let before = peak(told, &server, &seen).await;
    say(&format!("peak before: {before:.0} runs/s"));
    let (met, goodput, memory, probes, ended) = overload(told, &server, &seen, before).await;
    // Machines that are shared get faster and slower within minutes: what they do on both sides
    // of the overload tells what could have been done in it.
    let after = peak(told, &server, &seen).await;
    let peak = f64::midpoint(before, after);
    say(&format!("peak after: {after:.0} runs/s, mean {peak:.0}"));
    let shed = report(told, &met, goodput / peak, goodput, memory);
    let recovered = recovery(&seen, &probes, ended, p99 * 2);
    let text = recovered.map_or("never".to_owned(), |after| format!("{after:.1?}"));
    say(&format!("within twice the quiet p99 again after {text}"));
    verdict("goodput", goodput >= GOODPUT_MIN * peak)
        & verdict("memory", memory <= (cap_mib as u64) << 20)
        & verdict("refusals", shed <= REFUSED_MAX)
        & verdict(
            "recovery",
            recovered.is_some_and(|after| after <= RECOVERY_MAX),
        )
}

/// A request with that many events.
fn events(count: usize) -> Bytes {
    let event = json!({ "name": "load/step", "data": { "customer": "cus_1", "amount": 1200 } });
    let events: Vec<_> = (0..count).map(|_| event.clone()).collect();
    light_request("/e/test", &json!(events).to_string())
}

/// Runs that end each second when there are always some to do.
async fn peak(told: &Told, server: &Measured, seen: &Arc<Seen>) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(seen.done()));
    let (batch, under_way) = (told.number("batch"), told.number("under-way"));
    let mut senders = JoinSet::new();
    for _ in 0..4 {
        let (stop, sent, seen) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(seen));
        let (mut sender, request) = (LightSender::new(server.port), events(batch));
        senders.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                if sent.load(Ordering::Relaxed) >= seen.done() + under_way {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
                sent.fetch_add(batch, Ordering::Relaxed);
                let status = sender.send(&request).await;
                assert!(
                    matches!(status, Ok(200)),
                    "an event was not taken: {status:?}"
                );
            }
        });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (began, before) = (Instant::now(), seen.done());
    let time = Duration::from_secs(told.number("peak-seconds") as u64);
    tokio::time::sleep(time).await;
    let rate = (seen.done() - before) as f64 / began.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    while senders.join_next().await.is_some() {}
    let target = sent.load(Ordering::Relaxed);
    dunlin_tests::reach("end of the runs before", target, || seen.done()).await;
    rate
}

/// Offers too much; what the senders met with, runs that ended each second, the most memory, the
/// probes, and when it was over.
async fn overload(
    told: &Told,
    server: &Measured,
    seen: &Arc<Seen>,
    peak: f64,
) -> (Met, f64, u64, Vec<Probe>, Instant) {
    let (batch, connections) = (told.number("batch"), told.number("connections"));
    let per_second = peak * told.number("times") as f64;
    let interval = Duration::from_secs_f64((batch * connections) as f64 / per_second);
    let (began, before) = (Instant::now(), seen.done());
    let ends = began + Duration::from_secs(told.number("seconds") as u64);
    let mut senders = JoinSet::new();
    for number in 0..connections {
        let (port, request) = (server.port, events(batch));
        let first = began + interval * number as u32 / connections as u32;
        senders.spawn(offer(port, request, batch, first, interval, ends));
    }
    let stop = Arc::new(AtomicBool::new(false));
    let probing = {
        let (stop, port) = (Arc::clone(&stop), server.port);
        tokio::spawn(async move { probe(port, QUIET_PROBES, usize::MAX, &stop).await })
    };
    let mut memory = 0;
    let (mut last, mut last_done) = (began, before);
    while Instant::now() < ends {
        tokio::time::sleep(Duration::from_millis(200)).await;
        memory = memory.max(server.memory().anonymous);
        if last.elapsed() >= PROGRESS_PERIOD {
            let (now, done) = (Instant::now(), seen.done());
            let rate = (done - last_done) as f64 / (now - last).as_secs_f64();
            say(&format!(
                "  {:3.0} s: {rate:.0} runs/s",
                began.elapsed().as_secs_f64()
            ));
            (last, last_done) = (now, done);
        }
    }
    let goodput = (seen.done() - before) as f64 / began.elapsed().as_secs_f64();
    let mut met = Met::default();
    while let Some(one) = senders.join_next().await {
        let one = one.expect("a sender ends");
        met.offered += one.offered;
        met.taken += one.taken;
        met.failed += one.failed;
        met.refused.extend(one.refused);
    }
    let ended = Instant::now();
    let health = server.client.get("/health").await.status;
    assert_eq!(health, 200, "the server says that it is well");
    tokio::time::sleep(Duration::from_secs(told.number("after-seconds") as u64)).await;
    stop.store(true, Ordering::Relaxed);
    let probes = probing.await.expect("the probes end");
    memory = memory.max(server.memory().anonymous);
    (met, goodput, memory, probes, ended)
}

/// Sends at its own pace, whatever comes back.
async fn offer(
    port: u16,
    request: Bytes,
    batch: usize,
    mut next: Instant,
    interval: Duration,
    ends: Instant,
) -> Met {
    let mut sender = LightSender::new(port);
    let mut met = Met::default();
    while next < ends {
        tokio::time::sleep_until(next.into()).await;
        let sent = Instant::now();
        next += interval;
        if sent > next + BEHIND_MAX {
            next = sent;
        }
        let status = sender.send(&request).await;
        met.offered += batch;
        match status {
            Ok(200) => met.taken += batch,
            Ok(503) => met.refused.push(sent.elapsed()),
            _ => met.failed += 1,
        }
    }
    met
}

/// Sends a probe every now and then: one event of its own.
async fn probe(port: u16, from: usize, count: usize, stop: &AtomicBool) -> Vec<Probe> {
    let mut sender = LightSender::new(port);
    let mut ticks = tokio::time::interval(PROBE_PAUSE);
    let mut probes = Vec::new();
    while probes.len() < count && !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let number = from + probes.len();
        let event = json!({ "name": "load/step", "data": { "probe": number, "z": 0 } });
        let request = light_request("/e/test", &event.to_string());
        let sent = Instant::now();
        let status = sender.send(&request).await;
        probes.push((number, sent, matches!(status, Ok(200))));
    }
    probes
}

fn latencies(seen: &Seen, probes: &[Probe]) -> Vec<Duration> {
    let taken = probes.iter().filter(|(_, _, taken)| *taken);
    let ended = taken.filter_map(|(number, sent, _)| Some(seen.done_of(*number)? - *sent));
    ended.collect()
}

/// How long after the end the probes are quick again, and stay so.
fn recovery(seen: &Seen, probes: &[Probe], ended: Instant, quick: Duration) -> Option<Duration> {
    let after: Vec<&Probe> = probes
        .iter()
        .filter(|(_, sent, _)| *sent >= ended)
        .collect();
    let is_quick = |probe: &&Probe| {
        let done = seen.done_of(probe.0).filter(|_| probe.2);
        done.is_some_and(|done| done - probe.1 <= quick)
    };
    let first = after
        .windows(PROBES_IN_A_ROW)
        .position(|row| row.iter().all(is_quick))?;
    Some(after[first].1 - ended)
}

/// Says what the senders met with; the time within which nearly all refusals came.
fn report(told: &Told, met: &Met, share: f64, goodput: f64, memory: u64) -> Duration {
    let seconds = told.number("seconds");
    let (batch, refused) = (told.number("batch"), met.refused.len());
    let percent = 100.0 * (refused * batch) as f64 / met.offered.max(1) as f64;
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| quantile(&met.refused, share));
    let lines = [
        format!(
            "offered: {} events/s for {seconds} s",
            met.offered / seconds.max(1)
        ),
        format!("goodput: {goodput:.0} runs/s, {share:.2} of the peak"),
        format!(
            "refused: {percent:.1} %, {} requests failed otherwise",
            met.failed
        ),
        format!("taken: {} events/s", met.taken / seconds.max(1)),
        format!("refused after: p50 {p50:.1?}, p99 {p99:.1?}, at most {max:.1?}"),
        format!(
            "memory: {:.1} MB at most, {} MiB allowed",
            memory as f64 / 1e6,
            told.number("memory-max")
        ),
    ];
    lines.iter().for_each(|line| say(line));
    p99
}
