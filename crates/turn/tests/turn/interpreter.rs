//! Programs run through in memory, without calls, faults or time: what a run must come to.

use std::collections::BTreeMap;

use crate::world::program::Node;

/// How a run ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With this value.
    Returns(String),
    Fails,
}

/// What a statement comes to.
enum Flow {
    On,
    Fails,
    /// It depends on what comes first.
    Open,
}

struct Walk<'a> {
    programs: &'a BTreeMap<String, Vec<Node>>,
    attempts: u8,
    seen: BTreeMap<&'a str, usize>,
    values: Vec<String>,
}

/// How a run of that function ends; none where that depends on time. Events named `often` come in
/// time, all others never.
pub(crate) fn end_of(
    programs: &BTreeMap<String, Vec<Node>>,
    slug: &str,
    attempts: u8,
) -> Option<End> {
    let mut walk = Walk {
        programs,
        attempts,
        seen: BTreeMap::new(),
        values: Vec::new(),
    };
    match walk.block(programs.get(slug)?) {
        Flow::On => Some(End::Returns(format!("\"{}\"", walk.values.join(" ")))),
        Flow::Fails => Some(End::Fails),
        Flow::Open => None,
    }
}

impl<'a> Walk<'a> {
    fn block(&mut self, nodes: &'a [Node]) -> Flow {
        for node in nodes {
            match self.node(node) {
                Flow::On => {}
                other => return other,
            }
        }
        Flow::On
    }

    fn node(&mut self, node: &'a Node) -> Flow {
        match node {
            Node::Step(step) => {
                let fails = step.fatal || step.fails >= self.attempts;
                self.step(&step.name, fails, step.caught)
            }
            Node::Fetch(fetch) => {
                self.step(&fetch.name, fetch.fails >= self.attempts, fetch.caught)
            }
            Node::Sleep(name, _) | Node::Until(name, _) => self.value(name, ""),
            Node::Wait(wait) if wait.event == "often" => self.value(&wait.name, ""),
            Node::Wait(wait) => self.value(&wait.name, "?"),
            Node::Invoke(invoke) => match end_of(self.programs, &invoke.function, 5) {
                None => Flow::Open,
                Some(end) => self.step(&invoke.name, end == End::Fails, invoke.caught),
            },
            Node::Parallel(_, true) | Node::Signal(_) => Flow::Open,
            Node::Parallel(branches, false) => self.all(branches),
            Node::Loop(times, body) => {
                for _ in 0..*times {
                    match self.block(body) {
                        Flow::On => {}
                        other => return other,
                    }
                }
                Flow::On
            }
            Node::Throw(times, _) if *times < self.attempts => Flow::On,
            Node::Throw(..) | Node::Fatal | Node::Refuse => Flow::Fails,
            Node::Defer(_) => Flow::On,
        }
    }

    /// All branches; where one fails, what the others come to does not matter.
    fn all(&mut self, branches: &'a [Vec<Node>]) -> Flow {
        let mut result = Flow::On;
        for branch in branches {
            match (self.block(branch), &result) {
                (Flow::Open, _) => return Flow::Open,
                (Flow::Fails, _) => result = Flow::Fails,
                _ => {}
            }
        }
        result
    }

    fn step(&mut self, name: &'a str, fails: bool, caught: bool) -> Flow {
        if fails && !caught {
            return Flow::Fails;
        }
        self.value(name, if fails { "!" } else { "" })
    }

    fn value(&mut self, name: &'a str, mark: &str) -> Flow {
        let count = self.seen.entry(name).or_default();
        let id = match *count {
            0 => name.to_owned(),
            n => format!("{name}:{n}"),
        };
        *count += 1;
        self.values.push(format!("{mark}{id}"));
        Flow::On
    }
}
