//! Shows how fast webhooks go from a sender to a receiver: `cargo run --release -p dunlin-tests
//! --bin deliver -- --binary target/release/dunlin --enginebench PATH` measures, beside the floor
//! that `enginebench` tells, how many messages of `--body-bytes 1500` are accepted and delivered each
//! second with and without a transformation; how long one takes at a quiet rate; and how much longer
//! healthy endpoints wait while a tenth of a thousand hang. Figures are medians of `--rounds 3`,
//! about four minutes each; it fails where a target is missed. `--only speed,quiet,many` picks parts.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_tests::{
    Aim, Figures, Floor, LightSender, Measured, NUMBERED, Payment, Receiver, Told, WebhookSigner,
    light_request, program, quantile, say, text,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A transformation as users write them, that picks fields of a payment.
const TRANSFORMATION: &str = include_str!("../../../integrations/inngest/starters/payment.js");
const EVENT_TYPE: &str = "payment.succeeded";
const APP: &str = "/api/v1/app/default";
/// Accepted and delivered, of the floor's calls.
const PLAIN_MIN: f64 = 0.2;
/// The same with a transformation.
const TRANSFORMED_MIN: f64 = 0.1;
/// From accept to delivery at a quiet rate.
const QUIET_MS_MAX: f64 = 5.0;
/// What endpoints that hang may cost the others.
const HANGING_MAX: f64 = 2.0;
/// After so long without an arrival, what has not come is lost. Longer than the first retry.
const LOST_AFTER: Duration = Duration::from_secs(30);
/// Connections of a sender that keeps to a rate.
const PACED_CONNECTIONS: usize = 16;
/// So late a sender may be and its schedule still does not count as when it sent.
const LATE_MAX: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let numbers = [
        ("rounds", 3),
        ("messages", 20_000),
        ("body-bytes", 1_500),
        ("connections", 64),
        ("rate", 100),
        ("seconds", 30),
        ("endpoints", 1_000),
        ("hanging", 100),
        ("many-rate", 500),
        ("many-seconds", 60),
    ];
    program("deliver", &numbers, &["enginebench", "only"], measure)
}

async fn measure(told: &Told) -> bool {
    let mut figures = Figures::default();
    for round in 1..=told.number("rounds") {
        say(&format!("round {round} of {}", told.number("rounds")));
        for case in CASES.into_iter().filter(|_| told.wants("speed")) {
            speed(told, case, &mut figures).await;
        }
        for case in SIGNED.into_iter().filter(|_| told.wants("quiet")) {
            quiet(told, case, &mut figures).await;
        }
        if told.wants("many") {
            many(told, &mut figures).await;
        }
    }
    figures.report()
}

/// How messages come in.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// As a provider's signed webhooks.
    Signed,
    /// By an application that creates them.
    Created,
}

/// What one load is like.
#[derive(Clone, Copy)]
struct Case {
    title: &'static str,
    way: Way,
    transformed: bool,
    share_min: f64,
}

const fn case(title: &'static str, way: Way, transformed: bool) -> Case {
    let share_min = if transformed {
        TRANSFORMED_MIN
    } else {
        PLAIN_MIN
    };
    Case {
        title,
        way,
        transformed,
        share_min,
    }
}

const SIGNED: [Case; 2] = [
    case("signed", Way::Signed, false),
    case("signed, transformed", Way::Signed, true),
];
const CASES: [Case; 4] = [
    SIGNED[0],
    SIGNED[1],
    case("created", Way::Created, false),
    case("created, transformed", Way::Created, true),
];

/// A server, and who sends to it.
struct World {
    server: Measured,
    signer: WebhookSigner,
    payment: Payment,
}

impl World {
    async fn start(told: &Told) -> Self {
        let server = Measured::start(&told.binary, &[]).await;
        let secret = server.client.get("/ingest/api/v1/source/dodo/secret").await;
        Self {
            signer: WebhookSigner::new(&text(&secret.json()["key"])),
            server,
            payment: Payment::of_bytes(told.number("body-bytes")),
        }
    }

    async fn endpoint(&self, fields: &Value) {
        self.server.make(&format!("{APP}/endpoint"), fields).await;
    }

    /// The request that brings that message.
    fn request(&self, way: Way, event_type: &str, id: &str) -> Bytes {
        let payload = self.payment.payload(event_type, id);
        match way {
            Way::Signed => self.signer.request("/in/dodo", id, &payload.to_string()),
            Way::Created => {
                let body = json!({ "eventType": event_type, "eventId": id, "payload": payload });
                light_request(&format!("{APP}/msg"), &body.to_string())
            }
        }
    }

    fn numbered(&self, way: Way, count: usize) -> Arc<[Bytes]> {
        let one = |number| self.request(way, EVENT_TYPE, &format!("{NUMBERED}{number}"));
        (0..count).map(one).collect()
    }
}

/// One endpoint and its receiver, warmed up; none if messages cannot be created yet.
async fn one_endpoint(told: &Told, case: Case, messages: usize) -> Option<(World, Arc<Receiver>)> {
    let world = World::start(told).await;
    let receiver = Receiver::new(messages);
    let address = receiver.listen(Ipv4Addr::LOCALHOST).await;
    let mut fields = json!({ "url": format!("http://{address}/hook") });
    if case.transformed {
        fields["transformation"] = json!({ "code": TRANSFORMATION, "enabled": true });
    }
    world.endpoint(&fields).await;
    let first = world.request(case.way, EVENT_TYPE, "warm-up");
    let status = LightSender::new(world.server.port).send(&first).await;
    if matches!(status, Ok(501)) {
        say(&format!("{}: not built yet, skipped", case.title));
        return None;
    }
    let warm = |number| world.request(case.way, EVENT_TYPE, &format!("warm-{number}"));
    let warm: Arc<[Bytes]> = (0..messages.min(2_000)).map(warm).collect();
    let refused = closed_loop(world.server.port, &warm, told.number("connections")).await;
    assert_eq!(refused, 0, "the server takes what comes first");
    let all = || receiver.others();
    dunlin_tests::reach("what comes first", warm.len() + 1, all).await;
    Some((world, receiver))
}

/// As many as go through one endpoint each second.
async fn speed(told: &Told, case: Case, figures: &mut Figures) {
    let messages = told.number("messages");
    let Some((world, receiver)) = one_endpoint(told, case, messages).await else {
        return;
    };
    let requests = world.numbered(case.way, messages);
    let (port, connections) = (world.server.port, told.number("connections"));
    let used = world.server.cpu();
    let load = async || {
        let began = Instant::now();
        let refused = closed_loop(port, &requests, connections).await;
        let accepted = began.elapsed();
        receiver.wait(messages - refused, LOST_AFTER).await;
        let delivered = receiver.last().map_or(Duration::ZERO, |last| last - began);
        (refused, accepted, delivered, world.server.cpu() - used)
    };
    let (load, floor) = Floor::of(told).beside(load).await;
    let (refused, accepted, delivered, used) = load;
    let rate = |time: Duration| messages as f64 / time.as_secs_f64();
    let title = case.title;
    let lost = messages - refused - receiver.arrived();
    let mut note = |what: &str, aim, value| figures.note(&format!("{title}: {what}"), aim, value);
    note("accepted/s", Aim::Open, rate(accepted));
    note("delivered/s", Aim::Open, rate(delivered));
    let each = used.as_secs_f64() * 1e6 / messages as f64;
    note("processor's time of the server, us each", Aim::Open, each);
    note("refused", Aim::AtMost(0.0), refused as f64);
    note("lost", Aim::AtMost(0.0), lost as f64);
    note("twice", Aim::AtMost(0.0), receiver.twice() as f64);
    if let Some(floor) = floor {
        let aim = Aim::AtLeast(case.share_min);
        note("floor, calls/s", Aim::Open, floor);
        note("accepted / floor", aim, rate(accepted) / floor);
        note("delivered / floor", aim, rate(delivered) / floor);
    }
}

/// How long a message takes when there are few.
async fn quiet(told: &Told, case: Case, figures: &mut Figures) {
    let rate = told.number("rate");
    let messages = rate * told.number("seconds");
    let Some((world, receiver)) = one_endpoint(told, case, messages).await else {
        return;
    };
    let requests = world.numbered(case.way, messages);
    let sent = paced(world.server.port, &requests, rate).await;
    receiver.wait(messages, LOST_AFTER).await;
    let since = |began: fn(&Sent) -> Instant| {
        let came = sent.iter().filter_map(|one| {
            let came = receiver.came(one.number)?;
            Some(came.saturating_duration_since(began(one)))
        });
        came.collect::<Vec<Duration>>()
    };
    let (whole, after) = (since(|one| one.sent), since(|one| one.answered));
    let lost = messages - receiver.arrived();
    let title = case.title;
    let mut note =
        |what: &str, aim, value| figures.note(&format!("{title}, {rate}/s: {what}"), aim, value);
    let ms = |times: &[Duration], share| quantile(times, share).as_secs_f64() * 1e3;
    let aim = Aim::AtMost(QUIET_MS_MAX);
    note("sent to delivered p50, ms", aim, ms(&whole, 0.5));
    note("sent to delivered p99, ms", Aim::Open, ms(&whole, 0.99));
    note("answered to delivered p50, ms", Aim::Open, ms(&after, 0.5));
    note("answered to delivered p99, ms", Aim::Open, ms(&after, 0.99));
    note("lost", Aim::AtMost(0.0), lost as f64);
}

/// What healthy endpoints feel of others that hang.
async fn many(told: &Told, figures: &mut Figures) {
    let healthy = healthy_p99(told, 0, "all healthy", figures).await;
    let beside = healthy_p99(told, told.number("hanging"), "beside hanging", figures).await;
    let times = beside.as_secs_f64() / healthy.as_secs_f64();
    let aim = Aim::AtMost(HANGING_MAX);
    figures.note("many: p99 beside hanging / all healthy", aim, times);
}

/// An endpoint for each event type, each at an address of its own; the last ones hang.
async fn healthy_p99(told: &Told, hanging: usize, what: &str, figures: &mut Figures) -> Duration {
    let (endpoints, rate) = (told.number("endpoints"), told.number("many-rate"));
    // Connections open with the first message to each; only what comes after is looked at.
    let messages = endpoints + rate * told.number("many-seconds");
    let world = World::start(told).await;
    let receiver = Receiver::new(messages);
    for number in 0..endpoints {
        let [high, low] = [number / 250, number % 250].map(|n| u8::try_from(n).unwrap_or(0));
        let address = Ipv4Addr::new(127, 0, high + 1, low + 1);
        let address = match number < endpoints - hanging {
            true => receiver.listen(address).await,
            false => Receiver::hang(address).await,
        };
        let url = format!("http://{address}/hook");
        let types = [format!("load.{number}")];
        world
            .endpoint(&json!({ "url": url, "eventTypes": types }))
            .await;
    }
    let one = |number: usize| {
        let event_type = format!("load.{}", number % endpoints);
        world.request(Way::Signed, &event_type, &format!("{NUMBERED}{number}"))
    };
    let requests: Arc<[Bytes]> = (0..messages).map(one).collect();
    let sent = paced(world.server.port, &requests, rate).await;
    let is_healthy = |number: usize| number % endpoints < endpoints - hanging;
    let healthy = (0..messages).filter(|number| is_healthy(*number)).count();
    receiver.wait(healthy, LOST_AFTER).await;
    let refused = sent.iter().filter(|one| !one.taken).count();
    let sent = sent
        .iter()
        .filter(|one| is_healthy(one.number) && one.number >= endpoints);
    let times: Vec<Duration> = sent
        .map(|one| receiver.came(one.number).unwrap_or_else(Instant::now) - one.sent)
        .collect();
    let mut note =
        |value: &str, aim, number| figures.note(&format!("many, {what}: {value}"), aim, number);
    let p99 = quantile(&times, 0.99);
    note(
        "p50, ms",
        Aim::Open,
        quantile(&times, 0.5).as_secs_f64() * 1e3,
    );
    note("p99, ms", Aim::Open, p99.as_secs_f64() * 1e3);
    note("refused", Aim::AtMost(0.0), refused as f64);
    note(
        "lost",
        Aim::AtMost(0.0),
        (healthy - receiver.arrived()) as f64,
    );
    p99
}

/// Sends all of them, each connection the next one as soon as it has an answer; how many were not
/// taken.
async fn closed_loop(port: u16, requests: &Arc<[Bytes]>, connections: usize) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..connections {
        let (requests, next) = (Arc::clone(requests), Arc::clone(&next));
        let mut sender = LightSender::new(port);
        senders.spawn(async move {
            let mut refused = 0;
            while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                let taken = matches!(sender.send(request).await, Ok(200..300));
                refused += usize::from(!taken);
            }
            refused
        });
    }
    senders.join_all().await.into_iter().sum()
}

/// A message that was sent.
struct Sent {
    number: usize,
    sent: Instant,
    answered: Instant,
    taken: bool,
}

/// Sends all of them at a steady rate, whatever comes back.
async fn paced(port: u16, requests: &Arc<[Bytes]>, rate: usize) -> Vec<Sent> {
    let interval = Duration::from_secs(1) / u32::try_from(rate).unwrap_or(u32::MAX);
    let began = Instant::now() + Duration::from_millis(100);
    let mut senders = JoinSet::new();
    for first in 0..PACED_CONNECTIONS {
        let requests = Arc::clone(requests);
        let mut sender = LightSender::new(port);
        senders.spawn(async move {
            let mut all = Vec::new();
            for number in (first..requests.len()).step_by(PACED_CONNECTIONS) {
                let due = began + interval * u32::try_from(number).unwrap_or(u32::MAX);
                tokio::time::sleep_until(due.into()).await;
                let now = Instant::now();
                let sent = if now > due + LATE_MAX { due } else { now };
                let taken = matches!(sender.send(&requests[number]).await, Ok(200..300));
                all.push(Sent {
                    number,
                    sent,
                    answered: Instant::now(),
                    taken,
                });
            }
            all
        });
    }
    senders.join_all().await.into_iter().flatten().collect()
}
