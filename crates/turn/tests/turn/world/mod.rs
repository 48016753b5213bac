//! A world of one node: a clock that only the world moves, a store that is slow, an app that is
//! called, and crashes. Everything follows from one seed.

pub(crate) mod app;
pub(crate) mod program;
pub(crate) mod store;

use std::collections::{BTreeMap, BTreeSet};

use dunlin_engine::config::{
    CancelRule, FlowRules, FunctionSpec, Registration, RuleTime, Timeouts, TriggerSpec,
};
use dunlin_engine::{
    self as engine, Answer, Call, CallId, CallReply, Checkpoint, Memo, MemoKind, Op, OpKind,
    Options, Reply, RunStatus,
};
use dunlin_turn::{Command, Decided, Effect, Happening, Input, LoadId, Need, Rows, Turn};
use dunlin_types::{Code, EventOrigin, NewEvent, Payload, Seq, StepId, Timestamp, Token, Ulid};

use app::{Move, Sdk, clock, describe, describe_op};
use program::Node;
use store::Store;

/// When the world begins.
pub(crate) const START: Timestamp = Timestamp::from_ms(1_800_000_000_000);

/// What the app does when a function is called; the count is of calls of this function so far.
type Script = Box<dyn Fn(&Call, usize) -> Reply>;

/// A function of the app.
pub(crate) enum Body {
    Program(Vec<Node>),
    Script(Script),
}

/// Is told of each call as it goes out, with its run.
pub(crate) type Watch = Box<dyn FnMut(&World, Seq)>;

/// Numbers from a seed.
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }
}

/// A call that goes on, at the app.
struct Session {
    call: Call,
    started: Timestamp,
    memos: BTreeMap<StepId, Memo>,
    /// What it reported last.
    last: Option<Op>,
}

enum Happens {
    Landed(Box<Decided>),
    Loaded(LoadId, Rows),
    LoadLater(LoadId, Need),
    Replied(Box<CallReply>),
    Goes(Box<Session>),
    Posted(Box<engine::Input>),
}

/// How slow things are, in milliseconds, at most.
#[derive(Clone, Copy, Default)]
pub(crate) struct Delays {
    pub commit: u64,
    pub load: u64,
    pub call: u64,
}

pub(crate) struct World {
    pub now: Timestamp,
    pub dice: Dice,
    pub delays: Delays,
    pub options: Options,
    pub sdk: Sdk,
    pub bodies: BTreeMap<String, Body>,
    pub store: Store,
    pub answers: BTreeMap<Token, Answer>,
    /// What happened, a line each.
    pub log: Vec<String>,
    /// Times a step's code ran through, and ran at all.
    pub ran: BTreeMap<(Seq, StepId), (usize, usize)>,
    pub crashes: usize,
    pub watch: Option<Watch>,
    /// Every how many steps memory is compared with what is durable.
    pub audit_every: u64,
    audits: u64,
    turn: Turn,
    agenda: BTreeMap<(Timestamp, u64), Happens>,
    next: u64,
    sessions: BTreeMap<Token, Session>,
    out: BTreeSet<(Seq, Seq, u64)>,
    loading: BTreeMap<LoadId, Option<Seq>>,
    calls: BTreeMap<String, usize>,
    names: BTreeMap<Seq, usize>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let store = Store::default();
        let options = Options::default();
        Self {
            now: START,
            dice: Dice(seed),
            delays: Delays::default(),
            turn: store.restart(options, START, true),
            options,
            sdk: Sdk::default(),
            bodies: BTreeMap::new(),
            store,
            answers: BTreeMap::new(),
            log: Vec::new(),
            ran: BTreeMap::new(),
            crashes: 0,
            watch: None,
            audit_every: 1,
            audits: 0,
            agenda: BTreeMap::new(),
            next: 1,
            sessions: BTreeMap::new(),
            out: BTreeSet::new(),
            loading: BTreeMap::new(),
            calls: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// A world with one function `f`, triggered by `go`.
    pub(crate) fn of(program: &str) -> Self {
        let mut world = Self::new(1);
        world.delays.call = 1000;
        world.register(vec![spec("app-f", "go", None)]);
        world.program("app-f", program);
        world
    }

    pub(crate) fn program(&mut self, slug: &str, text: &str) {
        let body = Body::Program(program::parse(text));
        self.bodies.insert(slug.to_owned(), body);
    }

    pub(crate) fn script(&mut self, slug: &str, script: impl Fn(&Call, usize) -> Reply + 'static) {
        self.bodies
            .insert(slug.to_owned(), Body::Script(Box::new(script)));
    }

    /// The engine's options, with which the world begins anew.
    pub(crate) fn with_options(&mut self, options: Options) {
        self.options = options;
        self.restart(true);
    }

    pub(crate) fn register(&mut self, functions: Vec<FunctionSpec>) -> Token {
        let text = format!("{functions:?}");
        let mut checksum = [0_u8; 32];
        let mut dice = Dice(0);
        for byte in text.bytes() {
            dice = Dice(dice.roll() ^ u64::from(byte));
        }
        checksum[..8].copy_from_slice(&dice.roll().to_be_bytes());
        let registration = Box::new(Registration {
            app: "app".to_owned(),
            url: "http://app/".to_owned(),
            identity_url: "http://app/".to_owned(),
            sdk: "js:v4.24.0".to_owned(),
            framework: "test".to_owned(),
            version: None,
            checksum,
            functions,
        });
        let token = self.token();
        self.input(engine::Input::Register {
            token,
            registration,
        });
        self.settle();
        token
    }

    /// Sends an event now.
    pub(crate) fn send(&mut self, event: NewEvent) -> Token {
        let token = self.token();
        let events = vec![event];
        self.input(engine::Input::Events { token, events });
        token
    }

    pub(crate) fn token(&mut self) -> Token {
        self.next += 1;
        Token(self.next)
    }

    /// Runs that have not ended, as the engine knows them.
    pub(crate) fn live_runs(&self) -> usize {
        self.turn.engine().live_runs()
    }

    /// Whether all that was decided is durable, and nothing is being read.
    pub(crate) fn is_quiet(&self) -> bool {
        let lands = |happens: &Happens| matches!(happens, Happens::Landed(_));
        self.turn.is_settled() && self.loading.is_empty() && !self.agenda.values().any(lands)
    }

    /// The runs whose calls are out, one for each call.
    pub(crate) fn out(&self) -> impl Iterator<Item = Seq> + '_ {
        self.out.iter().map(|(run, ..)| *run)
    }

    /// What an operator sees.
    pub(crate) fn look(&mut self, look: engine::look::Look) -> engine::look::Looked {
        let token = self.token();
        self.input(engine::Input::Look { token, look });
        self.settle();
        match self.answers.remove(&token) {
            Some(Answer::Looked(looked)) => *looked,
            other => panic!("nothing is seen: {other:?}"),
        }
    }

    fn watched(&mut self, run: Seq) {
        if let Some(mut watch) = self.watch.take() {
            watch(self, run);
            self.watch = Some(watch);
        }
    }

    /// The programs of functions that have one.
    pub(crate) fn programs(&self) -> BTreeMap<String, Vec<Node>> {
        let program = |(slug, body): (&String, &Body)| match body {
            Body::Program(nodes) => Some((slug.clone(), nodes.clone())),
            Body::Script(_) => None,
        };
        self.bodies.iter().filter_map(program).collect()
    }

    /// The n-th run, from 1.
    pub(crate) fn run(&self, n: usize) -> Seq {
        *self.store.runs.keys().nth(n - 1).expect("a run")
    }

    pub(crate) fn cancel(&mut self, run: Seq) -> Token {
        let token = self.token();
        let created = self.store.runs[&run].created;
        self.input(engine::Input::Cancel {
            token,
            run,
            created,
        });
        token
    }

    /// No more calls go out: the process is about to stop.
    pub(crate) fn drain(&mut self) {
        self.turn.drain();
    }

    /// Sends a signal.
    pub(crate) fn signal(&mut self, name: &str) -> Token {
        let token = self.token();
        let (name, data) = (name.to_owned(), Payload::from_json("7"));
        self.input(engine::Input::Signal { token, name, data });
        token
    }

    /// Pauses a function, or has it go on.
    pub(crate) fn pause(&mut self, function: u32, paused: bool) -> Token {
        let token = self.token();
        self.input(engine::Input::Pause {
            token,
            function,
            paused,
        });
        token
    }

    pub(crate) fn input(&mut self, input: engine::Input) {
        self.happen(Happening::Input(Input::Engine(input)));
    }

    /// Goes on until nothing is left to do.
    pub(crate) fn run_out(&mut self) {
        self.run_until(Timestamp::MAX);
        assert_eq!(self.turn.engine().live_runs(), 0, "all runs end");
        assert_eq!(self.turn.engine().busy(), 0, "all slots are free");
        assert_eq!(self.turn.engine().next_wake(), None, "no timer is left");
        assert!(self.turn.is_idle());
        self.store.audit();
    }

    /// Goes on for so long.
    pub(crate) fn run_for(&mut self, ms: i64) {
        let end = self.now.plus_ms(ms);
        self.run_until(end);
        self.now = end;
    }

    /// Goes on until all that is due now is done.
    pub(crate) fn settle(&mut self) {
        self.run_until(self.now);
    }

    fn run_until(&mut self, end: Timestamp) {
        for _ in 0..200_000 {
            if !self.step(end) {
                return;
            }
        }
        panic!("the world does not come to rest:\n{}", self.text());
    }

    /// One thing happens, if any does until then.
    pub(crate) fn step(&mut self, end: Timestamp) -> bool {
        let agenda = self.agenda.first_key_value().map(|(key, _)| key.0);
        let wake = self.turn.next_wake();
        let Some(at) = [agenda, wake].into_iter().flatten().min() else {
            return false;
        };
        if at > end {
            return false;
        }
        self.now = self.now.max(at);
        if agenda == Some(at) {
            let (_, happens) = self.agenda.pop_first().expect("it is there");
            self.happens(happens);
        } else {
            self.flush();
        }
        self.audit();
        true
    }

    fn happens(&mut self, happens: Happens) {
        match happens {
            Happens::Landed(decided) => {
                let commit = decided.commit_no;
                self.note_runs(&decided);
                self.store.commit(*decided);
                self.happen(Happening::Committed(commit));
            }
            Happens::LoadLater(id, need) => {
                let rows = self.store.read(&need);
                self.loaded(id, rows);
            }
            Happens::Loaded(id, rows) => self.loaded(id, rows),
            Happens::Replied(reply) => {
                let call = reply.call;
                self.out.remove(&(call.run, call.item, call.generation));
                self.input(engine::Input::Reply(*reply));
            }
            Happens::Goes(session) => self.go(*session),
            Happens::Posted(input) => self.input(*input),
        }
    }

    fn loaded(&mut self, id: LoadId, rows: Rows) {
        self.loading.remove(&id);
        self.happen(Happening::Loaded(id, rows));
    }

    fn happen(&mut self, happening: Happening) {
        let seed = self.dice.roll();
        self.turn.on(happening, self.now, seed);
        self.flush();
    }

    fn flush(&mut self) {
        let seed = self.dice.roll();
        for command in self.turn.flush(self.now, seed) {
            match command {
                Command::Load(id, need) => {
                    self.loading.insert(id, need.ledger.map(|(run, _)| run));
                    let at = self.later(self.delays.load);
                    let happens = if self.dice.below(2) == 0 {
                        Happens::LoadLater(id, need)
                    } else {
                        Happens::Loaded(id, self.store.read(&need))
                    };
                    self.put(at, happens);
                }
                Command::Commit(decided) => {
                    let at = self.later(self.delays.commit);
                    self.put(at, Happens::Landed(Box::new(decided)));
                }
                Command::Act(effects) => effects.into_iter().for_each(|e| self.act(e)),
            }
        }
    }

    fn act(&mut self, effect: Effect) {
        match effect {
            Effect::Engine(engine::Effect::Call(call)) => self.call(*call),
            Effect::Engine(engine::Effect::Answer(token, answer)) => self.answer(token, answer),
            Effect::Engine(engine::Effect::AppsChanged) => {}
            Effect::Engine(engine::Effect::Request(request)) => self.request(*request),
            other => panic!("not expected: {other:?}"),
        }
    }

    fn answer(&mut self, token: Token, answer: Answer) {
        if let Some(session) = self.sessions.remove(&token) {
            if matches!(answer, Answer::Checkpointed) {
                self.put(self.now, Happens::Goes(Box::new(session)));
            } else {
                let name = self.name(session.call.id.run);
                self.note(format!("{name} the app gives up: {answer:?}"));
                // Only a call of this process is still waited for.
                if self.out.contains(&key_of(session.call.id)) {
                    let stale = matches!(answer, Answer::CheckpointRefused(code, _)
                        if [Code::StaleDispatch, Code::RunEnded].contains(&code));
                    let reply = match session.last.clone().filter(|_| !stale) {
                        Some(op) => Reply::Ops(vec![op]),
                        None => app::failed("stale", None, true),
                    };
                    self.reply(&session, reply);
                }
            }
        }
        self.answers.insert(token, answer);
    }

    /// The server makes a request for a step.
    fn request(&mut self, request: engine::Request) {
        let name = self.name(request.id.run);
        let (step, attempt) = (request.step.clone(), request.attempt);
        self.note(format!("{name} request {step} #{attempt}"));
        self.out.insert(key_of(request.id));
        self.watched(request.id.run);
        let function = self.store.runs[&request.id.run].function;
        let fails = match &self.bodies[&self.store.functions[&function].slug] {
            Body::Program(program) => program::fetch_fails(program, &request.name),
            Body::Script(_) => 0,
        };
        let kind = if attempt < fails {
            OpKind::StepError(engine::Failure {
                busy: false,
                code: Code::OutboundFailed,
                error: Payload::from_json("{\"message\":\"no answer\"}"),
                no_retry: false,
                retry_after_ms: None,
            })
        } else {
            OpKind::StepRun(Payload::from_json("{\"status_code\":200}"))
        };
        let reply = CallReply {
            call: request.id,
            started: self.now,
            ended: self.now,
            version: None,
            reply: Reply::Ops(vec![app::op(step, false, kind)]),
        };
        let at = self.later(self.delays.call);
        self.put(at, Happens::Replied(Box::new(reply)));
    }

    fn call(&mut self, call: Call) {
        let name = self.name(call.id.run);
        let target = call.target.as_ref().map_or("-".to_owned(), StepId::text);
        let stack: Vec<String> = call.state.stack.iter().map(StepId::text).collect();
        let (attempt, plan) = (call.attempt, if call.plan { " plan" } else { "" });
        let stack = stack.join(" ");
        self.note(format!("{name} call {target} #{attempt} [{stack}]{plan}"));
        assert_eq!(call.state.stack.len(), call.state.memos.len());
        self.out.insert(key_of(call.id));
        self.watched(call.id.run);
        let slug = &self.store.functions[&call.function].slug;
        *self.calls.entry(slug.clone()).or_default() += 1;
        let session = Session {
            memos: call.state.memos.clone(),
            started: self.now,
            last: None,
            call,
        };
        let at = self.later(self.delays.call);
        self.put(at, Happens::Goes(Box::new(session)));
    }

    /// The app goes on with a call.
    fn go(&mut self, mut session: Session) {
        let run = session.call.id.run;
        let slug = self.store.functions[&session.call.function].slug.clone();
        let mut ran = Vec::new();
        let next = match &self.bodies[&slug] {
            Body::Script(script) => Move::Answer(script(&session.call, self.calls[&slug])),
            Body::Program(program) => {
                let mut note = |id: &StepId, well: bool| ran.push((id.clone(), well));
                app::next_move(
                    program,
                    &self.sdk,
                    self.now,
                    &session.call,
                    &session.memos,
                    &mut note,
                )
            }
        };
        for (id, well) in ran {
            let known = self.store.results.contains_key(&(run, id.clone()));
            // A call of a process that died may still go on.
            let current = self.out.contains(&key_of(session.call.id));
            assert!(
                !known || !current,
                "step {id} ran though its result was durable\n{}",
                self.text()
            );
            let count = self.ran.entry((run, id)).or_default();
            *count = (count.0 + usize::from(well), count.1 + 1);
        }
        let op = match next {
            Move::Answer(reply) => return self.reply(&session, reply),
            Move::Report(op) => op,
        };
        let OpKind::StepRun(payload) = &op.kind else {
            panic!("only what ran is reported");
        };
        let name = self.name(run);
        self.note(format!("{name} reports {}", describe_op(&op)));
        let (kind, payload) = (MemoKind::Data, payload.clone());
        session.memos.insert(op.id.clone(), Memo { kind, payload });
        self.report(session, op);
    }

    /// The app reports a step, and waits for the answer.
    fn report(&mut self, mut session: Session, op: Op) {
        session.last = Some(op.clone());
        let token = self.token();
        let id = session.call.id;
        let input = engine::Input::Checkpoint(Checkpoint {
            token,
            run: id.run,
            created: session.call.run_id.at(),
            item: id.item,
            generation: Some(id.generation),
            started: session.started,
            ops: vec![op],
        });
        self.sessions.insert(token, session);
        let at = self.later(self.delays.call);
        self.put(at, Happens::Posted(Box::new(input)));
    }

    fn reply(&mut self, session: &Session, reply: Reply) {
        let name = self.name(session.call.id.run);
        self.note(format!("{name} {}", describe(&reply)));
        if !self.out.contains(&key_of(session.call.id)) {
            return;
        }
        let reply = CallReply {
            call: session.call.id,
            started: session.started,
            ended: self.now,
            version: self.sdk.version,
            reply,
        };
        let at = self.later(self.delays.call / 4);
        self.put(at, Happens::Replied(Box::new(reply)));
    }

    /// The process dies; what was being committed may be durable or not.
    pub(crate) fn crash(&mut self) {
        self.crashes += 1;
        self.note("crash".to_owned());
        self.restart(false);
    }

    /// The process ends, and the next one starts.
    pub(crate) fn restart(&mut self, clean: bool) {
        self.loading.clear();
        self.out.clear();
        for (key, happens) in std::mem::take(&mut self.agenda) {
            match happens {
                Happens::Landed(decided) if self.dice.below(2) == 0 => {
                    self.note_runs(&decided);
                    self.store.commit(*decided);
                }
                Happens::Landed(_) | Happens::Loaded(..) | Happens::LoadLater(..) => {}
                Happens::Replied(_) => {}
                // An app that nobody waits for goes on all the same.
                keep => {
                    self.agenda.insert(key, keep);
                }
            }
        }
        // Reports that were not answered are made again, as SDKs do.
        let waiting: Vec<Token> = self.sessions.keys().copied().collect();
        for token in waiting {
            let reposted = self.agenda.values().any(|h| {
                matches!(h, Happens::Posted(input)
                if matches!(**input, engine::Input::Checkpoint(ref c) if c.token == token))
            });
            if !reposted && let Some(mut session) = self.sessions.remove(&token) {
                let op = session.last.take().expect("it reported");
                self.report(session, op);
            }
        }
        self.options.boot += 1;
        self.turn = self.store.restart(self.options, self.now, clean);
        let seed = self.dice.roll();
        self.turn.resume(self.now, seed);
        self.flush();
    }

    /// What must hold whenever all that was decided is durable.
    fn audit(&mut self) {
        self.audits += 1;
        if !self.audits.is_multiple_of(self.audit_every) {
            return;
        }
        if !self.turn.is_settled()
            || self
                .agenda
                .values()
                .any(|h| matches!(h, Happens::Landed(_)))
        {
            return;
        }
        let engine = self.turn.engine();
        let called = |run: Seq, item: Seq| {
            self.out
                .range((run, item, 0)..=(run, item, u64::MAX))
                .next()
                .is_some()
        };
        let awaited = |run: Seq| self.loading.values().any(|one| *one == Some(run));
        let faults = engine.audit(&called, &awaited);
        assert!(faults.is_empty(), "{faults:?}\n{}", self.text());
        if self.loading.is_empty() {
            assert_eq!(
                engine.slots(),
                self.out.len(),
                "slots are calls\n{}",
                self.text()
            );
        }
        let memory = engine.fingerprint();
        // Until it is called again, what a crash interrupted has another instant in memory.
        if memory.contains("@0#") {
            return;
        }
        let read = self.store.engine(self.options).fingerprint();
        let memory = as_stored(&memory, &read);
        assert_eq!(memory, read, "memory is what is durable\n{}", self.text());
        for run in self.store.runs.keys() {
            if let Some(ledger) = engine.ledger(*run) {
                let mut read = self.store.replayed(*run);
                read.dirty = ledger.dirty;
                assert_eq!(
                    *ledger,
                    read,
                    "a ledger is what its rows say\n{}",
                    self.text()
                );
            }
        }
    }

    fn note_runs(&mut self, decided: &Decided) {
        for write in &decided.engine {
            match write {
                engine::Write::Run(row) => {
                    let n = self.names.len() + 1;
                    self.names.insert(row.seq, n);
                }
                engine::Write::RunEnd(end) => {
                    let name = self.name(end.run);
                    let (status, output) = (end.status, end.output.as_str());
                    self.note(format!("{name} {status:?} {output}"));
                }
                _ => {}
            }
        }
    }

    fn name(&self, run: Seq) -> String {
        format!("r{}", self.names[&run])
    }

    fn note(&mut self, line: String) {
        self.log.push(format!("{} {line}", clock(self.now)));
    }

    /// The log as text.
    pub(crate) fn text(&self) -> String {
        self.log.join("\n")
    }

    /// Lines of the log that hold the word.
    pub(crate) fn lines(&self, word: &str) -> Vec<String> {
        let lines = self.log.iter().filter(|line| line.contains(word));
        lines.cloned().collect()
    }

    /// How the n-th run ended.
    pub(crate) fn status(&self, n: usize) -> RunStatus {
        self.store.ends[&self.run(n)].status
    }

    fn later(&mut self, most: u64) -> Timestamp {
        if self.delays.commit == 0 {
            return self.now.plus_ms(most as i64);
        }
        self.now.plus_ms(self.dice.below(most + 1) as i64)
    }

    fn put(&mut self, at: Timestamp, happens: Happens) {
        self.next += 1;
        self.agenda.insert((at, self.next), happens);
    }
}

/// What memory holds, less the values of keys that are not stored: where a sync brought a rule with
/// a new key, a run is asked when its turn comes, and asked again after a restart.
fn as_stored(memory: &str, read: &str) -> String {
    let lines = memory
        .lines()
        .zip(read.lines().chain(std::iter::repeat("")));
    let asked = |(line, read): (&str, &str)| match line.split_once(" in [") {
        Some((before, after)) if !read.contains(" in [") => {
            let items = after.split_once("]:").map_or("", |(_, items)| items);
            format!("{before}:{items}\n")
        }
        _ => format!("{line}\n"),
    };
    lines.map(asked).collect()
}

fn key_of(id: CallId) -> (Seq, Seq, u64) {
    (id.run, id.item, id.generation)
}

/// A function that an event of that name starts.
pub(crate) fn spec(slug: &str, event: &str, expression: Option<&str>) -> FunctionSpec {
    FunctionSpec {
        slug: slug.to_owned(),
        name: slug.to_owned(),
        triggers: vec![TriggerSpec::Event {
            name: event.to_owned(),
            expression: expression.map(str::to_owned),
        }],
        url: format!("http://app/?fnId={slug}"),
        retries: None,
        cancel: Vec::new(),
        timeouts: Timeouts::default(),
        flow: Default::default(),
        config: Payload::from_json(format!("{{\"id\":\"{slug}\"}}")),
    }
}

/// The same under rules of flow control.
pub(crate) fn ruled(spec: FunctionSpec, flow: FlowRules) -> FunctionSpec {
    let id = format!("{{\"id\":\"{}\",\"flow\":1}}", spec.slug);
    FunctionSpec {
        flow,
        config: Payload::from_json(id),
        ..spec
    }
}

/// The same with so many retries.
pub(crate) fn retries(spec: FunctionSpec, retries: u8) -> FunctionSpec {
    FunctionSpec {
        retries: Some(retries),
        config: Payload::from_json(format!("{{\"id\":\"{}\",\"r\":{retries}}}", spec.slug)),
        ..spec
    }
}

/// An event without anything special.
pub(crate) fn event(name: &str) -> NewEvent {
    NewEvent {
        name: name.to_owned(),
        data: Payload::empty_object(),
        user: None,
        id: None,
        seeded: None,
        ts: None,
        v: None,
        origin: EventOrigin::Api,
        ts_delays: true,
    }
}

/// An event whose `data.k` is that.
pub(crate) fn keyed(name: &str, k: u64) -> NewEvent {
    NewEvent {
        data: Payload::from_json(format!("{{\"k\":{k}}}")),
        ..event(name)
    }
}

/// The same, cancelled by events of that name whose `data.k` is that of the run's.
pub(crate) fn cancelled_on(
    spec: FunctionSpec,
    event: &str,
    until: Option<RuleTime>,
) -> FunctionSpec {
    let rule = CancelRule {
        event: event.to_owned(),
        condition: Some("event.data.k == async.data.k".to_owned()),
        until,
    };
    FunctionSpec {
        config: Payload::from_json(format!("{{\"id\":\"{}\",\"c\":1}}", spec.slug)),
        cancel: vec![rule],
        ..spec
    }
}

/// A function that starts by a time table.
pub(crate) fn on_schedule(slug: &str, schedule: &str) -> FunctionSpec {
    let triggers = vec![TriggerSpec::Cron {
        schedule: schedule.to_owned(),
        jitter_ms: None,
    }];
    FunctionSpec {
        triggers,
        config: Payload::from_json(format!("{{\"id\":\"{slug}\",\"s\":\"{schedule}\"}}")),
        ..spec(slug, "unused", None)
    }
}

/// The internal id of a seeded send.
pub(crate) fn seeded(n: u64) -> Ulid {
    Ulid((u128::from(START.ms().unsigned_abs()) << 80) | u128::from(n))
}
