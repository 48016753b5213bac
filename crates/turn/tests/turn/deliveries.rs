//! When attempts of deliveries go out: as soon as what they follow from is durable, and no sooner.

use bytes::Bytes;
use dunlin_delivery::{
    Answer, AttemptEffect, AttemptHeaders, AttemptOutcome, Attempted, Control, DEFAULT_APPLICATION,
    Delivery, DeliveryOptions, Effect as Of, EndpointConfig, Input as To, JsonPath, NewMessage,
};
use dunlin_engine::{Engine, Options};
use dunlin_turn::{Command, Effect, Happening, Input, Rows, Turn};
use dunlin_types::{Secret, Seq, Timestamp, Token};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

/// A turn with one endpoint of which one delivery may be under way.
struct Case {
    turn: Turn,
    endpoint: Seq,
    config: EndpointConfig,
    /// The commit that the writer has in hand.
    writing: Option<u64>,
}

impl Case {
    fn new(ordering_key: Option<&str>) -> Self {
        let options = DeliveryOptions {
            in_flight_per_endpoint_max: 1,
            ..DeliveryOptions::default()
        };
        let engine = Engine::new(Options::default());
        let config = EndpointConfig {
            url: "https://a.example/".to_owned(),
            app: DEFAULT_APPLICATION,
            ordering_key: ordering_key.map(|path| JsonPath::parse(path).expect("a path")),
            ..EndpointConfig::default()
        };
        let mut case = Self {
            turn: Turn::new(engine, Delivery::new(options), Seq(1_000), 0),
            endpoint: Seq(0),
            config: config.clone(),
            writing: None,
        };
        case.tell(To::CreateEndpoint {
            token: Token(1),
            config: Box::new(config),
            secret: Secret::new("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"),
        });
        case.durable();
        let config = case.turn.delivery().config();
        case.endpoint = config.endpoints().next().expect("it was made").id;
        case
    }

    fn tell(&mut self, input: To) -> Vec<AttemptEffect> {
        self.turn
            .on(Happening::Input(Input::Delivery(input)), NOW, 1);
        self.carry_out()
    }

    fn message(&mut self, key: &str) -> Vec<AttemptEffect> {
        let body = format!(r#"{{"key":"{key}"}}"#);
        self.tell(To::CreateMessage {
            token: Token(2),
            application: DEFAULT_APPLICATION,
            message: NewMessage {
                event_type: "a.b".to_owned(),
                body: Bytes::from(body),
                ..NewMessage::default()
            },
            idempotency: None,
        })
    }

    fn delivered(&mut self, attempt: &AttemptEffect) -> Vec<AttemptEffect> {
        self.tell(To::Attempted(Box::new(Attempted {
            delivery: attempt.delivery,
            attempt_no: attempt.attempt_no,
            endpoint_version: attempt.endpoint.version,
            outcome: AttemptOutcome::Sent {
                status: 200,
                response: Bytes::new(),
                retry_after_ms: None,
                control: Control::None,
            },
            url: attempt.endpoint.config.url.clone(),
            started: NOW,
            ended: NOW,
            headers: AttemptHeaders::default(),
            logs: Vec::new(),
            about: None,
        })))
    }

    /// The writer is done with what it has in hand.
    fn durable(&mut self) -> Vec<AttemptEffect> {
        let commit = self.writing.take().expect("something is written");
        self.turn.on(Happening::Committed(commit), NOW, 1);
        self.carry_out()
    }

    fn carry_out(&mut self) -> Vec<AttemptEffect> {
        let mut attempts = Vec::new();
        for command in self.turn.flush(NOW, 1) {
            match command {
                Command::Commit(decided) => self.writing = Some(decided.commit_no),
                Command::Load(id, _) => {
                    let rows = Rows::default();
                    self.turn.on(Happening::Loaded(id, rows), NOW, 1);
                }
                Command::Act(effects) => attempts.extend(effects.into_iter().filter_map(of)),
            }
        }
        attempts
    }
}

fn of(effect: Effect) -> Option<AttemptEffect> {
    match effect {
        Effect::Delivery(Of::Attempt(attempt)) => Some(*attempt),
        Effect::Delivery(Of::Answer { answer, .. }) => {
            assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
            None
        }
        Effect::Engine(_) => None,
    }
}

/// Two messages are durable, the first is under way.
fn two_messages(case: &mut Case) -> AttemptEffect {
    assert!(case.message("k").is_empty(), "before it is durable");
    let attempts = case.durable();
    assert_eq!(attempts.len(), 1, "once it is durable");
    assert!(case.message("k").is_empty());
    assert!(case.durable().is_empty(), "there is one place");
    attempts.into_iter().next().expect("there is one")
}

#[test]
fn a_place_that_is_given_back_goes_to_a_durable_delivery_at_once() {
    let mut case = Case::new(None);
    let first = two_messages(&mut case);
    let second = case.delivered(&first);
    assert!(case.writing.is_some(), "the attempt is not durable yet");
    assert_eq!(second.len(), 1);
    assert_ne!(second[0].delivery, first.delivery);
}

#[test]
fn a_message_waits_for_its_own_commit_even_if_there_is_a_place() {
    let mut case = Case::new(None);
    assert!(case.message("k").is_empty());
    let attempts = case.durable();
    assert!(case.message("k").is_empty(), "the second is being written");
    assert!(case.delivered(&attempts[0]).is_empty());
    assert_eq!(case.durable().len(), 1);
}

#[test]
fn what_must_not_overtake_waits_until_the_end_before_it_is_durable() {
    let mut case = Case::new(Some("$.key"));
    let first = two_messages(&mut case);
    assert!(case.delivered(&first).is_empty());
    assert_eq!(case.durable().len(), 1);
}

#[test]
fn an_endpoint_that_was_just_changed_is_sent_to_once_the_change_is_durable() {
    let mut case = Case::new(None);
    let first = two_messages(&mut case);
    let mut config = case.config.clone();
    config.url = "https://b.example/".to_owned();
    let (token, endpoint) = (Token(3), case.endpoint);
    let config = Box::new(config);
    assert!(
        case.tell(To::UpdateEndpoint {
            token,
            endpoint,
            config,
            was_disabled: false,
        })
        .is_empty()
    );
    assert!(case.delivered(&first).is_empty());
    let second = case.durable();
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].endpoint.config.url, "https://b.example/");
}

#[test]
fn a_server_that_stops_starts_no_more_attempts_and_is_idle_when_the_last_has_ended() {
    let mut case = Case::new(None);
    let first = two_messages(&mut case);
    case.turn.drain();
    assert!(case.delivered(&first).is_empty(), "a place is free");
    assert!(case.durable().is_empty());
    assert!(case.turn.is_idle(), "though a delivery is left");
    assert_eq!(case.turn.next_wake(), None);
    assert!(case.message("k").is_empty());
    assert!(case.durable().is_empty(), "taken in, and left to the next");
}
