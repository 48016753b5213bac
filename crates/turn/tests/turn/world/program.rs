//! Functions as little programs, written as text.
//!
//! ```text
//! wait NAME EVENT MS [match]    invoke NAME FUNCTION MS [caught]    signal NAME SIGNAL MS [replace]
//! fetch NAME [fails N] [caught]    defer FUNCTION
//! step NAME [fails N] [fatal] [after MS] [big BYTES] [caught]     sleep NAME MS     until NAME MS
//! par [ … | … ]    race [ … | … ]    loop N [ … ]    throw [N] [after MS]    fatal    refuse
//! ```

/// One statement.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Step(Step),
    Sleep(String, i64),
    /// Until an instant, in milliseconds after the event's `ts`.
    Until(String, i64),
    Parallel(Vec<Vec<Node>>, bool),
    Loop(usize, Vec<Node>),
    /// The function throws on its first so many attempts.
    Throw(u8, Option<i64>),
    Fatal,
    /// Reports an operation that is not supported.
    Refuse,
    Wait(Wait),
    Invoke(Invoke),
    Signal(Signal),
    Fetch(Fetch),
    /// Has a function started when the run has ended.
    Defer(String),
}

/// A wait for an event.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub name: String,
    pub event: String,
    pub ms: i64,
    /// Only an event whose `data.k` is that of the run's.
    pub matching: bool,
}

/// An invocation.
#[derive(Clone, Debug)]
pub(crate) struct Invoke {
    pub name: String,
    pub function: String,
    pub ms: i64,
    pub caught: bool,
}

/// A wait for a signal.
#[derive(Clone, Debug)]
pub(crate) struct Signal {
    pub name: String,
    pub signal: String,
    pub ms: i64,
    pub replace: bool,
}

/// A request that the server makes.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub name: String,
    /// Attempts that get no answer.
    pub fails: u8,
    pub caught: bool,
}

/// A step and what its code does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    pub name: String,
    /// Attempts that throw.
    pub fails: u8,
    /// Whether it throws an error that is not to be retried.
    pub fatal: bool,
    pub retry_after: Option<i64>,
    pub big: usize,
    /// Whether the function catches its error.
    pub caught: bool,
}

/// Reads a program; panics where it is none.
pub(crate) fn parse(text: &str) -> Vec<Node> {
    let text = text
        .replace('[', " [ ")
        .replace(']', " ] ")
        .replace('|', " | ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut at = 0;
    let nodes = block(&words, &mut at);
    assert_eq!(at, words.len(), "a stray `{}` in: {text}", words[at]);
    nodes
}

fn block(words: &[&str], at: &mut usize) -> Vec<Node> {
    let mut nodes = Vec::new();
    while let Some(word) = words.get(*at).filter(|word| !["]", "|"].contains(word)) {
        *at += 1;
        nodes.push(match *word {
            "step" => Node::Step(step(words, at)),
            "sleep" => Node::Sleep(name(words, at), number(words, at)),
            "until" => Node::Until(name(words, at), number(words, at)),
            "par" | "race" => Node::Parallel(branches(words, at), *word == "race"),
            "loop" => {
                let times = number(words, at) as usize;
                Node::Loop(times, branches(words, at).remove(0))
            }
            "throw" => {
                let times = optional(words, at).unwrap_or(99) as u8;
                Node::Throw(
                    times,
                    keyword(words, at, "after").then(|| number(words, at)),
                )
            }
            "fatal" => Node::Fatal,
            "refuse" => Node::Refuse,
            "wait" => Node::Wait(Wait {
                name: name(words, at),
                event: name(words, at),
                ms: number(words, at),
                matching: keyword(words, at, "match"),
            }),
            "invoke" => Node::Invoke(Invoke {
                name: name(words, at),
                function: name(words, at),
                ms: number(words, at),
                caught: keyword(words, at, "caught"),
            }),
            "signal" => Node::Signal(Signal {
                name: name(words, at),
                signal: name(words, at),
                ms: number(words, at),
                replace: keyword(words, at, "replace"),
            }),
            "fetch" => Node::Fetch(Fetch {
                name: name(words, at),
                fails: if keyword(words, at, "fails") {
                    number(words, at) as u8
                } else {
                    0
                },
                caught: keyword(words, at, "caught"),
            }),
            "defer" => Node::Defer(name(words, at)),
            other => panic!("no such statement: {other}"),
        });
    }
    nodes
}

fn step(words: &[&str], at: &mut usize) -> Step {
    let mut step = Step {
        name: name(words, at),
        ..Step::default()
    };
    loop {
        if keyword(words, at, "fails") {
            step.fails = number(words, at) as u8;
        } else if keyword(words, at, "fatal") {
            step.fatal = true;
        } else if keyword(words, at, "after") {
            step.retry_after = Some(number(words, at));
        } else if keyword(words, at, "big") {
            step.big = number(words, at) as usize;
        } else if keyword(words, at, "caught") {
            step.caught = true;
        } else {
            return step;
        }
    }
}

fn branches(words: &[&str], at: &mut usize) -> Vec<Vec<Node>> {
    assert_eq!(words[*at], "[");
    let mut branches = Vec::new();
    loop {
        *at += 1;
        branches.push(block(words, at));
        if words[*at] == "]" {
            *at += 1;
            return branches;
        }
    }
}

fn keyword(words: &[&str], at: &mut usize, word: &str) -> bool {
    let found = words.get(*at) == Some(&word);
    *at += usize::from(found);
    found
}

fn name(words: &[&str], at: &mut usize) -> String {
    *at += 1;
    words[*at - 1].to_owned()
}

fn optional(words: &[&str], at: &mut usize) -> Option<i64> {
    let number = words.get(*at)?.parse().ok()?;
    *at += 1;
    Some(number)
}

fn number(words: &[&str], at: &mut usize) -> i64 {
    optional(words, at).unwrap_or_else(|| panic!("a number is missing at word {at}"))
}

/// The attempts of that request that get no answer.
pub(crate) fn fetch_fails(nodes: &[Node], name: &str) -> u8 {
    let name = name.split(':').next().unwrap_or(name);
    let of = |node: &Node| match node {
        Node::Fetch(fetch) if fetch.name == name => fetch.fails,
        Node::Parallel(branches, _) => branches
            .iter()
            .map(|branch| fetch_fails(branch, name))
            .max()
            .unwrap_or(0),
        Node::Loop(_, body) => fetch_fails(body, name),
        _ => 0,
    };
    nodes.iter().map(of).max().unwrap_or(0)
}
