//! What a step costs inside, early and late in a long run: `cargo run --release -p dunlin-node
//! --example step_cost`. Prints the engine's own time for a step, which must not grow, and the time
//! to render the call that follows, which may grow with its bytes and with nothing else.

use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use dunlin_engine::config::{FunctionSpec, Registration, Timeouts, TriggerSpec};
use dunlin_engine::{
    Call, CallReply, Context, Effect, Engine, Input, Loaded, Op, OpKind, Options, Reply,
};
use dunlin_types::{EventOrigin, NewEvent, Payload, Seq, StepId, Timestamp, Token};
use dunlin_wire::call::{CallBody, Memo, MemoKind};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const RUNS: usize = 300;
const STEPS: usize = 990;
/// Steps around the one that is told, over which a median is taken.
const AROUND: usize = 5;

struct Bench {
    engine: Engine,
    next: u64,
    commit: u64,
}

impl Bench {
    /// Hands in one input; gives the call that follows and the nanoseconds it took.
    fn handle(&mut self, input: Input) -> (Option<Box<Call>>, u64) {
        self.commit += 1;
        let next = &mut self.next;
        let mut draw = || {
            *next += 1;
            Seq(*next)
        };
        let mut cx = Context {
            now: NOW,
            seed: 1,
            commit: self.commit,
            next_seq: &mut draw,
        };
        let began = Instant::now();
        let out = self.engine.handle(input, Loaded::default(), &mut cx);
        self.engine.committed(self.commit);
        let took = began.elapsed().as_nanos() as u64;
        let call = out.effects.into_iter().find_map(|effect| match effect {
            Effect::Call(call) => Some(call),
            _ => None,
        });
        (call, took)
    }
}

fn registration() -> Registration {
    Registration {
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
    }
}

fn go() -> NewEvent {
    NewEvent {
        name: "go".to_owned(),
        data: Payload::empty_object(),
        user: None,
        id: None,
        seeded: None,
        ts: None,
        v: None,
        origin: EventOrigin::Api,
        ts_delays: false,
    }
}

fn ran(call: &Call, n: usize) -> Input {
    Input::Reply(CallReply {
        call: call.id,
        started: NOW,
        ended: NOW,
        version: Some(2),
        reply: Reply::Ops(vec![Op {
            id: StepId::new(&format!("{n:040x}")),
            name: "step".to_owned(),
            race: false,
            note: None,
            kind: OpKind::StepRun(Payload::from_json("{\"charged\":1999,\"ok\":true}")),
        }]),
    })
}

/// Renders the call's body; gives its bytes and the nanoseconds.
fn render(call: &Call) -> (usize, u64) {
    let began = Instant::now();
    let events: Vec<_> = call.events.iter().map(|event| event.json()).collect();
    let steps: Vec<Memo<'_>> = call
        .state
        .memos
        .iter()
        .map(|(id, memo)| Memo {
            id,
            kind: MemoKind::Data,
            value: &memo.payload,
        })
        .collect();
    let body = CallBody {
        event: &events[0],
        events: &events,
        steps: &steps,
        stack: &call.state.stack,
        stack_current: call.state.stack.len(),
        fn_id: &call.function_id,
        run_id: "01",
        step_id: "step",
        attempt: 0,
        max_attempts: 5,
        qi_id: "01",
        request_id: "01",
        generation_id: 1,
        job_id: "01",
        disable_immediate_execution: false,
        use_api: false,
        version: 2,
        canonical: false,
        defers: &[],
    }
    .encode();
    (black_box(body).len(), began.elapsed().as_nanos() as u64)
}

#[derive(Default)]
struct Seen {
    engine: Vec<u64>,
    render: Vec<u64>,
    bytes: usize,
}

fn main() {
    let mut bench = Bench {
        engine: Engine::new(Options::default()),
        next: 0,
        commit: 0,
    };
    bench.handle(Input::Register {
        token: Token::NONE,
        registration: Box::new(registration()),
    });
    let mut seen = [10, 100, 500, 900].map(|step| (step, Seen::default()));
    for run in 0..RUNS {
        // The node renders on another thread; here that would only show what it does to caches.
        let renders = run % 2 == 1;
        let token = Token::NONE;
        let (call, _) = bench.handle(Input::Events {
            token,
            events: vec![go()],
        });
        let mut call = call.expect("the first call");
        for n in 0..STEPS {
            let input = ran(&call, n);
            drop(call);
            let (next, took) = bench.handle(input);
            call = next.expect("the next call");
            let of = seen
                .iter_mut()
                .find(|(step, _)| n.abs_diff(*step) <= AROUND);
            if let Some((_, seen)) = of {
                if renders {
                    let (bytes, rendered) = render(&call);
                    seen.render.push(rendered);
                    seen.bytes = bytes;
                } else {
                    seen.engine.push(took);
                }
            }
        }
        let last = Input::Reply(CallReply {
            call: call.id,
            started: NOW,
            ended: NOW,
            version: Some(2),
            reply: Reply::Done(Payload::null()),
        });
        drop(Arc::clone(&call.state));
        bench.handle(last);
    }
    report(&mut seen);
}

fn report(seen: &mut [(usize, Seen)]) {
    let mut out = std::io::stdout().lock();
    let mut engines = Vec::new();
    for (step, seen) in seen.iter_mut() {
        let (engine, render) = (median(&mut seen.engine), median(&mut seen.render));
        engines.push(engine);
        let per_kb = render as f64 / (seen.bytes as f64 / 1024.0);
        let _ = writeln!(
            out,
            "step {step:>4}: engine {engine:>6} ns, call of {:>7} bytes rendered in {render:>7} ns ({per_kb:.0} ns/KiB)",
            seen.bytes
        );
    }
    let ratio = engines[engines.len() - 1] as f64 / engines[0] as f64;
    let _ = writeln!(out, "engine, step 900 / step 10: {ratio:.2} (<= 1.5)");
}

fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}
