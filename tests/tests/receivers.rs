//! A lab of receivers that are slow, hang, break off, redirect, ask for less, are gone, or show a
//! certificate that is wrong. Each message ends as the schedule says, the hours passed by the
//! clock that tests may move.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use dunlin_tests::{Flaw, LabReceiver, Manner, Server, text, until};
use dunlin_types::Timestamp;
use http::Method;
use serde_json::{Value, json};

/// The delays of the schedule, in seconds.
const SCHEDULE: [i64; 7] = [5, 300, 1800, 7200, 18_000, 36_000, 36_000];

/// How late an attempt may begin on a busy machine.
const LATE_MS: i64 = 20_000;

struct Lab {
    server: Server,
    receivers: BTreeMap<String, LabReceiver>,
    endpoints: BTreeMap<String, String>,
}

/// One attempt, as the API tells of it.
#[derive(Clone, Debug)]
struct Attempt {
    number: i64,
    status: i64,
    code: Option<String>,
    answered: i64,
    response: String,
    detail: String,
    at: Timestamp,
    took_ms: i64,
    next: Option<Timestamp>,
    message: String,
}

impl Lab {
    async fn start() -> Self {
        Self {
            server: Server::dev(["--test-mode"]).await,
            receivers: BTreeMap::new(),
            endpoints: BTreeMap::new(),
        }
    }

    /// An endpoint of that name at that receiver, for messages of that name.
    async fn add(&mut self, name: &str, receiver: LabReceiver, more: Value) {
        let mut fields = json!({
            "url": receiver.url(), "uid": name, "filterTypes": [format!("lab.{name}")],
        });
        for (field, value) in more.as_object().expect("an object") {
            fields[field] = value.clone();
        }
        let reply = self.server.client();
        let reply = reply.post("/api/v1/app/default/endpoint", &fields).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let id = text(&reply.json()["id"]);
        self.endpoints.insert(name.to_owned(), id);
        self.receivers.insert(name.to_owned(), receiver);
    }

    async fn send(&self, name: &str) -> String {
        let message = json!({ "eventType": format!("lab.{name}"), "payload": { "for": name } });
        let reply = self.server.client();
        let reply = reply.post("/api/v1/app/default/msg", &message).await;
        assert_eq!(reply.status, 202, "{}", reply.text());
        text(&reply.json()["id"])
    }

    async fn send_all(&self) {
        for name in self.endpoints.keys() {
            self.send(name).await;
        }
        self.server.idle().await;
    }

    async fn endpoint(&self, name: &str) -> Value {
        let path = format!("/api/v1/app/default/endpoint/{name}");
        self.server.client().get(&path).await.json()
    }

    /// All attempts at that endpoint, oldest first.
    async fn attempts(&self, name: &str) -> Vec<Attempt> {
        let path = format!("/api/v1/app/default/attempt/endpoint/{name}?limit=250");
        let reply = self.server.client().get(&path).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        let mut rows: Vec<Attempt> = reply.json()["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(attempt)
            .collect();
        rows.reverse();
        rows
    }

    async fn now(&self) -> Timestamp {
        instant(&self.server.now().await)
    }

    /// When the next attempt of all is due.
    async fn next(&self) -> Option<Timestamp> {
        let mut due = Vec::new();
        for name in self.endpoints.keys() {
            let attempts = self.attempts(name).await;
            let mut last: BTreeMap<String, Option<Timestamp>> = BTreeMap::new();
            for one in attempts {
                last.insert(one.message, one.next);
            }
            due.extend(last.into_values().flatten());
        }
        due.into_iter().min()
    }

    /// Lets time pass until nothing is left to be tried.
    async fn bring_to_end(&self) {
        for _ in 0..200 {
            let Some(next) = self.next().await else {
                return;
            };
            let secs = next.since(self.now().await).max(0) / 1000 + 1;
            self.server.advance(&format!("{secs}s")).await;
        }
        panic!("it does not end");
    }

    fn receiver(&self, name: &str) -> &LabReceiver {
        &self.receivers[name]
    }
}

fn instant(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap_or_else(|| panic!("{text} is no time"))
}

fn attempt(row: &Value) -> Attempt {
    let number = |name: &str| row[name].as_i64().expect("a number");
    Attempt {
        number: number("attemptNumber"),
        status: number("status"),
        code: row["errorCode"].as_str().map(str::to_owned),
        answered: number("responseStatusCode"),
        response: text(&row["response"]),
        detail: text(&row["detail"]),
        at: instant(&text(&row["timestamp"])),
        took_ms: number("responseDurationMs"),
        next: row["nextAttempt"].as_str().map(instant),
        message: text(&row["msgId"]),
    }
}

/// That they are numbered, and that each comes when the one before said, which was `least`
/// after it, or up to a fifth more or less.
fn check_times(name: &str, attempts: &[Attempt], schedule: &[i64]) {
    let numbers: Vec<i64> = attempts.iter().map(|one| one.number).collect();
    let all: Vec<i64> = (1..=attempts.len() as i64).collect();
    assert_eq!(numbers, all, "{name}: {attempts:#?}");
    for (pair, secs) in attempts.windows(2).zip(schedule) {
        let (one, next) = (&pair[0], &pair[1]);
        let due = one
            .next
            .unwrap_or_else(|| panic!("{name}: {one:?} was the last"));
        let delay = due.since(one.at) - one.took_ms;
        // The moment at which it was decided lies a little after the answer.
        let range = secs * 800 - 50..=secs * 1200 + 500;
        assert!(range.contains(&delay), "{name}: {delay} ms after {one:?}");
        let late = next.at.since(due);
        assert!(
            (0..LATE_MS).contains(&late),
            "{name}: {late} ms late: {next:?}"
        );
    }
    assert_eq!(attempts.last().and_then(|one| one.next), None, "{name}");
}

/// What each attempt at one endpoint came to.
struct Expected {
    name: &'static str,
    code: &'static str,
    answered: i64,
    detail: &'static str,
}

#[tokio::test]
async fn what_fails_is_tried_eight_times_in_a_day() {
    let mut lab = Lab::start().await;
    let elsewhere = LabReceiver::start(Manner::Answers(200)).await;
    let location = format!("location: {}\r\n", elsewhere.url());
    let plain = [
        ("redirects", Manner::Says(302, location)),
        ("refuses", Manner::Answers(404)),
        ("broken", Manner::Answers(500)),
        ("resets-at-once", Manner::ResetsAtOnce),
        ("resets-in-head", Manner::ResetsInHead),
        ("resets-in-body", Manner::ResetsInBody),
    ];
    for (name, manner) in plain {
        lab.add(name, LabReceiver::start(manner).await, json!({}))
            .await;
    }
    let flawed = [
        ("self-signed", Flaw::SelfSigned),
        ("expired", Flaw::Expired),
        ("other-host", Flaw::OtherHost),
        ("unknown-authority", Flaw::None),
    ];
    for (name, flaw) in flawed {
        let receiver = LabReceiver::with_tls(flaw).await;
        let trusted = matches!(flaw, Flaw::Expired | Flaw::OtherHost);
        let ca = receiver.ca().filter(|_| trusted);
        let tls = json!({ "tls": ca.map(|ca| json!({ "ca": ca })) });
        lab.add(name, receiver, tls).await;
    }
    lab.send_all().await;
    lab.bring_to_end().await;
    let expected = |name, code, answered, detail| Expected {
        name,
        code,
        answered,
        detail,
    };
    for one in [
        expected("redirects", "E0612", 302, "status 302"),
        expected("refuses", "E0612", 404, "status 404"),
        expected("broken", "E0612", 500, "status 500"),
        expected("resets-at-once", "E0612", 0, "the connection ended"),
        expected("resets-in-head", "E0612", 0, "the connection ended"),
        expected("resets-in-body", "E0612", 0, "the connection ended"),
        expected("self-signed", "E0614", 0, "unknown authority"),
        expected("expired", "E0614", 0, "expired"),
        expected("other-host", "E0614", 0, "not for this host"),
        expected("unknown-authority", "E0614", 0, "unknown authority"),
    ] {
        let attempts = lab.attempts(one.name).await;
        assert_eq!(attempts.len(), 8, "{}: {attempts:#?}", one.name);
        check_times(one.name, &attempts, &SCHEDULE);
        for attempt in &attempts {
            assert_eq!(attempt.status, 2, "{attempt:?}");
            assert_eq!(attempt.answered, one.answered, "{attempt:?}");
            let code = attempt.code.as_deref().unwrap_or_default();
            assert!(code.starts_with(one.code), "{attempt:?}");
            assert!(attempt.detail.contains(one.detail), "{attempt:?}");
        }
        // A day and four hours are too short to give the endpoint up.
        let endpoint = lab.endpoint(one.name).await;
        assert_eq!(endpoint["disabled"], false, "{endpoint}");
    }
    assert_eq!(elsewhere.connections(), 0, "a redirect was followed");
    for (name, _) in flawed {
        assert!(lab.receiver(name).bodies().is_empty(), "{name} was trusted");
    }
    // A connection that dies before an answer has begun is made once more.
    assert_eq!(lab.receiver("resets-at-once").connections(), 16);
    assert_eq!(lab.receiver("broken").bodies().len(), 8);
}

#[tokio::test]
async fn a_trusted_authority_makes_its_receivers_trusted() {
    let mut lab = Lab::start().await;
    let receiver = LabReceiver::with_tls(Flaw::None).await;
    let tls = json!({ "tls": { "ca": receiver.ca() } });
    lab.add("trusted", receiver, tls).await;
    lab.send_all().await;
    let attempts = lab.attempts("trusted").await;
    assert_eq!((attempts.len(), attempts[0].status), (1, 0), "{attempts:?}");
    assert_eq!(attempts[0].answered, 200);
}

#[tokio::test]
async fn whoever_takes_too_long_waits_a_minute_at_least() {
    let mut lab = Lab::start().await;
    let once = json!({ "retrySchedule": [5] });
    let slow = Manner::Slow(Duration::from_secs(2));
    lab.add("slow", LabReceiver::start(slow).await, once.clone())
        .await;
    lab.add("hangs", LabReceiver::start(Manner::Hangs).await, once)
        .await;
    lab.send_all().await;
    lab.bring_to_end().await;
    let slow = lab.attempts("slow").await;
    assert_eq!((slow.len(), slow[0].answered), (1, 200), "{slow:?}");
    assert!(slow[0].took_ms >= 2000, "{slow:?}");
    let hung = lab.attempts("hangs").await;
    assert_eq!(hung.len(), 2, "{hung:?}");
    check_times("hangs", &hung, &[60]);
    for attempt in &hung {
        assert_eq!(attempt.code.as_deref(), Some("E0613"), "{attempt:?}");
        assert_eq!((attempt.status, attempt.answered), (2, 0), "{attempt:?}");
        assert!((15_000..25_000).contains(&attempt.took_ms), "{attempt:?}");
    }
}

#[tokio::test]
async fn of_an_answer_without_an_end_the_beginning_is_kept() {
    let mut lab = Lab::start().await;
    for (name, manner) in [("endless", Manner::Endless), ("bomb", Manner::GzipBomb)] {
        lab.add(name, LabReceiver::start(manner).await, json!({}))
            .await;
    }
    lab.send_all().await;
    for name in ["endless", "bomb"] {
        let attempts = lab.attempts(name).await;
        assert_eq!((attempts.len(), attempts[0].status), (1, 0), "{name}");
        assert_eq!(attempts[0].answered, 200);
        assert!(attempts[0].response.len() <= 128 * 1024, "{name}");
        assert!(
            attempts[0].took_ms < 10_000,
            "{name}: {}",
            attempts[0].took_ms
        );
    }
}

#[tokio::test]
async fn one_that_is_gone_is_disabled_and_comes_back_by_hand() {
    let mut lab = Lab::start().await;
    let asks = Manner::Says(200, "webhook-delivery: disable\r\n".to_owned());
    let aborts = Manner::Says(500, "webhook-delivery: abort-message\r\n".to_owned());
    lab.add(
        "gone",
        LabReceiver::start(Manner::Answers(410)).await,
        json!({}),
    )
    .await;
    lab.add("leaves", LabReceiver::start(asks).await, json!({}))
        .await;
    lab.add("aborts", LabReceiver::start(aborts).await, json!({}))
        .await;
    lab.send_all().await;
    for (name, status, answered, disabled) in [
        ("gone", 2, 410, true),
        ("leaves", 0, 200, true),
        ("aborts", 2, 500, false),
    ] {
        let attempts = lab.attempts(name).await;
        assert_eq!(attempts.len(), 1, "{name}");
        let one = &attempts[0];
        assert_eq!(
            (one.status, one.answered, one.next),
            (status, answered, None)
        );
        let endpoint = lab.endpoint(name).await;
        assert_eq!(endpoint["disabled"], disabled, "{endpoint}");
        assert_eq!(
            endpoint["disabledReason"].is_string(),
            disabled,
            "{endpoint}"
        );
    }
    let reason = text(&lab.endpoint("gone").await["disabledReason"]);
    assert!(reason.contains("410"), "{reason}");
    // While it is disabled it wants nothing; what it missed comes when it is back.
    let missed = lab.send("gone").await;
    lab.server.idle().await;
    assert_eq!(lab.attempts("gone").await.len(), 1);
    lab.receiver("gone").behave(Manner::Answers(200));
    enable(&lab, "gone").await;
    let attempts = until("attempts after the endpoint is back", async || {
        let attempts = lab.attempts("gone").await;
        (attempts.len() == 3).then_some(attempts)
    })
    .await;
    assert_eq!(attempts[1].message, attempts[0].message, "oldest first");
    assert_eq!(attempts[2].message, missed);
    assert!(attempts[1..].iter().all(|one| one.status == 0));
    let endpoint = lab.endpoint("gone").await;
    assert_eq!(endpoint["disabled"], false);
    assert_eq!(endpoint["disabledReason"], Value::Null);
}

#[tokio::test]
async fn one_that_its_owner_disabled_gets_what_was_pending_then_once_it_is_back() {
    let mut lab = Lab::start().await;
    let refusing = LabReceiver::start(Manner::Answers(500)).await;
    let one_retry = json!({ "retrySchedule": [60] });
    lab.add("shut", refusing, one_retry).await;
    let given_up = lab.send("shut").await;
    lab.server.idle().await;
    lab.server.advance("90s").await;
    assert_eq!(lab.attempts("shut").await.len(), 2);
    let pending = lab.send("shut").await;
    lab.server.idle().await;
    change(&lab, "shut", json!({ "disabled": true })).await;
    // Its next attempt would be now.
    lab.server.advance("90s").await;
    let missed = lab.send("shut").await;
    lab.server.advance("90s").await;
    assert_eq!(lab.attempts("shut").await.len(), 3);

    lab.receiver("shut").behave(Manner::Answers(200));
    enable(&lab, "shut").await;
    let attempts = until("attempts after the endpoint is back", async || {
        let attempts = lab.attempts("shut").await;
        (attempts.len() >= 5).then_some(attempts)
    })
    .await;
    let arrived: Vec<&String> = attempts[3..].iter().map(|one| &one.message).collect();
    assert_eq!(arrived, [&pending, &missed], "oldest first, each once");
    lab.server.advance("10m").await;
    let attempts = lab.attempts("shut").await;
    assert_eq!(attempts.len(), 5, "{given_up} was given up before");
}

async fn change(lab: &Lab, name: &str, fields: Value) {
    let path = format!("/api/v1/app/default/endpoint/{name}");
    let json = [("content-type", "application/json")];
    let client = lab.server.client();
    let reply = client.send(Method::PATCH, &path, &json, fields.to_string());
    let reply = reply.await;
    assert!((200..300).contains(&reply.status), "{}", reply.text());
}

async fn enable(lab: &Lab, name: &str) {
    let path = format!("/api/v1/app/default/endpoint/{name}/enable");
    let reply = lab.server.client().post(&path, &json!({})).await;
    assert!((200..300).contains(&reply.status), "{}", reply.text());
}

#[tokio::test]
async fn one_that_asks_for_less_is_left_alone_as_long_as_it_says() {
    let mut lab = Lab::start().await;
    let seconds = Manner::Says(429, "retry-after: 120\r\n".to_owned());
    lab.add("seconds", LabReceiver::start(seconds).await, json!({}))
        .await;
    // A date of the server's clock, ten minutes ahead.
    let at = u64::try_from(lab.now().await.secs() + 600).expect("after 1970");
    let date = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(at));
    let date = Manner::Says(429, format!("retry-after: {date}\r\n"));
    lab.add("date", LabReceiver::start(date).await, json!({}))
        .await;
    lab.add(
        "silent",
        LabReceiver::start(Manner::Answers(429)).await,
        json!({}),
    )
    .await;
    lab.send_all().await;
    for (name, least, most) in [
        ("seconds", 120, 121),
        ("date", 540, 600),
        ("silent", 60, 61),
    ] {
        let attempts = lab.attempts(name).await;
        assert_eq!((attempts.len(), attempts[0].answered), (1, 429), "{name}");
        let delay = attempts[0]
            .next
            .expect("it is tried again")
            .since(attempts[0].at);
        let range = least * 1000..=most * 1000;
        assert!(
            range.contains(&(delay - attempts[0].took_ms)),
            "{name}: {delay} ms"
        );
    }
    // The whole endpoint is left alone, not only that message.
    let second = lab.send("seconds").await;
    lab.server.advance("60s").await;
    assert_eq!(lab.attempts("seconds").await.len(), 1);
    assert_eq!(lab.receiver("seconds").bodies().len(), 1);
    lab.receiver("seconds").behave(Manner::Answers(200));
    lab.server.advance("62s").await;
    lab.bring_to_end_of("seconds").await;
    let attempts = lab.attempts("seconds").await;
    assert_eq!(attempts.len(), 3, "{attempts:?}");
    let late = attempts.iter().find(|one| one.message == second);
    let late = late.expect("the second message was tried");
    assert!(late.at.since(attempts[0].at) >= 120_000, "{attempts:?}");
}

impl Lab {
    /// Waits until nothing of that endpoint is under way.
    async fn bring_to_end_of(&self, name: &str) {
        until("end of what is under way", async || {
            self.server.idle().await;
            let attempts = self.attempts(name).await;
            attempts
                .iter()
                .filter(|one| one.status == 0)
                .nth(1)
                .map(drop)
        })
        .await;
    }
}

#[tokio::test]
async fn one_that_flaps_gets_everything_in_the_end() {
    let mut lab = Lab::start().await;
    let flaps = Manner::Flaps(vec![500, 200, 503]);
    lab.add("flaps", LabReceiver::start(flaps).await, json!({}))
        .await;
    for _ in 0..12 {
        lab.send("flaps").await;
    }
    lab.server.idle().await;
    lab.bring_to_end().await;
    let attempts = lab.attempts("flaps").await;
    let mut by_message: BTreeMap<&str, Vec<Attempt>> = BTreeMap::new();
    for one in &attempts {
        by_message
            .entry(&one.message)
            .or_default()
            .push(one.clone());
    }
    assert_eq!(by_message.len(), 12);
    for (message, attempts) in by_message {
        check_times(message, &attempts, &SCHEDULE);
        assert_eq!(
            attempts.last().map(|one| one.status),
            Some(0),
            "{attempts:?}"
        );
        let failed = &attempts[..attempts.len() - 1];
        assert!(failed.iter().all(|one| one.status == 2), "{attempts:?}");
    }
}

#[tokio::test]
async fn one_that_fails_for_five_days_is_disabled_and_drained_when_it_is_back() {
    let mut lab = Lab::start().await;
    lab.add(
        "down",
        LabReceiver::start(Manner::Answers(500)).await,
        json!({}),
    )
    .await;
    let mut messages = Vec::new();
    let began = lab.now().await;
    let disabled_after = loop {
        messages.push(lab.send("down").await);
        lab.server.idle().await;
        lab.server.advance("6h").await;
        let passed = lab.now().await.since(began);
        if lab.endpoint("down").await["disabled"] == true {
            break passed;
        }
        assert!(passed < 8 * 24 * 3_600_000, "it is never disabled");
    };
    let hours = disabled_after / 3_600_000;
    assert!((120..=132).contains(&hours), "{hours} hours");
    let endpoint = lab.endpoint("down").await;
    let since = instant(&text(&endpoint["failSince"]));
    assert!(since.since(began).abs() < 60_000, "{endpoint}");
    assert!(endpoint["disabledReason"].is_string(), "{endpoint}");
    // It wants nothing more, and what waited is given up when its time comes.
    lab.server.advance("12h").await;
    let before = lab.attempts("down").await.len();
    messages.push(lab.send("down").await);
    lab.server.advance("12h").await;
    assert_eq!(lab.attempts("down").await.len(), before);
    // Back again, it gets what it has not got, oldest first.
    lab.receiver("down").behave(Manner::Answers(200));
    enable(&lab, "down").await;
    let arrived = until("all messages", async || {
        let attempts = lab.attempts("down").await;
        let arrived = attempts.into_iter().filter(|one| one.status == 0);
        let arrived: Vec<String> = arrived.map(|one| one.message).collect();
        (arrived.len() == messages.len()).then_some(arrived)
    })
    .await;
    assert_eq!(arrived.first(), messages.first());
    let mut sorted = arrived.clone();
    sorted.sort_by_key(|id| messages.iter().position(|one| one == id));
    // Several are under way at a time, so neighbours may change places.
    for (place, id) in arrived.iter().enumerate() {
        let right = sorted
            .iter()
            .position(|one| one == id)
            .expect("it is there");
        assert!(place.abs_diff(right) <= 32, "{id} came at {place}");
    }
}

#[tokio::test]
async fn one_that_is_paused_gets_what_waited_in_order() {
    let mut lab = Lab::start().await;
    lab.add(
        "paused",
        LabReceiver::start(Manner::Answers(200)).await,
        json!({ "paused": true }),
    )
    .await;
    let messages = [lab.send("paused").await, lab.send("paused").await];
    lab.server.advance("1d").await;
    assert!(lab.attempts("paused").await.is_empty());
    let path = "/api/v1/app/default/endpoint/paused";
    let headers = [("content-type", "application/json")];
    let fields = json!({ "paused": false }).to_string();
    let reply = lab
        .server
        .client()
        .send(Method::PATCH, path, &headers, fields)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    lab.server.idle().await;
    let arrived: Vec<String> = lab
        .attempts("paused")
        .await
        .into_iter()
        .map(|one| one.message)
        .collect();
    assert_eq!(arrived, messages);
}
