//! What waits for the deciding thread, in three queues: what the node itself brings back, replies
//! of apps and receivers, and what comes from outside.
//!
//! The first two have room for all that can be in flight, so they are never refused; the third is
//! bounded by the permits that [`Inbox::admit`] hands out.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use dunlin_turn::{Happening, Input};
use dunlin_types::{Code, Coded, limits};
use tokio::sync::oneshot;

use crate::handle::Answer;
use crate::pace::Admitted;

/// Somebody outside who waits for an answer.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) answer: oneshot::Sender<Answer>,
    pub(crate) permit: Permit,
    /// The new events that it brings, until they are decided.
    pub(crate) events: Option<Admitted>,
}

/// A letter to the deciding thread.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "moved a few times; a box would cost more"
)]
pub(crate) enum Letter {
    /// An input that nobody waits for.
    Input(Input),
    /// Somebody asks, and is told by the token in the input.
    Ask(Box<dyn AskInput>, Waiter),
    /// Tell when nothing is going on.
    WhenIdle(oneshot::Sender<()>),
    /// The clock was moved.
    Wake,
    /// Send out no more calls.
    Drain,
    /// Stop when the commit in flight is done.
    Stop,
}

/// Makes an input once it is known which token stands for who asks.
pub(crate) trait AskInput: Send + std::fmt::Debug {
    /// The input.
    fn make(self: Box<Self>, token: dunlin_types::Token) -> Input;
}

#[derive(Default, Debug)]
struct Queues {
    happened: Vec<Happening>,
    replies: Vec<Letter>,
    intake: Vec<Letter>,
    waiting: bool,
}

/// The queues and who sleeps on them.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    queues: Mutex<Queues>,
    woken: Condvar,
    admitted: Arc<AtomicUsize>,
}

/// A place among the requests that wait for their commit; given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<AtomicUsize>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What was taken out in one go.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) happened: Vec<Happening>,
    pub(crate) letters: Vec<Letter>,
}

impl Inbox {
    /// A place among the waiting requests, or the error that there is none.
    pub(crate) fn admit(&self) -> Result<Permit, Coded> {
        if self.admitted.fetch_add(1, Ordering::Relaxed) >= limits::INTAKE_WAITING_MAX {
            self.admitted.fetch_sub(1, Ordering::Relaxed);
            return Err(Coded::plain(Code::Overloaded));
        }
        Ok(Permit(Arc::clone(&self.admitted)))
    }

    fn put(&self, put: impl FnOnce(&mut Queues)) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        put(&mut queues);
        if queues.waiting {
            queues.waiting = false;
            drop(queues);
            self.woken.notify_one();
        }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.happened.is_empty() && queues.replies.is_empty() && queues.intake.is_empty()
    }

    pub(crate) fn happened(&self, happening: Happening) {
        self.put(|queues| queues.happened.push(happening));
    }

    /// The same for many, for one waking.
    pub(crate) fn all_happened(&self, happenings: Vec<Happening>) {
        self.put(|queues| queues.happened.extend(happenings));
    }

    pub(crate) fn reply(&self, input: Input) {
        self.put(|queues| queues.replies.push(Letter::Input(input)));
    }

    pub(crate) fn intake(&self, letter: Letter) {
        self.put(|queues| queues.intake.push(letter));
    }

    /// Takes what is there, replies first, or sleeps for at most `patience` until something is.
    /// With `full` set, only what happened is taken.
    pub(crate) fn take(&self, patience: Option<Duration>, full: bool) -> Taken {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = |q: &Queues| {
            q.happened.is_empty() && (full || (q.replies.is_empty() && q.intake.is_empty()))
        };
        if nothing(&queues) && patience != Some(Duration::ZERO) {
            queues.waiting = true;
            queues = match patience {
                None => self
                    .woken
                    .wait(queues)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(patience) => {
                    self.woken
                        .wait_timeout(queues, patience)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
            queues.waiting = false;
        }
        let mut taken = Taken {
            happened: std::mem::take(&mut queues.happened),
            letters: Vec::new(),
        };
        if !full {
            taken.letters = std::mem::take(&mut queues.replies);
            let room = limits::TURN_INPUTS_MAX.saturating_sub(taken.letters.len());
            if queues.intake.len() <= room {
                taken.letters.append(&mut queues.intake);
            } else {
                taken.letters.extend(queues.intake.drain(..room));
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_beyond_the_bound_are_refused_and_places_come_back() {
        let inbox = Inbox::default();
        let permits: Vec<_> = (0..limits::INTAKE_WAITING_MAX)
            .map(|_| inbox.admit().unwrap())
            .collect();
        assert_eq!(inbox.admit().unwrap_err().code, Code::Overloaded);
        drop(permits);
        assert!(inbox.admit().is_ok());
    }
}
