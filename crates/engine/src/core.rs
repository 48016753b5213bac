//! The engine's state and its face: what an input needs, what it leads to, when to wake.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use dunlin_types::{DedupeKey, Event, Payload, Seq, Timestamp, limits};

use crate::catalog::Catalog;
use crate::claims::Claims;
use crate::effect::{Answer, Effect};
use crate::flow::counters::Counters;
use crate::flow::singleton::Locks;
use crate::fold::Fold;
use crate::gathers::Gathers;
use crate::input::Input;
use crate::ledger::Ledger;
use crate::ledgers::{Ledgers, Rest};
use crate::live::{ItemKind, Live};
use crate::packed::Packed;
use crate::requests::Requests;
use crate::run::OwnLimits;
use crate::schedule::{CallLimits, Schedule};
use crate::step::StepRow;
use crate::tails::Tails;
use crate::tallies::Tallies;
use crate::ticks::{Missed, Ticks};
use crate::waits::{Waiter, Waits};
use crate::write::{RunRow, Write};

/// What an operator can set.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Retries of a function that names none.
    pub retries_default: u8,
    /// A constant delay after each failed attempt instead of the table, in milliseconds.
    pub retry_interval_ms: Option<i64>,
    /// Steps of one run.
    pub steps_max: usize,
    /// Bytes of one run's results.
    pub state_bytes_max: usize,
    /// Bytes of ledgers kept in memory.
    pub ledger_cache_bytes_max: usize,
    /// Rows after which the older live runs are pictured again.
    pub rows_per_fold: u64,
    /// Counts the starts of this store, from 1; the high part of every generation.
    pub boot: u64,
    /// What becomes of ticks of time tables that went by while the server was down.
    pub missed_ticks: Missed,
    /// How many calls may be out.
    pub calls: CallLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retries_default: limits::RETRIES_DEFAULT,
            retry_interval_ms: None,
            steps_max: limits::STEPS_PER_RUN_MAX,
            state_bytes_max: limits::RUN_STATE_BYTES_MAX,
            ledger_cache_bytes_max: limits::LEDGER_CACHE_BYTES_MAX,
            rows_per_fold: crate::fold::ROWS_PER_FOLD_DEFAULT,
            boot: 1,
            missed_ticks: Missed::Once,
            calls: CallLimits::default(),
        }
    }
}

/// What comes with an input from outside the core.
pub struct Context<'a> {
    /// The instant of the turn.
    pub now: Timestamp,
    /// Where all jitter comes from.
    pub seed: u64,
    /// The commit that will hold what is decided.
    pub commit: u64,
    /// Draws the next place in the order of the world.
    pub next_seq: &'a mut dyn FnMut() -> Seq,
}

/// Cold rows that an input needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The ledger of this run.
    pub ledger: Option<Seq>,
    /// Whether these keys are known.
    pub dedupe: Vec<DedupeKey>,
    /// These events, which may be part of the commit that is forming or in flight.
    pub events: Vec<Seq>,
}

impl Needs {
    /// Whether nothing is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ledger.is_none() && self.dedupe.is_empty() && self.events.is_empty()
    }
}

/// A run's rows as they are stored.
#[derive(Clone, Debug)]
pub struct LedgerRows {
    /// The run.
    pub run: RunRow,
    /// What started it.
    pub events: Vec<Arc<Event>>,
    /// Its step rows, oldest first.
    pub steps: Vec<StepRow>,
}

/// The cold rows that were needed.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The run's rows; none if they are in memory or do not exist.
    pub ledger: Option<LedgerRows>,
    /// The keys that are known, with the rows they made.
    pub known: BTreeMap<DedupeKey, Seq>,
    /// The events that were asked for, in that order.
    pub events: Vec<Arc<Event>>,
}

/// What an input leads to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be committed together.
    pub writes: Vec<Write>,
    /// To be done after that.
    pub effects: Vec<Effect>,
}

/// The core.
pub struct Engine {
    pub(crate) options: Options,
    pub(crate) catalog: Catalog,
    pub(crate) live: Packed<Seq, Live>,
    pub(crate) ledgers: Ledgers,
    /// Every parked item, by its instant: (due, run, item).
    pub(crate) timers: Packed<(Timestamp, Seq, Seq), ()>,
    pub(crate) schedule: Schedule,
    pub(crate) fold: Fold,
    pub(crate) tails: Tails,
    pub(crate) waits: Waits,
    pub(crate) requests: Requests,
    pub(crate) ticks: Ticks,
    pub(crate) claims: Claims,
    /// Rates that drop.
    pub(crate) counters: Counters,
    pub(crate) gathers: Gathers,
    pub(crate) locks: Locks,
    pub(crate) tallies: Tallies,
    /// Limits of single functions.
    pub(crate) own_limits: BTreeMap<u32, OwnLimits>,
    /// Events that this input has told of and nobody has taken yet, with the function that each has
    /// started directly.
    pub(crate) later: VecDeque<(Arc<Event>, Option<u32>)>,
    /// Invocations of this input that started nothing: their steps fail once all that the response
    /// reports is in, because they may be part of a group.
    pub(crate) skipped: Vec<(Waiter, Payload)>,
}

/// A context and the outcome that grows under it.
pub(crate) struct Work<'a, 'b> {
    pub(crate) cx: &'a mut Context<'b>,
    pub(crate) known: BTreeMap<DedupeKey, Seq>,
    pub(crate) out: Outcome,
}

impl Work<'_, '_> {
    pub(crate) fn now(&self) -> Timestamp {
        self.cx.now
    }

    pub(crate) fn seq(&mut self) -> Seq {
        (self.cx.next_seq)()
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.out.writes.push(write);
    }

    pub(crate) fn effect(&mut self, effect: Effect) {
        self.out.effects.push(effect);
    }

    pub(crate) fn answer(&mut self, token: dunlin_types::Token, answer: Answer) {
        if token != dunlin_types::Token::NONE {
            self.effect(Effect::Answer(token, answer));
        }
    }
}

impl Engine {
    /// An engine without apps or runs.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            catalog: Catalog::default(),
            live: Packed::default(),
            ledgers: Ledgers::default(),
            timers: Packed::default(),
            schedule: Schedule::new(options.calls),
            fold: Fold::default(),
            tails: Tails::default(),
            waits: Waits::default(),
            requests: Requests::default(),
            ticks: Ticks::default(),
            claims: Claims::default(),
            counters: Counters::default(),
            gathers: Gathers::default(),
            locks: Locks::default(),
            tallies: Tallies::default(),
            own_limits: BTreeMap::new(),
            later: VecDeque::new(),
            skipped: Vec::new(),
        }
    }

    /// Apps and functions.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Runs that have not ended.
    #[must_use]
    pub fn live_runs(&self) -> usize {
        self.live.len()
    }

    /// Calls in flight or, unless the engine drains, about to be.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.schedule.busy()
    }

    /// Items that are ready and only wait for a free call: no rule holds them.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.schedule.backlog()
    }

    /// Sends out no more calls: the process is about to stop.
    pub fn drain(&mut self) {
        self.schedule.drain();
    }

    /// The run that an input is about; inputs of one run are handled in order.
    #[must_use]
    pub fn run_of(input: &Input) -> Option<Seq> {
        match input {
            Input::Reply(reply) => Some(reply.call.run),
            Input::Checkpoint(checkpoint) => Some(checkpoint.run),
            Input::Due { run, .. } | Input::Fetched { run } | Input::Cancel { run, .. } => {
                Some(*run)
            }
            _ => None,
        }
    }

    /// Which cold rows must be at hand for this input.
    #[must_use]
    pub fn needs(&self, input: &Input) -> Needs {
        match input {
            Input::Events { events, .. } => Needs {
                ledger: None,
                dedupe: self.event_keys(events),
                ..Needs::default()
            },
            Input::Invoke {
                function, event, ..
            } => Needs {
                ledger: None,
                dedupe: self.invoke_keys(function, event),
                ..Needs::default()
            },
            Input::Gathered { gather } => Needs {
                events: self
                    .gathers
                    .get(*gather)
                    .map_or_else(Vec::new, |one| one.events()),
                ..Needs::default()
            },
            _ => Needs {
                ledger: self.ledger_needed(input),
                ..Needs::default()
            },
        }
    }

    fn ledger_needed(&self, input: &Input) -> Option<Seq> {
        let run = Self::run_of(input)?;
        let live = self.live.get(&run)?;
        if self.ledgers.get(run).is_some() {
            return None;
        }
        let wanted = match input {
            Input::Reply(reply) => {
                self.is_current(run, reply.call.item, Some(reply.call.generation))
            }
            Input::Checkpoint(report) => self.is_current(run, report.item, report.generation),
            Input::Due { item, .. } => live
                .items
                .get(*item)
                .is_some_and(|i| matches!(i.kind, ItemKind::End | ItemKind::StartTimeout)),
            _ => true,
        };
        wanted.then_some(run)
    }

    /// Keys that must be looked up before this event can be taken.
    #[must_use]
    pub fn event_keys_of(&self, event: &dunlin_types::NewEvent) -> Vec<DedupeKey> {
        self.event_keys(std::slice::from_ref(event))
    }

    /// A load of a run's ledger begins; tells the row up to which its chain is to be read, its own
    /// row if there is none.
    pub fn load_begins(&mut self, run: Seq) -> Seq {
        match self.live.get(&run) {
            Some(live) => self.tails.load_begins(run, live.last),
            None => run,
        }
    }

    /// Decides what an input leads to.
    pub fn handle(&mut self, input: Input, loaded: Loaded, cx: &mut Context<'_>) -> Outcome {
        let commit = cx.commit;
        let run = Self::run_of(&input);
        self.schedule.now = cx.now;
        if let (Some(run), Some(rows)) = (run, loaded.ledger) {
            self.take_in(run, rows, commit);
        }
        let mut work = Work {
            cx,
            known: loaded.known,
            out: Outcome::default(),
        };
        match input {
            Input::Events { token, events } => self.append_events(&mut work, token, events),
            Input::Reply(reply) => self.reply(&mut work, reply),
            Input::Checkpoint(report) => self.checkpoint(&mut work, report),
            Input::Due { run, item } => self.due(&mut work, run, item),
            Input::Fetched { run } => self.fetched(&mut work, run),
            Input::Cancel {
                token,
                run,
                created,
            } => self.cancel(&mut work, token, run, created),
            Input::Gathered { gather } => self.gathered(&mut work, gather, loaded.events),
            other => self.handle_outer(&mut work, other),
        }
        self.go_on(&mut work);
        if let Some(run) = run {
            let now = work.now();
            self.rest(run, commit, now);
        }
        work.out
    }

    /// Inputs that are about no run that exists, or about many.
    fn handle_outer(&mut self, work: &mut Work<'_, '_>, input: Input) {
        match input {
            Input::Signal { token, name, data } => self.signal(work, token, &name, data),
            Input::Invoke {
                token,
                function,
                event,
            } => self.invoke_directly(work, token, &function, *event),
            Input::Rerun { token, rerun } => self.rerun(work, token, *rerun),
            Input::Pause {
                token,
                function,
                paused,
            } => self.pause(work, token, function, paused),
            Input::Limit {
                token,
                function,
                steps,
                state_bytes,
            } => {
                let own = OwnLimits { steps, state_bytes };
                self.limit(work, token, function, own);
            }
            Input::StopAll { token } => self.stop_all(work, token),
            Input::Tick {
                function,
                schedule,
                at,
            } => self.tick(work, function, &schedule, at),
            Input::Resume { event } => self.resume_claimed(work, event),
            Input::Look { token, look } => {
                let looked = Box::new(self.look(look, work.now()));
                work.answer(token, Answer::Looked(looked));
            }
            Input::PutLimit { token, limit } => self.put_limit(work, token, *limit),
            Input::RemoveLimit { token, name } => self.remove_limit(work, token, &name),
            Input::Register {
                token,
                registration,
            } => self.register(work, token, *registration),
            Input::AppSeen {
                url,
                identity_url,
                error,
            } => self.app_seen(work, url, identity_url, error),
            _ => {}
        }
    }

    /// Builds the ledger of a live run from its rows, and from those that were appended since.
    fn take_in(&mut self, run: Seq, rows: LedgerRows, commit: u64) {
        let tail = self.tails.load_ends(run);
        if self.live.contains_key(&run) && self.ledgers.get(run).is_none() {
            let mut ledger = Ledger::new(rows.run.created, rows.events.into());
            rows.steps.iter().for_each(|row| ledger.apply(row));
            tail.iter().for_each(|row| ledger.apply(row));
            ledger.dirty = if tail.is_empty() { 0 } else { commit };
            self.ledgers.put(run, ledger);
        }
    }

    /// Marks the run's ledger as part of `commit`, and as droppable where nothing is going on.
    pub(crate) fn rest(&mut self, run: Seq, commit: u64, now: Timestamp) {
        let Some(live) = self.live.get(&run) else {
            return;
        };
        let soon = now.plus_ms(limits::LEDGER_KEPT_AHEAD_MS);
        let rest = if live.parked_until().is_some_and(|due| due > soon) {
            Rest::Far
        } else if live.is_resting() {
            Rest::Near
        } else {
            Rest::Busy
        };
        if rest == Rest::Far {
            self.share_lane(run);
        }
        self.ledgers.rest(run, commit, rest);
    }

    /// Tells that `commit` and all before it are durable; ledgers beyond the budget may go.
    pub fn committed(&mut self, commit: u64) {
        self.tails.committed(commit);
        let live = &self.live;
        let far = |run| {
            live.get(&run)
                .is_none_or(|one| one.parked_until().is_some())
        };
        self.ledgers.let_go(commit, far);
        let idle = |run| live.get(&run).is_none_or(crate::live::Live::is_resting);
        self.ledgers
            .evict(self.options.ledger_cache_bytes_max, commit, idle);
    }

    /// When something comes due by itself.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        if self.claims.first().is_some() {
            return Some(Timestamp::ZERO);
        }
        let timer = self.timers.first().map(|(due, _, _)| *due);
        let others = [
            timer,
            self.ticks.next_wake(),
            self.gathers.next_wake(),
            self.schedule.next_wake(),
            self.schedule.late.next_wake(),
        ];
        others.into_iter().flatten().min()
    }

    /// Takes up at most `max` things that are due.
    pub fn take_due(&mut self, now: Timestamp, max: usize) -> Vec<Input> {
        let mut due = Vec::new();
        due.extend(self.claims.first().map(|event| Input::Resume { event }));
        while due.len() < max
            && let Some(tick) = self.ticks.take_due(now)
        {
            due.push(tick);
        }
        while due.len() < max
            && let Some(gather) = self.gathers.take_due(now)
        {
            due.push(Input::Gathered { gather });
        }
        let gate = [self.schedule.next_wake(), self.schedule.late.next_wake()];
        if gate.into_iter().flatten().any(|at| at <= now) {
            due.push(Input::Dispatch);
        }
        while due.len() < max {
            match self.timers.first().copied() {
                Some((at, run, item)) if at <= now => {
                    due.push(Input::Due { run, item });
                    self.timers.remove(&(at, run, item));
                }
                _ => break,
            }
        }
        due
    }
}
