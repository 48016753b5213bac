//! The parent's side as its callers see it: checks what they ask for, has it wait for a worker, and
//! judges what comes back.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_types::Code;
use dunlin_types::limits::{
    TRANSFORM_CODE_CHARS_MAX, TRANSFORM_CODE_CHARS_MIN, TRANSFORM_CPU_MS_MAX,
    TRANSFORM_WAITING_MAX, TRANSFORM_WALL_MS_MAX, TRANSFORM_WORKERS_DEFAULT,
};

use crate::frame::{Job, Outcome, Task};
use crate::outcome;
use crate::report::{ScriptError, TransformReport, TransformRequest};
use crate::waiting::Shared;

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

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Sandbox {
    /// A sandbox with one worker started ahead when called within a tokio runtime.
    #[must_use]
    pub fn new(options: SandboxOptions) -> Self {
        let shared = Arc::new(Shared::new(options));
        if tokio::runtime::Handle::try_current().is_ok() {
            shared.start_ahead();
        }
        Self { shared }
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
        match self
            .shared
            .exchange(&job, &code.into(), Bytes::new())
            .await
            .outcome?
        {
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
        let exchange = self
            .shared
            .exchange(&job, &request.code, request.payload.clone())
            .await;
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

pub(crate) fn crashed(what: &str) -> ScriptError {
    ScriptError::new(Code::TransformCrashed, format!("the worker process {what}"))
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
