//! Random histories against a model that knows only this: a message has one delivery for each
//! endpoint that wanted it when it came, each ends after at most eight attempts, and a restart
//! finds in the rows what memory held.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_delivery::{
    Answer, AttemptOutcome, AttemptResult, DEFAULT_APPLICATION, DeliveryOptions, DeliveryState,
    EndpointConfig, INTERNAL_EVENTS_URL, Input, Trigger, Verdict, Write, verdict,
};
use dunlin_types::{Code, Seq, Token, limits};
use proptest::prelude::*;

use crate::world::{Seen, World, event, failed, sent};

const TYPES: [&str; 2] = ["payment.succeeded", "refund.succeeded"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Accept { id: u8, event_type: usize },
    Return { which: usize, how: How },
    Wake,
    Restart,
    SetDisabled { which: usize, disabled: bool },
    Delete { which: usize },
}

#[derive(Clone, Copy, Debug)]
enum How {
    Arrived,
    Named,
    Refused,
    TimedOut,
    Gone,
    Cancelled,
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => Just(How::Arrived),
        2 => Just(How::Named),
        6 => Just(How::Refused),
        1 => Just(How::TimedOut),
        1 => Just(How::Gone),
        1 => Just(How::Cancelled),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let index = 0_usize..16;
    prop_oneof![
        6 => (0_u8..12, 0..TYPES.len()).prop_map(|(id, event_type)| Step::Accept { id, event_type }),
        16 => (index.clone(), how()).prop_map(|(which, how)| Step::Return { which, how }),
        8 => Just(Step::Wake),
        2 => Just(Step::Restart),
        1 => (index.clone(), any::<bool>())
            .prop_map(|(which, disabled)| Step::SetDisabled { which, disabled }),
        1 => index.prop_map(|which| Step::Delete { which }),
    ]
}

struct Model {
    world: World,
    /// Which (message, endpoint) must have a delivery.
    wanted: BTreeSet<(Seq, Seq)>,
    /// Failed attempts by delivery.
    failures: BTreeMap<Seq, u8>,
    accepted: BTreeMap<String, Seq>,
    repeats: usize,
}

impl Model {
    fn new() -> Self {
        let mut world = World::new(DeliveryOptions {
            in_flight_per_endpoint_max: 2,
            in_flight_max: 5,
            ..DeliveryOptions::default()
        });
        world.add_source("dodo");
        let card = INTERNAL_EVENTS_URL;
        for (url, types) in [
            (card, &TYPES[..0]),
            ("https://example.com", &TYPES[..1]),
            (card, &TYPES[..1]),
            (card, &TYPES[..]),
        ] {
            world.add_endpoint(EndpointConfig {
                app: DEFAULT_APPLICATION,
                url: url.to_owned(),
                event_types: types.iter().map(|&t| t.to_owned()).collect(),
                ..EndpointConfig::default()
            });
        }
        Self {
            world,
            wanted: BTreeSet::new(),
            failures: BTreeMap::new(),
            accepted: BTreeMap::new(),
            repeats: 0,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Accept { id, event_type } => self.accept(id, TYPES[event_type]),
            Step::Return { which, how } => {
                let under_way: Vec<Seq> = self.world.in_flight.keys().copied().collect();
                if let Some(delivery) = under_way.get(which % under_way.len().max(1)) {
                    self.come_back(*delivery, how);
                }
            }
            Step::Wake => self.wake(),
            Step::Restart => self.world.restart(),
            Step::SetDisabled { which, disabled } => {
                if let Some(endpoint) = self.nth_endpoint(which) {
                    let old = &self.world.rows.endpoints[&endpoint].config;
                    let config = EndpointConfig {
                        disabled,
                        ..EndpointConfig::clone(old)
                    };
                    self.world.tell(Input::UpdateEndpoint {
                        token: Token::NONE,
                        endpoint,
                        config: Box::new(config),
                        was_disabled: !disabled,
                    });
                }
            }
            Step::Delete { which } => {
                if let Some(endpoint) = self.nth_endpoint(which) {
                    let token = Token::NONE;
                    self.world.tell(Input::DeleteEndpoint { token, endpoint });
                }
            }
        }
        let held = self.world.core.pending().cloned().collect::<Vec<_>>();
        assert_eq!(held, self.world.pending_rows(), "memory differs from rows");
        if (self.world.core.next_wake()).is_none_or(|at| at > self.world.now) {
            let faults = self.world.core.audit(self.world.now);
            assert!(faults.is_empty(), "{faults:#?}");
        }
    }

    fn nth_endpoint(&self, which: usize) -> Option<Seq> {
        self.world.rows.endpoints.keys().nth(which).copied()
    }

    fn accept(&mut self, id: u8, event_type: &str) {
        let id = format!("m{id}");
        let seen = self.world.accept(&id, event_type, "{}");
        let first = self.accepted.get(&id).copied();
        match (&seen.answers[..], first) {
            ([Answer::Repeat { message, .. }], Some(first)) => {
                assert_eq!(message.seq, first);
                self.repeats += 1;
            }
            ([Answer::Accepted { message }], None) => {
                self.accepted.insert(id, message.seq);
                let row = &self.world.rows.messages[&message.seq];
                for endpoint in self.world.rows.endpoints.values() {
                    if verdict(&endpoint.config, row) == Verdict::Matched {
                        self.wanted.insert((message.seq, endpoint.id));
                    }
                }
            }
            (other, _) => panic!("unexpected answers: {other:?}"),
        }
    }

    fn come_back(&mut self, delivery: Seq, how: How) {
        let attempt = self.world.in_flight[&delivery].clone();
        let text = &self.world.rows.messages[&attempt.message].provider_id;
        let outcome = match how {
            How::Arrived | How::Named if attempt.in_process => {
                event("a", text, matches!(how, How::Named), attempt.message)
            }
            How::Arrived | How::Named => sent(200, None),
            How::Refused => sent(500, None),
            How::Gone => sent(410, None),
            How::Cancelled => AttemptOutcome::Cancelled,
            How::TimedOut => failed(Code::DeliveryTimedOut, "", true),
        };
        let endpoint = self.world.core.config();
        let open = endpoint
            .endpoint(attempt.endpoint.id)
            .is_some_and(|one| !one.config.disabled);
        let seen = self.world.come_back(delivery, outcome);
        self.check_state(delivery, how, open, &seen);
    }

    fn check_state(&mut self, delivery: Seq, how: How, open: bool, seen: &Seen) {
        let row = &self.world.rows.deliveries[&delivery];
        let expected = match how {
            How::Refused | How::TimedOut => {
                let failures = self.failures.entry(delivery).or_default();
                *failures += 1;
                if *failures == 8 || !open {
                    DeliveryState::Failed
                } else {
                    let base = limits::DELIVERY_DELAYS_MS[usize::from(*failures) - 1];
                    let delay = row.next_at.expect("it is pending").since(self.world.now);
                    assert!(delay >= base * 4 / 5);
                    DeliveryState::Pending
                }
            }
            How::Gone => DeliveryState::Failed,
            How::Cancelled => DeliveryState::Cancelled,
            // Whether it is held, appended or outdone is checked at the end.
            How::Arrived | How::Named => return,
        };
        assert_eq!(row.state, expected);
        let attempts = seen.writes.iter().filter(|write| match write {
            Write::Attempt(row) => row.delivery == delivery,
            _ => false,
        });
        assert_eq!(attempts.count(), 1);
    }

    fn wake(&mut self) {
        if let Some(at) = self.world.core.next_wake() {
            self.world.now = self.world.now.max(at);
        }
        self.world.due();
    }

    /// Lets everything come to an end.
    fn finish(&mut self) {
        for _ in 0..10_000 {
            let under_way = self.world.in_flight.keys().next().copied();
            match under_way {
                Some(delivery) => self.come_back(delivery, How::Refused),
                None if self.world.core.next_wake().is_some() => self.wake(),
                None => break,
            }
        }
        let pending: Vec<_> = self.world.core.pending().collect();
        assert!(pending.is_empty(), "stuck: {pending:?}");
    }

    fn check_end(&self) {
        let rows = &self.world.rows;
        assert_eq!(rows.repeats.len(), self.repeats);
        let deliveries: Vec<_> = rows.deliveries.values().collect();
        let have: Vec<_> = deliveries.iter().map(|d| (d.message, d.endpoint)).collect();
        let unique: BTreeSet<_> = have.iter().copied().collect();
        assert_eq!(have.len(), unique.len(), "two deliveries for one endpoint");
        assert_eq!(unique, self.wanted);
        for delivery in deliveries {
            assert_eq!(delivery.trigger, Trigger::Scheduled);
            assert_ne!(delivery.state, DeliveryState::Pending);
            assert!(delivery.tries <= 8 && delivery.ended.is_some());
            let attempts = rows.attempts.iter().filter(|a| a.delivery == delivery.seq);
            let numbers: Vec<_> = attempts.map(|a| a.attempt_no).collect();
            assert_eq!(numbers, (1..=delivery.tries).collect::<Vec<_>>());
        }
        self.check_events();
    }

    /// Each event is there once, and whoever did not append it knows who did.
    fn check_events(&self) {
        let rows = &self.world.rows;
        let mut names = BTreeSet::new();
        for (_, event) in &rows.events {
            assert!(names.insert((event.id.clone(), event.name.clone())));
        }
        let appended: BTreeSet<(Seq, Seq)> = (rows.attempts.iter())
            .filter(|a| a.event.is_some())
            .map(|a| (a.message, a.endpoint))
            .collect();
        assert_eq!(appended.len(), rows.events.len());
        for attempt in &rows.attempts {
            if let AttemptResult::DuplicateOf(owner) = attempt.result {
                assert!(appended.contains(&(attempt.message, owner)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn every_message_has_one_delivery_per_endpoint_and_each_ends(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut model = Model::new();
        for step in steps {
            model.take(step);
        }
        model.finish();
        model.check_end();
    }
}
