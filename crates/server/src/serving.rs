//! A running server: served, watched for signals, stopped in order.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use dunlin_api::{Api, ApiOptions};
use dunlin_node::{Discovery, Node, Running};
use dunlin_types::{Code, limits};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
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
}

impl Serving {
    /// Begins to serve.
    pub(crate) fn begin(
        running: Running,
        listener: TcpListener,
        options: ApiOptions,
        discovery: Discovery,
    ) -> Self {
        let (close, closed) = oneshot::channel::<()>();
        let (address, base_url) = (options.listen, options.base_url());
        let node = running.node();
        let api = Api::new(node.clone(), options);
        let closed = async {
            let _ = closed.await;
        };
        let http = tokio::spawn(dunlin_api::serve(listener, api, closed));
        let discovery = tokio::spawn(discovery.run(node));
        Self {
            address,
            base_url,
            running,
            http,
            discovery,
            close,
        }
    }

    pub(crate) fn node(&self) -> Node {
        self.running.node()
    }

    /// Serves until SIGINT or SIGTERM, then stops in order; a second signal stops at once.
    ///
    /// # Errors
    /// When serving ends by itself, or signals cannot be heard.
    pub(crate) async fn until_stopped(mut self) -> Result<ExitCode, Failure> {
        let unheard =
            |error: std::io::Error| Failure::new(Code::ConfigBad, format!("no signals: {error}"));
        let mut interrupts = signal(SignalKind::interrupt()).map_err(unheard)?;
        let mut terms = signal(SignalKind::terminate()).map_err(unheard)?;
        tokio::select! {
            _ = interrupts.recv() => {}
            _ = terms.recv() => {}
            ended = &mut self.http => return Err(serving_ended(ended)),
        }
        info!("stopping; a second signal stops at once");
        tokio::select! {
            () = self.stop() => Ok(ExitCode::SUCCESS),
            _ = interrupts.recv() => Ok(ExitCode::from(EXIT_INTERRUPTED)),
            _ = terms.recv() => Ok(ExitCode::from(EXIT_INTERRUPTED)),
        }
    }

    /// Stops: calls in flight may end, and report by HTTP, before the door is closed.
    pub(crate) async fn stop(self) {
        self.discovery.abort();
        self.running
            .stop(Duration::from_millis(limits::SHUTDOWN_GRACE_MS))
            .await;
        let _ = self.close.send(());
        let closing = Duration::from_millis(limits::SHUTDOWN_REQUESTS_MS);
        let http = self.http.abort_handle();
        if tokio::time::timeout(closing, self.http).await.is_err() {
            warn!("requests were still open at the end");
            http.abort();
        }
        info!("stopped");
    }
}

fn serving_ended(ended: Result<std::io::Result<()>, tokio::task::JoinError>) -> Failure {
    let why = match ended {
        Ok(Ok(())) => "it ended by itself".to_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    Failure::new(Code::PortTaken, format!("serving failed: {why}"))
}
