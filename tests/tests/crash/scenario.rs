//! One case: senders send, the server dies, it starts again, and then all is checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dunlin_tests::{Client, CountingApp, Function, StepOf, free_port};
use dunlin_types::Timestamp;
use dunlin_wire::standard_webhooks::WebhookKey;
use http::Method;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::deliveries::Deliveries;
use crate::ledger::Ledger;
use crate::receivers::Receivers;
use crate::server::{Life, last_words};

/// How long all work may take after the last crash.
const DRAIN_MAX: Duration = Duration::from_secs(30);

/// How long a server that lives may take to acknowledge.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Between two looks at what is there.
const PAUSE: Duration = Duration::from_millis(10);

/// Senders start within this many milliseconds.
const SENDING_MS: u64 = 120;

/// Events of each function, and webhooks: each passes the transformation once, and goes to all
/// receivers.
const EVENTS_OF_EACH: usize = 3;
const WEBHOOKS: usize = 6;

/// Customers that webhooks are about, in turn.
const CUSTOMERS: usize = 2;

const SECRET: &str = "whsec_Y3Jhc2gtd2Fsay1zZWNyZXQtMDEyMzQ1Njc4OQ==";

/// What to play.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) point: &'static str,
    pub(crate) passes: u64,
    pub(crate) seed: u64,
}

impl Case {
    pub(crate) fn name(&self) -> String {
        format!("{}:{}", self.point, self.seed)
    }

    /// Which passes bring a crash, one a life: mostly one, at times two. Even seeds crash early.
    fn crashes(&self, random: &mut StdRng) -> Vec<String> {
        let early = self.passes.min(6);
        let mut pass = |early_on: bool| {
            let range = if early_on {
                1..=early
            } else {
                early.min(self.passes - 1)..=self.passes
            };
            format!("{}:{}", self.point, random.random_range(range))
        };
        let mut crashes = vec![pass(self.seed.is_multiple_of(2))];
        if self.seed % 5 == 4 {
            crashes.push(pass(true));
        }
        crashes
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Crashes at the point itself.
    pub(crate) reached: usize,
    /// Deaths of any kind.
    pub(crate) kills: usize,
    /// Events and messages that were acknowledged before the first.
    pub(crate) acknowledged: usize,
    /// Steps that had their result before the last.
    pub(crate) committed: usize,
    /// Steps that ran at all.
    pub(crate) executed: usize,
    /// Executions beyond what was needed.
    pub(crate) repeated: usize,
    /// Requests that came to receivers.
    pub(crate) attempts: usize,
    /// Those that a crash found under way, and that came once more.
    pub(crate) again: usize,
    /// What must not be.
    pub(crate) faults: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.reached += other.reached;
        self.kills += other.kills;
        self.acknowledged += other.acknowledged;
        self.committed += other.committed;
        self.executed += other.executed;
        self.repeated += other.repeated;
        self.attempts += other.attempts;
        self.again += other.again;
        self.faults.extend(other.faults.iter().cloned());
    }
}

/// A place where cases are played one after the other: an app and receivers that outlive all
/// servers, a port, and a store in which the app, a source and endpoints are set up.
pub(crate) struct Lane {
    app: CountingApp,
    receivers: Receivers,
    port: u16,
    template: TempDir,
    key: WebhookKey,
    path_in: String,
}

/// Something to send until it is acknowledged.
#[derive(Clone)]
struct Shipment {
    id: String,
    function: Function,
    data: Value,
    acknowledged: bool,
    /// The id that the server gave, if the first send was acknowledged.
    internal: Option<String>,
    sent: u32,
}

impl Lane {
    pub(crate) async fn prepare() -> Self {
        let port = free_port();
        let app = CountingApp::start(&base(port)).await;
        let template = tempfile::tempdir().expect("there is room");
        let life = Life::start(template.path(), port, None).await;
        let client = Client::new(&base(port));
        let reply = client.post("/fn/register", &app.registration()).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let source = json!({ "name": "crash", "type": "dodo", "config": { "secret": SECRET } });
        let reply = client.post("/ingest/api/v1/source", &source).await;
        assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
        let url = reply.json()["ingestUrl"]
            .as_str()
            .expect("a source has a URL")
            .to_owned();
        let path_in = url[url.find("/in/").expect("webhooks come in at /in/")..].to_owned();
        let receivers = Receivers::start().await;
        for endpoint in receivers.endpoints().iter().chain([&endpoint()]) {
            let reply = client.post("/api/v1/app/default/endpoint", endpoint).await;
            assert_eq!(reply.status, 201, "{}", reply.text());
        }
        life.kill().await;
        let key = WebhookKey::parse(SECRET).expect("the secret is one");
        Self {
            app,
            receivers,
            port,
            template,
            key,
            path_in,
        }
    }

    fn client(&self) -> Client {
        Client::new(&base(self.port))
    }

    async fn send(&self, client: &Client, shipment: &Shipment) -> Option<String> {
        let reply = if shipment.function == Function::Paid {
            self.send_webhook(client, shipment).await?
        } else {
            let event = json!({ "id": shipment.id, "name": shipment.function.event(), "data": shipment.data });
            let headers = [("content-type", "application/json")];
            client
                .try_send(Method::POST, "/e/test", &headers, event.to_string())
                .await?
        };
        let id = reply.json()["ids"][0]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (200..300).contains(&reply.status).then_some(id)
    }

    async fn send_webhook(
        &self,
        client: &Client,
        shipment: &Shipment,
    ) -> Option<dunlin_tests::Reply> {
        let now = now();
        let body = json!({
            "business_id": "bus_crash", "type": shipment.function.event(),
            "timestamp": "2026-01-05T10:00:00Z", "data": shipment.data,
        });
        let body = body.to_string();
        let signature = self
            .key
            .sign(&shipment.id, now, body.as_bytes())
            .expect("it can sign");
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", &shipment.id),
            ("webhook-timestamp", &now.secs().to_string()),
            ("webhook-signature", &signature),
        ];
        client
            .try_send(Method::POST, &self.path_in, &headers, body)
            .await
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the provider's clock is the machine's"
)]
pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_ms(since.expect("it is later than 1970").as_millis() as i64)
}

fn base(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// An endpoint with the card's own starter, in one call.
fn endpoint() -> Value {
    let code = include_str!("../../../integrations/inngest/starters/payment.js");
    json!({
        "url": "internal://events", "integration": "inngest",
        "transformation": { "code": code, "enabled": true },
    })
}

/// Plays a case.
pub(crate) async fn play(lane: &Arc<Lane>, case: Case) -> Report {
    let folder = tempfile::tempdir().expect("there is room");
    copy_folder(
        &lane.template.path().join("data"),
        &folder.path().join("data"),
    );
    let mut random = StdRng::seed_from_u64(case.seed * 1009 + case.point.len() as u64);
    let mut play = Play {
        lane: Arc::clone(lane),
        shipments: shipments(&case),
        bounds: BTreeMap::new(),
        ended: BTreeMap::new(),
        deliveries: Deliveries::default(),
        report: Report::default(),
    };
    for crash in case.crashes(&mut random) {
        play.life(folder.path(), Some(&crash), &mut random).await;
    }
    play.life(folder.path(), None, &mut random).await;
    play.check(folder.path());
    if !play.report.faults.is_empty() {
        eprintln!("{}: {}", case.name(), last_words(folder.path()));
    }
    play.report
}

fn shipments(case: &Case) -> Vec<Shipment> {
    let mut shipments = Vec::new();
    for function in Function::SENT {
        let count = if function == Function::Paid {
            WEBHOOKS
        } else {
            EVENTS_OF_EACH
        };
        for n in 0..count {
            let id = format!("{}-{}-{}-{n}", case.point, case.seed, function.id());
            let data = match function {
                Function::Paid => json!({
                    "payment_id": id, "total_amount": 1000 + n, "currency": "USD",
                    "customer": {
                        "customer_id": format!("cus_{}", n % CUSTOMERS),
                        "email": "ada@example.com", "name": "Ada",
                    },
                }),
                _ => json!({ "n": n, "text": "¥ \" \\ \u{1F680}" }),
            };
            let (internal, sent) = (None, 0);
            shipments.push(Shipment {
                id,
                function,
                data,
                acknowledged: false,
                internal,
                sent,
            });
        }
    }
    shipments
}

struct Play {
    lane: Arc<Lane>,
    shipments: Vec<Shipment>,
    /// Steps of which some attempts may not be made any more: below which, and how often they
    /// had been made when that was committed.
    bounds: BTreeMap<StepOf, (u64, usize)>,
    /// Events whose runs had ended, and how often the function had come to its end then.
    ended: BTreeMap<String, usize>,
    deliveries: Deliveries,
    report: Report,
}

impl Play {
    /// One life of the server, from its start to its death and what that leaves behind.
    async fn life(&mut self, folder: &Path, crash: Option<&str>, random: &mut StdRng) {
        self.lane.receivers.begin(self.report.kills);
        let mut life = Life::start(folder, self.lane.port, crash).await;
        self.send_all(random).await;
        let drained = self.work(folder, &mut life).await;
        if crash.is_none() && drained {
            self.check_api().await;
        }
        if crash.is_some() {
            self.report.reached += usize::from(life.has_ended());
            self.report.kills += 1;
        } else if !drained {
            self.report
                .faults
                .push("what was to do is not done".to_owned());
        }
        life.kill().await;
        self.wait_until_alone().await;
        if crash.is_some() {
            self.remember(folder);
        }
    }

    /// Sends all that is not acknowledged yet, at the same time, as those who have no answer do.
    async fn send_all(&mut self, random: &mut StdRng) {
        let client = self.lane.client();
        let mut sending = JoinSet::new();
        for (at, shipment) in self.shipments.iter().enumerate() {
            if shipment.acknowledged {
                continue;
            }
            let pause = Duration::from_millis(random.random_range(0..SENDING_MS));
            let (lane, client, shipment) =
                (Arc::clone(&self.lane), client.clone(), shipment.clone());
            sending.spawn(async move {
                tokio::time::sleep(pause).await;
                let sending = lane.send(&client, &shipment);
                (at, tokio::time::timeout(ANSWER_MAX, sending).await)
            });
        }
        while let Some(sent) = sending.join_next().await {
            let (at, answer) = sent.expect("a sender ends");
            let shipment = &mut self.shipments[at];
            let answer = answer.unwrap_or_else(|_| {
                let fault = format!("no answer for {} in {ANSWER_MAX:?}", shipment.id);
                self.report.faults.push(fault);
                None
            });
            shipment.sent += 1;
            if let Some(id) = answer {
                shipment.acknowledged = true;
                shipment.internal = Some(id).filter(|id| shipment.sent == 1 && !id.is_empty());
            }
        }
        if self.report.kills == 0 {
            self.report.acknowledged = self.shipments.iter().filter(|one| one.acknowledged).count();
        }
    }

    /// Waits until the server has died (false) or all is acknowledged and done (true).
    async fn work(&self, folder: &Path, life: &mut Life) -> bool {
        let deadline = Instant::now() + DRAIN_MAX;
        let all = self.shipments.iter().all(|shipment| shipment.acknowledged);
        let ledger = Ledger::live(folder);
        while !life.has_ended() && Instant::now() < deadline {
            if all && ledger.as_ref().is_some_and(Ledger::is_drained) {
                return true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }

    /// What the dead server's requests still do at the app and at receivers comes to its end.
    async fn wait_until_alone(&self) {
        let deadline = Instant::now() + DRAIN_MAX;
        self.lane.receivers.settle().await;
        while !(self.lane.app.is_alone() && self.lane.receivers.is_alone()) {
            assert!(
                Instant::now() < deadline,
                "somebody is still connected to the app or a receiver"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Notes what was committed when the server died, and how often the app had done it.
    fn remember(&mut self, folder: &Path) {
        let ledger = Ledger::copy(folder, &folder.join("copy"));
        let results = ledger.results();
        let book = self.lane.app.book();
        self.report.committed = results.values().filter(|bound| **bound == u64::MAX).count();
        for (step, bound) in results {
            let known = self
                .bounds
                .get(&step)
                .is_some_and(|(known, _)| *known == bound);
            if !known {
                let ran = book.runs_below(&step, bound);
                self.bounds.insert(step, (bound, ran));
            }
        }
        for event in ledger.ended() {
            let times = book.ended.get(&event).copied().unwrap_or(0);
            self.ended.entry(event).or_insert(times);
        }
        let acknowledged = webhooks(&self.shipments).filter(|one| one.acknowledged);
        let acknowledged: Vec<&str> = acknowledged.map(|one| one.id.as_str()).collect();
        let faults = self
            .deliveries
            .remember(&ledger, &self.lane.receivers, &acknowledged);
        self.report.faults.extend(faults);
    }

    /// What was acknowledged at the first send shows its one finished run; each webhook shows its
    /// attempts.
    async fn check_api(&mut self) {
        let client = self.lane.client();
        for shipment in &self.shipments {
            let Some(id) = &shipment.internal else {
                continue;
            };
            let runs = client.get(&format!("/v1/events/{id}/runs")).await.json();
            let statuses: Vec<&Value> = runs["data"]
                .as_array()
                .map(|runs| runs.iter().map(|run| &run["status"]).collect())
                .unwrap_or_default();
            if statuses != ["Completed"] {
                self.report
                    .faults
                    .push(format!("{} has runs {statuses:?}", shipment.id));
            }
        }
        for shipment in webhooks(&self.shipments) {
            let path = format!("/api/v1/app/default/attempt/msg/{}?limit=250", shipment.id);
            let attempts = client.get(&path).await.json();
            let faults = self.deliveries.hear(&shipment.id, &attempts);
            self.report.faults.extend(faults);
        }
    }

    fn check(&mut self, folder: &Path) {
        let ledger = Ledger::copy(folder, &folder.join("copy"));
        let mut faults = Vec::new();
        for shipment in &self.shipments {
            check_shipment(&ledger, shipment, &mut faults);
        }
        let runs = ledger.run_count();
        let invokes = |one: &&Shipment| one.function == Function::Invoking;
        let invoked = self.shipments.iter().filter(invokes).count();
        let expected = self.shipments.len() + invoked;
        if runs as usize != expected {
            faults.push(format!("{runs} runs instead of {expected}"));
        }
        let mut book = self.lane.app.book();
        faults.append(&mut book.faults);
        for (step, (bound, ran)) in &self.bounds {
            let now = book.runs_below(step, *bound);
            if now != *ran {
                faults.push(format!(
                    "{step:?} was committed, and ran {now} times instead of {ran}"
                ));
            }
        }
        for (event, times) in &self.ended {
            let now = book.ended.get(event).copied().unwrap_or(0);
            if now != *times {
                faults.push(format!(
                    "{event} had ended, and ended {now} times instead of {times}"
                ));
            }
        }
        for shipment in &self.shipments {
            for name in shipment.function.steps() {
                let step = (shipment.id.clone(), name.to_owned());
                let ran = book.ran.get(&step).cloned().unwrap_or_default();
                self.report.executed += 1;
                check_counts(&step, ran, &mut self.report, &mut faults);
            }
        }
        // The next case has other events.
        book.ran.clear();
        book.ended.clear();
        drop(book);
        self.check_deliveries(&ledger, &mut faults);
        self.report.faults.append(&mut faults);
    }

    fn check_deliveries(&mut self, ledger: &Ledger, faults: &mut Vec<String>) {
        let mut arrivals = self.lane.receivers.take();
        faults.append(&mut arrivals.faults);
        let messages: Vec<&str> = webhooks(&self.shipments)
            .map(|one| one.id.as_str())
            .collect();
        let kills = self.report.kills;
        self.report.attempts = arrivals.all.len();
        self.report.again = self
            .deliveries
            .check(ledger, &messages, &arrivals, kills, faults);
    }
}

/// Those that are messages.
fn webhooks(shipments: &[Shipment]) -> impl Iterator<Item = &Shipment> {
    let is_webhook = |one: &&Shipment| one.function == Function::Paid;
    shipments.iter().filter(is_webhook)
}

/// A step ran, and each attempt of it at most once more for each death of the server.
fn check_counts(step: &StepOf, ran: Vec<u64>, report: &mut Report, faults: &mut Vec<String>) {
    if ran.is_empty() {
        faults.push(format!("{step:?} never ran"));
    }
    let mut attempts: BTreeMap<u64, usize> = BTreeMap::new();
    for attempt in ran {
        *attempts.entry(attempt).or_default() += 1;
    }
    for (attempt, times) in attempts {
        report.repeated += times - 1;
        if times > 1 + report.kills {
            let kills = report.kills;
            faults.push(format!(
                "attempt {attempt} of {step:?} ran {times} times in {kills} crashes"
            ));
        }
    }
}

fn check_shipment(ledger: &Ledger, shipment: &Shipment, faults: &mut Vec<String>) {
    let id = &shipment.id;
    let runs = ledger.runs(id);
    if runs.len() != 1 {
        faults.push(format!("{id} started {} runs", runs.len()));
    }
    for run in runs {
        if (run.status, run.endings) != (1, 1) {
            faults.push(format!(
                "{id}: status {}, {} endings",
                run.status, run.endings
            ));
        }
        if run.output != Some(json!({ "ended": id })) {
            faults.push(format!("{id}: output {:?}", run.output));
        }
    }
    if shipment.function == Function::Paid {
        let messages = ledger.messages(id);
        if messages != 1 {
            faults.push(format!("{id} is {messages} messages"));
        }
        if ledger.data(id).len() != 1 {
            faults.push(format!("{id} became {} events", ledger.data(id).len()));
        }
    } else if ledger.data(id).iter().any(|data| *data != shipment.data) {
        faults.push(format!("{id} is stored as {:?}", ledger.data(id)));
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("there is room");
    for entry in std::fs::read_dir(from).expect("a folder can be read") {
        let entry = entry.expect("a folder can be read");
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("there is room");
        }
    }
}
