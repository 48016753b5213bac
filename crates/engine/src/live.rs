//! Hot state: what stays in memory of every run that has not ended, about a hundred bytes each.

use dunlin_types::{Seq, Timestamp};

use crate::step::{StepFlags, StepKind, StepMark};
use crate::write::RunRow;

/// What an open item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ItemKind {
    /// A call that finds out what comes next.
    Discovery = 1,
    /// A call that runs one planned step.
    Step = 2,
    /// A sleep.
    Timer = 3,
}

/// What an open item waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ItemState {
    /// Its instant.
    Parked = 1,
    /// A slot at its app.
    Ready = 2,
    /// Its run's ledger; it holds a slot.
    Fetching = 3,
    /// The answer to its call; it holds a slot.
    Calling = 4,
}

/// One open item of a run: a call to make or a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The row that opened it: its name within the run.
    pub key: Seq,
    /// When it is due.
    pub due: Timestamp,
    /// Dispatches in this process.
    pub dispatches: u32,
    /// The attempt that is next or in flight, from 0.
    pub attempt: u8,
    /// What it is.
    pub kind: ItemKind,
    /// What it waits for. Not stored: a restart finds every item parked.
    pub state: ItemState,
    /// Times it went out again after an unclean stop.
    pub redispatches: u8,
}

impl Item {
    const fn new(key: Seq, kind: ItemKind, due: Timestamp) -> Self {
        Self {
            key,
            due,
            dispatches: 0,
            attempt: 0,
            kind,
            state: ItemState::Parked,
            redispatches: 0,
        }
    }
}

/// The open items of a run. Nearly every run has one; more are kept apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    first: Option<Item>,
    #[expect(
        clippy::box_collection,
        reason = "eight bytes in a million runs, not twenty-four"
    )]
    more: Option<Box<Vec<Item>>>,
}

impl Items {
    /// All of them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Item> {
        self.first
            .iter()
            .chain(self.more.iter().flat_map(|more| more.iter()))
    }

    /// The item of that name.
    #[must_use]
    pub fn get(&self, key: Seq) -> Option<&Item> {
        self.iter().find(|item| item.key == key)
    }

    /// The item of that name, to change.
    pub fn get_mut(&mut self, key: Seq) -> Option<&mut Item> {
        let more = self.more.iter_mut().flat_map(|more| more.iter_mut());
        self.first
            .iter_mut()
            .chain(more)
            .find(|item| item.key == key)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    fn push(&mut self, item: Item) {
        if self.first.is_none() {
            self.first = Some(item);
        } else {
            self.more.get_or_insert_default().push(item);
        }
    }

    fn remove(&mut self, key: Seq) {
        if self.first.is_some_and(|item| item.key == key) {
            self.first = self.more.as_mut().map(|more| more.remove(0));
        } else if let Some(more) = &mut self.more {
            more.retain(|item| item.key != key);
        }
        if self.more.as_ref().is_some_and(|more| more.is_empty()) {
            self.more = None;
        }
    }

    /// A version byte, then 19 bytes an item: key, due, attempt, kind, redispatches.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![1_u8];
        for item in self.iter() {
            out.extend_from_slice(&item.key.0.to_be_bytes());
            out.extend_from_slice(&item.due.ms().to_be_bytes());
            let redispatches = item.redispatches & !crate::recover::RECOVERED;
            out.extend_from_slice(&[item.attempt, item.kind as u8, redispatches]);
        }
        out
    }

    /// Reads what [`Items::encode`] wrote; none if it is not that.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        if *version != 1 || rest.len() % 19 != 0 {
            return None;
        }
        let mut items = Self::default();
        for item in rest.chunks_exact(19) {
            let key = u64::from_be_bytes(item[..8].try_into().ok()?);
            let due = i64::from_be_bytes(item[8..16].try_into().ok()?);
            let kind = match item[17] {
                1 => ItemKind::Discovery,
                2 => ItemKind::Step,
                3 => ItemKind::Timer,
                _ => return None,
            };
            let mut read = Item::new(Seq(key), kind, Timestamp::from_ms(due));
            (read.attempt, read.redispatches) = (item[16], item[18]);
            items.push(read);
        }
        Some(items)
    }
}

/// A run that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The end of its chain of step rows; its own row if there are none.
    pub last: Seq,
    /// What its image includes; zero without one.
    pub imaged: Seq,
    /// Its open items.
    pub items: Items,
    /// Its function.
    pub function: u32,
}

impl Live {
    /// A run as its row starts it.
    #[must_use]
    pub fn start(row: &RunRow) -> Self {
        let mut items = Items::default();
        items.push(Item::new(row.seq, ItemKind::Discovery, row.due));
        Self {
            last: row.seq,
            imaged: Seq(0),
            items,
            function: row.function,
        }
    }

    /// Whether no call of it is in flight or being prepared, so that its ledger may go.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        let rests = |item: &Item| matches!(item.state, ItemState::Parked | ItemState::Ready);
        self.items.iter().all(rests)
    }

    /// When the first of its items is due; none if one of them is already on its way.
    #[must_use]
    pub fn parked_until(&self) -> Option<Timestamp> {
        let parked = |item: &Item| item.state == ItemState::Parked;
        let due = self.items.iter().map(|item| item.due).min();
        due.filter(|_| self.items.iter().all(parked))
    }

    /// Takes in a row, in order. The items it opens are parked.
    pub fn apply(&mut self, mark: &StepMark) {
        self.last = mark.seq;
        if mark.flags.has(StepFlags::CLOSES) {
            self.items.remove(mark.item);
        }
        match mark.kind {
            StepKind::Planned => {
                self.items
                    .push(Item::new(mark.seq, ItemKind::Step, mark.due));
            }
            StepKind::Slept => self
                .items
                .push(Item::new(mark.seq, ItemKind::Timer, mark.due)),
            StepKind::Retried => {
                if let Some(item) = self.items.get_mut(mark.item) {
                    (item.attempt, item.due) = (mark.attempt, mark.due);
                    (item.state, item.redispatches) = (ItemState::Parked, 0);
                }
            }
            StepKind::Redispatched => {
                if let Some(item) = self.items.get_mut(mark.item) {
                    item.redispatches = item.redispatches.saturating_add(1);
                    item.due = mark.due;
                }
            }
            _ => {}
        }
        if mark.flags.has(StepFlags::CHECKPOINT)
            && let Some(item) = self.items.get_mut(mark.item)
        {
            item.attempt = 0;
            item.redispatches = 0;
        }
        if mark.flags.has(StepFlags::DISCOVERS) {
            self.items
                .push(Item::new(mark.seq, ItemKind::Discovery, mark.due));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_run_is_small() {
        assert!(size_of::<Live>() <= 72, "{}", size_of::<Live>());
    }

    #[test]
    fn images_read_back() {
        let mut items = Items::default();
        for n in 1..4 {
            items.push(Item::new(
                Seq(n),
                ItemKind::Timer,
                Timestamp::from_ms(n as i64),
            ));
        }
        assert_eq!(Items::decode(&items.encode()), Some(items.clone()));
        items.remove(Seq(1));
        items.remove(Seq(3));
        assert_eq!(items.iter().map(|i| i.key).collect::<Vec<_>>(), [Seq(2)]);
        assert_eq!(Items::decode(&[9]), None);
    }
}
