//! What it costs to pick the next call, few or many being queued: `cargo run --release -p
//! dunlin-node --example queue_cost`. Prints the engine's own time for a reply that ends one run and
//! starts the next, at a thousand and at a million queued runs, and the memory of a queued run.

use std::io::Write as _;
use std::time::Instant;

use dunlin_engine::config::{
    ConcurrencyRule, FlowRules, FunctionSpec, RateRule, Registration, Scope, Timeouts, TriggerSpec,
};
use dunlin_engine::{
    CallReply, Context, Effect, Engine, Input, LedgerRows, Loaded, Options, Reply, RunRow, Write,
};
use dunlin_types::{EventOrigin, NewEvent, Payload, Seq, Timestamp, Token};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
/// Replies over which a median is taken.
const REPLIES: usize = 2_000;
/// Runs whose rows are kept at hand, so that a call can be made without a store.
const KEPT: usize = 4_000;

struct Bench {
    engine: Engine,
    next: u64,
    commit: u64,
    rows: std::collections::BTreeMap<Seq, (RunRow, std::sync::Arc<dunlin_types::Event>)>,
}

impl Bench {
    fn handle(&mut self, input: Input, loaded: Loaded) -> (Vec<Effect>, u64) {
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
        let out = self.engine.handle(input, loaded, &mut cx);
        self.engine.committed(self.commit);
        let took = began.elapsed().as_nanos() as u64;
        let mut event = None;
        for write in out.writes {
            match write {
                Write::Event(one) => event = Some(one),
                Write::Run(row) if self.rows.len() < KEPT => {
                    if let Some(event) = &event {
                        self.rows
                            .insert(row.seq, (row, std::sync::Arc::clone(event)));
                    }
                }
                _ => {}
            }
        }
        (out.effects, took)
    }

    /// Sends an event under that key.
    fn send(&mut self, name: &str, key: usize) -> Vec<Effect> {
        let event = NewEvent {
            name: name.to_owned(),
            data: Payload::from_json(format!("{{\"key\":{key}}}")),
            user: None,
            id: None,
            seeded: None,
            ts: None,
            v: None,
            origin: EventOrigin::Api,
            ts_delays: false,
        };
        let token = Token::NONE;
        let events = vec![event];
        self.handle(Input::Events { token, events }, Loaded::default())
            .0
    }

    /// Follows up on effects until calls are out; gives these.
    fn calls(&mut self, effects: Vec<Effect>) -> Vec<dunlin_engine::CallId> {
        let mut calls = Vec::new();
        for effect in effects {
            match effect {
                Effect::Call(call) => calls.push(call.id),
                Effect::Fetch(run) => {
                    let ledger = self.rows.get(&run).map(|(row, event)| LedgerRows {
                        run: row.clone(),
                        events: vec![std::sync::Arc::clone(event)],
                        steps: Vec::new(),
                    });
                    let loaded = Loaded {
                        ledger,
                        ..Loaded::default()
                    };
                    let (more, _) = self.handle(Input::Fetched { run }, loaded);
                    calls.extend(self.calls(more));
                }
                _ => {}
            }
        }
        calls
    }
}

fn function(name: &str, flow: FlowRules) -> FunctionSpec {
    FunctionSpec {
        slug: format!("app-{name}"),
        name: name.to_owned(),
        triggers: vec![TriggerSpec::Event {
            name: name.to_owned(),
            expression: None,
        }],
        url: format!("http://app/?fnId=app-{name}"),
        retries: None,
        cancel: Vec::new(),
        timeouts: Timeouts::default(),
        flow,
        config: Payload::empty_object(),
    }
}

fn rules() -> Vec<(&'static str, FlowRules, usize)> {
    let one = |limit, key: Option<&str>| ConcurrencyRule {
        limit,
        key: key.map(str::to_owned),
        scope: Scope::Function,
    };
    let key = Some("event.data.key");
    let throttle = RateRule {
        limit: 1_000_000,
        period_ms: 1_000,
        burst: 0,
        key: None,
    };
    vec![
        ("no rule, the app full", FlowRules::default(), 1),
        (
            "concurrency 10",
            FlowRules {
                concurrency: vec![one(10, None)],
                ..FlowRules::default()
            },
            1,
        ),
        (
            "concurrency 10, and 1 of each of 1,000 keys",
            FlowRules {
                concurrency: vec![one(10, None), one(1, key)],
                ..FlowRules::default()
            },
            1_000,
        ),
        (
            "concurrency 1 of each of as many keys as runs",
            FlowRules {
                concurrency: vec![one(10, None), one(1, key)],
                ..FlowRules::default()
            },
            usize::MAX,
        ),
        (
            "concurrency 10 and a throttle",
            FlowRules {
                concurrency: vec![one(10, None)],
                throttle: Some(throttle),
                ..FlowRules::default()
            },
            1,
        ),
    ]
}

/// Anonymous memory of this process, in bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The median time of a reply with so many runs queued, and the bytes of each of these.
fn measure(flow: FlowRules, keys: usize, queued: usize) -> (u64, u64) {
    let mut bench = Bench {
        engine: Engine::new(Options {
            ledger_cache_bytes_max: 4 * 1024 * 1024,
            rows_per_fold: u64::MAX,
            ..Options::default()
        }),
        next: 0,
        commit: 0,
        rows: std::collections::BTreeMap::new(),
    };
    let registration = Registration {
        app: "app".to_owned(),
        url: "http://app/".to_owned(),
        identity_url: "http://app/".to_owned(),
        sdk: "js:v4.24.0".to_owned(),
        framework: String::new(),
        version: None,
        checksum: [1; 32],
        functions: vec![function("go", flow)],
    };
    bench.handle(
        Input::Register {
            token: Token::NONE,
            registration: Box::new(registration),
        },
        Loaded::default(),
    );
    let mut calls = std::collections::VecDeque::new();
    for n in 0..KEPT.min(queued) {
        let effects = bench.send("go", n % keys);
        calls.extend(bench.calls(effects));
    }
    let before = memory();
    for n in KEPT..queued {
        bench.send("go", n % keys);
    }
    let bytes = memory().saturating_sub(before) / queued.saturating_sub(KEPT).max(1) as u64;
    let mut times = Vec::new();
    while times.len() < REPLIES.min(queued / 2)
        && let Some(call) = calls.pop_front()
    {
        let reply = CallReply {
            call,
            started: NOW,
            ended: NOW,
            version: Some(2),
            reply: Reply::Done(Payload::null()),
        };
        let (effects, took) = bench.handle(Input::Reply(reply), Loaded::default());
        times.push(took);
        calls.extend(bench.calls(effects));
    }
    times.sort_unstable();
    (times.get(times.len() / 2).copied().unwrap_or(0), bytes)
}

/// One measurement in a process of its own, so that memory is not what others left behind.
fn apart(rule: usize, queued: usize) -> Option<(u64, u64)> {
    let own = std::env::current_exe().ok()?;
    let args = [rule.to_string(), queued.to_string()];
    let output = std::process::Command::new(own).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (time, bytes) = text.trim().split_once(' ')?;
    Some((time.parse().ok()?, bytes.parse().ok()?))
}

fn main() {
    let mut out = std::io::stdout();
    let args: Vec<usize> = std::env::args()
        .skip(1)
        .flat_map(|arg| arg.parse())
        .collect();
    if let [rule, queued] = args[..]
        && let Some((_, flow, keys)) = rules().into_iter().nth(rule)
    {
        let (time, bytes) = measure(flow, keys, queued);
        let _ = writeln!(out, "{time} {bytes}");
        return;
    }
    for (n, (name, ..)) in rules().into_iter().enumerate() {
        let few = apart(n, 1_000).unwrap_or_default();
        let many = apart(n, 1_000_000).unwrap_or_default();
        let _ = writeln!(
            out,
            "{name}: {:.1} µs with 1,000 queued, {:.1} µs with 1,000,000 ({:.2}); {} bytes a queued run",
            few.0 as f64 / 1e3,
            many.0 as f64 / 1e3,
            many.0 as f64 / few.0.max(1) as f64,
            many.1,
        );
    }
}
