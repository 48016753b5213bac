//! The parent's side: hands each run to an idle worker, watches the clock, and throws away a
//! worker that overstayed, died or said it is worn. The next run starts a new one.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dunlin_types::Code;
use dunlin_types::limits::{
    TRANSFORM_CODE_CHARS_MAX, TRANSFORM_CODE_CHARS_MIN, TRANSFORM_CPU_MS_MAX,
    TRANSFORM_LOG_LINES_MAX, TRANSFORM_WAITING_MAX, TRANSFORM_WALL_MS_MAX,
    TRANSFORM_WORKERS_DEFAULT,
};
use tokio::sync::Semaphore;

use crate::failure;
use crate::frame::{self, Answer, Job, Outcome, Task};
use crate::outcome;
use crate::process::Worker;
use crate::report::{LogLine, ScriptError, TransformReport, TransformRequest};

/// How workers are started and how much they may take.
#[derive(Clone, Debug)]
pub struct SandboxOptions {
    /// The program that runs [`crate::worker_main`]; as a rule the running one.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Worker processes at a time, at least one.
    pub workers: usize,
    /// Runs that wait for a worker; more are refused.
    pub waiting_max: usize,
    /// CPU time of one run.
    pub cpu_ms_max: u64,
    /// Wall time after which a worker is killed.
    pub wall_ms_max: u64,
}

impl SandboxOptions {
    /// The usual limits for that program.
    #[must_use]
    pub fn new(program: PathBuf, args: Vec<String>) -> Self {
        Self {
            program,
            args,
            workers: TRANSFORM_WORKERS_DEFAULT,
            waiting_max: TRANSFORM_WAITING_MAX,
            cpu_ms_max: TRANSFORM_CPU_MS_MAX,
            wall_ms_max: TRANSFORM_WALL_MS_MAX,
        }
    }
}

/// A handle to the workers; clones share them. The last one dropped ends them.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
}

struct Shared {
    options: SandboxOptions,
    idle: Mutex<Vec<Worker>>,
    /// Places for runs that hold a worker.
    busy: Semaphore,
    /// Places for those and for the ones that wait.
    admitted: Semaphore,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// What came of one job, whatever it was.
struct Exchange {
    outcome: Result<(Outcome, Vec<u8>), ScriptError>,
    logs: Vec<LogLine>,
    took: Duration,
}

impl Sandbox {
    /// A sandbox with one worker started ahead when called within a tokio runtime.
    #[must_use]
    pub fn new(options: SandboxOptions) -> Self {
        let workers = options.workers.max(1);
        let shared = Shared {
            idle: Mutex::new(Vec::new()),
            busy: Semaphore::new(workers),
            admitted: Semaphore::new(workers + options.waiting_max),
            options,
        };
        if tokio::runtime::Handle::try_current().is_ok() {
            match shared.start() {
                Ok(worker) => shared.put_back(worker),
                Err(error) => tracing::warn!(%error, "no JavaScript worker could be started"),
            }
        }
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Tells whether that code may be saved: its length, that it compiles, that its top level
    /// runs, and that it declares `handler` or `transform`.
    ///
    /// # Errors
    /// The reason why not, with the place in the script where there is one.
    pub async fn check(&self, code: &str) -> Result<(), ScriptError> {
        length_fits(code)?;
        let job = Job {
            task: Task::Check,
            cpu_ms: self.shared.options.cpu_ms_max,
            method: String::new(),
            url: String::new(),
            event_type: String::new(),
            variables: BTreeMap::new(),
            channels: Vec::new(),
            params_headers: BTreeMap::new(),
            params: None,
        };
        match self.shared.exchange(&job, code, &[]).await.outcome? {
            (Outcome::Checked, _) => Ok(()),
            (Outcome::Failed(failed), _) => Err(outcome::error_of(failed)),
            (Outcome::Returned(_), _) => Err(crashed("gave an answer nobody asked for")),
        }
    }

    /// Runs a transformation. Whatever the script does, this returns within the wall limit, the
    /// wait for a worker aside.
    pub async fn run(&self, request: TransformRequest) -> TransformReport {
        if let Err(error) = length_fits(&request.code) {
            return TransformReport {
                result: Err(error),
                logs: Vec::new(),
                duration_us: 0,
            };
        }
        let payload: Bytes = request.payload.clone();
        let job = Job {
            task: Task::Run,
            cpu_ms: self.shared.options.cpu_ms_max,
            method: request.method.clone(),
            url: request.url.clone(),
            event_type: request.event_type.clone(),
            variables: request.variables.clone(),
            channels: request.channels.clone(),
            params_headers: request.params_headers.clone(),
            params: params_text(request.params.as_deref()),
        };
        let exchange = self.shared.exchange(&job, &request.code, &payload).await;
        let result = exchange
            .outcome
            .and_then(|(outcome, payload)| match outcome {
                Outcome::Returned(returned) => outcome::judge(&request, returned, payload),
                Outcome::Failed(failed) => Err(outcome::error_of(failed)),
                Outcome::Checked => Err(crashed("gave an answer nobody asked for")),
            });
        TransformReport {
            result,
            logs: exchange.logs,
            duration_us: u64::try_from(exchange.took.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

impl Shared {
    fn start(&self) -> io::Result<Worker> {
        Worker::start(&self.options.program, &self.options.args)
    }

    fn idle_worker(&self) -> io::Result<Worker> {
        while let Some(mut worker) = self.take() {
            if worker.is_alive() {
                return Ok(worker);
            }
        }
        self.start()
    }

    fn take(&self) -> Option<Worker> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    fn put_back(&self, worker: Worker) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(worker);
    }

    async fn exchange(&self, job: &Job, code: &str, payload: &[u8]) -> Exchange {
        let Ok(_admitted) = self.admitted.try_acquire() else {
            return refused(
                Code::Overloaded,
                "too many transformations wait for a worker",
            );
        };
        let Ok(_busy) = self.busy.acquire().await else {
            return refused(Code::ShuttingDown, "the server is stopping");
        };
        let message = match frame::encode(job, code.as_bytes(), payload) {
            Ok(message) => message,
            Err(error) => return refused(Code::TransformReturnBad, &format!("the event: {error}")),
        };
        let worker = match self.idle_worker() {
            Ok(worker) => worker,
            Err(error) => {
                let message = format!("no worker could be started: {error}");
                return refused(Code::TransformCrashed, &message);
            }
        };
        self.converse(worker, &message).await
    }

    /// The worker goes back only after a whole answer; dropped on any other way, it is killed.
    async fn converse(&self, mut worker: Worker, message: &[u8]) -> Exchange {
        let begun = Instant::now();
        let wall = Duration::from_millis(self.options.wall_ms_max);
        let answered = tokio::time::timeout(wall, worker.ask(message)).await;
        let took = begun.elapsed();
        let failed = |error| Exchange {
            outcome: Err(error),
            logs: Vec::new(),
            took,
        };
        let frame = match answered {
            Err(_) => {
                drop(worker);
                return failed(failure::deadline(self.options.cpu_ms_max));
            }
            Ok(Err(_)) => {
                return failed(match worker.bury().await {
                    true => failure::deadline(self.options.cpu_ms_max),
                    false => crashed("ended before it answered"),
                });
            }
            Ok(Ok(frame)) => frame,
        };
        let Ok(mut answer) = serde_json::from_slice::<Answer>(&frame.head) else {
            return failed(crashed("gave an answer that cannot be read"));
        };
        answer.logs.truncate(TRANSFORM_LOG_LINES_MAX + 1);
        if !answer.worn {
            self.put_back(worker);
        }
        Exchange {
            outcome: Ok((answer.outcome, frame.payload)),
            logs: answer.logs,
            took,
        }
    }
}

fn crashed(what: &str) -> ScriptError {
    ScriptError::new(Code::TransformCrashed, format!("the worker process {what}"))
}

fn refused(code: Code, message: &str) -> Exchange {
    Exchange {
        outcome: Err(ScriptError::new(code, message)),
        logs: Vec::new(),
        took: Duration::ZERO,
    }
}

fn length_fits(code: &str) -> Result<(), ScriptError> {
    let chars = code.chars().count();
    if (TRANSFORM_CODE_CHARS_MIN..=TRANSFORM_CODE_CHARS_MAX).contains(&chars) {
        return Ok(());
    }
    let message = format!(
        "the script has {chars} characters; it takes {TRANSFORM_CODE_CHARS_MIN} to \
         {TRANSFORM_CODE_CHARS_MAX}"
    );
    Err(ScriptError::new(Code::TransformLength, message))
}

/// What a sender gave, if it is text at all.
fn params_text(params: Option<&[u8]>) -> Option<String> {
    let text = str::from_utf8(params?).ok()?;
    Some(text.to_owned())
}
