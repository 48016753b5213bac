//! The cost of a step does not grow with the steps done.

use std::sync::Arc;

use dunlin_engine::config::{FunctionSpec, Registration, Timeouts, TriggerSpec};
use dunlin_engine::{
    Call, CallReply, Context, Effect, Engine, Input, Loaded, Op, OpKind, Options, Reply, Write,
};
use dunlin_types::{EventOrigin, NewEvent, Payload, Seq, StepId, Timestamp, Token};

struct Bench {
    engine: Engine,
    next: u64,
    commit: u64,
}

impl Bench {
    /// Hands in one input and gives the writes and the one call that follow.
    fn handle(&mut self, input: Input) -> (Vec<Write>, Option<Box<Call>>) {
        self.commit += 1;
        let next = &mut self.next;
        let mut draw = || {
            *next += 1;
            Seq(*next)
        };
        let mut cx = Context {
            now: Timestamp::from_ms(1_800_000_000_000),
            seed: 1,
            commit: self.commit,
            next_seq: &mut draw,
        };
        assert!(self.engine.needs(&input).ledger.is_none());
        let out = self.engine.handle(input, Loaded::default(), &mut cx);
        self.engine.committed(self.commit);
        let call = out.effects.into_iter().find_map(|effect| match effect {
            Effect::Call(call) => Some(call),
            _ => None,
        });
        (out.writes, call)
    }
}

fn begin() -> (Bench, Box<Call>) {
    let mut bench = Bench {
        engine: Engine::new(Options::default()),
        next: 0,
        commit: 0,
    };
    bench.handle(Input::Register {
        token: Token::NONE,
        registration: Box::new(Registration {
            app: "app".to_owned(),
            url: "http://app/".to_owned(),
            identity_url: "http://app/".to_owned(),
            sdk: "js:v4.24.0".to_owned(),
            framework: String::new(),
            version: None,
            checksum: [1; 32],
            functions: vec![FunctionSpec {
                slug: "app-f".to_owned(),
                name: "f".to_owned(),
                triggers: vec![TriggerSpec::Event {
                    name: "go".to_owned(),
                    expression: None,
                }],
                url: "http://app/?fnId=app-f".to_owned(),
                retries: None,
                cancel: Vec::new(),
                timeouts: Timeouts::default(),
                flow: Default::default(),
                config: Payload::empty_object(),
            }],
        }),
    });
    let event = NewEvent {
        name: "go".to_owned(),
        data: Payload::empty_object(),
        user: None,
        id: None,
        seeded: None,
        ts: None,
        v: None,
        origin: EventOrigin::Api,
        ts_delays: true,
    };
    let (_, call) = bench.handle(Input::Events {
        token: Token::NONE,
        events: vec![event],
    });
    (bench, call.expect("the first call"))
}

fn ran(call: &Call, n: usize) -> Input {
    Input::Reply(CallReply {
        call: call.id,
        started: Timestamp::from_ms(1_800_000_000_000),
        ended: Timestamp::from_ms(1_800_000_000_001),
        version: Some(2),
        reply: Reply::Ops(vec![Op {
            id: StepId::new(&format!("step-{n}")),
            name: "step".to_owned(),
            race: false,
            note: None,
            kind: OpKind::StepRun(Payload::null()),
        }]),
    })
}

#[test]
fn a_step_writes_one_row_and_copies_no_state_however_many_came_before() {
    let (mut bench, mut call) = begin();
    let state = Arc::as_ptr(&call.state);
    for n in 0..999 {
        let input = ran(&call, n);
        // Whoever called has let go of the state by the time the answer is there.
        drop(call);
        let (writes, next) = bench.handle(input);
        assert_eq!(writes.len(), 1, "step {n}");
        call = next.expect("the next call");
        assert_eq!(call.state.stack.len(), n + 1);
        assert_eq!(Arc::as_ptr(&call.state), state, "step {n} copied the state");
    }
}

#[test]
fn a_call_that_is_still_held_keeps_what_it_was_sent() {
    let (mut bench, first) = begin();
    let (_, second) = bench.handle(ran(&first, 0));
    assert_eq!(first.state.stack.len(), 0);
    assert_eq!(second.expect("the next call").state.stack.len(), 1);
}
