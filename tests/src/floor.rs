//! The floor: the most calls per second that anything could reach on this machine, now.

use serde_json::Value;
use tokio::process::Command;

use crate::port::free_port;
use crate::program::Told;

/// Measures it by the program that `--enginebench PATH` names; without one there is no floor.
#[derive(Debug)]
pub struct Floor(Option<String>);

impl Floor {
    /// The one that a program was told.
    #[must_use]
    pub fn of(told: &Told) -> Self {
        Self(told.text("enginebench").map(str::to_owned))
    }

    /// Does something between two measurements; what it gives, and calls per second, their mean.
    ///
    /// # Panics
    /// When the floor cannot be measured.
    pub async fn beside<T>(&self, work: impl AsyncFnOnce() -> T) -> (T, Option<f64>) {
        let before = self.calls_per_second().await;
        let done = work().await;
        let after = self.calls_per_second().await;
        let mean = before
            .zip(after)
            .map(|(before, after)| f64::midpoint(before, after));
        (done, mean)
    }

    async fn calls_per_second(&self) -> Option<f64> {
        let program = self.0.as_ref()?;
        let listen = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(program);
        command.args(["--shape", "floor", "--events", "50000"]);
        command.args(["--connections", "64", "--listen", &listen]);
        let output = command.output().await.expect("the floor's program starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let last: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
            .unwrap_or_else(|_| panic!("{program} told no figures: {text}"));
        Some(last["calls_per_s"].as_f64().expect("a floor has a rate"))
    }
}
