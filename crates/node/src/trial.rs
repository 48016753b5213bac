//! Trying a message at an endpoint, once, without keeping it: the same transformation, signature
//! and checks of addresses as of a delivery, and nothing else of one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dunlin_delivery::{Attempted, Endpoint, Message};
use dunlin_types::{Code, Coded, Seq, limits};

use crate::attempts;
use crate::handle::Node;

/// How many are being tried, by application. They wait in no lane, so an application gets only some
/// of the places: its receivers may hang.
#[derive(Debug, Default)]
pub(crate) struct Trials(Mutex<BTreeMap<Seq, usize>>);

/// One of the places, until it is dropped.
#[derive(Debug)]
struct Place<'a> {
    trials: &'a Trials,
    app: Seq,
}

impl Trials {
    fn locked(&self) -> MutexGuard<'_, BTreeMap<Seq, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, app: Seq) -> Option<Place<'_>> {
        let mut taken = self.locked();
        let of_app = taken.get(&app).copied().unwrap_or(0);
        let all: usize = taken.values().sum();
        let is_room =
            of_app < limits::TRIALS_PER_APPLICATION_MAX && all < limits::TRIALS_AT_ONCE_MAX;
        is_room.then(|| {
            taken.insert(app, of_app + 1);
            Place { trials: self, app }
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut taken = self.trials.locked();
        if let Some(left) = taken.get_mut(&self.app) {
            *left -= 1;
        }
        taken.retain(|_, left| *left > 0);
    }
}

impl Node {
    /// Tries a message and waits for the end; whoever stops waiting stops the attempt.
    ///
    /// # Errors
    /// `Overloaded` while too many are being tried.
    pub async fn try_once(
        &self,
        endpoint: &Endpoint,
        message: &Message,
    ) -> Result<Attempted, Coded> {
        let place = self.shared.trials.take(endpoint.config.app);
        let _place = place.ok_or_else(|| Coded::plain(Code::Overloaded))?;
        Ok(attempts::tried(&self.shared, endpoint, message).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_gets_some_of_the_places_and_all_together_no_more_than_there_are() {
        let trials = Trials::default();
        let mut places = Vec::new();
        let mut refused = 0;
        for n in 0..100 {
            match trials.take(Seq(n / 10)) {
                Some(place) => places.push(place),
                None => refused += 1,
            }
        }
        assert_eq!(places.len(), limits::TRIALS_AT_ONCE_MAX);
        assert_eq!(refused, 100 - limits::TRIALS_AT_ONCE_MAX);
        let of_first = places.iter().filter(|place| place.app == Seq(0)).count();
        assert_eq!(of_first, limits::TRIALS_PER_APPLICATION_MAX);
        places.clear();
        assert!(trials.locked().is_empty());
        assert!(trials.take(Seq(0)).is_some());
    }
}
