//! Time tables: when each function with a cron trigger is to start next.
//!
//! A table's state is the last tick that was taken, which is stored with the run that the tick
//! starts. So a tick is taken once, over restarts too, and a table goes on where it stopped.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_cron::Schedule;
use dunlin_types::{Timestamp, limits};

use crate::config::{FunctionRow, TriggerSpec};
use crate::core::{Engine, Work};
use crate::input::Input;
use crate::write::{CronRow, Write};

/// What becomes of ticks that went by while nobody could take them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// The last of them is taken.
    Once,
    /// Each is taken, one after the other.
    Replay,
    /// None is taken.
    Skip,
}

#[derive(Debug)]
struct Table {
    schedule: Schedule,
    jitter_ms: Option<i64>,
    last: Timestamp,
    /// When it fires, and for which tick.
    next: Option<(Timestamp, Timestamp)>,
}

impl Table {
    /// Ticks up to here have had their time, jitter included.
    fn settled(&self, now: Timestamp) -> Timestamp {
        now.plus_ms(-self.jitter_ms.unwrap_or(0))
    }

    /// Ticks before this are later than lateness explains.
    fn stale(&self, now: Timestamp) -> Timestamp {
        self.settled(now).plus_ms(-limits::TICK_LATE_MS_MAX)
    }

    /// The last of the ticks that were not taken in their time.
    fn latest(&self, now: Timestamp) -> Option<Timestamp> {
        self.schedule.latest_until(self.last, self.settled(now))
    }

    /// What is to be taken of a tick that was planned, the clock having gone on since: that tick, a
    /// later one, or none.
    fn taken(&self, planned: Timestamp, now: Timestamp, missed: Missed) -> Option<Timestamp> {
        match missed {
            Missed::Once => Some(self.latest(now).unwrap_or(planned)),
            Missed::Skip => Some(planned).filter(|planned| *planned >= self.stale(now)),
            Missed::Replay => Some(planned),
        }
    }
}

/// A function and the text of one of its time tables.
type Key = (u32, String);

/// All time tables.
#[derive(Debug, Default)]
pub(crate) struct Ticks {
    tables: BTreeMap<Key, Table>,
    due: BTreeSet<(Timestamp, Key)>,
}

impl Ticks {
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The first tick that is due; its table rests until it is advanced.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Option<Input> {
        let (at, key) = self.due.first().filter(|(at, _)| *at <= now)?.clone();
        self.due.remove(&(at, key.clone()));
        let (_, tick) = self.tables.get(&key)?.next?;
        let (function, schedule) = key;
        Some(Input::Tick {
            function,
            schedule,
            at: tick,
        })
    }

    /// Puts a table that is worked off up to `last`; `false` if its text is none.
    fn put(&mut self, key: Key, jitter_ms: Option<i64>, last: Timestamp) -> bool {
        let Ok(schedule) = Schedule::parse(&key.1) else {
            return false;
        };
        let table = Table {
            schedule,
            jitter_ms,
            last,
            next: None,
        };
        self.remove(&key);
        self.tables.insert(key, table);
        true
    }

    fn remove(&mut self, key: &Key) {
        if let Some(table) = self.tables.remove(key)
            && let Some((fires, _)) = table.next
        {
            self.due.remove(&(fires, key.clone()));
        }
    }

    /// Finds the table's next tick.
    fn plan(&mut self, key: &Key, now: Timestamp, missed: Missed) {
        let Some(table) = self.tables.get_mut(key) else {
            return;
        };
        if let Some((fires, _)) = table.next.take() {
            self.due.remove(&(fires, key.clone()));
        }
        let Some(next) = table.schedule.next_after(table.last) else {
            return;
        };
        let tick = match missed {
            Missed::Once if next <= table.settled(now) => table.latest(now),
            Missed::Skip if next < table.stale(now) => table.schedule.next_after(table.stale(now)),
            _ => Some(next),
        };
        let Some(tick) = tick else { return };
        let fires = tick.plus_ms(jitter(key, tick, table.jitter_ms));
        table.next = Some((fires, tick));
        self.due.insert((fires, key.clone()));
    }

    /// The tables of a function.
    fn of(&self, function: u32) -> impl Iterator<Item = (&Key, &Table)> {
        let from = (function, String::new());
        self.tables
            .range(from..)
            .take_while(move |((of, _), _)| *of == function)
    }
}

/// The part of the jitter that this tick has: from a second up, the same each time it is asked.
fn jitter((function, text): &Key, tick: Timestamp, most: Option<i64>) -> i64 {
    let Some(spread) = most.map(|most| most - 1000).filter(|spread| *spread > 0) else {
        return 0;
    };
    let bytes = function.to_be_bytes().into_iter().chain(text.bytes());
    let hash = bytes
        .chain(tick.ms().to_be_bytes())
        .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
    1000 + (hash >> 16) as i64 % spread
}

/// The time tables that a function has, with their jitters.
fn tables(row: &FunctionRow) -> impl Iterator<Item = (&str, Option<i64>)> {
    let live = row.archived.is_none();
    row.triggers.iter().filter_map(move |spec| match spec {
        TriggerSpec::Cron {
            schedule,
            jitter_ms,
        } if live => Some((schedule.as_str(), *jitter_ms)),
        _ => None,
    })
}

impl Engine {
    /// Brings a function's tables in line with its row: new ones begin now, those that stay go on,
    /// those that are gone stop.
    pub(crate) fn sync_ticks(&mut self, work: &mut Work<'_, '_>, row: &FunctionRow) {
        let (now, function) = (work.now(), row.number);
        let wanted: BTreeMap<&str, Option<i64>> = tables(row).collect();
        let known = self.ticks.of(function);
        let known: Vec<(String, Timestamp)> = known
            .map(|((_, text), table)| (text.clone(), table.last))
            .collect();
        for (schedule, _) in known
            .iter()
            .filter(|(text, _)| !wanted.contains_key(text.as_str()))
        {
            let (schedule, last) = (schedule.clone(), None);
            self.ticks.remove(&(function, schedule.clone()));
            work.write(Write::Cron(CronRow {
                function,
                schedule,
                last,
            }));
        }
        for (text, jitter_ms) in wanted {
            let last = known
                .iter()
                .find(|(known, _)| known == text)
                .map(|(_, last)| *last);
            let key = (function, text.to_owned());
            if last.is_none() {
                work.write(Write::Cron(CronRow {
                    function,
                    schedule: text.to_owned(),
                    last: Some(now),
                }));
            }
            self.ticks.put(key.clone(), jitter_ms, last.unwrap_or(now));
            self.ticks.plan(&key, now, self.options.missed_ticks);
        }
    }

    /// Takes a table's stored state; its function comes first.
    pub fn restore_cron(&mut self, row: &CronRow) {
        let function = self.catalog.function(row.function).map(|f| &f.row);
        let table = function.and_then(|row_of| {
            tables(row_of)
                .find(|(text, _)| *text == row.schedule)
                .map(|(_, jitter)| jitter)
        });
        if let (Some(jitter_ms), Some(last)) = (table, row.last) {
            let key = (row.function, row.schedule.clone());
            self.ticks.put(key, jitter_ms, last);
        }
    }

    /// All tables are in: plans them. One without a stored state begins now.
    pub(crate) fn plan_ticks(&mut self, now: Timestamp) {
        let mut all = Vec::new();
        for function in self.catalog.functions() {
            let number = function.row.number;
            all.extend(tables(&function.row).map(|(text, j)| ((number, text.to_owned()), j)));
        }
        for (key, jitter_ms) in all {
            if !self.ticks.tables.contains_key(&key) {
                self.ticks.put(key.clone(), jitter_ms, now);
            }
            self.ticks.plan(&key, now, self.options.missed_ticks);
        }
    }

    /// Takes a tick: starts the function, once for each instant, whichever of its tables tells it.
    pub(crate) fn tick(
        &mut self,
        work: &mut Work<'_, '_>,
        function: u32,
        schedule: &str,
        at: Timestamp,
    ) {
        let (now, key) = (work.now(), (function, schedule.to_owned()));
        let missed = self.options.missed_ticks;
        let Some(table) = self.ticks.tables.get(&key) else {
            return;
        };
        let taken = table.taken(at, now, missed);
        let last = taken.unwrap_or(at);
        let told = self.ticks.of(function).any(|(_, table)| table.last == last);
        if let Some(table) = self.ticks.tables.get_mut(&key) {
            table.last = last;
        }
        self.ticks.plan(&key, now, missed);
        work.write(Write::Cron(CronRow {
            function,
            schedule: key.1,
            last: Some(last),
        }));
        if let Some(at) = taken.filter(|_| !told) {
            self.start_tick(work, function, schedule, at);
        }
    }
}
