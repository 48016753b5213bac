//! A child process that ends with its test and whose last words are kept.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// Lines kept of what a process says.
const LINES_MAX: usize = 500_000;
/// Lines of them that a failed test shows.
const LINES_SHOWN: usize = 2_000;

/// A running child. Dropping it kills it; while a test fails, its last words are shown.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Process {
    /// Starts the command.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Self {
        let piped = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.kill_on_drop(true).spawn().unwrap_or_else(|error| {
            panic!("{name} does not start: {error}: {:?}", piped.as_std());
        });
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        listen(child.stdout.take().expect("it is piped"), &lines);
        listen(child.stderr.take().expect("it is piped"), &lines);
        Self { name, child, lines }
    }

    /// What it said so far, without more than the last lines.
    pub(crate) fn said(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.child
            .kill()
            .await
            .expect("a running child can be killed");
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "a failed test shows what its processes said"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said();
            for line in &said[said.len().saturating_sub(LINES_SHOWN)..] {
                eprintln!("[{}] {line}", self.name);
            }
        }
    }
}

fn listen(stream: impl AsyncRead + Unpin + Send + 'static, kept: &Arc<Mutex<VecDeque<String>>>) {
    let kept = Arc::clone(kept);
    tokio::spawn(async move {
        let mut read = BufReader::new(stream).lines();
        while let Ok(Some(line)) = read.next_line().await {
            let mut lines = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    });
}
