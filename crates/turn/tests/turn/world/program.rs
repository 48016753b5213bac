//! Functions as little programs, written as text.
//!
//! ```text
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
