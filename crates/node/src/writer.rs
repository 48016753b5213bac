//! The one thread that writes: a batch at a time, each told when it is durable.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use dunlin_store::{Batch, CommitOutcome, Writer};
use dunlin_turn::Happening;
use tracing::{error, warn};

use crate::failpoint::{CrashPoint, crash_point};
use crate::handle::Shared;

/// Longest pause between tries of a commit that a full or busy store refused for now.
const RETRY_PAUSE_MS_MAX: u64 = 1_000;

/// The way to the writing thread. One batch is in flight at a time, so the channel holds one.
pub(crate) struct WriterHandle {
    pub(crate) batches: SyncSender<Batch>,
    pub(crate) thread: JoinHandle<()>,
}

/// Starts the thread. It ends when its channel closes, and then notes that all ended in order.
pub(crate) fn start(shared: Arc<Shared>, writer: Box<dyn Writer>) -> std::io::Result<WriterHandle> {
    let (batches, queue) = sync_channel(1);
    let thread = std::thread::Builder::new()
        .name("dunlin-writer".to_owned())
        .spawn(move || run(&shared, writer, &queue))?;
    Ok(WriterHandle { batches, thread })
}

fn run(shared: &Shared, mut writer: Box<dyn Writer>, queue: &Receiver<Batch>) {
    while let Ok(batch) = queue.recv() {
        crash_point(CrashPoint::BeforeCommit);
        commit(&mut *writer, &batch);
        crash_point(CrashPoint::AfterCommit);
        shared.inbox.happened(Happening::Committed(batch.commit_no));
        writer.upkeep();
    }
    if let Err(error) = writer.close() {
        warn!(%error, "the store could not note a clean stop");
    }
}

/// Commits, however often it takes. What can never be committed ends the process: memory is ahead
/// of the store then, and a restart rebuilds it from what is durable.
fn commit(writer: &mut dyn Writer, batch: &Batch) {
    let mut pause_ms = 10;
    loop {
        match writer.commit(batch) {
            CommitOutcome::Done => return,
            CommitOutcome::Retry(why) => {
                warn!(
                    why,
                    code = "E0700",
                    pause_ms,
                    "the store is full or busy, trying again"
                );
                wait(Duration::from_millis(pause_ms));
                pause_ms = (pause_ms * 2).min(RETRY_PAUSE_MS_MAX);
            }
            CommitOutcome::Refused(why) => die("E0701", &why),
            CommitOutcome::Fenced => die("E0705", "another process has taken the store over"),
            CommitOutcome::Dead(why) => die("E0704", &why),
        }
    }
}

fn wait(pause: Duration) {
    std::thread::park_timeout(pause);
}

fn die(code: &str, why: &str) -> ! {
    error!(
        code,
        why, "the store cannot go on; the process ends, a restart recovers"
    );
    std::process::exit(70);
}
