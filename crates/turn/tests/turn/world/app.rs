//! An app as an SDK would run it: it replays a program over the memos of a call, runs what may be
//! run, and plans the rest.

use std::collections::BTreeMap;

use dunlin_engine::{Call, Failure, Memo, MemoKind, Op, OpKind, Reply};
use dunlin_types::{Code, OutboundRequest, Payload, StepId, Timestamp};

use super::program::{Node, Step};

/// How the SDK behaves.
#[derive(Clone, Debug)]
pub(crate) struct Sdk {
    /// The protocol version it names.
    pub version: Option<i64>,
    /// Whether it reports steps while it goes on.
    pub checkpoints: bool,
}

impl Default for Sdk {
    fn default() -> Self {
        Self {
            version: Some(2),
            checkpoints: false,
        }
    }
}

/// What a wait that matches asks for.
const MATCH: &str = "event.data.k == async.data.k";

/// How a replay ends, where nothing is left to wait for.
enum End {
    /// The function returned this.
    Returned(String),
    /// It threw: an error, its retry delay, whether it is final.
    Threw(String, Option<i64>, bool),
}

struct Walk<'a> {
    memos: &'a BTreeMap<StepId, Memo>,
    attempt: u8,
    seen: BTreeMap<String, usize>,
    found: Vec<Found>,
    lazy: Vec<Found>,
    defers: &'a BTreeMap<StepId, Payload>,
    values: Vec<String>,
    threw: Option<(String, Option<i64>, bool)>,
}

/// A turn of the SDK: what it ran, and what it answers or reports.
pub(crate) enum Move {
    /// The call is answered.
    Answer(Reply),
    /// The op is reported, and the call goes on.
    Report(Op),
}

/// The SDK goes one move further. `ran` is told of each step whose code is run.
pub(crate) fn next_move(
    program: &[Node],
    sdk: &Sdk,
    now: Timestamp,
    call: &Call,
    memos: &BTreeMap<StepId, Memo>,
    ran: &mut dyn FnMut(&StepId, bool),
) -> Move {
    let known = memos.len() > call.state.memos.len();
    let (mut found, end) = replay(program, call, memos);
    if let Some(target) = &call.target {
        let Some((id, node, race)) = found.into_iter().find(|(id, ..)| id == target) else {
            return Move::Answer(failed("step not found", None, false));
        };
        return Move::Answer(Reply::Ops(vec![run(id, &node, race, call, ran)]));
    }
    match end {
        Some(End::Returned(value)) if sdk.checkpoints => {
            let kind = OpKind::RunComplete(Payload::from_json(value));
            return Move::Answer(Reply::Ops(vec![op(StepId::new("complete"), false, kind)]));
        }
        Some(End::Returned(value)) => {
            return Move::Answer(Reply::Done(Payload::from_json(value)));
        }
        Some(End::Threw(error, after, fatal)) => {
            return Move::Answer(failed(&error, after, fatal));
        }
        None => {}
    }
    let alone = found.len() == 1 && !call.plan && !found[0].2;
    if alone && matches!(found[0].1, Node::Step(_)) {
        let (id, node, race) = found.remove(0);
        let done = run(id, &node, race, call, ran);
        let runs_on = sdk.checkpoints && (call.attempt == 0 || known);
        if runs_on && matches!(done.kind, OpKind::StepRun(_)) {
            return Move::Report(done);
        }
        return Move::Answer(Reply::Ops(vec![done]));
    }
    let plan = |(id, node, race): Found| {
        let kind = match node {
            Node::Sleep(_, ms) => OpKind::SleepFor(ms),
            Node::Until(_, ms) => OpKind::SleepUntil(call.events[0].ts.plus_ms(ms)),
            Node::Refuse => OpKind::Refused(Code::OpNotBuilt, "Unheard".to_owned()),
            Node::Wait(wait) => OpKind::WaitForEvent {
                event: wait.event.clone(),
                condition: wait.matching.then(|| MATCH.to_owned()),
                until: now.plus_ms(wait.ms),
            },
            Node::Invoke(invoke) => OpKind::Invoke {
                function: invoke.function.clone(),
                data: Payload::from_json("{\"k\":1}"),
                user: None,
                v: None,
                until: now.plus_ms(invoke.ms),
            },
            Node::Signal(signal) => OpKind::WaitForSignal {
                signal: signal.signal.clone(),
                replace: signal.replace,
                until: now.plus_ms(signal.ms),
            },
            Node::Fetch(_) => OpKind::Gateway(Box::new(OutboundRequest {
                ai: false,
                method: "GET".to_owned(),
                url: "http://api/".to_owned(),
                headers: vec![("authorization".to_owned(), "secret".to_owned())],
                body: Default::default(),
                shown: Payload::from_json("{\"url\":\"http://api/\"}"),
            })),
            Node::Defer(function) => OpKind::DeferAdd(Payload::from_json(format!(
                "{{\"fn_slug\":\"{function}\",\"input\":{{}}}}"
            ))),
            _ => OpKind::StepPlanned,
        };
        op(id, race, kind)
    };
    Move::Answer(Reply::Ops(found.into_iter().map(plan).collect()))
}

type Found = (StepId, Node, bool);

/// What a replay finds that is not known yet, and how it ends.
fn replay(
    program: &[Node],
    call: &Call,
    memos: &BTreeMap<StepId, Memo>,
) -> (Vec<Found>, Option<End>) {
    let mut walk = Walk {
        memos,
        attempt: call.attempt,
        seen: BTreeMap::new(),
        found: Vec::new(),
        lazy: Vec::new(),
        defers: &call.state.defers,
        values: Vec::new(),
        threw: None,
    };
    let through = walk.block(program, false);
    let end = match walk.threw {
        Some((error, after, fatal)) => Some(End::Threw(error, after, fatal)),
        None if through => Some(End::Returned(format!("\"{}\"", walk.values.join(" ")))),
        None => None,
    };
    // What is lazy does not make a call of its own while something else is found or left to find.
    if !walk.lazy.is_empty() && call.target.is_none() {
        let end = if walk.found.is_empty() { None } else { end };
        walk.lazy.extend(walk.found);
        return (walk.lazy, end);
    }
    (walk.found, end)
}

impl Walk<'_> {
    /// Whether the block is through.
    fn block(&mut self, nodes: &[Node], race: bool) -> bool {
        nodes.iter().all(|node| self.node(node, race))
    }

    fn node(&mut self, node: &Node, race: bool) -> bool {
        match node {
            Node::Step(step) => self.wait(&step.name, step.caught, node, race),
            Node::Wait(wait) => self.wait(&wait.name, false, node, race),
            Node::Signal(signal) => self.wait(&signal.name, false, node, race),
            Node::Invoke(invoke) => self.wait(&invoke.name, invoke.caught, node, race),
            Node::Fetch(fetch) => self.wait(&fetch.name, fetch.caught, node, race),
            // Nobody waits for it: it is told along with what is found next.
            Node::Defer(function) => {
                let id = StepId::new(function);
                if !self.defers.contains_key(&id) {
                    self.lazy.push((id, node.clone(), false));
                }
                true
            }
            Node::Sleep(name, _) | Node::Until(name, _) => self.wait(name, false, node, race),
            Node::Refuse => self.wait("refused", false, node, race),
            Node::Parallel(branches, race) => {
                let mut through = 0;
                for branch in branches {
                    through += usize::from(self.block(branch, *race));
                }
                through == branches.len() || (*race && through > 0)
            }
            Node::Loop(times, body) => (0..*times).all(|_| self.block(body, race)),
            Node::Throw(times, after) if self.attempt < *times => {
                self.threw = Some(("function threw".to_owned(), *after, false));
                false
            }
            Node::Throw(..) => true,
            Node::Fatal => {
                self.threw = Some(("function gave up".to_owned(), None, true));
                false
            }
        }
    }

    fn wait(&mut self, name: &str, caught: bool, node: &Node, race: bool) -> bool {
        let count = self.seen.entry(name.to_owned()).or_default();
        let id = match *count {
            0 => StepId::new(name),
            n => StepId::new(&format!("{name}:{n}")),
        };
        *count += 1;
        match self.memos.get(&id) {
            None => self.found.push((id, node.clone(), race)),
            Some(memo) if memo.kind == MemoKind::Error && !caught => {
                self.threw = Some((format!("uncaught {id}"), None, true));
            }
            Some(memo) => {
                let ran_out =
                    memo.kind == MemoKind::Null && matches!(node, Node::Wait(_) | Node::Signal(_));
                let mark = match memo.kind {
                    MemoKind::Error => "!",
                    _ if ran_out => "?",
                    _ => "",
                };
                self.values.push(format!("{mark}{id}"));
                return true;
            }
        }
        false
    }
}

fn run(id: StepId, node: &Node, race: bool, call: &Call, ran: &mut dyn FnMut(&StepId, bool)) -> Op {
    let Node::Step(step) = node else {
        panic!("only steps are called");
    };
    let throws = step.fatal || call.attempt < step.fails;
    ran(&id, !throws);
    let kind = if throws {
        thrown(step, call)
    } else {
        OpKind::StepRun(Payload::from_json(format!("\"{}\"", "x".repeat(step.big))))
    };
    op(id, race, kind)
}

fn thrown(step: &Step, call: &Call) -> OpKind {
    let error = Payload::from_json(format!("{{\"message\":\"{} threw\"}}", step.name));
    if step.fatal || call.attempt + 1 >= call.attempts_max {
        return OpKind::StepFailed(error);
    }
    OpKind::StepError(Failure {
        busy: false,
        code: Code::StepError,
        error,
        no_retry: false,
        retry_after_ms: step.retry_after,
    })
}

/// An operation under its id's name.
pub(crate) fn op(id: StepId, race: bool, kind: OpKind) -> Op {
    Op {
        name: id.text(),
        id,
        race,
        note: None,
        kind,
    }
}

/// A function-level error.
pub(crate) fn failed(message: &str, retry_after_ms: Option<i64>, no_retry: bool) -> Reply {
    Reply::Failed(Failure {
        busy: false,
        code: Code::FunctionError,
        error: Payload::from_json(format!("{{\"message\":\"{message}\"}}")),
        no_retry,
        retry_after_ms,
    })
}

/// A reply in a few words.
pub(crate) fn describe(reply: &Reply) -> String {
    match reply {
        Reply::Done(value) => format!("returns {}", value.as_str()),
        Reply::Failed(failure) => format!("throws {}", failure.error.as_str()),
        Reply::Ops(ops) if ops.is_empty() => "nothing".to_owned(),
        Reply::Ops(ops) => {
            let texts: Vec<String> = ops.iter().map(describe_op).collect();
            texts.join(", ")
        }
    }
}

/// An operation in a few words.
pub(crate) fn describe_op(op: &Op) -> String {
    let word = match &op.kind {
        OpKind::None => return "None".to_owned(),
        OpKind::StepRun(_) | OpKind::Step(_) => "ran",
        OpKind::StepError(_) => "error",
        OpKind::StepFailed(_) => "failed",
        OpKind::StepPlanned => "plan",
        OpKind::SleepUntil(at) => return format!("until {} {}", op.id, clock(*at)),
        OpKind::SleepFor(ms) => return format!("sleep {} {ms}", op.id),
        OpKind::RunComplete(value) => return format!("complete {}", value.as_str()),
        OpKind::WaitForEvent { event, .. } => return format!("wait {} {event}", op.id),
        OpKind::Invoke { function, .. } => return format!("invoke {} {function}", op.id),
        OpKind::WaitForSignal { signal, .. } => return format!("signal {} {signal}", op.id),
        OpKind::Gateway(_) => "fetch",
        OpKind::DeferAdd(_) => "defer",
        OpKind::DeferAbort(target) => return format!("abort {target}"),
        OpKind::DiscoveryRequest => return "asks".to_owned(),
        OpKind::Refused(code, _) => return format!("refused {code}"),
    };
    format!("{word} {}", op.id)
}

/// Milliseconds since the world began, as seconds where they are whole.
pub(crate) fn clock(at: Timestamp) -> String {
    let ms = at.since(super::START);
    if ms % 1000 == 0 {
        format!("{}s", ms / 1000)
    } else {
        format!("{ms}ms")
    }
}
