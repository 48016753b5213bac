//! Looks at the engine's hot state, and the limits that operators set.

use std::collections::BTreeMap;
use std::time::Duration;

use dunlin_engine::config::Limit;
use dunlin_engine::look::{Look, Looked, Queues, RunWaiting, Totals};
use dunlin_engine::{Answer, Input};
use dunlin_types::limits::{LOOK_MS_MAX, LOOK_RUNS_MAX, OPERATOR_LIMITS_MAX};
use dunlin_types::{Code, Coded, Seq};

use crate::handle::Node;

impl Node {
    /// Why a run waits; none if it is not live.
    ///
    /// # Errors
    /// As [`Node::engine`], and `StoreBusy` when what was decided before is not committed in time.
    pub async fn waiting(&self, run: Seq) -> Result<Option<RunWaiting>, Coded> {
        match self.look(Look::Waiting(run)).await? {
            Looked::Waiting(seen) => Ok(seen),
            _ => Err(odd_answer()),
        }
    }

    /// What is queued of the function of that number; none if there is no such function.
    ///
    /// # Errors
    /// As [`Node::waiting`].
    pub async fn queues(&self, function: u32) -> Result<Option<Queues>, Coded> {
        match self.look(Look::Queues(function)).await? {
            Looked::Queues(seen) => Ok(seen),
            _ => Err(odd_answer()),
        }
    }

    /// Totals of all functions.
    ///
    /// # Errors
    /// As [`Node::waiting`].
    pub async fn totals(&self) -> Result<Totals, Coded> {
        match self.look(Look::Totals).await? {
            Looked::Totals(seen) => Ok(*seen),
            _ => Err(odd_answer()),
        }
    }

    /// Which of these runs have begun; a run waits for its first call until then. Those that are
    /// not live are left out, and those behind the first [`LOOK_RUNS_MAX`].
    ///
    /// # Errors
    /// As [`Node::waiting`].
    pub async fn begun(&self, mut runs: Vec<Seq>) -> Result<BTreeMap<Seq, bool>, Coded> {
        if runs.is_empty() {
            return Ok(BTreeMap::new());
        }
        runs.truncate(LOOK_RUNS_MAX);
        match self.look(Look::Begun(runs.clone())).await? {
            Looked::Begun(seen) => {
                let told = runs.into_iter().zip(seen);
                Ok(told
                    .filter_map(|(run, begun)| Some((run, begun?)))
                    .collect())
            }
            _ => Err(odd_answer()),
        }
    }

    /// Puts a limit of an operator, or replaces the one of its name.
    ///
    /// # Errors
    /// As [`Node::engine`], and `BadRequest` when there are as many as there may be.
    pub async fn put_limit(&self, limit: Limit) -> Result<(), Coded> {
        let limit = Box::new(limit);
        let asked = self.engine(move |token| Input::PutLimit { token, limit });
        match asked.await? {
            Answer::Done => Ok(()),
            Answer::TooManyLimits => Err(Coded::new(
                Code::BadRequest,
                format!("there are {OPERATOR_LIMITS_MAX} limits already; remove one first"),
            )),
            _ => Err(odd_answer()),
        }
    }

    /// Removes the limit of that name; whether there was one.
    ///
    /// # Errors
    /// As [`Node::engine`].
    pub async fn remove_limit(&self, name: String) -> Result<bool, Coded> {
        let asked = self.engine(move |token| Input::RemoveLimit { token, name });
        match asked.await? {
            Answer::Done => Ok(true),
            Answer::NoSuchLimit => Ok(false),
            _ => Err(odd_answer()),
        }
    }

    async fn look(&self, look: Look) -> Result<Looked, Coded> {
        let asked = self.engine(move |token| Input::Look { token, look });
        let time = Duration::from_millis(LOOK_MS_MAX);
        match tokio::time::timeout(time, asked).await {
            Ok(answer) => match answer? {
                Answer::Looked(seen) => Ok(*seen),
                _ => Err(odd_answer()),
            },
            Err(_) => Err(Coded::new(
                Code::StoreBusy,
                "what was decided before is not committed yet; see the log for why",
            )),
        }
    }
}

/// The core answered something that was not asked; it never does.
fn odd_answer() -> Coded {
    Coded::plain(Code::ShuttingDown)
}
