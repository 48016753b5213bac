//! Jobs over many runs: cancelling all that match, making all that match again.
//!
//! A job pages through a window of time, oldest run first, and hands each run that matches to the
//! engine, at a pace. What it has done is in the log; how far it has come is kept in memory only.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dunlin_engine::{Answer, Input, Rerun};
use dunlin_store::{Page, Reader, RunView, StoreResult, event_in_full, started_by};
use dunlin_types::{Code, Coded, Seq, Timestamp, Ulid, limits};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::handle::Node;

/// What a job does to the runs that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Cancels those that have not ended.
    Cancel,
    /// Makes new runs of their events.
    Replay,
}

/// Whether a run is meant, as whoever asks has it.
pub type Keep = dyn Fn(&RunView, &mut dyn Reader) -> StoreResult<bool> + Send + Sync;

/// Which runs.
#[derive(Clone)]
pub struct Selection {
    /// Of this function.
    pub function: u32,
    /// Made at or after.
    pub from: Timestamp,
    /// Made before.
    pub until: Timestamp,
    /// Which of those.
    pub keep: Arc<Keep>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It counts what matches.
    Counting,
    /// It is at work.
    Running,
    /// It has been through all of the window.
    Done,
    /// Somebody stopped it.
    Stopped,
    /// It could not go on.
    Failed,
}

impl JobState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counting => "counting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Whether more may come of it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Counting | Self::Running)
    }
}

/// How far a job has come.
#[derive(Clone, Debug)]
pub struct Progress {
    /// How it stands.
    pub state: JobState,
    /// Runs that matched so far; of a replay, in all.
    pub matched: u64,
    /// Runs that were cancelled, or made.
    pub done: u64,
    /// Runs of which that could not be said.
    pub failed: u64,
    /// The last thing that went wrong.
    pub error: Option<Coded>,
    /// When it was over.
    pub ended: Option<Timestamp>,
}

/// One job.
pub struct Job {
    /// Its id.
    pub id: Ulid,
    /// What it does.
    pub action: Action,
    /// When it was made.
    pub created: Timestamp,
    /// Its function.
    pub function: u32,
    /// What was asked, to show it again.
    pub asked: Value,
    progress: Mutex<Progress>,
    stop: watch::Sender<bool>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

impl Job {
    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let progress = self.progress.lock();
        progress.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has it stop after what it is doing.
    pub fn stop(&self) {
        self.note(|progress| {
            if progress.state.is_open() {
                progress.state = JobState::Stopped;
            }
        });
        self.stop.send_replace(true);
    }

    fn note(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut progress);
    }

    fn has_stopped(&self) -> bool {
        *self.stop.borrow()
    }
}

/// How many runs match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// So many.
    pub runs: u64,
    /// Whether all of the window was looked at.
    pub whole: bool,
}

/// The jobs of a node. Clones are cheap.
#[derive(Clone)]
pub struct Jobs {
    node: Node,
    all: Arc<Mutex<Vec<Arc<Job>>>>,
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Jobs")
    }
}

impl Jobs {
    /// None yet.
    #[must_use]
    pub fn new(node: Node) -> Self {
        let all = Arc::default();
        Self { node, all }
    }

    /// Starts one, of so many runs a second. Must be called within a runtime.
    ///
    /// # Errors
    /// `Overloaded` while [`limits::BULK_JOBS_AT_ONCE_MAX`] are at work.
    pub fn start(
        &self,
        action: Action,
        selection: Selection,
        per_second: u32,
        asked: Value,
    ) -> Result<Arc<Job>, Coded> {
        let created = self.node.now();
        let job = Arc::new(Job {
            id: Ulid::from_parts(created, rand::random()),
            action,
            created,
            function: selection.function,
            asked,
            progress: Mutex::new(Progress {
                state: match action {
                    Action::Cancel => JobState::Running,
                    Action::Replay => JobState::Counting,
                },
                matched: 0,
                done: 0,
                failed: 0,
                error: None,
                ended: None,
            }),
            stop: watch::Sender::new(false),
        });
        self.admit(&job)?;
        let work = Work {
            node: self.node.clone(),
            job: Arc::clone(&job),
            selection,
            pace: Pace::new(per_second),
        };
        tokio::spawn(work.run());
        Ok(job)
    }

    fn admit(&self, job: &Arc<Job>) -> Result<(), Coded> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let open = |job: &&Arc<Job>| job.progress().ended.is_none();
        let at_work = all.iter().filter(open).count();
        if at_work >= limits::BULK_JOBS_AT_ONCE_MAX {
            let detail = format!("{at_work} jobs over many runs are at work; wait for one to end");
            return Err(Coded::new(Code::Overloaded, detail));
        }
        if all.len() >= limits::BULK_JOBS_KEPT_MAX
            && let Some(oldest) = all.iter().position(|job| !open(&job))
        {
            all.remove(oldest);
        }
        all.push(Arc::clone(job));
        Ok(())
    }

    /// Those that do that, newest first.
    #[must_use]
    pub fn list(&self, action: Action) -> Vec<Arc<Job>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let matching = all.iter().rev().filter(|job| job.action == action);
        matching.cloned().collect()
    }

    /// The one of that id, if it does that.
    #[must_use]
    pub fn find(&self, action: Action, id: Ulid) -> Option<Arc<Job>> {
        self.list(action).into_iter().find(|job| job.id == id)
    }

    /// How many runs match, as far as [`limits::BULK_COUNT_ROWS_MAX`] runs tell.
    ///
    /// # Errors
    /// The store's, or `Overloaded` when too many reads wait.
    pub async fn count(&self, selection: &Selection) -> Result<Count, Coded> {
        barrier(&self.node).await;
        let from = selection.from;
        let mut after = self.node.read(move |r| runs_from(r, from)).await?;
        let (mut runs, mut rows) = (0, 0);
        while rows < limits::BULK_COUNT_ROWS_MAX {
            let one = selection.clone();
            let chunk = self.node.read(move |r| chunk(r, &one, after)).await?;
            runs += chunk.runs.len() as u64;
            rows += limits::BULK_RUNS_PER_READ_MAX;
            after = chunk.after;
            if chunk.ended {
                return Ok(Count { runs, whole: true });
            }
        }
        Ok(Count { runs, whole: false })
    }
}

/// A job as it goes on.
struct Work {
    node: Node,
    job: Arc<Job>,
    selection: Selection,
    pace: Pace,
}

impl Work {
    async fn run(mut self) {
        let outcome = self.go().await;
        let now = self.node.now();
        self.job.note(|progress| {
            if let Err(error) = outcome {
                progress.state = JobState::Failed;
                progress.error = Some(error);
            } else if progress.state.is_open() {
                progress.state = JobState::Done;
            }
            progress.ended = Some(now);
        });
        let progress = self.job.progress();
        let (matched, done, failed) = (progress.matched, progress.done, progress.failed);
        let state = progress.state.as_str();
        tracing::info!(id = %self.job.id, state, matched, done, failed, "a job over runs is over");
    }

    async fn go(&mut self) -> Result<(), Coded> {
        let from = self.selection.from;
        let first = self.read(move |reader| runs_from(reader, from)).await?;
        if self.job.action == Action::Replay {
            barrier(&self.node).await;
            self.walk(first, true).await?;
            self.job.note(|progress| {
                if progress.state == JobState::Counting {
                    progress.state = JobState::Running;
                }
            });
        }
        let mut after = first;
        loop {
            let missing_ms = self.selection.until.since(self.node.now());
            barrier(&self.node).await;
            after = self.walk(after, false).await?;
            // While its end is ahead, runs may still be made in the window.
            if missing_ms <= 0 || self.job.has_stopped() {
                return Ok(());
            }
            let time = Duration::from_millis(missing_ms.unsigned_abs());
            let mut stop = self.job.stop.subscribe();
            let _ = tokio::time::timeout(time, stop.wait_for(|stop| *stop)).await;
        }
    }

    /// Goes through the window's runs behind that place; tells how far it came.
    async fn walk(&mut self, mut after: Seq, counts_only: bool) -> Result<Seq, Coded> {
        let mut acts = JoinSet::new();
        let counts = counts_only || self.job.action == Action::Cancel;
        while !self.job.has_stopped() {
            let selection = self.selection.clone();
            let found = self.read(move |r| chunk(r, &selection, after)).await?;
            after = found.after;
            if counts {
                let more = found.runs.len() as u64;
                self.job.note(|progress| progress.matched += more);
            }
            for run in found.runs.into_iter().filter(|_| !counts_only) {
                if !self.pace.wait(&self.job).await {
                    break;
                }
                if acts.len() >= limits::BULK_ACTIONS_AT_ONCE_MAX {
                    acts.join_next().await;
                }
                acts.spawn(act(self.node.clone(), Arc::clone(&self.job), run));
            }
            if found.ended {
                break;
            }
        }
        while acts.join_next().await.is_some() {}
        Ok(after)
    }

    /// Reads; while the node has too much to do, later.
    async fn read<T: Send + 'static>(
        &self,
        read: impl Fn(&mut dyn Reader) -> StoreResult<T> + Clone + Send + 'static,
    ) -> Result<T, Coded> {
        loop {
            match self.node.read(read.clone()).await {
                Err(error) if error.code == Code::Overloaded && !self.job.has_stopped() => {
                    pause().await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Does to one run what the job is for.
async fn act(node: Node, job: Arc<Job>, run: Picked) {
    let outcome = loop {
        let outcome = match job.action {
            Action::Cancel => cancel(&node, run).await,
            Action::Replay => replay(&node, run.run).await,
        };
        match outcome {
            Err(error) if error.code == Code::Overloaded && !job.has_stopped() => pause().await,
            outcome => break outcome,
        }
    };
    job.note(|progress| match outcome {
        Ok(()) => progress.done += 1,
        Err(error) => {
            progress.failed += 1;
            progress.error = Some(error);
        }
    });
}

async fn cancel(node: &Node, Picked { run, created }: Picked) -> Result<(), Coded> {
    let answer = node.engine(move |token| Input::Cancel {
        token,
        run,
        created,
    });
    match answer.await? {
        Answer::Cancelled => Ok(()),
        // It ended by itself meanwhile.
        _ => Err(Coded::plain(Code::RunEnded)),
    }
}

async fn replay(node: &Node, run: Seq) -> Result<(), Coded> {
    let rerun = node.read(move |reader| match reader.run(run)? {
        Some(view) => rerun_of(reader, &view),
        None => Ok(None),
    });
    let gone = || Coded::new(Code::NotFound, "the run or one of its events is gone");
    let rerun = Box::new(rerun.await?.ok_or_else(gone)?);
    let asked = node.engine_intake(1, |token| Input::Rerun { token, rerun });
    match asked.await? {
        Answer::Started { .. } => Ok(()),
        _ => Err(Coded::plain(Code::FunctionGone)),
    }
}

/// What makes a run again from its start; none if one of its events is gone.
///
/// # Errors
/// As every read.
pub fn rerun_of(reader: &mut dyn Reader, run: &RunView) -> StoreResult<Option<Rerun>> {
    let mut events = Vec::with_capacity(1 + run.row.more.len());
    for seq in started_by(&run.row) {
        let event = match reader.event(seq)? {
            Some(logged) => event_in_full(reader, logged)?,
            None => None,
        };
        let Some(event) = event else { return Ok(None) };
        events.push(event);
    }
    Ok(Some(Rerun {
        original: run.row.seq,
        function: run.row.function,
        events,
        version: None,
        results: Vec::new(),
        from: None,
    }))
}

/// A place behind which are the runs that were made at or after an instant, and no others: runs are
/// in the order in which they were made.
///
/// # Errors
/// As every read.
pub fn runs_from(reader: &mut dyn Reader, at: Timestamp) -> StoreResult<Seq> {
    let newest = reader.runs(Page::newest(1))?;
    let (mut low, mut high) = (0, newest.first().map_or(0, |run| run.row.seq.0));
    while low < high {
        let middle = low + (high - low) / 2;
        let page = Page {
            after: Some(Seq(middle)),
            items: 1,
            ascending: true,
        };
        let next = reader.runs(page)?;
        if next.first().is_none_or(|run| run.row.created >= at) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(Seq(low))
}

/// A run that matches.
#[derive(Clone, Copy, Debug)]
struct Picked {
    run: Seq,
    created: Timestamp,
}

struct Chunk {
    runs: Vec<Picked>,
    /// How far was read.
    after: Seq,
    /// Whether there is nothing of the window behind it.
    ended: bool,
}

fn chunk(reader: &mut dyn Reader, selection: &Selection, after: Seq) -> StoreResult<Chunk> {
    let page = Page {
        after: Some(after),
        items: limits::BULK_RUNS_PER_READ_MAX,
        ascending: true,
    };
    let rows = reader.runs(page)?;
    let mut found = Chunk {
        runs: Vec::new(),
        after,
        ended: rows.len() < limits::BULK_RUNS_PER_READ_MAX,
    };
    for run in rows {
        if run.row.created >= selection.until {
            found.ended = true;
            break;
        }
        found.after = run.row.seq;
        if run.row.function == selection.function
            && run.row.created >= selection.from
            && (selection.keep)(&run, reader)?
        {
            found.runs.push(Picked {
                run: run.row.seq,
                created: run.row.created,
            });
        }
    }
    Ok(found)
}

/// Returns when all that was decided before is committed, so that reads see it: an answer never
/// leaves before the commits before it.
async fn barrier(node: &Node) {
    let nothing = |token| Input::Cancel {
        token,
        run: Seq(0),
        created: Timestamp::ZERO,
    };
    while let Err(error) = node.engine(nothing).await {
        if error.code != Code::Overloaded {
            return;
        }
        pause().await;
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(limits::BULK_PAUSE_MS)).await;
}

/// Spreads the runs of a job over time.
struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    fn new(per_second: u32) -> Self {
        let per_second = per_second.clamp(1, limits::BULK_RUNS_PER_SECOND_MAX);
        Self {
            interval: Duration::from_secs(1) / per_second,
            next: Instant::now(),
        }
    }

    /// Waits for the next run's time; false if the job is stopped.
    async fn wait(&mut self, job: &Job) -> bool {
        let mut stop = job.stop.subscribe();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => false,
            () = tokio::time::sleep_until(self.next) => {
                // What was missed is not made up for.
                self.next = Instant::now().max(self.next) + self.interval;
                true
            }
        }
    }
}
