//! Scenarios: in each file a line with `>` is an input, the lines under it are what the core
//! decided. `BLESS=1 cargo test -p dunlin-delivery` writes the decisions anew.

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use dunlin_delivery::{
    Answer, AttemptOutcome, AttemptResult, Control, DEFAULT_APPLICATION, DeliveryOptions,
    DeliveryRow, EndpointConfig, INTERNAL_EVENTS_URL, Input, Write,
};
use dunlin_types::{Code, Secret, Seq, Timestamp, Token};

use crate::world::{START, Seen, World, event, message};

/// One input's words: a verb, positions, and `key=value` or bare options.
struct Line<'a> {
    words: Vec<&'a str>,
}

impl<'a> Line<'a> {
    fn at(&self, place: usize) -> &'a str {
        self.words.get(place).copied().unwrap_or_default()
    }

    fn has(&self, option: &str) -> bool {
        self.words.contains(&option)
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        self.words
            .iter()
            .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }
}

struct Play {
    world: World,
    out: String,
}

impl Play {
    fn endpoint(&self, uid: &str) -> Seq {
        let config = self.world.core.config();
        let found = config.endpoint_of_uid(DEFAULT_APPLICATION, uid);
        found.expect("the endpoint exists").id
    }

    fn uid(&self, endpoint: Seq) -> String {
        let mut versions = self.world.rows.versions.iter();
        let uid = versions.find_map(|v| (v.endpoint == endpoint).then(|| v.config.clone())?);
        uid.and_then(|config| config.uid.clone())
            .unwrap_or_default()
    }

    fn message_of(&self, provider_id: &str) -> Seq {
        let messages = &self.world.rows.messages;
        let found = messages.values().find(|m| m.provider_id == provider_id);
        found.expect("the message exists").seq
    }

    fn name(&self, row: (Seq, Seq)) -> String {
        let message = &self.world.rows.messages[&row.0].provider_id;
        format!("{message} → {}", self.uid(row.1))
    }

    fn line(&mut self, text: &str) {
        let line = Line {
            words: text.split_whitespace().collect(),
        };
        match line.at(0) {
            "wait" => self.world.now = self.world.now.plus_ms(span(line.at(1))),
            "next" => {
                let wake = self.world.core.next_wake().expect("something waits");
                self.world.now = self.world.now.max(wake);
                let _ = writeln!(self.out, "  it is {}", since_start(self.world.now));
                for seen in self.world.due() {
                    self.show(&seen);
                }
            }
            "due" => {
                for seen in self.world.due() {
                    self.show(&seen);
                }
            }
            "restart" => {
                self.world.restart();
                assert!(self.world.core.pending().eq(&self.world.pending_rows()));
            }
            _ => {
                let seen = self.input(&line);
                self.show(&seen);
            }
        }
    }

    fn input(&mut self, line: &Line<'_>) -> Seen {
        match line.at(0) {
            "source" => self.world.add_source(line.at(1)),
            "endpoint" => self.world.add_endpoint(endpoint(line)),
            "accept" => {
                let body = line.value("body").unwrap_or("{}");
                self.world.accept(line.at(1), line.at(2), body)
            }
            "resend" => {
                let (message, endpoint) = (self.message_of(line.at(1)), self.endpoint(line.at(2)));
                self.world.tell(Input::Resend {
                    token: Token(1),
                    message,
                    endpoint,
                })
            }
            "test" => {
                let endpoint = self.endpoint(line.at(1));
                self.world.tell(Input::SendTest {
                    token: Token(1),
                    endpoint,
                    message: message(line.at(2), "payment.succeeded", "{}"),
                    wait: line.has("wait"),
                })
            }
            "enable" | "disable" => {
                let endpoint = self.endpoint(line.at(1));
                let mut config =
                    EndpointConfig::clone(&self.world.rows.endpoints[&endpoint].config);
                config.disabled = line.at(0) == "disable";
                config.disabled_reason = None;
                self.world.tell(Input::UpdateEndpoint {
                    token: Token(1),
                    endpoint,
                    config,
                })
            }
            "delete" => {
                let endpoint = self.endpoint(line.at(1));
                let token = Token(1);
                self.world.tell(Input::DeleteEndpoint { token, endpoint })
            }
            "rotate" => {
                let endpoint = self.endpoint(line.at(1));
                self.world.tell(Input::RotateEndpointSecret {
                    token: Token(1),
                    endpoint,
                    secret: Secret::new(line.at(2)),
                    grace_ms: span(line.at(3)),
                })
            }
            "back" => self.back(line),
            other => panic!("no such input: {other}"),
        }
    }

    /// `back MESSAGE ENDPOINT event NAME ID [named] | STATUS [retry-after= control=] | timeout | …`
    fn back(&mut self, line: &Line<'_>) -> Seen {
        let (message, endpoint) = (self.message_of(line.at(1)), self.endpoint(line.at(2)));
        let mut under_way = self.world.in_flight.values();
        let delivery = under_way
            .find(|a| a.message == message && a.endpoint.id == endpoint)
            .expect("it is under way")
            .delivery;
        let failed = |code, detail: &str, timed_out| AttemptOutcome::Failed {
            code,
            detail: detail.to_owned(),
            status: None,
            response: Bytes::new(),
            retry_after_ms: None,
            timed_out,
        };
        let outcome = match line.at(3) {
            "event" => event(line.at(4), line.at(5), line.has("named"), message),
            "cancelled" => AttemptOutcome::Cancelled,
            "timeout" => failed(Code::DeliveryTimedOut, "no answer in 15 s", true),
            "threw" => failed(Code::TransformThrew, "x is undefined (3:7)", false),
            status => AttemptOutcome::Sent {
                status: status.parse().expect("a status"),
                response: Bytes::from_static(b"answer"),
                retry_after_ms: line.value("retry-after").map(span),
                control: match line.value("control") {
                    Some("disable") => Control::Disable,
                    Some("abort") => Control::Abort,
                    _ => Control::None,
                },
            },
        };
        self.world.come_back(delivery, outcome)
    }

    fn show(&mut self, seen: &Seen) {
        let mut lines = Vec::new();
        for write in &seen.writes {
            lines.extend(self.written(write));
        }
        for (delivery, event) in &seen.events {
            let row = &self.world.rows.deliveries[delivery];
            let by = self.uid(row.endpoint);
            let id = event.id.as_deref().unwrap_or("none");
            lines.push(format!("event {} {id} by {by}", event.name));
        }
        for answer in &seen.answers {
            lines.push(answered(answer));
        }
        for attempt in &seen.attempts {
            let name = self.name((attempt.message, attempt.endpoint.id));
            let place = if attempt.in_process {
                " in process"
            } else {
                ""
            };
            let inline = attempt.message_inline.is_some();
            let load = if inline { "" } else { ", load the message" };
            let no = attempt.attempt_no;
            lines.push(format!("try {name} #{no}{place}{load}"));
        }
        for line in lines {
            let _ = writeln!(self.out, "  {line}");
        }
    }

    fn written(&self, write: &Write) -> Option<String> {
        Some(match write {
            Write::Message(row) => format!("message {} {}", row.provider_id, row.event_type),
            Write::Repeat(row) => {
                let kept = if row.body.is_some() { " body kept" } else { "" };
                format!("repeat of message {}{kept}", row.message)
            }
            Write::Delivery(row) => self.delivery(row),
            Write::Attempt(row) => {
                let result = match row.result {
                    AttemptResult::DuplicateOf(of) => format!("duplicate of {}", self.uid(of)),
                    result => format!("{result:?}").to_lowercase(),
                };
                let code = row.code.map(|code| format!(" {code}")).unwrap_or_default();
                let name = self.name((row.message, row.endpoint));
                let event = row.event.map(|seq| format!(" event row {seq}"));
                let event = event.unwrap_or_default();
                let no = row.attempt_no;
                format!("attempt {name} #{no}: {result} {}{code}{event}", row.status)
            }
            Write::EndpointVersion(row) => {
                let state = match row.config.as_deref() {
                    None => "deleted",
                    Some(config) if config.disabled => "disabled",
                    Some(_) => "enabled",
                };
                format!(
                    "endpoint {} v{}: {state}",
                    self.uid(row.endpoint),
                    row.version
                )
            }
            _ => return None,
        })
    }

    fn delivery(&self, row: &DeliveryRow) -> String {
        let name = self.name((row.message, row.endpoint));
        let state = format!("{:?}", row.state).to_lowercase();
        let due = row.next_at.map(|at| format!(", due {}", since_start(at)));
        let code = row.code.map(|code| format!(" {code}"));
        format!(
            "delivery {name}: {state}{}{}",
            code.unwrap_or_default(),
            due.unwrap_or_default()
        )
    }
}

fn answered(answer: &Answer) -> String {
    match answer {
        Answer::Accepted { message } => format!("answer: accepted as message {}", message.seq),
        Answer::Repeat { message, conflict } => {
            let how = if *conflict {
                "conflicts with"
            } else {
                "repeats"
            };
            format!("answer: {how} message {}", message.seq)
        }
        Answer::Endpoint(one) => format!("answer: endpoint, {} secrets", one.secrets.len()),
        Answer::Tested { attempt, .. } => format!("answer: tested, {:?}", attempt.result),
        Answer::Refused(error) => format!("answer: {error}"),
        Answer::Source(_) => "answer: source".to_owned(),
        Answer::Application(_) => "answer: application".to_owned(),
        Answer::Resent { .. } => "answer: resent".to_owned(),
        Answer::TestSent { .. } => "answer: test sent".to_owned(),
        Answer::Deleted => "answer: deleted".to_owned(),
    }
}

fn endpoint(line: &Line<'_>) -> EndpointConfig {
    let url = if line.has("card") {
        INTERNAL_EVENTS_URL
    } else {
        "https://example.com/hook"
    };
    let types = line.value("types").unwrap_or_default();
    EndpointConfig {
        app: DEFAULT_APPLICATION,
        uid: Some(line.at(1).to_owned()),
        url: url.to_owned(),
        disabled: line.has("disabled"),
        event_types: types.split_terminator(',').map(str::to_owned).collect(),
        ..EndpointConfig::default()
    }
}

/// `90s` in milliseconds.
fn span(text: &str) -> i64 {
    let secs: i64 = text.trim_end_matches('s').parse().expect("seconds");
    secs * 1000
}

fn since_start(at: Timestamp) -> String {
    let ms = at.since(START);
    format!("+{}.{:03}s", ms / 1000, ms % 1000)
}

fn play(script: &str) -> String {
    let mut play = Play {
        world: World::new(DeliveryOptions {
            in_flight_per_endpoint_max: 2,
            in_flight_max: 3,
            ..DeliveryOptions::default()
        }),
        out: String::new(),
    };
    for text in script.lines() {
        if text.starts_with('#') || text.is_empty() {
            let _ = writeln!(play.out, "{text}");
        } else if let Some(input) = text.strip_prefix("> ") {
            let _ = writeln!(play.out, "{text}");
            play.line(input);
        }
    }
    play.out
}

fn check(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/delivery/scenarios");
    let path = folder.join(format!("{name}.txt"));
    let expected = std::fs::read_to_string(&path).expect("the scenario is there");
    let played = play(&expected);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, played).expect("the scenario can be written");
    } else {
        assert_eq!(played, expected, "{name}");
    }
}

macro_rules! scenarios {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            check(stringify!($name));
        }
    )* };
}

scenarios! {
    a_message_goes_to_each_endpoint_that_wants_it
    a_message_that_comes_again_is_counted
    failures_are_retried_on_the_schedule
    receivers_can_stop_deliveries
    rivals_make_an_event_once
    asking_for_attempts
    endpoints_that_go_away
    places_are_shared_between_endpoints
}
