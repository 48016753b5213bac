//! Scenarios: in each file a line with `>` is an input, the lines under it are what the core
//! decided. `BLESS=1 cargo test -p dunlin-delivery` writes the decisions anew.

use std::fmt::Write as _;
use std::path::Path;

use bytes::Bytes;
use dunlin_delivery::{
    Answer, AttemptEffect, AttemptOutcome, AttemptResult, Control, DEFAULT_APPLICATION,
    DeliveryOptions, DeliveryRow, EndpointConfig, EndpointVersionRow, EventTypeFields, HealthRow,
    INTERNAL_EVENTS_URL, Input, JsonPath, Message, NewApplication, NewEventType, NewTask,
    Retention, TaskFilter, TaskKind, TaskRow, TaskSlice, Write, order_key,
};
use dunlin_types::{Code, Secret, Seq, Timestamp, Token};

use crate::world::{START, Seen, World, event, failed, message};

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
        let mut endpoints = self.world.rows.endpoints.values();
        let found = endpoints.find(|one| one.config.uid.as_deref() == Some(uid));
        found.expect("the endpoint exists").id
    }

    fn uid(&self, endpoint: Seq) -> String {
        let mut versions = self.world.rows.versions.iter();
        let uid = versions.find_map(|v| (v.endpoint == endpoint).then(|| v.config.clone())?);
        uid.and_then(|config| config.uid.clone())
            .unwrap_or_default()
    }

    fn message_of(&self, name: &str) -> Seq {
        let messages = &self.world.rows.messages;
        let found = messages.values().find(|row| name_of(row) == name);
        found.expect("the message exists").seq
    }

    fn name(&self, row: (Seq, Seq)) -> String {
        let message = self.world.rows.messages.get(&row.0);
        let message = message.map_or_else(|| "gone".to_owned(), |row| name_of(row));
        format!("{message} → {}", self.uid(row.1))
    }

    fn line(&mut self, text: &str) {
        let line = Line {
            words: text.split_whitespace().collect(),
        };
        match line.at(0) {
            "wait" => self.world.now = self.world.now.plus_ms(span(line.at(1))),
            "next" => {
                let wake = self.world.core.next_wake();
                let wake = wake.unwrap_or_else(|| panic!("{}\nnothing waits", self.out));
                self.world.now = self.world.now.max(wake);
                let _ = writeln!(self.out, "  it is {}", since_start(self.world.now));
                self.due();
            }
            "due" => self.due(),
            "run" => self.run(span(line.at(1)), line.at(2)),
            "places" => {
                let number = |place| line.at(place).parse().expect("a number");
                self.world = World::new(options(number(1), number(2)));
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
        if (self.world.core.next_wake()).is_none_or(|at| at > self.world.now) {
            let faults = self.world.core.audit(self.world.now);
            assert!(faults.is_empty(), "after `{text}`: {faults:#?}");
        }
    }

    fn due(&mut self) {
        for seen in self.world.due() {
            self.show(&seen);
        }
    }

    /// Lets time pass; receivers take 10 ms to answer with that status. Tells how many attempts
    /// began in each second.
    fn run(&mut self, ms: i64, status: &str) {
        let mut counts = Vec::new();
        for passed in 0..ms {
            let mut seen = self.world.due();
            let started = self.world.since.clone();
            for (delivery, since) in started {
                if self.world.now.since(since) >= 10 {
                    let words = vec!["", "", "", status];
                    let outcome = outcome(&Line { words }, Seq(0));
                    seen.push(self.world.come_back(delivery, outcome));
                }
            }
            let second = usize::try_from(passed / 1000).expect("forward");
            counts.resize(second + 1, 0);
            counts[second] += seen.iter().map(|one| one.attempts.len()).sum::<usize>();
            self.world.now = self.world.now.plus_ms(1);
        }
        let _ = writeln!(self.out, "  attempts in each second: {counts:?}");
    }

    fn input(&mut self, line: &Line<'_>) -> Seen {
        let token = Token(1);
        match line.at(0) {
            "source" => self.world.add_source(line.at(1)),
            "endpoint" => {
                let config = self.new_endpoint(line);
                self.world.add_endpoint(config)
            }
            "accept" => {
                let body = line.value("body").unwrap_or("{}");
                self.world.accept(line.at(1), line.at(2), body)
            }
            "send" => {
                let body = line.value("body").unwrap_or("{}");
                let mut message = message(line.at(1), line.at(2), body);
                message.deliver_at = line.value("in").map(|at| self.world.now.plus_ms(span(at)));
                self.world.tell(Input::CreateMessage {
                    token,
                    application: DEFAULT_APPLICATION,
                    message,
                    idempotency: None,
                })
            }
            "many" => self.many(line),
            "resend" => {
                let (message, endpoint) = (self.message_of(line.at(1)), self.endpoint(line.at(2)));
                self.world.tell(Input::Resend {
                    token,
                    message,
                    endpoint,
                })
            }
            "test" => {
                let endpoint = self.endpoint(line.at(1));
                self.world.tell(Input::SendTest {
                    token,
                    endpoint,
                    message: message(line.at(2), "payment.succeeded", "{}"),
                    wait: line.has("wait"),
                })
            }
            "enable" => self.change(line.at(1), |config| config.disabled = false),
            "disable" => self.change(line.at(1), |config| config.disabled = true),
            "move" => self.change(line.at(1), |config| config.url = line.at(2).to_owned()),
            "pause" => self.change(line.at(1), |config| config.paused = true),
            "unpause" => self.change(line.at(1), |config| config.paused = false),
            "delete" => {
                let endpoint = self.endpoint(line.at(1));
                self.world.tell(Input::DeleteEndpoint { token, endpoint })
            }
            "rotate" => {
                let endpoint = self.endpoint(line.at(1));
                self.world.tell(Input::RotateEndpointSecret {
                    token,
                    endpoint,
                    secret: Secret::new(line.at(2)),
                    grace_ms: span(line.at(3)),
                })
            }
            "back" => self.back(line),
            _ => self.rare(line),
        }
    }

    fn rare(&mut self, line: &Line<'_>) -> Seen {
        let token = Token(1);
        let input = match line.at(0) {
            "app" => Input::UpdateApplication {
                token,
                application: DEFAULT_APPLICATION,
                new: NewApplication {
                    name: "default".to_owned(),
                    uid: Some("default".to_owned()),
                    throttle_rate: line.value("rate").map(|rate| rate.parse().expect("a rate")),
                    retention: Retention {
                        wipe_on_success: line.has("wipe"),
                        ..Retention::default()
                    },
                    ..NewApplication::default()
                },
            },
            "operational" => Input::OperationalApplication { token },
            "type" => Input::PutEventTypes {
                token,
                types: vec![NewEventType {
                    name: line.at(1).to_owned(),
                    fields: Some(EventTypeFields {
                        retry_schedule_ms: line.value("schedule").map(spans),
                        ..EventTypeFields::default()
                    }),
                }],
            },
            "expunge" => Input::Expunge {
                token,
                messages: vec![self.message_of(line.at(1))],
                even_pending: line.has("even-pending"),
            },
            "purge" => Input::Purge {
                token,
                messages: line.words[1..]
                    .iter()
                    .map(|name| self.message_of(name))
                    .collect(),
            },
            "cancel" => Input::CancelPending {
                token,
                endpoint: self.endpoint(line.at(1)),
                created_before: self.world.now,
                after: Seq(0),
            },
            "task" => self.task(line),
            "slice" => self.slice(line),
            other => panic!("no such input: {other}"),
        };
        self.world.tell(input)
    }

    fn change(&mut self, uid: &str, change: impl FnOnce(&mut EndpointConfig)) -> Seen {
        let endpoint = self.endpoint(uid);
        let mut config = EndpointConfig::clone(&self.world.rows.endpoints[&endpoint].config);
        let was_disabled = config.disabled;
        change(&mut config);
        self.world.tell(Input::UpdateEndpoint {
            token: Token(1),
            endpoint,
            config: Box::new(config),
            was_disabled,
        })
    }

    /// `many COUNT PREFIX TYPE`; tells no more than what began.
    fn many(&mut self, line: &Line<'_>) -> Seen {
        let count: usize = line.at(1).parse().expect("a number");
        let mut begun = 0;
        for number in 1..=count {
            let id = format!("{}{number}", line.at(2));
            begun += self.world.accept(&id, line.at(3), "{}").attempts.len();
        }
        let _ = writeln!(self.out, "  {count} messages, {begun} tried at once");
        Seen::default()
    }

    fn task(&self, line: &Line<'_>) -> Input {
        let kind = match line.at(1) {
            "recover" => TaskKind::Recover,
            "replay-missing" => TaskKind::ReplayMissing,
            "purge-content" => TaskKind::PurgeContent,
            other => panic!("no such task: {other}"),
        };
        Input::StartTask {
            token: Token(1),
            new: Box::new(NewTask {
                kind,
                app: DEFAULT_APPLICATION,
                endpoint: (!line.at(2).is_empty()).then(|| self.endpoint(line.at(2))),
                filter: TaskFilter::default(),
            }),
        }
    }

    /// `slice TASK MESSAGE… [end]`, of the task of that place.
    fn slice(&self, line: &Line<'_>) -> Input {
        let place: usize = line.at(1).parse().expect("a number");
        let tasks = &self.world.rows.tasks;
        let task = tasks.values().nth(place - 1).expect("there is one");
        let names = line.words[2..].iter().filter(|name| **name != "end");
        let endpoint = task
            .endpoint
            .and_then(|id| self.world.rows.endpoints.get(&id));
        let messages: Vec<(Seq, Option<u64>)> = names
            .map(|name| {
                let row = &self.world.rows.messages[&self.message_of(name)];
                (
                    row.seq,
                    endpoint.and_then(|one| order_key(&one.config, row)),
                )
            })
            .collect();
        Input::TaskSlice {
            token: Token(1),
            task: task.id,
            slice: TaskSlice {
                cursor: messages.last().map_or(Seq(0), |last| last.0),
                looked: 10,
                messages,
                ended: line.has("end"),
                result: None,
                failed: None,
            },
        }
    }

    fn new_endpoint(&self, line: &Line<'_>) -> EndpointConfig {
        let url = match line.has("card") {
            true => INTERNAL_EVENTS_URL,
            false => "https://example.com/hook",
        };
        let types = line.value("types").unwrap_or_default();
        let operational = self.world.core.config().operational().map(|app| app.id);
        EndpointConfig {
            app: match line.has("operational") {
                true => operational.expect("there is one"),
                false => DEFAULT_APPLICATION,
            },
            uid: Some(line.at(1).to_owned()),
            url: url.to_owned(),
            disabled: line.has("disabled"),
            paused: line.has("paused"),
            event_types: types.split_terminator(',').map(str::to_owned).collect(),
            throttle_rate: line.value("rate").map(|rate| rate.parse().expect("a rate")),
            retry_schedule_ms: line.value("schedule").map(spans),
            ordering_key: (line.value("order")).map(|path| JsonPath::parse(path).expect("a path")),
            ..EndpointConfig::default()
        }
    }

    /// `back MESSAGE ENDPOINT event NAME ID [named] | STATUS [retry-after= control=] | timeout | …`
    fn back(&mut self, line: &Line<'_>) -> Seen {
        let endpoint = self.endpoint(line.at(2));
        let messages = &self.world.rows.messages;
        let mut under_way = self.world.in_flight.values();
        let fits = |one: &&AttemptEffect| {
            one.endpoint.id == endpoint && name_of(&messages[&one.message]) == line.at(1)
        };
        let attempt = under_way.find(fits);
        let attempt = attempt.unwrap_or_else(|| panic!("{}\nit is not under way", self.out));
        let (delivery, message) = (attempt.delivery, attempt.message);
        self.world.come_back(delivery, outcome(line, message))
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
            let no = attempt.attempt_no;
            lines.push(format!("try {name} #{no}{place}"));
        }
        for line in lines {
            let _ = writeln!(self.out, "  {line}");
        }
    }

    fn written(&self, write: &Write) -> Option<String> {
        Some(match write {
            Write::Message(row) if is_told(row) => {
                let body = String::from_utf8_lossy(&row.body).into_owned();
                let data = body.split_once("\"data\":").map(|(_, data)| data);
                let data = data.and_then(|data| data.strip_suffix('}'));
                format!("told {} {}", row.event_type, data.unwrap_or_default())
            }
            Write::Message(row) => format!("message {} {}", name_of(row), row.event_type),
            Write::Repeat(row) => {
                let other = if row.conflict { ", another body" } else { "" };
                format!("repeat of message {}{other}", row.message)
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
            Write::EndpointVersion(row) => self.version(row),
            Write::Health(row) => self.account(row),
            Write::HealthGone(endpoint) => format!("account of {} closed", self.uid(*endpoint)),
            Write::Rest(row) => {
                let until = since_start(row.until);
                format!("nothing for {} before {until}", self.uid(row.endpoint))
            }
            Write::ContentGone(message) => {
                format!(
                    "payload of {} gone",
                    name_of(&self.world.rows.messages[message])
                )
            }
            Write::MessageGone(message) => format!("message {message} gone"),
            Write::Task(row) => task(row),
            _ => return None,
        })
    }

    fn version(&self, row: &EndpointVersionRow) -> String {
        let state = match row.config.as_deref() {
            None => "deleted".to_owned(),
            Some(config) => {
                let reason = config.disabled_reason.as_ref();
                let since = config.fail_since;
                let paused = if config.paused { ", paused" } else { "" };
                let reason = reason.map(|why| format!(" because {why}"));
                let since = since.map(|at| format!(", undelivered since {}", since_start(at)));
                let state = match config.disabled {
                    true => "disabled",
                    false => "enabled",
                };
                let (reason, since) = (reason.unwrap_or_default(), since.unwrap_or_default());
                format!("{state}{reason}{since}{paused}")
            }
        };
        let uid = self.uid(row.endpoint);
        format!("endpoint {uid} v{}: {state}", row.version)
    }

    fn account(&self, row: &HealthRow) -> String {
        let uid = self.uid(row.endpoint);
        let since = since_start(row.failing_since);
        let counts = (row.counts_since).map(|at| format!(", counted from {}", since_start(at)));
        let counts = counts.unwrap_or_default();
        let warned = match row.warned_percent {
            0 => String::new(),
            percent => format!(", warned at {percent} %"),
        };
        assert_eq!(row.last_failed, self.world.now);
        format!("account of {uid}: failing since {since}{counts}{warned}")
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

/// Whether it is about what happens here.
fn is_told(row: &Message) -> bool {
    row.provider_id.is_empty()
}

fn name_of(row: &Message) -> String {
    match is_told(row) {
        true => row.event_type.clone(),
        false => row.provider_id.clone(),
    }
}

fn task(row: &TaskRow) -> String {
    let (kind, status) = (row.kind.name(), row.status.name());
    let code = row.code.map(|code| format!(" {code}")).unwrap_or_default();
    let (looked, changed) = (row.looked, row.changed);
    format!("task {kind}: {status}{code}, {looked} looked at, {changed} changed")
}

fn outcome(line: &Line<'_>, message: Seq) -> AttemptOutcome {
    match line.at(3) {
        "event" => event(line.at(4), line.at(5), line.has("named"), message),
        "cancelled" => AttemptOutcome::Cancelled,
        "timeout" => failed(Code::DeliveryTimedOut, "no answer in 15 s", true),
        "refused" => failed(Code::DeliveryUnreachable, "connection refused", false),
        "threw" => failed(Code::TransformThrew, "x is undefined (3:7)", false),
        "expired" => failed(Code::PayloadExpired, "", false),
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
        Answer::Changed(count) => format!("answer: {count} changed"),
        Answer::ChangedSome { changed, .. } => format!("answer: {changed} changed, and more"),
        Answer::EventTypes(types) => format!("answer: {} event types", types.len()),
        Answer::Task(_) => "answer: task".to_owned(),
        other => format!("answer: {other:?}"),
    }
}

/// `90s`, `10ms`, `6h` or `2d` in milliseconds.
fn span(text: &str) -> i64 {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let number: i64 = digits.parse().expect("a number");
    let unit = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => panic!("no such unit: {other}"),
    };
    number * unit
}

fn spans(text: &str) -> Vec<i64> {
    text.split_terminator(',').map(span).collect()
}

fn since_start(at: Timestamp) -> String {
    let ms = at.since(START);
    format!("+{}.{:03}s", ms / 1000, ms % 1000)
}

fn options(per_endpoint: usize, total: usize) -> DeliveryOptions {
    DeliveryOptions {
        in_flight_per_endpoint_max: per_endpoint,
        in_flight_max: total,
        replays_waiting_max: 3,
        ..DeliveryOptions::default()
    }
}

fn play(script: &str) -> String {
    let mut play = Play {
        world: World::new(options(2, 3)),
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
    rivals_do_not_wait_for_what_is_held_back
    rivals_do_not_wait_for_a_rate
    asking_for_attempts
    endpoints_that_go_away
    places_are_shared_between_endpoints
    schedules_of_endpoints_and_event_types
    a_receiver_that_asks_for_less_is_left_alone
    a_receiver_is_left_alone_over_a_restart
    a_receiver_that_struggles_gets_fewer_at_a_time
    rates_are_kept
    an_endpoint_that_fails_for_days_is_disabled
    an_endpoint_is_not_blamed_while_nothing_was_tried
    an_owner_disables_an_endpoint_with_something_pending
    what_has_gathered_does_not_overrun_an_endpoint
    a_pause_queues_what_comes
    messages_with_an_order_do_not_overtake
    messages_can_be_held_back
    payloads_and_messages_go
    what_waits_can_be_cancelled
    tasks_send_again_in_slices
    those_who_want_to_know_are_told
    what_was_given_up_can_be_sent_again
}
