//! Lanes: the queues of a function, one for each set of key values that its rules count under.

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_types::Seq;

use crate::flow::KeyValue;
use crate::schedule::gate::Pass;

/// Where an item stands: in its lane, behind those of runs that have begun (0) or among those of
/// runs that have not (1), by its run's score, by its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) lane: u32,
    pub(crate) phase: u8,
    pub(crate) score: i64,
    pub(crate) item: Seq,
}

/// Items of runs that have begun.
pub(crate) const UNDER_WAY: u8 = 0;
/// First calls of runs that have not.
pub(crate) const START: u8 = 1;

impl Place {
    /// The first place of a lane's phase.
    pub(crate) const fn first(lane: u32, phase: u8) -> Self {
        Self {
            lane,
            phase,
            score: i64::MIN,
            item: Seq(0),
        }
    }
}

/// One queue.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) function: u32,
    /// What its runs count under, in the order of their rules when they were made.
    pub(crate) values: Arc<[KeyValue]>,
    /// What each of its calls must pass; the app comes last.
    pub(crate) calls: Arc<[Pass]>,
    /// What each of its runs must pass to begin.
    pub(crate) starts: Arc<[Pass]>,
    /// Items that wait, by phase.
    pub(crate) queued: [u32; 2],
    /// Calls in flight.
    pub(crate) in_flight: u32,
    /// Live runs that have begun.
    pub(crate) begun: u32,
    /// Live runs.
    pub(crate) runs: u32,
    /// The gate of calls at which all of it waits.
    pub(crate) parked: Option<u32>,
    /// The gate of starts at which those wait.
    pub(crate) starts_parked: Option<u32>,
    /// Whether a gate has let it on, and it has taken nothing since.
    pub(crate) let_on: bool,
    /// Whether it is in the rotation.
    pub(crate) open: bool,
    /// Whether a rule has come that its values know nothing of.
    pub(crate) stale: bool,
}

/// All lanes, and which one is meant by which values.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    slots: Vec<Option<Lane>>,
    free: Vec<u32>,
    by_values: BTreeMap<(u32, Arc<[KeyValue]>), u32>,
}

impl Lanes {
    pub(crate) fn get(&self, lane: u32) -> Option<&Lane> {
        self.slots.get(lane as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, lane: u32) -> Option<&mut Lane> {
        self.slots.get_mut(lane as usize)?.as_mut()
    }

    pub(crate) fn find(&self, function: u32, values: &Arc<[KeyValue]>) -> Option<u32> {
        self.by_values.get(&(function, Arc::clone(values))).copied()
    }

    pub(crate) fn add(&mut self, function: u32, values: Arc<[KeyValue]>) -> u32 {
        let lane = Lane {
            function,
            values: Arc::clone(&values),
            calls: Arc::default(),
            starts: Arc::default(),
            queued: [0; 2],
            in_flight: 0,
            begun: 0,
            runs: 0,
            parked: None,
            starts_parked: None,
            let_on: false,
            open: false,
            stale: false,
        };
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.slots[number as usize] = Some(lane);
        self.by_values.insert((function, values), number);
        number
    }

    /// Takes a lane away that nothing refers to.
    pub(crate) fn remove(&mut self, number: u32) -> Option<Lane> {
        let lane = self.slots.get_mut(number as usize)?.take()?;
        self.by_values
            .remove(&(lane.function, Arc::clone(&lane.values)));
        self.free.push(number);
        Some(lane)
    }

    /// The lanes of a function.
    pub(crate) fn of(&self, function: u32) -> impl Iterator<Item = u32> + '_ {
        let from = (function, Arc::from([]));
        self.by_values
            .range(from..)
            .take_while(move |((of, _), _)| *of == function)
            .map(|(_, lane)| *lane)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Lane)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(n, lane)| Some((n as u32, lane.as_ref()?)))
    }
}
