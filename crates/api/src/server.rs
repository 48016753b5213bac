//! The accept loop.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use dunlin_types::limits;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Layer as _;

use crate::state::Api;

/// Serves until `shutdown` is done, then lets requests in flight finish within a deadline.
///
/// # Errors
/// When the connections could not be counted, which does not happen.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_router(listener, crate::router(api), shutdown).await
}

async fn serve_router(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let door = Door::new(router);
    let graceful = GracefulShutdown::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let arrived = tokio::select! {
            biased;
            () = &mut shutdown => break,
            arrived = door.next(&listener) => arrived?,
        };
        if let Some(arrived) = arrived {
            door.open(arrived, &graceful);
        }
    }
    drop(listener);
    let deadline = Duration::from_millis(limits::HTTP_SHUTDOWN_MS_MAX);
    if tokio::time::timeout(deadline, graceful.shutdown())
        .await
        .is_err()
    {
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
}

impl Door {
    fn new(router: Router) -> Self {
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

    fn open(&self, arrived: Arrived, graceful: &GracefulShutdown) {
        let Arrived {
            stream,
            peer,
            place,
        } = arrived;
        // Answers are small and someone waits for each.
        let _ = stream.set_nodelay(true);
        let service = Extension(ConnectInfo(peer)).layer(self.router.clone());
        let connection = self
            .builder
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // How a client ends its connection is its own business.
            let _ = connection.await;
            drop(place);
        });
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
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::{Notify, oneshot};

    use super::*;

    #[tokio::test]
    async fn a_request_in_flight_is_answered_though_the_server_was_told_to_stop() {
        let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let notes = (Arc::clone(&arrived), Arc::clone(&go_on));
        let slow = move || async move {
            notes.0.notify_one();
            notes.1.notified().await;
            "done"
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let router = Router::new().route("/", get(slow));
        let server = tokio::spawn(serve_router(listener, router, async {
            let _ = stopped.await;
        }));
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        arrived.notified().await;
        stop.send(()).unwrap();
        tokio::task::yield_now().await;
        go_on.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
            "{answer}"
        );
        server.await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
