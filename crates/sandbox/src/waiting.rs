//! Runs that wait for a worker, in order, and the few tasks that bring them to one.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use dunlin_types::Code;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::frame::{self, Job, Outcome};
use crate::pool::SandboxOptions;
use crate::process::Worker;
use crate::report::{LogLine, ScriptError};
use crate::talk;

/// What came of one job, whatever it was.
pub(crate) struct Exchange {
    pub(crate) outcome: Result<(Outcome, Vec<u8>), ScriptError>,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) took: Duration,
}

impl Exchange {
    /// A job that no worker has worked on.
    pub(crate) fn refused(code: Code, message: &str) -> Self {
        Self::failed(ScriptError::new(code, message), Duration::ZERO)
    }

    /// A job that was worked on and has no answer.
    pub(crate) fn failed(error: ScriptError, took: Duration) -> Self {
        Self {
            outcome: Err(error),
            logs: Vec::new(),
            took,
        }
    }
}

/// One job on its way.
pub(crate) struct Waiting {
    pub(crate) code: Arc<str>,
    head: Vec<u8>,
    payload: Bytes,
    pub(crate) answer: oneshot::Sender<Exchange>,
    _admitted: OwnedSemaphorePermit,
}

impl Waiting {
    /// Appends the message to what a worker is sent; the copy is made no sooner, because a
    /// thousand may wait.
    pub(crate) fn write(&self, outbox: &mut BytesMut) {
        frame::write(&self.head, self.code.as_bytes(), &self.payload, outbox);
    }
}

pub(crate) struct Shared {
    pub(crate) options: SandboxOptions,
    idle: Mutex<Vec<Worker>>,
    queue: Mutex<Queue>,
    /// Places for jobs that wait or are worked on.
    admitted: Arc<Semaphore>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Tasks that bring jobs to workers, one for each busy worker.
    carriers: usize,
}

impl Shared {
    pub(crate) fn new(options: SandboxOptions) -> Self {
        let places = options.workers.max(1) + options.waiting_max;
        Self {
            idle: Mutex::default(),
            queue: Mutex::default(),
            admitted: Arc::new(Semaphore::new(places)),
            options,
        }
    }

    /// Starts a worker before it is needed.
    pub(crate) fn start_ahead(&self) {
        match self.start() {
            Ok(worker) => self.put_back(worker),
            Err(error) => tracing::warn!(%error, "no JavaScript worker could be started"),
        }
    }

    fn start(&self) -> io::Result<Worker> {
        Worker::start(&self.options.program, &self.options.args)
    }

    /// A worker that has nothing to do.
    pub(crate) fn worker(&self) -> io::Result<Worker> {
        while let Some(mut worker) = locked(&self.idle).pop() {
            if worker.is_alive() {
                return Ok(worker);
            }
        }
        self.start()
    }

    /// The worker is well, and free again.
    pub(crate) fn put_back(&self, worker: Worker) {
        locked(&self.idle).push(worker);
    }

    /// Has a worker do a job, and waits for what comes of it.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        job: &Job,
        code: &Arc<str>,
        payload: Bytes,
    ) -> Exchange {
        let Ok(admitted) = Arc::clone(&self.admitted).try_acquire_owned() else {
            let message = "too many transformations wait for a worker";
            return Exchange::refused(Code::Overloaded, message);
        };
        let head = match frame::head(job, code.as_bytes(), &payload) {
            Ok(head) => head,
            Err(error) => {
                let message = format!("the event: {error}");
                return Exchange::refused(Code::TransformReturnBad, &message);
            }
        };
        let (answer, answered) = oneshot::channel();
        self.submit(Waiting {
            code: Arc::clone(code),
            head,
            payload,
            answer,
            _admitted: admitted,
        });
        let stopping = || Exchange::refused(Code::ShuttingDown, "the server is stopping");
        answered.await.unwrap_or_else(|_| stopping())
    }

    fn submit(self: &Arc<Self>, one: Waiting) {
        let mut queue = locked(&self.queue);
        queue.waiting.push_back(one);
        self.carry_all(queue);
    }

    /// Sees to it that there are as many carriers as can be of use.
    fn carry_all(self: &Arc<Self>, mut queue: MutexGuard<'_, Queue>) {
        let room = self.options.workers.max(1) - queue.carriers;
        let more = room.min(queue.waiting.len());
        queue.carriers += more;
        drop(queue);
        for _ in 0..more {
            tokio::spawn(carry(Arc::clone(self)));
        }
    }

    /// Who waits longest, and would still like to know.
    fn next(&self) -> Option<Waiting> {
        let mut queue = locked(&self.queue);
        while let Some(one) = queue.waiting.pop_front() {
            if !one.answer.is_closed() {
                return Some(one);
            }
        }
        queue.carriers -= 1;
        None
    }

    /// The next of those that wait, if it is for that script.
    pub(crate) fn next_of(&self, code: &Arc<str>) -> Option<Waiting> {
        let mut queue = locked(&self.queue);
        queue
            .waiting
            .pop_front_if(|one| Arc::ptr_eq(&one.code, code))
    }

    /// These were not worked on after all: they go first, in their order.
    pub(crate) fn put_first(self: &Arc<Self>, jobs: VecDeque<Waiting>) {
        let mut queue = locked(&self.queue);
        for one in jobs.into_iter().rev() {
            queue.waiting.push_front(one);
        }
        self.carry_all(queue);
    }
}

/// Brings one job after the other to a worker until none waits.
async fn carry(shared: Arc<Shared>) {
    while let Some(first) = shared.next() {
        match shared.worker() {
            Ok(worker) => talk::talk(&shared, worker, first).await,
            Err(error) => {
                let message = format!("no worker could be started: {error}");
                let refused = Exchange::refused(Code::TransformCrashed, &message);
                let _ = first.answer.send(refused);
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
