//! Which call goes next: one queue an app, a cap on calls in flight for each app and for all.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dunlin_types::{Seq, limits};

#[derive(Debug, Default)]
struct AppQueue {
    ready: VecDeque<(Seq, Seq)>,
    in_flight: usize,
}

/// Items that wait for a slot, and slots taken.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    apps: Vec<AppQueue>,
    /// Apps that have items waiting and a slot free.
    open: BTreeSet<u32>,
    in_flight: usize,
    next: u32,
    draining: bool,
    /// Items of functions that are paused, by function.
    held: BTreeMap<u32, Vec<(Seq, Seq)>>,
}

impl Schedule {
    fn app(&mut self, app: u32) -> &mut AppQueue {
        let index = app as usize;
        if self.apps.len() <= index {
            self.apps.resize_with(index + 1, AppQueue::default);
        }
        &mut self.apps[index]
    }

    /// Puts an item at the end of its app's queue.
    pub(crate) fn push(&mut self, app: u32, run: Seq, item: Seq) {
        self.app(app).ready.push_back((run, item));
        self.refresh(app);
    }

    /// Keeps an item of a function that is paused; the slot that it took is given back.
    pub(crate) fn hold(&mut self, app: u32, function: u32, run: Seq, item: Seq) {
        self.held.entry(function).or_default().push((run, item));
        self.release(app);
    }

    /// The items of a function that were held.
    pub(crate) fn held(&mut self, function: u32) -> Vec<(Seq, Seq)> {
        self.held.remove(&function).unwrap_or_default()
    }

    /// Gives a slot back.
    pub(crate) fn release(&mut self, app: u32) {
        let queue = self.app(app);
        debug_assert!(queue.in_flight > 0, "a slot is given back once");
        queue.in_flight = queue.in_flight.saturating_sub(1);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.refresh(app);
    }

    /// The next item that may go out, apps taking turns; its slot is taken.
    pub(crate) fn pop(&mut self) -> Option<(u32, Seq, Seq)> {
        if self.draining || self.in_flight >= limits::CALLS_IN_FLIGHT_MAX {
            return None;
        }
        let app = self
            .open
            .range(self.next..)
            .next()
            .or_else(|| self.open.first())
            .copied()?;
        self.next = app + 1;
        let queue = self.app(app);
        let (run, item) = queue.ready.pop_front()?;
        give_room_back(&mut queue.ready);
        queue.in_flight += 1;
        self.in_flight += 1;
        self.refresh(app);
        Some((app, run, item))
    }

    fn refresh(&mut self, app: u32) {
        let queue = self.app(app);
        if !queue.ready.is_empty() && queue.in_flight < limits::CALLS_IN_FLIGHT_PER_APP_MAX {
            self.open.insert(app);
        } else {
            self.open.remove(&app);
        }
    }

    /// Hands out no more slots.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    /// Slots taken.
    pub(crate) fn slots(&self) -> usize {
        self.in_flight
    }

    /// Whether that item waits for a slot.
    pub(crate) fn holds(&self, run: Seq, item: Seq) -> bool {
        let wanted = (run, item);
        self.apps.iter().any(|app| app.ready.contains(&wanted))
            || self.held.values().any(|held| held.contains(&wanted))
    }

    /// Slots taken, and items that will get one.
    pub(crate) fn busy(&self) -> usize {
        if self.draining {
            return self.in_flight;
        }
        self.in_flight + self.apps.iter().map(|app| app.ready.len()).sum::<usize>()
    }
}

/// Halves what a queue holds once most of it is empty: one burst must not cost memory for ever.
pub(crate) fn give_room_back<T>(queue: &mut VecDeque<T>) {
    if queue.capacity() > 1024 && queue.len() < queue.capacity() / 8 {
        queue.shrink_to(queue.capacity() / 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_hangs_leaves_room_for_the_others() {
        let mut schedule = Schedule::default();
        for n in 0..10_000 {
            schedule.push(0, Seq(n), Seq(n));
        }
        schedule.push(1, Seq(1), Seq(1));
        let mut taken = Vec::new();
        while let Some((app, _, _)) = schedule.pop() {
            taken.push(app);
        }
        assert_eq!(taken.len(), limits::CALLS_IN_FLIGHT_PER_APP_MAX + 1);
        assert_eq!(taken.iter().filter(|app| **app == 1).count(), 1);
        schedule.release(0);
        assert_eq!(schedule.pop().map(|(app, _, _)| app), Some(0));
    }
}
