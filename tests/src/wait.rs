//! Waiting for what a user would see, by asking for it until it is there.

use std::time::Duration;

use tokio::time::Instant;

/// How long anything may take: far over what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks until there is an answer.
///
/// # Panics
/// When there is none in time; `what` says for what it waited.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "in {PATIENCE:?} there was no {what}"
        );
        tokio::time::sleep(PAUSE).await;
    }
}
