//! Hot state: what stays in memory of every run that has not ended, about a hundred bytes each.

use dunlin_types::{Seq, Timestamp};

use crate::step::{StepFlags, StepKind, StepMark};
use crate::write::{Image, RunRow};

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
    /// A wait for an event.
    Wait = 4,
    /// A wait for the end of an invoked run.
    Invoke = 5,
    /// A wait for a signal.
    Signal = 6,
    /// A request that the server makes for the run.
    Gateway = 7,
    /// The run is stopped; only its end is missing.
    End = 8,
    /// A wait for an event that cancels the run.
    CancelOn = 9,
    /// The run is cancelled at its instant unless it has begun.
    StartTimeout = 10,
    /// The run is cancelled at its instant.
    FinishTimeout = 11,
}

impl ItemKind {
    const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Discovery,
            2 => Self::Step,
            3 => Self::Timer,
            4 => Self::Wait,
            5 => Self::Invoke,
            6 => Self::Signal,
            7 => Self::Gateway,
            8 => Self::End,
            9 => Self::CancelOn,
            10 => Self::StartTimeout,
            11 => Self::FinishTimeout,
            _ => return None,
        })
    }

    /// Whether it takes a slot at its app and goes out.
    #[must_use]
    pub const fn is_called(self) -> bool {
        matches!(self, Self::Discovery | Self::Step | Self::Gateway)
    }

    /// Whether it stands for a step that is open.
    #[must_use]
    pub const fn is_step(self) -> bool {
        matches!(
            self,
            Self::Step | Self::Timer | Self::Wait | Self::Invoke | Self::Signal | Self::Gateway
        )
    }

    /// Whether it waits for something beside time, which the row that opened it describes.
    #[must_use]
    pub const fn waits(self) -> bool {
        matches!(
            self,
            Self::Wait | Self::Invoke | Self::Signal | Self::CancelOn
        )
    }

    /// Whether it can only stop the run: a run with nothing else would hang.
    #[must_use]
    pub const fn is_guard(self) -> bool {
        matches!(
            self,
            Self::CancelOn | Self::StartTimeout | Self::FinishTimeout
        )
    }

    /// What a row of that kind opens.
    const fn opened_by(kind: StepKind) -> Option<Self> {
        Some(match kind {
            StepKind::Planned => Self::Step,
            StepKind::Slept => Self::Timer,
            StepKind::Waited => Self::Wait,
            StepKind::Invoked => Self::Invoke,
            StepKind::AwaitedSignal => Self::Signal,
            StepKind::Requested => Self::Gateway,
            StepKind::Stopped => Self::End,
            StepKind::CancelOn => Self::CancelOn,
            StepKind::StartTimeout => Self::StartTimeout,
            StepKind::FinishTimeout => Self::FinishTimeout,
            _ => return None,
        })
    }
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
    /// Its turn among all that an event resumes.
    Claimed = 5,
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
    /// Whether its step belongs to a group that is discovered once, when all of it is done.
    pub grouped: bool,
    /// Whether its step's end is discovered at once.
    pub races: bool,
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
            grouped: false,
            races: false,
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

    /// A version byte, then 20 bytes an item: key, due, attempt, kind, redispatches, and whether it
    /// is grouped (1) and races (2).
    fn encode(&self, out: &mut Vec<u8>) {
        for item in self.iter() {
            out.extend_from_slice(&item.key.0.to_be_bytes());
            out.extend_from_slice(&item.due.ms().to_be_bytes());
            let redispatches = item.redispatches & !crate::recover::RECOVERED;
            let marks = u8::from(item.grouped) | u8::from(item.races) << 1;
            out.extend_from_slice(&[item.attempt, item.kind as u8, redispatches, marks]);
        }
    }

    /// Reads items of so many bytes each; none if they are not that.
    fn decode(bytes: &[u8], size: usize) -> Option<Self> {
        if !bytes.len().is_multiple_of(size) {
            return None;
        }
        let mut items = Self::default();
        for item in bytes.chunks_exact(size) {
            let key = u64::from_be_bytes(item[..8].try_into().ok()?);
            let due = i64::from_be_bytes(item[8..16].try_into().ok()?);
            let kind = ItemKind::from_number(item[17])?;
            let mut read = Item::new(Seq(key), kind, Timestamp::from_ms(due));
            (read.attempt, read.redispatches) = (item[16], item[18]);
            let marks = item.get(19).copied().unwrap_or_default();
            (read.grouped, read.races) = (marks & 1 != 0, marks & 2 != 0);
            items.push(read);
        }
        Some(items)
    }
}

/// The version of images that this program writes.
const IMAGE_VERSION: u8 = 3;

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
    /// Its queue; not stored, because its keys are.
    pub lane: u32,
    /// Where it stands in its queue: the smaller goes first, in milliseconds since 1970.
    pub score: i64,
    /// Whether it has begun, as its queue counts it. Not stored: it follows from the rows.
    pub begun: bool,
    /// The settings that its next row carries: [`StepFlags::RUN`].
    pub flags: StepFlags,
}

impl Live {
    /// A run as its row starts it.
    #[must_use]
    pub fn start(row: &RunRow, lane: u32, score: i64) -> Self {
        let mut items = Items::default();
        items.push(Item::new(row.seq, ItemKind::Discovery, row.due));
        Self {
            last: row.seq,
            imaged: Seq(0),
            items,
            function: row.function,
            lane,
            score,
            begun: false,
            flags: StepFlags::default(),
        }
    }

    /// Its items and settings, for an image: a version byte, two of flags, eight of its score, the
    /// items.
    #[must_use]
    pub fn picture(&self) -> Vec<u8> {
        let mut out = vec![IMAGE_VERSION];
        out.extend_from_slice(&self.flags.0.to_be_bytes());
        out.extend_from_slice(&self.score.to_be_bytes());
        self.items.encode(&mut out);
        out
    }

    /// A run as its image has it; none if that cannot be read.
    #[must_use]
    pub fn from_image(image: &Image) -> Option<Self> {
        let (version, rest) = image.items.split_first()?;
        // The first version had no settings and no marks: the app tells its version anew. The first
        // two had no score: the run stands where it is found.
        let (flags, score, items) = match *version {
            1 => (0, None, Items::decode(rest, 19)?),
            2 => {
                let (flags, items) = rest.split_first_chunk::<2>()?;
                (u16::from_be_bytes(*flags), None, Items::decode(items, 20)?)
            }
            IMAGE_VERSION => {
                let (flags, rest) = rest.split_first_chunk::<2>()?;
                let (score, items) = rest.split_first_chunk::<8>()?;
                let score = i64::from_be_bytes(*score);
                (
                    u16::from_be_bytes(*flags),
                    Some(score),
                    Items::decode(items, 20)?,
                )
            }
            _ => return None,
        };
        let first = items.iter().map(|item| item.due.ms()).min();
        let score = score.or(first).unwrap_or_default();
        Some(Self {
            last: image.last,
            imaged: image.last,
            items,
            function: image.function,
            lane: 0,
            score,
            begun: false,
            flags: StepFlags(flags),
        })
    }

    /// Whether no call of it is in flight or being prepared, so that its ledger may go.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        let rests = |item: &Item| !matches!(item.state, ItemState::Fetching | ItemState::Calling);
        self.items.iter().all(rests)
    }

    /// When the first of its items is due; none if one of them is already on its way.
    #[must_use]
    pub fn parked_until(&self) -> Option<Timestamp> {
        let parked = |item: &Item| item.state == ItemState::Parked;
        let bring_on = self.items.iter().filter(|item| !item.kind.is_guard());
        let due = bring_on.map(|item| item.due).min();
        due.filter(|_| self.items.iter().all(parked))
    }

    /// Takes in a row, in order. The items it opens are parked.
    pub fn apply(&mut self, mark: &StepMark) {
        self.last = mark.seq;
        if mark.flags.has(StepFlags::CLOSES) {
            self.items.remove(mark.item);
        }
        self.flags = StepFlags(mark.flags.0 & StepFlags::RUN);
        if mark.kind == StepKind::Stopped {
            self.items = Items::default();
        }
        if let Some(kind) = ItemKind::opened_by(mark.kind) {
            let mut item = Item::new(mark.seq, kind, mark.due);
            item.grouped = mark.flags.has(StepFlags::GROUP);
            item.races = mark.flags.has(StepFlags::RACE);
            self.items.push(item);
        }
        match mark.kind {
            StepKind::Retried => {
                if let Some(item) = self.items.get_mut(mark.item) {
                    (item.attempt, item.due) = (mark.attempt, mark.due);
                    (item.state, item.redispatches) = (ItemState::Parked, 0);
                }
            }
            StepKind::SignalTaken => {
                if let Some(item) = self.items.get_mut(mark.item) {
                    item.kind = ItemKind::Timer;
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
        assert!(size_of::<Live>() <= 80, "{}", size_of::<Live>());
    }

    #[test]
    fn images_read_back() {
        let mut items = Items::default();
        for n in 1..4 {
            let due = Timestamp::from_ms(n as i64);
            let mut item = Item::new(Seq(n), ItemKind::Wait, due);
            (item.grouped, item.races) = (n == 1, n == 2);
            items.push(item);
        }
        let mut bytes = Vec::new();
        items.encode(&mut bytes);
        assert_eq!(Items::decode(&bytes, 20), Some(items.clone()));
        items.remove(Seq(1));
        items.remove(Seq(3));
        assert_eq!(items.iter().map(|i| i.key).collect::<Vec<_>>(), [Seq(2)]);
        assert_eq!(Items::decode(&[9; 19], 20), None);
    }
}
