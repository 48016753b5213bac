//! Reads: a few threads with a reader each. Loads for the deciding thread and reads for requests
//! share them; requests are bounded, loads are bounded by what can be in flight.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use dunlin_store::{Reader, Store, StoreError, StoreResult};
use dunlin_types::{Code, Coded, limits};
use tokio::sync::oneshot;

/// Threads that read.
const READERS: usize = 2;

type Job = Box<dyn FnOnce(&mut dyn Reader) + Send>;

/// The way to the reading threads.
pub(crate) struct Readers {
    jobs: SyncSender<Job>,
}

impl Readers {
    /// Opens the readers and starts their threads, which end when this is dropped.
    pub(crate) fn start(store: &dyn Store) -> StoreResult<Self> {
        let (jobs, queue) =
            sync_channel::<Job>(limits::INTAKE_WAITING_MAX + limits::CALLS_IN_FLIGHT_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..READERS {
            let reader = store.reader()?;
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name(format!("dunlin-reader-{n}"))
                .spawn(move || run(reader, &queue))
                .map_err(|e| StoreError {
                    code: Code::StoreDead,
                    detail: e.to_string(),
                })?;
        }
        Ok(Self { jobs })
    }

    /// Reads for the deciding thread, which cannot be refused: it waits for room.
    pub(crate) fn load(&self, job: impl FnOnce(&mut dyn Reader) + Send + 'static) {
        let _ = self.jobs.send(Box::new(job));
    }

    /// Reads for a request.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Reader) -> StoreResult<T> + Send + 'static,
    ) -> Result<T, Coded> {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |reader| {
            let _ = tell.send(read(reader));
        });
        self.jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => Coded::plain(Code::Overloaded),
            TrySendError::Disconnected(_) => Coded::plain(Code::ShuttingDown),
        })?;
        let result = told.await.map_err(|_| Coded::plain(Code::ShuttingDown))?;
        result.map_err(|error| Coded::new(error.code, error.detail))
    }
}

fn run(mut reader: Box<dyn Reader>, queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(&mut *reader),
            Err(_) => return,
        }
    }
}
