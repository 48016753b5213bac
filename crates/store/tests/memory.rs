//! The in-memory store passes the suite of every backend.

use std::sync::Arc;

use dunlin_engine::{Engine, Input, Options};
use dunlin_store::conformance::Harness;
use dunlin_store::{MemoryStore, Store, seeded_key};
use dunlin_types::{EventOrigin, NewEvent, Payload, Token, Ulid};

struct InMemory(MemoryStore);

impl Harness for InMemory {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }
}

dunlin_store::conformance_tests!(|| -> Box<dyn Harness> { Box::new(InMemory(MemoryStore::new())) });

#[test]
fn the_engine_remembers_a_seeded_event_under_the_key_that_stores_look_for() {
    let seeded = Ulid(0x0199_0000_0000_0000_0001);
    let event = NewEvent {
        name: "a".to_owned(),
        data: Payload::empty_object(),
        user: None,
        id: None,
        seeded: Some(seeded),
        ts: None,
        v: None,
        origin: EventOrigin::Api,
        ts_delays: false,
    };
    let input = Input::Events {
        token: Token::NONE,
        events: vec![event],
    };
    let needs = Engine::new(Options::default()).needs(&input);
    assert_eq!(needs.dedupe, [seeded_key(seeded)]);
}
