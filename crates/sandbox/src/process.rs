//! One worker process as the parent holds it: started with nothing but two pipes, and killed when
//! it is dropped.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};

use bytes::BytesMut;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::frame::{self, Frame};

/// The signal of the kernel's CPU limit.
const CPU_LIMIT_SIGNAL: i32 = 24;

/// A running worker.
pub(crate) struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts one. It inherits no variable; the time zone is set so that local time is UTC.
    pub(crate) fn start(program: &Path, args: &[String]) -> io::Result<Self> {
        let mut child = Command::new(program)
            .args(args)
            .env_clear()
            .env("TZ", "UTC0")
            // The allocator would set aside more address space at once than a worker may have.
            .env("MIMALLOC_ARENA_RESERVE", "65536")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the worker has no pipes"));
        };
        Ok(Self {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// It has not ended while it was idle.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the next answer, and sends meanwhile what is to be sent; what is left of that goes
    /// with the next call. A caller that gives up must drop the worker: the late answer would be
    /// taken for the next one.
    pub(crate) async fn answer(&mut self, outbox: &mut BytesMut) -> io::Result<Frame> {
        let Self { input, output, .. } = self;
        let mut reading = pin!(frame::read_async(output));
        loop {
            tokio::select! {
                answer = &mut reading => return answer,
                // A worker that has ended takes nothing more, but its answer may still be there.
                written = input.write_buf(outbox), if !outbox.is_empty() => {
                    if written.is_err() {
                        outbox.clear();
                    }
                }
            }
        }
    }

    /// It has said nothing that nobody has asked for.
    pub(crate) fn is_silent(&self) -> bool {
        self.output.buffer().is_empty()
    }

    /// Ends it and tells whether the kernel's CPU limit had done so already.
    pub(crate) async fn bury(&mut self) -> bool {
        // It may have closed its pipes without ending; what is not dead yet is killed.
        let status: io::Result<ExitStatus> = match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            _ => match self.child.start_kill() {
                Ok(()) => self.child.wait().await,
                Err(error) => Err(error),
            },
        };
        status.is_ok_and(|status| status.signal() == Some(CPU_LIMIT_SIGNAL))
    }
}
