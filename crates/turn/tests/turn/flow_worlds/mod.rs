//! Random traces under rules of flow control, with crashes, restarts and rules that change. Each is
//! judged by the plainest model of its rule, over what is durable in the end. A trace that breaks
//! its rule is told by its seed:
//! `DUNLIN_SEED=7 cargo test -p dunlin-turn --test turn flow_worlds::debounce`.

mod batch;
mod concurrency;
mod debounce;
mod mixture;
mod priority;
mod rates;
mod runs;
mod singleton;
mod throttle;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dunlin_engine::config::{FlowRules, FunctionSpec};
use dunlin_engine::step::{StepKind, StepRow};
use dunlin_engine::{Options, RunRow};
use dunlin_types::{Event, NewEvent, Payload, Seq, Timestamp};

use crate::world::{Delays, Dice, START, World, event, ruled, spec};

/// Traces of each rule.
const TRACES: u64 = 10_000;

/// How often a trace reached what it is made for: whatever its rule counts.
type Reached = [usize; 3];

/// Lives all traces of a rule, and tells how often they reached what they are made for.
fn traces(live: impl Fn(u64) -> Reached) -> Reached {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number("DUNLIN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DUNLIN_TRACES").unwrap_or(TRACES),
    };
    let mut reached = [0; 3];
    for seed in seeds {
        let Ok(more) = catch_unwind(AssertUnwindSafe(|| live(seed))) else {
            panic!("seed {seed}");
        };
        for (sum, n) in reached.iter_mut().zip(more) {
            *sum += n;
        }
    }
    reached
}

/// All traces together, where all were lived, reached what they are made for so often at least.
fn reached(found: Reached, least: Reached) {
    let some = ["DUNLIN_SEED", "DUNLIN_TRACES"].map(std::env::var_os);
    let enough = found
        .iter()
        .zip(least)
        .all(|(found, least)| *found >= least);
    assert!(
        enough || some.iter().any(Option::is_some),
        "{found:?}, not {least:?}"
    );
}

/// Looks at a world.
type Each = Box<dyn FnMut(&World)>;

/// One trace: a world, and what happens to it.
struct Trace {
    world: World,
    dice: Dice,
    /// When the process died, and when it ended well.
    crashes: Vec<Timestamp>,
    restarts: Vec<Timestamp>,
    /// Deaths and ends that are still to come.
    left: u64,
    /// Looks at the world after each step.
    each: Option<Each>,
    /// The rules of each sync, and when it was.
    synced: Vec<(Timestamp, Vec<FunctionSpec>)>,
    sent: u64,
}

impl Trace {
    /// A world of random slowness, whose process dies at most three times.
    fn new(seed: u64, salt: u64) -> Self {
        let mut dice = Dice(seed ^ (salt << 32));
        let mut world = World::new(seed);
        let mut delay = |of: [u64; 3]| of[dice.below(3) as usize];
        world.delays = Delays {
            commit: delay([1, 10, 300]),
            load: delay([1, 10, 300]),
            call: delay([1, 100, 2000]),
        };
        let all = seed.is_multiple_of(50) || std::env::var_os("DUNLIN_SEED").is_some();
        world.audit_every = if all { 1 } else { 32 };
        world.options = Options {
            retry_interval_ms: Some(500),
            ledger_cache_bytes_max: [0, usize::MAX][dice.below(2) as usize],
            rows_per_fold: [3, 20, 100_000][dice.below(3) as usize],
            ..Options::default()
        };
        let left = [0, 1, 1, 2, 3][dice.below(5) as usize];
        Self {
            world,
            dice,
            crashes: Vec::new(),
            restarts: Vec::new(),
            left,
            each: None,
            synced: Vec::new(),
            sent: 0,
        }
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.dice.below(of.len() as u64) as usize].clone()
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.dice.below(one_in) == 0
    }

    /// A number from `from` on, `steps` steps of ten further at most; never a tie with an event.
    fn odd_ms(&mut self, from: i64, steps: u64) -> i64 {
        from + 3 + 10 * self.dice.below(steps) as i64
    }

    /// The functions are registered, and that is durable before anything else happens.
    fn sync(&mut self, specs: Vec<FunctionSpec>) {
        if self.synced.is_empty() {
            let options = self.world.options;
            self.world.with_options(options);
        }
        // In an instant of its own, so that it is clear what came before.
        while self.advance(1) {}
        self.world.register(specs.clone());
        self.synced.push((self.world.now, specs));
        self.quiet();
        let past = self.world.now.since(START) % 10;
        self.advance(20 - past);
    }

    /// The rules that a function had at an instant.
    fn rules_at(&self, slug: &str, at: Timestamp) -> &FlowRules {
        let since = self.synced.iter().rev().find(|(from, _)| *from <= at);
        let (_, specs) = since.expect("it was registered");
        let of = specs.iter().find(|one| one.slug == slug);
        &of.expect("it is one of them").flow
    }

    /// When the rules changed last before that.
    fn synced_before(&self, at: Timestamp) -> Timestamp {
        let before = self.synced.iter().rev().find(|(from, _)| *from <= at);
        before.map_or(Timestamp::ZERO, |(from, _)| *from)
    }

    /// Waits until all is durable.
    fn quiet(&mut self) {
        while !self.world.is_quiet() {
            self.advance(10);
        }
    }

    /// Time goes by; tells whether anything happened in the last instant of it.
    fn advance(&mut self, ms: i64) -> bool {
        let end = self.world.now.plus_ms(ms);
        let mut happened = false;
        while self.world.step(end) {
            happened = self.world.now == end;
            self.seen();
        }
        self.world.now = end;
        happened
    }

    fn seen(&mut self) {
        if let Some(each) = &mut self.each {
            each(&self.world);
        }
    }

    /// So many tens of milliseconds go by; the process may die or end on the way.
    fn pass(&mut self, tens: u64) {
        let mut ms = 10 * tens as i64;
        if self.left > 0 && tens > 0 && self.chance(4) {
            self.left -= 1;
            let before = 10 * self.dice.below(tens) as i64 + 5;
            self.advance(before);
            ms -= before;
            if self.chance(4) {
                self.restarts.push(self.world.now);
                self.world.log.push("restart".to_owned());
                self.world.restart(true);
            } else {
                self.crashes.push(self.world.now);
                self.world.crash();
            }
            self.seen();
        }
        self.advance(ms);
    }

    /// When the process died or ended last before that.
    fn fault_before(&self, at: Timestamp) -> Timestamp {
        let all = self.crashes.iter().chain(&self.restarts);
        let before = all.filter(|fault| **fault <= at).max();
        before.copied().unwrap_or(Timestamp::ZERO)
    }

    /// Until when what was due is held back, after the last death before that.
    fn held_until(&self, at: Timestamp) -> Timestamp {
        let before = self.crashes.iter().rev().find(|crash| **crash <= at);
        before.map_or(Timestamp::ZERO, |crash| crash.plus_ms(1_000))
    }

    /// An event whose data has these members beside its number.
    fn send(&mut self, name: &str, members: &str) {
        self.send_with(NewEvent {
            data: Payload::from_json(format!("{{\"n\":{}{members}}}", self.sent)),
            ..event(name)
        });
    }

    fn send_with(&mut self, event: NewEvent) {
        self.sent += 1;
        self.world.send(event);
        self.seen();
    }

    /// From now on no call may go out of a run that has not durably begun.
    fn watch_begun(&mut self) {
        self.world.watch = Some(Box::new(|world, run| {
            let mut rows = world.store.steps.values().map(|row| row.mark);
            let begun = rows.any(|mark| mark.run == run && mark.kind == StepKind::Begun);
            assert!(
                begun,
                "run {run} is called and has not begun\n{}",
                world.text()
            );
        }));
    }

    /// Faults stop, and everything comes to rest.
    fn rest(&mut self) {
        self.left = 0;
        while self.world.step(Timestamp::MAX) {
            self.seen();
        }
        self.world.audit_every = 1;
        self.world.run_out();
        assert!(self.world.store.gathers.is_empty(), "{}", self.text());
    }

    fn text(&self) -> String {
        format!("{:?}\n{}", self.synced, self.world.text())
    }

    /// The durable events of a name, in order.
    fn events(&self, name: &str) -> Vec<Arc<Event>> {
        let events = self.world.store.events.values();
        events.filter(|event| event.name == name).cloned().collect()
    }

    /// The number of a function.
    fn number(&self, slug: &str) -> u32 {
        number(&self.world, slug)
    }

    /// The runs of a function that an event is part of.
    fn runs_of(&self, function: u32, event: Seq) -> Vec<&RunRow> {
        let has = |run: &&RunRow| run.event == event || run.more.contains(&event);
        let runs = self.world.store.runs.values();
        runs.filter(|run| run.function == function)
            .filter(has)
            .collect()
    }

    /// The rows that tell that a function's runs begin, in order, with their runs.
    fn begun(&self, function: u32) -> Vec<(&StepRow, &RunRow)> {
        let store = &self.world.store;
        let rows = store.steps.values();
        let rows = rows.filter(|row| row.mark.kind == StepKind::Begun);
        rows.map(|row| (row, &store.runs[&row.mark.run]))
            .filter(|(_, run)| run.function == function)
            .collect()
    }
}

fn number(world: &World, slug: &str) -> u32 {
    let mut functions = world.store.functions.values();
    let function = functions.find(|row| row.slug == slug);
    function.expect("it is registered").number
}

/// A member of an event's data, as it stands there.
fn member<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    let text = event.data.as_str();
    let from = text.split_once(&format!("\"{name}\":"))?.1;
    from.split([',', '}']).next()
}

/// The value of a key `event.data.NAME`, as text; none without a key.
fn value(event: &Event, key: Option<&String>) -> String {
    let name = key.and_then(|key| key.strip_prefix("event.data."));
    let text = name.and_then(|name| member(event, name));
    text.unwrap_or_default().to_owned()
}

/// The function `app-f`, which `go` starts, under these rules.
fn one(flow: FlowRules) -> Vec<FunctionSpec> {
    vec![ruled(spec("app-f", "go", None), flow)]
}

/// How much of a rate is used up, in nanoseconds that must go by: what the plainest bucket knows.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    used_ns: i64,
    at_ms: i64,
}

impl Bucket {
    /// So many in so many milliseconds: what each takes, and what there is room for.
    fn numbers(limit: u32, period_ms: i64, at_once: u32) -> (i64, i64) {
        let each = period_ms * 1_000_000 / i64::from(limit);
        (each, each * i64::from(at_once))
    }

    fn drain(&mut self, at: Timestamp) {
        self.used_ns = (self.used_ns - (at.ms() - self.at_ms) * 1_000_000).max(0);
        self.at_ms = at.ms();
    }

    /// Whether one more fits in now; it is taken if so.
    fn take(&mut self, (each, room): (i64, i64), at: Timestamp) -> bool {
        self.drain(at);
        let fits = self.used_ns + each <= room;
        if fits {
            self.used_ns += each;
        }
        fits
    }

    /// The first millisecond at which one more fits in.
    fn next(&self, (each, room): (i64, i64)) -> Timestamp {
        let over = (self.used_ns + each - room).max(0);
        Timestamp::from_ms(self.at_ms + (over + 999_999) / 1_000_000)
    }
}
