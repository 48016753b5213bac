//! A running server: served, watched for signals, stopped in order.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use dunlin_api::{Api, ApiOptions};
use dunlin_node::{Discovery, Node, Running};
use dunlin_types::{Code, limits};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::fail::Failure;

/// Exit code after the second signal: 128 and the number of SIGINT, as shells have it.
const EXIT_INTERRUPTED: u8 = 130;

/// A server that answers requests. Stop it; dropping it stops nothing in order.
pub(crate) struct Serving {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The URL before the path of links.
    pub(crate) base_url: String,
    running: Running,
    http: JoinHandle<std::io::Result<()>>,
    discovery: JoinHandle<()>,
    close: oneshot::Sender<()>,
    /// Heard from before anybody is told that the server is ready: whoever waits for that may
    /// stop it at once.
    signals: Signals,
}

/// What asks a server to stop.
struct Signals {
    interrupts: Signal,
    terms: Signal,
}

impl Signals {
    fn hear() -> Result<Self, Failure> {
        let unheard =
            |error: std::io::Error| Failure::new(Code::ConfigBad, format!("no signals: {error}"));
        Ok(Self {
            interrupts: signal(SignalKind::interrupt()).map_err(unheard)?,
            terms: signal(SignalKind::terminate()).map_err(unheard)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupts.recv() => {}
            _ = self.terms.recv() => {}
        }
    }
}

impl Serving {
    /// Begins to serve.
    ///
    /// # Errors
    /// When signals cannot be heard.
    pub(crate) fn begin(
        running: Running,
        listener: TcpListener,
        options: ApiOptions,
        discovery: Discovery,
    ) -> Result<Self, Failure> {
        let signals = Signals::hear()?;
        let (close, closed) = oneshot::channel::<()>();
        let (address, base_url) = (options.listen, options.base_url());
        let node = running.node();
        let api = Api::new(node.clone(), options);
        let closed = async {
            let _ = closed.await;
        };
        let http = tokio::spawn(dunlin_api::serve(listener, api, closed));
        let discovery = tokio::spawn(discovery.run(node));
        Ok(Self {
            address,
            base_url,
            running,
            http,
            discovery,
            close,
            signals,
        })
    }

    pub(crate) fn node(&self) -> Node {
        self.running.node()
    }

    /// Serves until SIGINT or SIGTERM, then stops in order; a second signal stops at once.
    ///
    /// # Errors
    /// When serving ends by itself.
    pub(crate) async fn until_stopped(mut self) -> Result<ExitCode, Failure> {
        tokio::select! {
            () = self.signals.next() => {}
            ended = &mut self.http => return Err(serving_ended(ended)),
        }
        info!("stopping; a second signal stops at once");
        let Self {
            running,
            http,
            discovery,
            close,
            mut signals,
            ..
        } = self;
        tokio::select! {
            () = stop(running, http, discovery, close) => Ok(ExitCode::SUCCESS),
            () = signals.next() => Ok(ExitCode::from(EXIT_INTERRUPTED)),
        }
    }

    /// Stops in order.
    pub(crate) async fn stop(self) {
        stop(self.running, self.http, self.discovery, self.close).await;
    }
}

/// Calls in flight may end, and report by HTTP, before the door is closed.
async fn stop(
    running: Running,
    http: JoinHandle<std::io::Result<()>>,
    discovery: JoinHandle<()>,
    close: oneshot::Sender<()>,
) {
    discovery.abort();
    running
        .stop(Duration::from_millis(limits::SHUTDOWN_GRACE_MS))
        .await;
    let _ = close.send(());
    let closing = Duration::from_millis(limits::SHUTDOWN_REQUESTS_MS);
    let abort = http.abort_handle();
    if tokio::time::timeout(closing, http).await.is_err() {
        warn!("requests were still open at the end");
        abort.abort();
    }
    info!("stopped");
}

fn serving_ended(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> Failure {
    let why = match ended {
        Ok(Ok(())) => "it ended by itself".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    Failure::new(Code::PortTaken, format!("serving failed: {why}"))
}
