//! The accept loop.

mod idle;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use dunlin_types::limits;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulConnection;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower::Layer as _;

use crate::state::Api;
use idle::{InUse, Patience};

/// Serves until `shutdown` is done, then lets requests in flight finish within a deadline.
///
/// # Errors
/// When the connections could not be counted, which does not happen.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let door = Door::new(crate::router(api), Patience::LIMITS);
    serve_at(door, listener, shutdown).await
}

async fn serve_at(
    door: Door,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(());
    let mut shutdown = pin!(shutdown);
    loop {
        let arrived = tokio::select! {
            biased;
            () = &mut shutdown => break,
            arrived = door.next(&listener) => arrived?,
        };
        if let Some(arrived) = arrived {
            door.open(arrived, stopped.clone());
        }
    }
    drop((listener, stopped));
    let deadline = Duration::from_millis(limits::HTTP_SHUTDOWN_MS_MAX);
    // Nobody listens when there is no connection.
    let _ = stop.send(());
    if tokio::time::timeout(deadline, stop.closed()).await.is_err() {
        tracing::warn!("requests were still in flight when the time to stop was over");
    }
    Ok(())
}

/// A connection, and its place among those that are open.
struct Arrived {
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
}

/// What connections go through.
struct Door {
    router: Router,
    builder: Arc<Builder<TokioExecutor>>,
    places: Arc<Semaphore>,
    patience: Patience,
}

impl Door {
    fn new(router: Router, patience: Patience) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(limits::HTTP_HEAD_MS_MAX))
            .max_buf_size(limits::HTTP_HEAD_BYTES_MAX);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits::HTTP_STREAMS_PER_CONNECTION_MAX)
            .max_header_list_size(limits::HTTP_HEAD_BYTES_MAX as u32)
            .keep_alive_interval(Duration::from_millis(limits::HTTP_HEAD_MS_MAX));
        Self {
            router,
            builder: Arc::new(builder),
            places: Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS_MAX)),
            patience,
        }
    }

    /// The next connection, once there is a place for it; none if it was gone again.
    async fn next(&self, listener: &TcpListener) -> io::Result<Option<Arrived>> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        match listener.accept().await {
            Ok((stream, peer)) => Ok(Some(Arrived {
                stream,
                peer,
                place,
            })),
            Err(error) if is_of_one_connection(&error) => Ok(None),
            Err(error) => {
                tracing::error!(%error, "no connection could be taken");
                tokio::time::sleep(Duration::from_millis(limits::HTTP_ACCEPT_PAUSE_MS)).await;
                Ok(None)
            }
        }
    }

    fn open(&self, arrived: Arrived, stopped: watch::Receiver<()>) {
        let Arrived {
            stream,
            peer,
            place,
        } = arrived;
        // Answers are small and someone waits for each.
        let _ = stream.set_nodelay(true);
        let in_use = InUse::new();
        let counted = in_use.clone();
        let router = Extension(ConnectInfo(peer)).layer(self.router.clone());
        let router = TowerToHyperService::new(router);
        let service = service_fn(move |request| {
            let open = counted.begin();
            let answer = router.call(request);
            async move { open.until_taken(answer.await) }
        });
        let connection = self
            .builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let patience = self.patience;
        tokio::spawn(async move {
            see_out(connection, &in_use, patience, stopped).await;
            drop(place);
        });
    }
}

/// Serves a connection until its client ends it, the server stops, or nothing has been open on it
/// for long.
async fn see_out(
    connection: impl GracefulConnection,
    in_use: &InUse,
    patience: Patience,
    mut stopped: watch::Receiver<()>,
) {
    let mut connection = pin!(connection);
    // How a client ends its connection is its own business.
    tokio::select! {
        biased;
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
            return;
        }
        () = in_use.idle(patience.idle) => {}
    }
    if in_use.was_asked() {
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = connection => {}
            () = in_use.drained(patience.drain) => {}
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
mod tests;
