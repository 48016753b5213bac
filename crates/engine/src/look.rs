//! What an operator sees of flow control: why a run waits, and what is queued of a function. Read
//! from hot state alone; it never changes anything.

use dunlin_types::{Seq, Timestamp};

use crate::config::Rule;
use crate::live::ItemKind;

/// What somebody wants to see.
#[derive(Clone, Debug)]
pub enum Look {
    /// Why a run waits.
    Waiting(Seq),
    /// What is queued of the function of that number.
    Queues(u32),
    /// Totals of all functions, for metrics.
    Totals,
    /// Whether these runs have begun: the first [`dunlin_types::limits::LOOK_RUNS_MAX`] of them.
    Begun(Vec<Seq>),
}

/// What is seen.
#[derive(Clone, Debug)]
pub enum Looked {
    /// None if the run is not live.
    Waiting(Option<RunWaiting>),
    /// None if there is no such function.
    Queues(Option<Queues>),
    /// Totals.
    Totals(Box<Totals>),
    /// In the order in which they were named; none for a run that is not live.
    Begun(Vec<Option<bool>>),
}

/// What the open items of a live run wait for.
#[derive(Clone, Debug)]
pub struct RunWaiting {
    /// The function.
    pub function: u32,
    /// Whether a call of it has gone out.
    pub begun: bool,
    /// Keys that it counts under, by rule and in the order of the function's rules.
    pub keys: Vec<(Rule, String)>,
    /// Its items, oldest first; at most [`dunlin_types::limits::LOOK_ITEMS_MAX`].
    pub items: Vec<ItemWaiting>,
}

/// What one item waits for.
#[derive(Clone, Debug)]
pub struct ItemWaiting {
    /// The row that opened it; the run's own for its first call.
    pub item: Seq,
    /// What it is.
    pub kind: ItemKind,
    /// The attempt that is next or in flight, from 0.
    pub attempt: u8,
    /// Why it does not go on now.
    pub cause: Cause,
    /// How many items go before it in its queue, where it is queued; counted up to
    /// [`dunlin_types::limits::LOOK_PLACES_MAX`].
    pub ahead: Option<u64>,
    /// When it goes on, where that can be known: never later than this unless others go first.
    pub expected: Option<Timestamp>,
}

/// Why an item does not go on now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its instant has not come: a sleep, a retry, a future event.
    Time(Timestamp),
    /// It waits for something from outside (the item's kind says what) until then.
    Outside(Timestamp),
    /// Its call is out since then.
    InFlight(Timestamp),
    /// It will go out in this moment: its slot is taken, its rows are being read or written.
    Starting,
    /// Others go before it; nothing else holds it.
    Turn,
    /// A rule of flow control, or a limit of an operator, is used up.
    Rule(Box<Held>),
    /// Its function is paused.
    Paused,
    /// So many calls of its app are in flight already.
    AppFull {
        /// Calls in flight.
        used: u32,
        /// How many may be.
        limit: u32,
    },
    /// Its app asked for a pause (429 or 503) until then.
    AppPaused(Timestamp),
    /// So many calls of all apps are in flight already.
    ServerFull {
        /// Calls in flight.
        used: u32,
        /// How many may be.
        limit: u32,
    },
}

/// A rule that holds an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The rule.
    pub rule: Rule,
    /// `fn`, `env` or `account`; the name of a limit of an operator.
    pub scope: String,
    /// Text of the key's expression; none without a key.
    pub expression: Option<String>,
    /// The key's value as text; empty without a key.
    pub key: String,
    /// How many are allowed: at a time, or in a period.
    pub limit: u32,
    /// How many are at it; 0 for rates.
    pub used: u32,
    /// The runs that hold the slots, oldest first; at most
    /// [`dunlin_types::limits::LOOK_HOLDERS_MAX`]. Empty for rates.
    pub holders: Vec<Seq>,
    /// When the next may begin, for rates.
    pub next: Option<Timestamp>,
}

/// What is queued of a function.
#[derive(Clone, Debug, Default)]
pub struct Queues {
    /// Its queues, the fullest first; at most [`dunlin_types::limits::LOOK_QUEUES_MAX`].
    pub lanes: Vec<LaneView>,
    /// How many queues there are.
    pub lanes_total: u64,
    /// Items queued, runs that have not begun included.
    pub queued: u64,
    /// Of these, runs that have not begun.
    pub starts: u64,
    /// Calls in flight.
    pub in_flight: u64,
    /// Items held because the function is paused.
    pub held: u64,
    /// When the oldest of what is queued became ready.
    pub oldest: Option<Timestamp>,
    /// Runs that were made, in each of the last minutes, the one under way first.
    pub runs_in: Vec<u64>,
    /// Runs that ended, likewise.
    pub runs_out: Vec<u64>,
    /// Calls that went out, likewise.
    pub calls_out: Vec<u64>,
    /// Debounces and batches that gather events; at most
    /// [`dunlin_types::limits::LOOK_QUEUES_MAX`], the first due first.
    pub gathering: Vec<GatherView>,
    /// How many there are.
    pub gathering_total: u64,
}

/// One queue: what counts under the same keys.
#[derive(Clone, Debug)]
pub struct LaneView {
    /// The keys, by rule.
    pub keys: Vec<(Rule, String)>,
    /// Runs that have not begun.
    pub starts: u64,
    /// Items of runs that have.
    pub under_way: u64,
    /// Calls in flight.
    pub in_flight: u32,
    /// When the oldest became ready.
    pub oldest: Option<Timestamp>,
    /// Why the next one does not go out; none if it waits for its turn only.
    pub cause: Option<Cause>,
}

/// A debounce or a batch that gathers events.
#[derive(Clone, Debug)]
pub struct GatherView {
    /// [`Rule::Debounce`] or [`Rule::Batch`].
    pub rule: Rule,
    /// The key's value; empty without a key.
    pub key: String,
    /// Events so far; 1 for a debounce.
    pub events: u64,
    /// When the first came.
    pub opened: Timestamp,
    /// When it is run at the latest as things stand.
    pub due: Timestamp,
}

/// Totals for metrics.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Live runs.
    pub live: u64,
    /// Items queued that only wait for a free call.
    pub backlog: u64,
    /// Items queued.
    pub queued: u64,
    /// Calls in flight.
    pub in_flight: u64,
    /// By function, in the order of their numbers; archived ones with nothing live are left out.
    pub functions: Vec<FunctionTotals>,
    /// By app number: calls in flight, how many may be, and the end of a pause it asked for.
    pub apps: Vec<(u32, u32, u32, Option<Timestamp>)>,
}

/// Totals of one function since the process began.
#[derive(Clone, Debug, Default)]
pub struct FunctionTotals {
    /// The function.
    pub function: u32,
    /// Items queued now.
    pub queued: u64,
    /// Calls in flight now.
    pub in_flight: u64,
    /// When the oldest of what is queued became ready.
    pub oldest: Option<Timestamp>,
    /// Runs made.
    pub runs_in: u64,
    /// Runs ended, by status: completed, failed, cancelled, skipped.
    pub runs_out: [u64; 4],
    /// Calls that went out.
    pub calls: u64,
    /// Events dropped, by [`Rule`] as number.
    pub dropped: [u64; 12],
}
