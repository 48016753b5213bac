//! The accept loop.

use std::future::Future;
use std::io;

use tokio::net::TcpListener;

use crate::state::Api;

/// Serves until `shutdown` is done, then lets requests in flight finish.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, crate::router(api))
        .with_graceful_shutdown(shutdown)
        .await
}
