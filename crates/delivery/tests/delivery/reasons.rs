//! What a pending delivery waits for, for each of the things that there are to wait for.

use dunlin_delivery::{
    Answer, AttemptEffect, Blocker, DEFAULT_APPLICATION, DeliveryOptions, EndpointConfig, Finds,
    INTERNAL_EVENTS_URL, Input, JsonPath,
};
use dunlin_types::{Seq, Token};

use crate::world::{START, Seen, World, event, message, sent};

/// Two places at an endpoint, three in all, of which two are for those that have one already.
fn world() -> World {
    let mut world = World::new(DeliveryOptions {
        in_flight_per_endpoint_max: 2,
        in_flight_max: 3,
        ..DeliveryOptions::default()
    });
    world.add_source("dodo");
    world
}

fn endpoint(world: &mut World, change: impl FnOnce(&mut EndpointConfig)) -> Seq {
    let mut config = EndpointConfig {
        app: DEFAULT_APPLICATION,
        url: "https://example.com".to_owned(),
        ..EndpointConfig::default()
    };
    change(&mut config);
    let seen = world.add_endpoint(config);
    seen.answers
        .iter()
        .find_map(of_endpoint)
        .expect("it is made")
}

fn of_endpoint(answer: &Answer) -> Option<Seq> {
    match answer {
        Answer::Endpoint(made) => Some(made.id),
        _ => None,
    }
}

/// The message, and the attempts that it led to.
fn send(world: &mut World, id: &str, body: &str) -> (Seq, Vec<AttemptEffect>) {
    let seen = world.accept(id, "a.b", body);
    let message = world.rows.messages.keys().next_back();
    (*message.expect("it is accepted"), seen.attempts)
}

/// What the deliveries of a message wait for, oldest first.
fn blockers(world: &mut World, message: Seq) -> Vec<Blocker> {
    let token = Token(1);
    let seen: Seen = world.tell(Input::Blockers { token, message });
    let Some(Answer::Blockers(told)) = seen.answers.into_iter().next() else {
        panic!("no answer");
    };
    told.into_iter().map(|(_, blocker)| blocker).collect()
}

#[test]
fn an_endpoint_that_has_as_many_under_way_as_it_gets() {
    let mut world = world();
    endpoint(&mut world, |_| ());
    let (first, _) = send(&mut world, "m1", "{}");
    send(&mut world, "m2", "{}");
    let (third, begun) = send(&mut world, "m3", "{}");
    assert!(begun.is_empty());
    assert_eq!(
        blockers(&mut world, first),
        [Blocker::InFlight { attempt_no: 1 }]
    );
    let full = Blocker::EndpointFull { used: 2, limit: 2 };
    assert_eq!(blockers(&mut world, third), [full]);
}

#[test]
fn a_receiver_that_does_not_answer_gets_fewer_places() {
    let mut world = world();
    endpoint(&mut world, |_| ());
    let (_, begun) = send(&mut world, "m1", "{}");
    send(&mut world, "m2", "{}");
    let (third, _) = send(&mut world, "m3", "{}");
    world.come_back(begun[0].delivery, sent(500, None));
    let full = Blocker::EndpointFull { used: 1, limit: 1 };
    assert_eq!(blockers(&mut world, third), [full]);
}

#[test]
fn a_server_that_is_full_keeps_places_for_endpoints_that_have_none() {
    let mut world = world();
    for name in ["a", "b", "c", "d"] {
        endpoint(&mut world, |config| config.channels = vec![name.to_owned()]);
    }
    let to = |world: &mut World, name: &str| {
        let mut new = message("", "a.b", "{}");
        new.channels = vec![name.to_owned()];
        world.tell(Input::CreateMessage {
            token: Token(1),
            application: DEFAULT_APPLICATION,
            message: new,
            idempotency: None,
        });
        *world.rows.messages.keys().next_back().expect("it is there")
    };
    to(&mut world, "a");
    to(&mut world, "b");
    let again = to(&mut world, "a");
    let full = Blocker::ServerFull { used: 2, limit: 2 };
    assert_eq!(blockers(&mut world, again), [full]);
    let other = to(&mut world, "c");
    let under_way = Blocker::InFlight { attempt_no: 1 };
    assert_eq!(blockers(&mut world, other), [under_way]);
    let last = to(&mut world, "d");
    let full = Blocker::ServerFull { used: 3, limit: 3 };
    assert_eq!(blockers(&mut world, last), [full]);
}

#[test]
fn a_rate_a_receiver_and_a_pause_each_hold_back_what_is_due() {
    let mut world = world();
    let at = endpoint(&mut world, |config| config.throttle_rate = Some(1));
    let (_, begun) = send(&mut world, "m1", "{}");
    let (second, _) = send(&mut world, "m2", "{}");
    let [Blocker::Rate { until }] = blockers(&mut world, second)[..] else {
        panic!("the rate");
    };
    assert!(until > START && until <= START.plus_ms(1_000));
    world.come_back(begun[0].delivery, sent(429, Some(90_000)));
    let until = START.plus_ms(90_000);
    assert_eq!(blockers(&mut world, second), [Blocker::Receiver { until }]);
    let old = world.rows.endpoints[&at].config.clone();
    let mut config = EndpointConfig::clone(&old);
    config.paused = true;
    world.tell(Input::UpdateEndpoint {
        token: Token(1),
        endpoint: at,
        config: Box::new(config),
        was_disabled: false,
    });
    assert_eq!(blockers(&mut world, second), [Blocker::Paused]);
    let first = begun[0].message;
    let [Blocker::Time { until, finds }] = blockers(&mut world, first)[..] else {
        panic!("the next attempt");
    };
    assert!(until >= START.plus_ms(90_000));
    assert_eq!(finds, Finds::Paused);
}

#[test]
fn what_must_not_overtake_names_the_first_and_what_that_waits_for() {
    let mut world = world();
    endpoint(&mut world, |config| {
        config.ordering_key = Some(JsonPath::parse("$.k").expect("a path"));
    });
    let (first, begun) = send(&mut world, "m1", r#"{"k": 1}"#);
    send(&mut world, "m2", r#"{"k": 1}"#);
    let (third, _) = send(&mut world, "m3", r#"{"k": 1}"#);
    let behind = |world: &mut World| match blockers(world, third).remove(0) {
        Blocker::Order(first) => *first,
        other => panic!("{other:?}"),
    };
    let told = behind(&mut world);
    assert_eq!((told.message, told.tries), (first, 0));
    assert_eq!(told.blocker, Blocker::InFlight { attempt_no: 1 });
    world.come_back(begun[0].delivery, sent(400, None));
    let told = behind(&mut world);
    assert_eq!((told.message, told.tries), (first, 1));
    assert!(matches!(told.blocker, Blocker::Time { .. }));
}

#[test]
fn an_event_that_is_held_names_the_rival_that_may_outdo_it() {
    let mut world = world();
    for _ in 0..2 {
        endpoint(&mut world, |config| {
            config.url = INTERNAL_EVENTS_URL.to_owned()
        });
    }
    let (made, begun) = send(&mut world, "m1", "{}");
    world.come_back(begun[0].delivery, event("x", "one", false, made));
    let [Blocker::Rival { delivery }, Blocker::InFlight { .. }] = blockers(&mut world, made)[..]
    else {
        panic!("the rival");
    };
    assert_eq!(delivery, world.rows.deliveries[&begun[1].delivery].id());
}
